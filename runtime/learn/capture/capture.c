/* A window is captured into one growing buffer per layer and written as one record: {n_tokens, n_layers,
 * at[n_layers + 1]}, then per layer its block at[l]: z [n][d], neurons per token [n], columns, roots. Reading
 * a layer back touches its block of every record. Records are checksummed, and still nothing read from them
 * is trusted. */
#include "learn/capture/capture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/half.h"
#include "base/log.h"
#include "base/mem.h"
#include "learn/capture/capture_file.h"

enum {
    PROBE_TOKENS = 1024, /* at least, where the text has them, for tau */
    BIN_SHIFT = 15,      /* contributions are counted by sign, exponent and 8 bits of mantissa */
    N_BINS = (0x7f800000 >> BIN_SHIFT) + 1,
};

struct layer_buffer {
    uint16_t *z;      /* [n_ctx][d] */
    uint32_t *counts; /* [n_ctx] neurons of each token */
    uint16_t *col, *root;
    uint32_t n_seen;        /* tokens that came */
    size_t n_rows, n, room; /* tokens kept; their neurons */
};
struct collector {
    const struct pv_source *source;
    const struct pv_log *log;
    const float *tau;            /* [n_layers] */
    struct layer_buffer *layers; /* [n_layers] */
    const struct pv_windows *windows;
    uint32_t window;
    uint32_t n_expected; /* tokens that the window is fed */
    uint64_t *bins;      /* [n_layers][N_BINS], while probing */
};

/* Refuses batches out of place and values that are no numbers. */
static enum pv_status check_batch(const struct collector *c, const struct pv_capture *batch, uint32_t n_seen)
{
    if (batch->layer >= c->source->n_layers || batch->first_pos != n_seen ||
        batch->n_tokens > c->n_expected - n_seen)
        return pv_fail(c->log, PV_ERR_CHECK, "capture: layer %u, %u tokens at position %u came out of order",
                       batch->layer, batch->n_tokens, batch->first_pos);
    return PV_OK;
}

static enum pv_status fail_number(const struct collector *c, uint32_t layer)
{
    return pv_fail(
        c->log, PV_ERR_CHECK,
        "capture: layer %u produced values that are not finite; try another device, or ffn_act if the file "
        "does not name its activation",
        layer);
}

/* sqrt(c) as float16, never 0 or infinite. */
static uint16_t root_of(float c)
{
    const uint16_t half = pv_float_to_half(sqrtf(c));

    return half == 0 ? 1 : half > 0x7bff ? 0x7bff : half;
}

static enum pv_status collect_row(const struct collector *c, uint32_t layer, const float *contribution)
{
    struct layer_buffer *b = &c->layers[layer];
    const uint32_t n_cols = c->source->d_ffn;
    const float tau = c->tau[layer];
    const size_t first = b->n;

    if (b->room - b->n < n_cols) {
        const size_t room = b->room + b->room / 2 + n_cols;
        void *col = b->col, *root = b->root;
        const bool grown = pv_grow(&col, room, sizeof *b->col) && pv_grow(&root, room, sizeof *b->root);

        b->col = col;
        b->root = root;
        if (!grown)
            return pv_fail(c->log, PV_ERR_NOMEM, "capture: no memory for a window of %u tokens",
                           c->n_expected);
        b->room = room;
    }
    for (uint32_t j = 0; j < n_cols; j++) {
        if (!(contribution[j] <= tau)) { /* NaN too */
            if (!isfinite(contribution[j]))
                return fail_number(c, layer);
            b->col[b->n] = (uint16_t)j;
            b->root[b->n++] = root_of(contribution[j]);
        }
    }
    b->counts[b->n_rows++] = (uint32_t)(b->n - first);
    return PV_OK;
}

static enum pv_status collect(void *user, const struct pv_capture *batch)
{
    struct collector *c = user;
    const size_t d = c->source->d_model;
    struct layer_buffer *b = &c->layers[batch->layer < c->source->n_layers ? batch->layer : 0];

    PV_TRY(check_batch(c, batch, b->n_seen));
    for (uint32_t i = 0; i < batch->n_tokens; i++) {
        uint16_t *z = b->z + b->n_rows * d;

        if (!pv_windows_keeps(c->windows, c->window, b->n_seen++, c->n_expected))
            continue;
        for (size_t j = 0; j < d; j++) {
            z[j] = pv_float_to_half(batch->z[i * d + j]);
            if ((z[j] & 0x7c00) == 0x7c00)
                return fail_number(c, batch->layer);
        }
        PV_TRY(collect_row(c, batch->layer, batch->contribution + (size_t)i * c->source->d_ffn));
    }
    return PV_OK;
}

