/* Parts in, whole out: the same head but for the shard, the thresholds of the part that has the first window,
 * then every window in order. So the whole is, byte for byte, what one machine would have captured where the
 * parts were captured on devices that compute alike. Records are copied a block at a time. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "learn/capture/capture_file.h"
#include "parvin/fit.h"

enum { BLOCK_BYTES = 1 << 18 };
static const double TAU_TOLERANCE = 1e-3; /* relative; rounding of another device stays far below it */

struct merge {
    struct pv_capture_file *parts; /* [n] */
    uint32_t n;
    const struct pv_log *log;
};

/* Which part has window w; n if none. */
static uint32_t part_of(const struct merge *m, uint32_t w)
{
    for (uint32_t i = 0; i < m->n; i++) {
        const struct pv_capture_head *h = &m->parts[i].head;

        if (w % h->n_shards == h->shard)
            return i;
    }
    return m->n;
}

static enum pv_status check_shards(const struct merge *m)
{
    const struct pv_capture_file *first = &m->parts[0];

    for (uint32_t i = 1; i < m->n; i++) {
        const struct pv_capture_file *part = &m->parts[i];

        if (part->key != first->key || part->head.n_shards != first->head.n_shards)
            return pv_fail(m->log, PV_ERR_MISMATCH,
                           "%s and %s are not parts of one capture: same model, text and options are needed",
                           first->journal.path, part->journal.path);
        for (uint32_t k = 0; k < i; k++) {
            if (m->parts[k].head.shard == part->head.shard)
                return pv_fail(m->log, PV_ERR_ARG, "%s and %s are both part %u/%u: give each part once",
                               m->parts[k].journal.path, part->journal.path, part->head.shard + 1,
                               part->head.n_shards);
        }
    }
    for (uint32_t i = 0; i < first->head.n_shards && i < first->windows.n_windows; i++) {
        if (part_of(m, i) == m->n)
            return pv_fail(m->log, PV_ERR_ARG, "part %u/%u is missing: give all parts", i + 1,
                           first->head.n_shards);
    }
    for (uint32_t w = 0; w < first->windows.n_windows; w++) {
        const uint32_t i = part_of(m, w);

        if (!pv_capture_find(&m->parts[i].journal, first->key, w))
            return pv_fail(m->log, PV_ERR_FORMAT, "%s: lacks window %u: capture it again",
                           m->parts[i].journal.path, w);
    }
    return PV_OK;
}

/* Thresholds of the parts must agree; the first window's part has the word. */
static enum pv_status choose_tau(const struct merge *m, float *tau)
{
    const uint32_t n_layers = m->parts[0].head.n_layers;
    float *other = pv_calloc(n_layers, sizeof *other);
    enum pv_status status = PV_OK;

    if (!other)
        return pv_fail(m->log, PV_ERR_NOMEM, "no memory to merge");
    PV_TRY_GOTO(pv_capture_file_tau(&m->parts[part_of(m, 0)], tau));
    for (uint32_t i = 0; i < m->n; i++) {
        PV_TRY_GOTO(pv_capture_file_tau(&m->parts[i], other));
        for (uint32_t l = 0; l < n_layers; l++) {
            if (fabs((double)other[l] - (double)tau[l]) > TAU_TOLERANCE * (double)tau[l]) {
                status =
                    pv_fail(m->log, PV_ERR_MISMATCH,
                            "%s: its threshold of layer %u is %g, that of the first part %g: capture the "
                            "parts on devices that compute alike",
                            m->parts[i].journal.path, l, (double)other[l], (double)tau[l]);
                goto fail;
            }
        }
    }
fail:
    free(other);
    return status;
}

static enum pv_status copy_record(const struct pv_journal *from, const struct pv_journal_record *record,
                                  struct pv_journal *to, unsigned char *block)
{
    pv_journal_begin(to, record->kind, record->index, record->key);
    for (uint64_t at = 0; at < record->size_bytes; at += BLOCK_BYTES) {
        const size_t n =
            record->size_bytes - at < BLOCK_BYTES ? (size_t)(record->size_bytes - at) : BLOCK_BYTES;

        PV_TRY(pv_journal_read(from, record, at, block, n));
        pv_journal_put(to, block, n);
    }
    return pv_journal_commit(to);
}

static enum pv_status write_whole(const struct merge *m, const float *tau, struct pv_journal *to)
{
    const struct pv_capture_file *first = &m->parts[0];
    struct pv_capture_head head = first->head;
    unsigned char *block = pv_calloc(BLOCK_BYTES, 1);
    enum pv_status status = PV_OK;

    if (!block)
        return pv_fail(m->log, PV_ERR_NOMEM, "no memory to merge");
    head.shard = 0;
    head.n_shards = 1;
    pv_journal_begin(to, PV_RECORD_HEAD, 0, first->key);
    pv_journal_put(to, &head, sizeof head);
    PV_TRY_GOTO(pv_journal_commit(to));
    pv_journal_begin(to, PV_RECORD_TAU, 0, first->key);
    pv_journal_put(to, tau, head.n_layers * sizeof *tau);
    PV_TRY_GOTO(pv_journal_commit(to));
    for (uint32_t w = 0; w < first->windows.n_windows; w++) {
        const struct pv_journal *from = &m->parts[part_of(m, w)].journal;

        PV_TRY_GOTO(copy_record(from, pv_capture_find(from, first->key, w), to, block));
    }
fail:
    free(block);
    return status;
}

static enum pv_status merge(const struct merge *m, const char *out_path)
{
    struct pv_journal out = {.fd = -1};
    float *tau = pv_calloc(m->parts[0].head.n_layers, sizeof *tau);
    const size_t room = strlen(out_path) + sizeof ".part";
    char *path = pv_calloc(room, 1);
    enum pv_status status = PV_ERR_NOMEM;

    if (!tau || !path) {
        status = pv_fail(m->log, status, "no memory to merge");
        goto fail;
    }
    snprintf(path, room, "%s.part", out_path);
    PV_TRY_GOTO(check_shards(m));
    PV_TRY_GOTO(choose_tau(m, tau));
    PV_TRY_GOTO(pv_journal_open(&out, path, m->parts[0].key, m->log)); /* refuses what is not Parvin's own */
    if (out.n_records > 0) {                                           /* of a merge that was killed */
        pv_journal_close(&out, true);
        PV_TRY_GOTO(pv_journal_open(&out, path, m->parts[0].key, m->log));
    }
    PV_TRY_GOTO(write_whole(m, tau, &out));
    status = pv_journal_finish(&out, out_path);
fail:
    pv_journal_close(&out, true);
    free(tau);
    free(path);
    return status;
}

enum pv_status pv_capture_merge(const char *const *paths, uint32_t n_paths, const char *out_path,
                                const struct pv_log *log)
{
    if (n_paths == 0)
        return pv_fail(log, PV_ERR_ARG, "nothing to merge");
    struct merge m = {.parts = pv_calloc(n_paths, sizeof *m.parts), .log = log};
    enum pv_status status = PV_OK;

    if (!m.parts)
        return pv_fail(log, PV_ERR_NOMEM, "no memory to merge %u files", n_paths);
    while (status == PV_OK && m.n < n_paths) {
        status = pv_capture_file_open(&m.parts[m.n], paths[m.n], log);
        m.n += status == PV_OK;
    }
    if (status == PV_OK)
        status = merge(&m, out_path);
    for (uint32_t i = 0; i < m.n; i++)
        pv_capture_file_close(&m.parts[i]);
    free(m.parts);
    return status;
}
