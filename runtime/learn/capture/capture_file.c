/* The head says what was captured; the key of all records is a hash of it, so that parts which do not belong
 * together cannot be merged by mistake. */
#include "learn/capture/capture_file.h"

#include <math.h>
#include <string.h>
#include "base/hash.h"
#include "base/log.h"
#include "parvin/fit.h"

enum {
    MOST_LAYERS = 1024,
    MOST_WIDTH = 262144,
    MOST_NEURONS = 65536,
    MOST_CTX = 1 << 20,
    MOST_SHARDS = 1 << 16
};

static struct pv_capture_head make_head(const struct pv_source *source, const struct pv_windows *windows,
                                        const struct pv_capture_params *params)
{
    return (struct pv_capture_head){.version = PV_CAPTURE_VERSION,
                                    .n_layers = source->n_layers,
                                    .d_model = source->d_model,
                                    .d_ffn = source->d_ffn,
                                    .n_ctx = windows->n_ctx,
                                    .variant = source->variant,
                                    .exact_zeros = source->exact_zeros,
                                    .thin = windows->thin,
                                    .shard = params->n_shards > 1 ? params->shard : 0,
                                    .n_shards = params->n_shards > 1 ? params->n_shards : 1,
                                    .fingerprint = source->fingerprint,
                                    .text_hash = pv_windows_text_hash(windows),
                                    .n_text = windows->n_text,
                                    .n_run = windows->n_run,
                                    .active_share = source->exact_zeros ? 0.0 : params->active_share};
}

/* All but the shard, which windows do not depend on. */
uint64_t pv_capture_head_key(const struct pv_capture_head *head)
{
    struct pv_capture_head h = *head;

    h.shard = 0;
    h.n_shards = 1;
    return pv_hash64(&h, sizeof h, 1);
}

uint64_t pv_capture_key(const struct pv_source *source, const struct pv_windows *windows,
                        const struct pv_capture_params *params)
{
    struct pv_capture_head head = make_head(source, windows, params);

    return pv_capture_head_key(&head);
}

uint64_t pv_capture_journal_key(uint64_t key, const struct pv_capture_params *params)
{
    uint32_t shard[2] = {params->shard, params->n_shards};

    return params->n_shards > 1 ? pv_hash64(shard, sizeof shard, key) : key;
}

enum pv_status pv_capture_keep_head(struct pv_journal *j, uint64_t key, const struct pv_source *source,
                                    const struct pv_windows *windows, const struct pv_capture_params *params)
{
    const struct pv_journal_record *record = pv_journal_find(j, PV_RECORD_HEAD, 0, key);
    struct pv_capture_head head = make_head(source, windows, params), found;

    if (record) {
        PV_TRY(pv_journal_expect(j, record, sizeof found));
        PV_TRY(pv_journal_read(j, record, 0, &found, sizeof found));
        return memcmp(&found, &head, sizeof head) == 0 ? PV_OK : pv_journal_refuse(j, record);
    }
    pv_journal_begin(j, PV_RECORD_HEAD, 0, key);
    pv_journal_put(j, &head, sizeof head);
    return pv_journal_commit(j);
}

static bool in_range(uint64_t n, uint64_t most)
{
    return n >= 1 && n <= most;
}

static enum pv_status check_head(const struct pv_journal *j, const struct pv_capture_head *h)
{
    const bool share =
        h->exact_zeros ? h->active_share == 0.0 : h->active_share > 0.0 && h->active_share <= 1.0;

    if (h->version != PV_CAPTURE_VERSION)
        return pv_fail(&j->log, PV_ERR_UNSUPPORTED, "%s: capture file of version %u; this Parvin reads %d",
                       j->path, h->version, PV_CAPTURE_VERSION);
    if (!in_range(h->n_layers, MOST_LAYERS) || !in_range(h->d_model, MOST_WIDTH) ||
        !in_range(h->d_ffn, MOST_NEURONS) || !in_range(h->n_ctx, MOST_CTX) || !in_range(h->thin, MOST_CTX) ||
        !in_range(h->n_shards, MOST_SHARDS) || h->shard >= h->n_shards || h->exact_zeros > 1 || !share ||
        !in_range(h->n_run, UINT32_MAX) || h->n_text < h->n_run || h->n_text > SIZE_MAX / sizeof(uint32_t))
        return pv_fail(&j->log, PV_ERR_FORMAT, "%s: sizes in its head are out of range: capture it again",
                       j->path);
    return PV_OK;
}

static enum pv_status read_head(struct pv_capture_file *file)
{
    const struct pv_journal *j = &file->journal;
    struct pv_capture_head *h = &file->head;
    struct pv_capture_params params;
    const struct pv_journal_record *record = NULL;

    for (size_t i = 0; i < j->n_records && !record; i++) {
        if (j->records[i].kind == PV_RECORD_HEAD)
            record = &j->records[i];
    }
    if (!record || record->size_bytes != sizeof *h)
        return pv_fail(&j->log, PV_ERR_FORMAT, "%s: has no head record: it is not a capture file", j->path);
    PV_TRY(pv_journal_read(j, record, 0, h, sizeof *h));
    PV_TRY(check_head(j, h));
    params = (struct pv_capture_params){.shard = h->shard, .n_shards = h->n_shards};
    file->key = pv_capture_head_key(h);
    if (record->key != file->key || j->key != pv_capture_journal_key(file->key, &params))
        return pv_fail(&j->log, PV_ERR_FORMAT, "%s: its head and its records do not belong together",
                       j->path);
    file->windows = (struct pv_windows){.n_text = (size_t)h->n_text,
                                        .n_run = (size_t)h->n_run,
                                        .n_ctx = h->n_ctx,
                                        .thin = h->thin,
                                        .text_hash = h->text_hash};
    pv_windows_count(&file->windows);
    return PV_OK;
}

