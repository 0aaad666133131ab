/* A window of tokens goes through pv_session_prefill; the capture callback, called layer by layer, fills a
 * table of [token][layer], which is then passed on token by token. */
#include "observe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/output.h"
#include "view.h"

/* A model with more active neurons than this makes no exact zeros to speak of: then the neurons that fire are the
 * strongest ones that hold this share of the layer's energy. */
static const double sparse_below = 0.6, strongest_hold = 0.9;

struct table {
    const struct observe_params *params;
    uint32_t n_layers, d_ffn, n_words, n_ctx;
    uint32_t *cluster, *n_neurons, *n_active, *n_hit; /* [n_ctx][L] */
    float *margin, *energy;                           /* [n_ctx][L] */
    uint32_t *bits;                                   /* [n_ctx][L or 1][words] */
    const uint32_t **rows;                            /* [L] */
    uint32_t *strongest;                              /* [words] of one layer of one token */
};

static uint32_t count(uint32_t x)
{
    uint32_t n = 0;
    for (; x; x &= x - 1)
        n++;
    return n;
}

static uint32_t *bits_at(const struct table *t, uint32_t pos, uint32_t layer)
{
    const uint32_t wanted = t->params->active_layer;
    if (wanted == OBSERVE_ALL)
        return t->bits + ((size_t)pos * t->n_layers + layer) * t->n_words;
    return wanted == layer ? t->bits + (size_t)pos * t->n_words : NULL;
}

/* The strongest neurons that hold a share of the energy, to within a sixteenth of their strength: by a table of energies
 * over the leading bits of a float, which order as floats do. */
static void strongest(const float *contribution, uint32_t n, double hold, uint32_t *bits)
{
    enum { SHIFT = 19, N = 4096 };
    double energy[N] = {0}, all = 0, kept = 0;
    uint32_t least = N - 1;
    for (int round = 0; round < 2; round++) {
        for (uint32_t j = 0; j < n; j++) {
            uint32_t word;
            memcpy(&word, &contribution[j], sizeof word);
            const uint32_t at = word >> SHIFT & (N - 1);
            const double square = (double)contribution[j] * (double)contribution[j];
            if (!round) {
                energy[at] += square;
                all += square;
            } else if (at >= least && square > 0) {
                bits[j / 32] |= 1u << (j % 32);
            }
        }
        while (!round && least > 0 && kept + energy[least] < hold * all)
            kept += energy[least--];
    }
}

static void see_token(struct table *t, const struct pv_capture *c, uint32_t i)
{
    const uint32_t pos = c->first_pos + i;
    const size_t at = (size_t)pos * t->n_layers + c->layer;
    const uint32_t *bits = c->bits + (size_t)i * t->n_words, *mask = NULL;
    uint32_t n_nonzero = 0;
    const float *contribution = c->contribution + (size_t)i * t->d_ffn;
    uint32_t *keep = bits_at(t, pos, c->layer);
    double all = 0, kept = 0;
    t->cluster[at] = PV_TRACE_NO_CLUSTER;
    t->margin[at] = NAN;
    t->n_neurons[at] = t->d_ffn;
    t->n_active[at] = t->n_hit[at] = 0;
    if (c->cluster && t->params->masks) {
        t->cluster[at] = c->cluster[i];
        t->margin[at] = c->margin ? c->margin[i] : NAN;
        t->n_neurons[at] = pv_maskset_size(t->params->masks, c->layer, c->cluster[i]);
        mask = pv_maskset_row(t->params->masks, c->layer, c->cluster[i]);
    }
    if (c->mask) { /* of two clusters */
        mask = c->mask + (size_t)i * t->n_words;
        t->n_neurons[at] = 0;
        for (uint32_t w = 0; w < t->n_words; w++)
            t->n_neurons[at] += count(mask[w]);
    }
    for (uint32_t w = 0; !t->params->masks && w < t->n_words; w++)
        n_nonzero += count(bits[w]);
    if (n_nonzero > sparse_below * t->d_ffn) {
        memset(t->strongest, 0, t->n_words * sizeof *t->strongest);
        strongest(contribution, t->d_ffn, strongest_hold, t->strongest);
        bits = t->strongest;
    }
    for (uint32_t w = 0; w < t->n_words; w++) {
        t->n_active[at] += count(bits[w]);
        t->n_hit[at] += count(bits[w] & (mask ? mask[w] : 0xffffffffu));
    }
    for (uint32_t j = 0; j < t->d_ffn; j++) {
        const double square = (double)contribution[j] * (double)contribution[j];
        all += square;
        if (!mask || pv_maskset_bit(mask, j))
            kept += square;
    }
    t->energy[at] = all > 0 ? (float)(kept / all) : 1.0f;
    if (keep)
        memcpy(keep, bits, t->n_words * sizeof *keep);
}

static enum pv_status on_capture(void *user, const struct pv_capture *capture)
{
    struct table *t = user;
    if (capture->first_pos + capture->n_tokens > t->n_ctx)
        return PV_ERR_ARG;
    for (uint32_t i = 0; i < capture->n_tokens; i++)
        see_token(t, capture, i);
    return PV_OK;
}