/* Counts contributions by size, for tau. */
static enum pv_status probe(void *user, const struct pv_capture *batch)
{
    struct collector *c = user;
    const size_t n = (size_t)batch->n_tokens * c->source->d_ffn;
    uint64_t *bins;

    if (batch->layer >= c->source->n_layers)
        return check_batch(c, batch, 0);
    bins = c->bins + (size_t)batch->layer * N_BINS;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;

        if (!isfinite(batch->contribution[i]))
            return fail_number(c, batch->layer);
        memcpy(&bits, &batch->contribution[i], sizeof bits);
        bins[(bits & 0x7fffffffu) >> BIN_SHIFT]++;
    }
    return PV_OK;
}

/* The value that `share` of the counted ones exceed; within the bin that holds it, by proportion. */
static float quantile(const uint64_t *bins, double share)
{
    double total = 0.0, left;
    uint32_t bits = 0;
    float tau;

    for (size_t b = 0; b < N_BINS; b++)
        total += (double)bins[b];
    left = total * share;
    for (size_t b = N_BINS; b > 0; b--) {
        const double n = (double)bins[b - 1];

        if (n > 0.0 && left < n) {
            const uint32_t width = (1u << BIN_SHIFT) - 1;

            bits = ((uint32_t)(b - 1) << BIN_SHIFT) + width - (uint32_t)(left / n * width);
            break;
        }
        left -= n;
    }
    memcpy(&tau, &bits, sizeof tau);
    return tau;
}

static enum pv_status measure_tau(struct collector *c, const struct pv_windows *windows, double share,
                                  float *tau)
{
    const struct pv_source *s = c->source;
    enum pv_status status = PV_OK;
    uint32_t n;

    c->bins = pv_calloc((size_t)s->n_layers * N_BINS, sizeof *c->bins);
    if (!c->bins)
        return pv_fail(c->log, PV_ERR_NOMEM, "capture: no memory to measure thresholds");
    for (uint32_t w = 0, seen = 0; w < windows->n_windows && seen < PROBE_TOKENS && status == PV_OK; w++) {
        const size_t at = pv_windows_at(windows, w, &n);

        seen += n;
        status = s->run(s->user, windows->text + at, n, probe, c);
    }
    for (uint32_t l = 0; l < s->n_layers; l++)
        tau[l] = quantile(c->bins + (size_t)l * N_BINS, share);
    free(c->bins);
    c->bins = NULL;
    return status;
}

static bool collector_prepare(struct collector *c, uint32_t n_ctx)
{
    c->layers = pv_calloc(c->source->n_layers, sizeof *c->layers);
    for (uint32_t l = 0; c->layers && l < c->source->n_layers; l++) {
        c->layers[l].z = pv_calloc((size_t)n_ctx * c->source->d_model, sizeof(uint16_t));
        c->layers[l].counts = pv_calloc(n_ctx, sizeof(uint32_t));
        if (!c->layers[l].z || !c->layers[l].counts)
            return false;
    }
    return c->layers != NULL;
}

static void collector_free(struct collector *c)
{
    for (uint32_t l = 0; c->layers && l < c->source->n_layers; l++) {
        free(c->layers[l].z);
        free(c->layers[l].counts);
        free(c->layers[l].col);
        free(c->layers[l].root);
    }
    free(c->layers);
}

static size_t block_bytes(size_t n_tokens, size_t d_model, size_t n_active)
{
    return n_tokens * (d_model * sizeof(uint16_t) + sizeof(uint32_t)) + n_active * 2 * sizeof(uint16_t);
}

static enum pv_status write_window(const struct collector *c, struct pv_journal *j, uint64_t key)
{
    const uint32_t w = c->window, n_kept = pv_windows_kept(c->windows, w);
    uint32_t n_layers = c->source->n_layers, d = c->source->d_model, sizes[2] = {n_kept, n_layers};
    uint64_t at = sizeof sizes + (n_layers + (uint64_t)1) * sizeof(uint64_t);