enum pv_status pv_capture_file_open(struct pv_capture_file *file, const char *path, const struct pv_log *log)
{
    enum pv_status status;

    *file = (struct pv_capture_file){.journal = {.fd = -1}};
    PV_TRY(pv_journal_open_read(&file->journal, path, log));
    status = read_head(file);
    if (status != PV_OK)
        pv_capture_file_close(file);
    return status;
}

void pv_capture_file_close(struct pv_capture_file *file)
{
    pv_journal_close(&file->journal, false);
    *file = (struct pv_capture_file){.journal = {.fd = -1}};
}

enum pv_status pv_capture_file_check(const struct pv_capture_file *file, const struct pv_source *source)
{
    const struct pv_capture_head *h = &file->head;
    const struct pv_journal *j = &file->journal;
    uint32_t n_windows = file->windows.n_windows, n_missing = 0;

    if (h->fingerprint != source->fingerprint || h->n_layers != source->n_layers ||
        h->d_model != source->d_model || h->d_ffn != source->d_ffn || h->variant != source->variant ||
        h->exact_zeros != source->exact_zeros)
        return pv_fail(&j->log, PV_ERR_MISMATCH,
                       "%s: was captured from another model, or with another activation function", j->path);
    if (n_windows > j->n_records) /* without asking for each: a head may say anything */
        n_missing = n_windows - (uint32_t)j->n_records;
    for (uint32_t w = 0; w < n_windows && n_windows <= j->n_records; w++)
        n_missing += !pv_capture_find(j, file->key, w);
    if (n_missing > 0)
        return pv_fail(&j->log, PV_ERR_ARG, "%s: lacks %s%u of %u windows%s: put all parts together first",
                       j->path, n_windows > j->n_records ? "at least " : "", n_missing, n_windows,
                       h->n_shards > 1 ? " (it is one part of several)" : "");
    return PV_OK;
}

enum pv_status pv_capture_read_tau(const struct pv_journal *j, const struct pv_journal_record *record,
                                   uint32_t n_layers, bool exact_zeros, float *tau)
{
    PV_TRY(pv_journal_expect(j, record, n_layers * sizeof *tau));
    PV_TRY(pv_journal_read(j, record, 0, tau, n_layers * sizeof *tau));
    for (uint32_t l = 0; l < n_layers; l++) {
        if (!isfinite(tau[l]) || tau[l] < 0.0f || (exact_zeros && tau[l] > 0.0f))
            return pv_fail(&j->log, PV_ERR_FORMAT,
                           "%s: the threshold of layer %u is not valid: capture it again", j->path, l);
    }
    return PV_OK;
}

enum pv_status pv_capture_file_tau(const struct pv_capture_file *file, float *tau)
{
    const struct pv_journal *j = &file->journal;
    const struct pv_journal_record *record = pv_journal_find(j, PV_RECORD_TAU, 0, file->key);

    if (!record)
        return pv_fail(&j->log, PV_ERR_FORMAT, "%s: has no thresholds: capture it again", j->path);
    return pv_capture_read_tau(j, record, file->head.n_layers, file->head.exact_zeros != 0, tau);
}

/* Active neurons of window w over all layers, from its table of blocks. */
static enum pv_status count_active(const struct pv_capture_file *file, uint32_t w, uint64_t *n_active)
{
    const struct pv_capture_head *h = &file->head;
    const struct pv_journal_record *record = pv_capture_find(&file->journal, file->key, w);
    const uint64_t fixed =
        h->n_layers * (uint64_t)pv_windows_kept(&file->windows, w) * (h->d_model * 2u + 4u);
    const uint64_t table = 8 + (h->n_layers + (uint64_t)1) * 8;

    if (record->size_bytes < table + fixed || (record->size_bytes - table - fixed) % 4 != 0)
        return pv_fail(&file->journal.log, PV_ERR_FORMAT, "%s: window %u has a wrong size: capture it again",
                       file->journal.path, w);
    *n_active = (record->size_bytes - table - fixed) / 4;
    return PV_OK;
}

enum pv_status pv_capture_read_info(const char *path, const struct pv_log *log, struct pv_capture_info *out)
{
    struct pv_capture_file file;
    const struct pv_capture_head *h = &file.head;
    enum pv_status status = PV_OK;

    PV_TRY(pv_capture_file_open(&file, path, log));
    *out = (struct pv_capture_info){.n_layers = h->n_layers,
                                    .d_model = h->d_model,
                                    .d_ffn = h->d_ffn,
                                    .n_ctx = h->n_ctx,
                                    .thin = h->thin,
                                    .shard = h->shard,
                                    .n_shards = h->n_shards,
                                    .n_windows = file.windows.n_windows,
                                    .n_tokens = file.windows.n_tokens,
                                    .n_text = h->n_text,
                                    .fingerprint = h->fingerprint,
                                    .active_share = h->active_share};
    for (size_t i = 0; i < file.journal.n_records && status == PV_OK; i++) {
        const struct pv_journal_record *record = &file.journal.records[i];
        const uint32_t w = record->index;
        uint64_t n_active = 0;

        if (record->kind != PV_RECORD_WINDOW || w >= file.windows.n_windows ||
            pv_capture_find(&file.journal, file.key, w) != record)
            continue;
        status = count_active(&file, w, &n_active);
        out->n_captured++;
        out->n_captured_tokens += pv_windows_kept(&file.windows, w);
        out->n_active += n_active;
    }
    pv_capture_file_close(&file);
    return status;
}