static enum pv_status table_make(struct table *t, const struct pv_model *model)
{
    const struct pv_hparams *h = pv_model_hparams(model);
    const size_t n = (size_t)t->n_ctx * h->n_layers;
    const uint32_t rows = t->params->active_layer == OBSERVE_ALL    ? h->n_layers
                          : t->params->active_layer == OBSERVE_NONE ? 0
                                                                    : 1;
    t->n_layers = h->n_layers;
    t->d_ffn = h->d_ffn;
    t->n_words = (h->d_ffn + 31) / 32;
    t->cluster = calloc(n, sizeof *t->cluster);
    t->n_neurons = calloc(n, sizeof *t->n_neurons);
    t->n_active = calloc(n, sizeof *t->n_active);
    t->n_hit = calloc(n, sizeof *t->n_hit);
    t->margin = calloc(n, sizeof *t->margin);
    t->energy = calloc(n, sizeof *t->energy);
    t->bits = calloc((size_t)t->n_ctx * rows * t->n_words + 1, sizeof *t->bits);
    t->rows = calloc(h->n_layers, sizeof *t->rows);
    t->strongest = calloc(t->n_words, sizeof *t->strongest);
    return t->cluster && t->n_neurons && t->n_active && t->n_hit && t->margin && t->energy && t->bits &&
                   t->rows && t->strongest
               ? PV_OK
               : PV_ERR_NOMEM;
}

static void table_free(struct table *t)
{
    free(t->cluster);
    free(t->n_neurons);
    free(t->n_active);
    free(t->n_hit);
    free(t->margin);
    free(t->energy);
    free(t->bits);
    free(t->rows);
    free(t->strongest);
}

static struct pv_trace_token token_at(const struct table *t, const struct pv_model *model, uint64_t index,
                                      uint32_t pos, uint32_t id, double ms)
{
    const size_t at = (size_t)pos * t->n_layers;
    struct pv_trace_token token = {.index = index,
                                   .token = id,
                                   .cluster = t->cluster + at,
                                   .n_neurons = t->n_neurons + at,
                                   .margin = t->margin + at,
                                   .energy_kept = t->energy + at,
                                   .n_active = t->n_active + at,
                                   .n_hit = t->n_hit + at,
                                   .ms = ms};
    uint64_t sum = 0;
    const char *text = NULL;
    token.text_bytes = pv_token_bytes(model, id, true, &text);
    token.text = text;
    for (uint32_t l = 0; l < t->n_layers; l++) {
        sum += token.n_neurons[l];
        t->rows[l] = bits_at(t, pos, l);
    }
    token.density = (double)sum / t->n_layers / t->d_ffn;
    if (t->params->active_layer != OBSERVE_NONE)
        token.active = t->rows;
    return token;
}

enum pv_status observe(struct pv_engine *engine, const struct pv_model *model, const uint32_t *tokens,
                       size_t n, const struct observe_params *params,
                       enum pv_status (*token)(void *user, const struct pv_trace_token *token), void *user)
{
    const uint32_t n_ctx = pv_engine_n_ctx(engine) < 512 ? pv_engine_n_ctx(engine) : 512;
    struct table table = {.params = params, .n_ctx = n_ctx};
    const struct pv_session_params session_params = {
        .ffn = params->masks ? PV_FFN_ROUTED : PV_FFN_DENSE, .capture = on_capture, .capture_user = &table};
    struct pv_session *session = NULL;
    enum pv_status status = table_make(&table, model);
    if (params->n_tokens && params->n_tokens < n)
        n = (size_t)params->n_tokens;
    if (!status)
        status = pv_session_create(engine, &session_params, &session);
    for (size_t at = 0; !status && at < n; at += n_ctx) {
        const uint32_t part = n - at < n_ctx ? (uint32_t)(n - at) : n_ctx;
        const double started = console_seconds();
        if (params->progress.fn &&
            !params->progress.fn(params->progress.user, "reading", (double)at, (double)n)) {
            status = PV_ERR_INTERRUPTED;
            break;
        }
        pv_session_reset(session);
        status = pv_session_prefill(session, tokens + at, part);
        const double ms = 1e3 * (console_seconds() - started) / part;
        for (uint32_t i = 0; !status && i < part; i++) {
            struct pv_trace_token one = token_at(&table, model, at + i, i, tokens[at + i], ms);
            status = token(user, &one);
        }
    }
    pv_session_destroy(session);
    table_free(&table);
    return status;
}

struct oracle {
    struct observe_params params;
    struct table table;
    struct pv_maskset *masks;
};

enum pv_status oracle_create(struct app *app, const struct setup *setup, struct oracle **out)
{
    struct oracle *o = calloc(1, sizeof *o);
    enum pv_status status = o ? PV_OK : PV_ERR_NOMEM;
    *out = o;
    if (!status && setup->clusters)
        status = view_masks(app, setup->clusters, &o->masks);
    if (!status) {
        o->params = (struct observe_params){.masks = o->masks, .active_layer = OBSERVE_ALL};
        o->table = (struct table){.params = &o->params, .n_ctx = 1};
        status = table_make(&o->table, setup->model);
    }
    return status;
}