    pv_journal_begin(j, PV_RECORD_WINDOW, w, key);
    pv_journal_put(j, sizes, sizeof sizes);
    for (uint32_t l = 0; l < n_layers; l++) {
        pv_journal_put(j, &at, sizeof at);
        at += block_bytes(n_kept, d, c->layers[l].n);
    }
    pv_journal_put(j, &at, sizeof at);
    for (uint32_t l = 0; l < n_layers; l++) {
        const struct layer_buffer *b = &c->layers[l];

        pv_journal_put(j, b->z, (size_t)n_kept * d * sizeof *b->z);
        pv_journal_put(j, b->counts, n_kept * sizeof *b->counts);
        pv_journal_put(j, b->col, b->n * sizeof *b->col);
        pv_journal_put(j, b->root, b->n * sizeof *b->root);
    }
    return pv_journal_commit(j);
}

static enum pv_status capture_window(struct collector *c, const struct pv_windows *windows, uint32_t w,
                                     struct pv_journal *j, uint64_t key)
{
    const struct pv_source *s = c->source;
    const size_t at = pv_windows_at(windows, w, &c->n_expected);

    c->windows = windows;
    c->window = w;
    for (uint32_t l = 0; l < s->n_layers; l++) {
        c->layers[l].n_rows = c->layers[l].n = 0;
        c->layers[l].n_seen = 0;
    }
    PV_TRY(s->run(s->user, windows->text + at, c->n_expected, collect, c));
    for (uint32_t l = 0; l < s->n_layers; l++) {
        if (c->layers[l].n_seen != c->n_expected)
            return pv_fail(c->log, PV_ERR_CHECK, "capture: layer %u gave %u of %u tokens", l,
                           c->layers[l].n_seen, c->n_expected);
    }
    return write_window(c, j, key);
}

/* tau from the journal, or measured and written to it. */
static enum pv_status find_tau(struct collector *c, const struct pv_windows *windows, double share,
                               struct pv_journal *j, uint64_t key, float *tau)
{
    const size_t n_bytes = c->source->n_layers * sizeof *tau;
    const struct pv_journal_record *record = pv_journal_find(j, PV_RECORD_TAU, 0, key);

    if (record)
        return pv_capture_read_tau(j, record, c->source->n_layers, c->source->exact_zeros, tau);
    memset(tau, 0, n_bytes);
    if (!c->source->exact_zeros)
        PV_TRY(measure_tau(c, windows, share, tau));
    pv_journal_begin(j, PV_RECORD_TAU, 0, key);
    pv_journal_put(j, tau, n_bytes);
    return pv_journal_commit(j);
}

enum pv_status pv_capture_text(const struct pv_source *source, const struct pv_windows *windows,
                               const struct pv_capture_params *params, struct pv_journal *j,
                               const struct pv_steps *steps, struct pv_capture_state *state)
{
    const uint64_t key = pv_capture_key(source, windows, params);
    struct collector c = {.source = source, .log = &params->log, .tau = state->tau};
    enum pv_status status;

    state->resumed = false;
    if (!collector_prepare(&c, windows->n_ctx)) {
        collector_free(&c);
        return pv_fail(c.log, PV_ERR_NOMEM, "capture: no memory for windows of %u tokens", windows->n_ctx);
    }
    PV_TRY_GOTO(pv_capture_keep_head(j, key, source, windows, params));
    PV_TRY_GOTO(find_tau(&c, windows, params->active_share, j, key, state->tau));
    for (uint32_t w = 0; w < windows->n_windows; w++) {
        if (params->n_shards > 1 && w % params->n_shards != params->shard)
            continue;
        if (pv_capture_find(j, key, w)) {
            state->resumed = true;
            continue;
        }
        if (!pv_steps_report(steps, (double)w)) {
            status = PV_ERR_INTERRUPTED;
            goto fail;
        }
        PV_TRY_GOTO(capture_window(&c, windows, w, j, key));
    }
    status = pv_steps_report(steps, (double)windows->n_windows) ? PV_OK : PV_ERR_INTERRUPTED;
fail:
    collector_free(&c);
    return status;
}

double pv_source_neuron_bytes(const struct pv_source *source)
{
    const double matrices = source->variant % 2 != 0 ? 3.0 : 2.0;
    const double neuron =
        source->neuron_bytes > 0.0 ? source->neuron_bytes : matrices * 2.0 * source->d_model;

    return neuron * source->d_ffn;
}
