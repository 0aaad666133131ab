/* The trace: what a run did, token by token, as JSON Lines. The window, the terminal view and the pictures
 * all read it, live or from the file. Specified in docs/trace.md.
 *
 * Thread-safety: one thread at a time per writer and per reader. */
#ifndef PARVIN_TRACE_H
#define PARVIN_TRACE_H

#include <stddef.h>
#include <stdint.h>
#include "parvin/status.h"

PV_API_BEGIN

#define PV_TRACE_VERSION    1
#define PV_TRACE_NO_CLUSTER UINT32_MAX /* the layer ran dense */

enum pv_trace_format {
    /* docs/trace.md; the only one that can be read back */
    PV_TRACE_JSONL,
    /* Chrome's trace event JSON, for ui.perfetto.dev and chrome://tracing */
    PV_TRACE_PERFETTO,
};

/* What does not change during a run. Strings are UTF-8. */
struct pv_trace_header {
    /* file name, without folders */
    const char *model;
    /* device and driver in words; NULL or "": unknown */
    const char *device;
    /* of the feed-forward weights, see pv_model_fingerprint */
    uint64_t fingerprint;
    /* L, 1..1024 */
    uint32_t n_layers;
    /* K, 0: dense; L * K is at most 2^22 */
    uint32_t n_clusters;
    /* F, neurons a layer, 1..2^20 */
    uint32_t d_ffn;
};

/* One token. Arrays are [n_layers]; those marked optional may be NULL. */
struct pv_trace_token {
    /* position in the run, strictly increasing */
    uint64_t index;
    /* id in the model's vocabulary */
    uint32_t token;
    const char *text;
    /* the token's own bytes: need not be valid UTF-8, at most 4096 */
    size_t text_bytes;
    /* chosen by the router; PV_TRACE_NO_CLUSTER: dense */
    const uint32_t *cluster;
    /* neurons computed */
    const uint32_t *n_neurons;
    /* optional: best minus second best router score; NAN: unknown */
    const float *margin;
    /* optional: share of the contributions' squares that the mask keeps, 0..1 */
    const float *energy_kept;
    /* optional: neurons of the true pattern */
    const uint32_t *n_active;
    /* optional: those of them that the mask holds */
    const uint32_t *n_hit;
    /* Optional, true patterns: [n_layers] rows of ceil(F / 32) words, bit j of a row set where neuron j was
     * truly active (see base/bits.h). Rows may be NULL. */
    const uint32_t *const *active;
    /* share of neurons computed, mean over layers */
    double density;
    /* wall time of the token; 0: unknown */
    double ms;
    /* device time of the token; 0: unknown */
    double device_ms;
};

/* Writer. A line goes out whole in one write, so a killed run leaves a file that reads to its last token. */
struct pv_trace_writer;
PV_MUST_USE enum pv_status pv_trace_create(const char *path, enum pv_trace_format format,
                                           const struct pv_trace_header *header, const struct pv_log *log,
                                           struct pv_trace_writer **out);
PV_MUST_USE enum pv_status pv_trace_write(struct pv_trace_writer *writer, const struct pv_trace_token *token);
/* A named piece of work inside the token written next, e.g. a dispatch; kept in Perfetto traces only. `track`
 * is a small number, one row of the picture each; times in microseconds from the token's start. */
PV_MUST_USE enum pv_status pv_trace_slice(struct pv_trace_writer *writer, uint32_t track, const char *name,
                                          double start_us, double duration_us);
/* Finishes the file. A full disk is reported here at the latest. NULL is fine. */
PV_MUST_USE enum pv_status pv_trace_finish(struct pv_trace_writer *writer);

/* Reader. Takes any file for hostile: memory is bounded by the header's numbers, every message starts
 * "PATH:LINE:". */
struct pv_trace_reader;
/* `follow`: the file may still grow; an unfinished last line is then no error. "-" is standard input. */
PV_MUST_USE enum pv_status pv_trace_open(const char *path, bool follow, const struct pv_log *log,
                                         struct pv_trace_reader **out);
/* The same from memory, which must stay; `name` stands for the path in messages. */
PV_MUST_USE enum pv_status pv_trace_open_memory(const void *data, size_t size_bytes, const char *name,
                                                const struct pv_log *log, struct pv_trace_reader **out);
const struct pv_trace_header *pv_trace_reader_header(const struct pv_trace_reader *reader);
/* The next token, valid until the next call; *out is NULL at the end (with `follow`: nothing more yet, ask
 * later). */
PV_MUST_USE enum pv_status pv_trace_next(struct pv_trace_reader *reader, const struct pv_trace_token **out);
void pv_trace_close(struct pv_trace_reader *reader);

PV_API_END

#endif
