/* Calibration text written by the model itself, where no other is given: independent samples at temperature
 * 1, each from the model's start token (a random token where it has none) up to a window's length. An end
 * token is followed by the start token. A sample depends on seed, number and device alone, so a longer text
 * begins with the shorter one. Groups of samples, written side by side, are records of a journal: interrupted
 * or killed, the same call goes on and gives the same text. Not thread-safe. */
#ifndef PV_LEARN_CAPTURE_SAMPLE_H
#define PV_LEARN_CAPTURE_SAMPLE_H

#include "learn/capture/journal.h"

/* A model that writes n_seqs texts side by side, or a stand-in for tests. */
struct pv_sample_source {
    uint32_t n_vocab, n_seqs, n_ctx;
    uint32_t start, end;  /* tokens; UINT32_MAX: none */
    uint64_t fingerprint; /* of the model */
    uint32_t variant;     /* as in struct pv_source */
    /* Feeds the next token of each text; `first`: of new texts. logits [n_seqs][n_vocab]. */
    enum pv_status (*step)(void *user, bool first, const uint32_t *tokens, float *logits);
    void *user;
};
struct pv_sample_params {
    uint64_t n_tokens;
    uint64_t seed;
    uint32_t n_threads; /* 0: all cores */
    struct pv_progress progress;
    struct pv_log log;
};
struct pv_sample {
    uint32_t *tokens; /* [n_tokens], samples of n_ctx tokens one after the other */
    size_t n_tokens;
    bool resumed;
    struct pv_journal journal;
};
/* On failure there is nothing to close. */
PV_MUST_USE enum pv_status pv_sample_text(const struct pv_sample_source *source,
                                          const struct pv_sample_params *params, const char *path,
                                          struct pv_sample *out);
/* The journal at `path` stays unless `remove_file`. */
void pv_sample_close(struct pv_sample *sample, bool remove_file);

#endif
