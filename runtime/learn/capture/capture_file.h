/* The capture file: a finished journal of captured windows, so that several machines can share a text and the
 * learning can be repeated without the text. Specified in docs/capture-file.md.
 *
 * A file of shard i of n holds the windows w with w % n == i; pv_capture_merge makes one of all. Read as
 * hostile: records are checksummed, and nothing in them is trusted all the same. Not thread-safe. */
#ifndef PV_LEARN_CAPTURE_CAPTURE_FILE_H
#define PV_LEARN_CAPTURE_CAPTURE_FILE_H

#include "learn/capture/capture.h"

enum { PV_CAPTURE_VERSION = 1 };

/* The head record: everything that the windows depend on. */
struct pv_capture_head {
    uint32_t version, n_layers, d_model, d_ffn, n_ctx, variant, exact_zeros, thin, shard, n_shards;
    uint64_t fingerprint, text_hash, n_text, n_run;
    double active_share;
};
struct pv_capture_file {
    struct pv_journal journal;
    struct pv_capture_head head;
    struct pv_windows windows;
    uint64_t key; /* of the windows' records */
};

/* Key of the records that belong to a head, whatever its shard. */
uint64_t pv_capture_head_key(const struct pv_capture_head *head);
/* Puts the head into a journal under way, or checks the one that is there. */
PV_MUST_USE enum pv_status pv_capture_keep_head(struct pv_journal *j, uint64_t key,
                                                const struct pv_source *source,
                                                const struct pv_windows *windows,
                                                const struct pv_capture_params *params);
/* Key of the journal that a shard is captured into; the records' own key where there is one shard. */
uint64_t pv_capture_journal_key(uint64_t key, const struct pv_capture_params *params);

/* PV_ERR_IO, PV_ERR_FORMAT. */
PV_MUST_USE enum pv_status pv_capture_file_open(struct pv_capture_file *file, const char *path,
                                                const struct pv_log *log);
void pv_capture_file_close(struct pv_capture_file *file); /* safe on a zeroed struct */
/* That it was captured from this source, else PV_ERR_MISMATCH, and that no window is missing, else
 * PV_ERR_ARG. */
PV_MUST_USE enum pv_status pv_capture_file_check(const struct pv_capture_file *file,
                                                 const struct pv_source *source);
/* The thresholds of a record, tau [n_layers]: each a number that a contribution can be above, 0 where inactive
 * neurons are exactly zero. PV_ERR_FORMAT if they are not. */
PV_MUST_USE enum pv_status pv_capture_read_tau(const struct pv_journal *j,
                                               const struct pv_journal_record *record, uint32_t n_layers,
                                               bool exact_zeros, float *tau);
/* tau [n_layers]. */
PV_MUST_USE enum pv_status pv_capture_file_tau(const struct pv_capture_file *file, float *tau);

#endif