void oracle_destroy(struct oracle *o)
{
    if (!o)
        return;
    table_free(&o->table);
    pv_maskset_destroy(o->masks);
    free(o);
}

enum pv_status oracle_capture(void *oracle, const struct pv_capture *capture)
{
    struct oracle *o = oracle;
    struct pv_capture last = *capture;
    last.first_pos = 0;
    if (capture->n_tokens == 1) /* not the prompt */
        see_token(&o->table, &last, 0);
    return PV_OK;
}

enum pv_status oracle_stats(void *oracle, struct pv_token_stats *out)
{
    const struct oracle *o = oracle;
    const struct table *t = &o->table;
    uint64_t sum = 0;
    for (uint32_t l = 0; l < t->n_layers; l++)
        sum += t->n_neurons[l];
    *out = (struct pv_token_stats){.n_layers = t->n_layers,
                                   .cluster = t->cluster,
                                   .n_neurons = t->n_neurons,
                                   .margin = t->margin,
                                   .density = (double)sum / t->n_layers / t->d_ffn};
    return PV_OK;
}

void oracle_tell(const struct oracle *o, struct pv_trace_token *token)
{
    const struct table *t = &o->table;
    for (uint32_t l = 0; l < t->n_layers; l++)
        t->rows[l] = bits_at(t, 0, l);
    token->energy_kept = t->energy;
    token->n_active = t->n_active;
    token->n_hit = t->n_hit;
    token->active = t->rows;
}

struct pv_trace_header observe_header(const struct setup *setup)
{
    const struct pv_hparams *h = pv_model_hparams(setup->model);
    const char *path = pv_model_path(setup->model), *slash = strrchr(path, '/');
    return (struct pv_trace_header){
        .model = slash ? slash + 1 : path,
        .device = setup->device_names,
        .fingerprint = pv_model_fingerprint(setup->model),
        .n_layers = h->n_layers,
        .n_clusters = setup->clusters ? pv_clusters_info(setup->clusters)->n_clusters : 0,
        .d_ffn = h->d_ffn,
    };
}

static enum pv_status read_tokens(struct app *app, struct observed *o)
{
    const struct pv_encode_params params = {0};
    char path[4096] = "";
    struct text text = {0};
    enum pv_status status;
    if (o->text_path)
        snprintf(path, sizeof path, "%s", o->text_path);
    else if (!find_bundled("tales.txt", path, sizeof path)) {
        console_error(&app->console, "give --text FILE: the text to read");
        return PV_ERR_ARG;
    }
    status = text_read(&app->console, path, &text);
    if (!status)
        status = pv_encode(o->setup.model, text.bytes ? text.bytes : "", text.n, &params, &o->tokens,
                           &o->n_tokens);
    text_free(&text);
    if (!status && !o->n_tokens) {
        console_error(&app->console, "there is nothing in '%s' to read", path);
        status = PV_ERR_ARG;
    }
    return status;
}

static enum pv_status keep_token(void *user, const struct pv_trace_token *token)
{
    struct observed *o = user;
    enum pv_status status = pv_heat_push(o->heat, token);
    o->n_seen++;
    if (!status && o->see)
        status = o->see(o->user, token);
    return status || !o->writer ? status : pv_trace_write(o->writer, token);
}

enum pv_status observe_text(struct app *app, uint32_t active_layer, struct observed *o)
{
    struct observe_params params = {
        .active_layer = active_layer, .n_tokens = o->n_most, .progress = console_progress(&app->console)};
    const struct pv_heat_params heat_params = {.half_life = INFINITY, .n_recent = 512};
    struct pv_log log = console_log(&app->console);
    enum pv_status status = setup_all(app, &o->setup);
    if (!status && !o->setup.clusters) {
        console_error(&app->console, "give the cluster file with -c: 'parvin fit' makes one");
        status = PV_ERR_ARG;
    }
    if (!status)
        status = view_masks(app, o->setup.clusters, &o->masks);
    if (!status)
        status = read_tokens(app, o);
    if (status)
        return status;
    const struct pv_trace_header header = observe_header(&o->setup);
    status = pv_heat_create(&header, &heat_params, &o->heat);
    if (!status && o->trace_path)
        status = pv_trace_create(o->trace_path, PV_TRACE_JSONL, &header, &log, &o->writer);
    if (!status && o->begin)
        status = o->begin(o->user, &header);
    params.masks = o->masks;
    console_watch_interrupt();
    if (!status)
        status = observe(o->setup.engine, o->setup.model, o->tokens, o->n_tokens, &params, keep_token, o);
    if (!status)
        status = pv_heat_settle(o->heat);
    console_end_bar(&app->console);
    return status;
}

enum pv_status observed_close(struct app *app, struct observed *o)
{
    enum pv_status status = pv_trace_finish(o->writer), closed;
    pv_heat_destroy(o->heat);
    pv_maskset_destroy(o->masks);
    free(o->tokens);
    closed = setup_close(app, &o->setup);
    return status ? status : closed;
}
