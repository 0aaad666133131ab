/* Reading one captured layer back: sizes first, from every record's table, then the blocks into place. The
 * layout is written in capture.c. */
#include "learn/capture/capture.h"

#include <stdlib.h>
#include "base/half.h"
#include "base/log.h"
#include "base/mem.h"

struct loader {
    const struct pv_journal *j;
    uint32_t n_layers, layer;
    size_t d, n_cols;
    struct pv_layer_data *out;
    uint64_t room; /* entries that col and root have space for */
};

static enum pv_status fail_record(const struct loader *ld, uint32_t w)
{
    return pv_fail(&ld->j->log, PV_ERR_FORMAT,
                   "%s: record of window %u is malformed; remove the file and start over", ld->j->path, w);
}

/* Where window w keeps the layer's block, and how many active neurons it has. */
static enum pv_status find_block(const struct loader *ld, const struct pv_journal_record *record, uint32_t w,
                                 uint32_t n_tokens, uint64_t *at, uint64_t *n_active)
{
    uint64_t dense = n_tokens * (ld->d * sizeof(uint16_t) + sizeof(uint32_t)), range[2], end;
    uint32_t sizes[2];

    if (!record)
        return fail_record(ld, w);
    PV_TRY(pv_journal_read(ld->j, record, 0, sizes, sizeof sizes));
    PV_TRY(pv_journal_read(ld->j, record, sizeof sizes + ld->layer * sizeof *range, range, sizeof range));
    PV_TRY(pv_journal_read(ld->j, record, sizeof sizes + ld->n_layers * sizeof end, &end, sizeof end));
    if (sizes[0] != n_tokens || sizes[1] != ld->n_layers || range[0] > range[1] || range[1] > end ||
        end != record->size_bytes || range[1] - range[0] < dense || (range[1] - range[0] - dense) % 4 != 0)
        return fail_record(ld, w);
    *at = range[0];
    *n_active = (range[1] - range[0] - dense) / 4;
    return *n_active <= (uint64_t)n_tokens * ld->n_cols ? PV_OK : fail_record(ld, w);
}

/* Rows from their counts, and whether the entries are what capture writes: ascending columns, positive finite
 * roots. */
static bool place_rows(const struct loader *ld, size_t row, const uint32_t *counts, uint32_t n_tokens,
                       uint64_t n_active)
{
    uint64_t *offset = ld->out->offset, end = offset[row] + n_active;

    for (uint32_t i = 0; i < n_tokens; i++, row++) {
        if (counts[i] > end - offset[row])
            return false;
        offset[row + 1] = offset[row] + counts[i];
        for (uint64_t p = offset[row]; p < offset[row + 1]; p++) {
            if (ld->out->col[p] >= ld->n_cols ||
                (p > offset[row] && ld->out->col[p] <= ld->out->col[p - 1]) || ld->out->root[p] == 0 ||
                ld->out->root[p] > 0x7bff)
                return false;
        }
    }
    return offset[row] == end;
}

static enum pv_status load_block(const struct loader *ld, const struct pv_journal_record *record, uint32_t w,
                                 size_t row, uint32_t n_tokens, uint32_t *counts)
{
    struct pv_layer_data *out = ld->out;
    uint64_t at = 0, n_active = 0, first = out->offset[row];

    PV_TRY(find_block(ld, record, w, n_tokens, &at, &n_active));
    if (n_active > ld->room - first) /* changed under our hands */
        return fail_record(ld, w);
    if (out->z) {
        uint16_t *z = out->z + row * ld->d;

        PV_TRY(pv_journal_read(ld->j, record, at, z, n_tokens * ld->d * sizeof *z));
        if (!pv_halves_finite(z, n_tokens * ld->d))
            return fail_record(ld, w);
    }
    at += n_tokens * ld->d * sizeof *out->z;
    PV_TRY(pv_journal_read(ld->j, record, at, counts, n_tokens * sizeof *counts));
    at += n_tokens * sizeof *counts;
    PV_TRY(pv_journal_read(ld->j, record, at, out->col + first, n_active * sizeof *out->col));
    at += n_active * sizeof *out->col;
    PV_TRY(pv_journal_read(ld->j, record, at, out->root + first, n_active * sizeof *out->root));
    return place_rows(ld, row, counts, n_tokens, n_active) ? PV_OK : fail_record(ld, w);
}

enum pv_status pv_capture_load(const struct pv_captured *captured, uint32_t layer, bool with_z,
                               struct pv_layer_data *out)
{
    const struct pv_journal *j = captured->journal;
    const struct pv_source *source = captured->source;
    const struct pv_windows *windows = captured->windows;
    struct loader ld = {.j = j,
                        .n_layers = source->n_layers,
                        .layer = layer,
                        .d = source->d_model,
                        .n_cols = source->d_ffn,
                        .out = out};
    uint32_t *counts = pv_calloc(windows->n_ctx, sizeof *counts), n;
    uint64_t at = 0, n_active = 0;
    enum pv_status status = PV_OK;
    size_t row = 0;

    *out = (struct pv_layer_data){0};
    for (uint32_t w = 0; w < windows->n_windows; w++) {
        n = pv_windows_kept(windows, w);
        PV_TRY_GOTO(find_block(&ld, pv_capture_find(j, captured->key, w), w, n, &at, &n_active));
        ld.room += n_active;
    }
    out->offset = pv_calloc(windows->n_tokens + 1, sizeof *out->offset);
    out->col = pv_calloc(ld.room, sizeof *out->col);
    out->root = pv_calloc(ld.room, sizeof *out->root);
    if (with_z)
        out->z = pv_calloc(windows->n_tokens * ld.d, sizeof *out->z);
    if (!counts || !out->offset || !out->col || !out->root || (with_z && !out->z)) {
        status = pv_fail(&j->log, PV_ERR_NOMEM, "fit: no memory for layer %u of %zu tokens; use fewer tokens",
                         layer, windows->n_tokens);
        goto fail;
    }
    for (uint32_t w = 0; w < windows->n_windows; w++, row += n) {
        n = pv_windows_kept(windows, w);
        PV_TRY_GOTO(load_block(&ld, pv_capture_find(j, captured->key, w), w, row, n, counts));
    }
    out->x = (struct pv_sparse){.n_rows = windows->n_tokens,
                                .n_cols = source->d_ffn,
                                .offset = out->offset,
                                .col = out->col,
                                .root = out->root};
    free(counts);
    return PV_OK;
fail:
    free(counts);
    pv_layer_data_free(out);
    return status;
}

void pv_layer_data_free(struct pv_layer_data *data)
{
    free(data->z);
    free(data->offset);
    free(data->col);
    free(data->root);
    *data = (struct pv_layer_data){0};
}
