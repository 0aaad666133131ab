/* Perplexity under several FFN modes, and the quality of masks and router on the same text. Each mode runs
 * every window through pv_session_score; during the routed mode a capture callback counts, per layer, how the
 * routed masks meet the true patterns. Definitions: design words in docs/method.md. */
#include "parvin/eval.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/log.h"
#include "infer/eval/mask_score.h"
#include "infer/eval/oracle.h"

struct layer_counts {
    struct pv_mask_score score;
    double agree; /* tokens that the router sends to their pattern's own cluster */
};
struct eval {
    struct pv_engine *engine;
    struct pv_session *session;
    const struct pv_eval_params *params;
    struct layer_counts *counts; /* [n_layers] of the running mode */
    uint32_t **masks;            /* [n_layers] [K][words] */
    uint32_t *own;               /* the patterns' own clusters */
    bool has_centroids;
};

static enum pv_status build_masks(struct eval *ev)
{
    const struct pv_clusters *c = ev->engine->clusters;
    const size_t words = pv_bit_words(c->info.d_ffn);
    ev->masks = pv_calloc(c->info.n_layers, sizeof *ev->masks);
    ev->own = pv_calloc(ev->engine->n_batch, sizeof *ev->own);
    bool ok = ev->masks && ev->own;
    for (uint32_t l = 0; ok && l < c->info.n_layers; l++) {
        ev->masks[l] = pv_calloc(c->info.n_clusters * words, sizeof **ev->masks);
        ok = ev->masks[l] != NULL;
        for (uint32_t k = 0; ok && k < c->info.n_clusters; k++)
            for (uint32_t i = c->layers[l].offset[k]; i < c->layers[l].offset[k + 1]; i++)
                pv_bit_set(ev->masks[l] + k * words, c->layers[l].neurons[i]);
    }
    ev->has_centroids = c->layers[0].centroids != NULL;
    return ok ? PV_OK : pv_fail(ev->engine->log, PV_ERR_NOMEM, "no memory for the evaluation's masks");
}

static enum pv_status on_capture(void *user, const struct pv_capture *c)
{
    struct eval *ev = user;
    const uint32_t d_ffn = ev->engine->hp.d_ffn;
    const size_t words = pv_bit_words(d_ffn);
    struct layer_counts *n = &ev->counts[c->layer];
    const bool routed = ev->session->params.ffn == PV_FFN_ROUTED && ev->has_centroids;
    if (routed)
        PV_TRY(pv_oracle_assign(ev->session, c->layer, c->contribution, c->n_tokens, ev->own));
    for (uint32_t t = 0; t < c->n_tokens; t++) {
        const uint32_t *mask = c->mask ? c->mask + t * words : ev->masks[c->layer] + c->cluster[t] * words;
        pv_mask_score_add(&n->score, mask, c->bits + t * words, c->contribution + (size_t)t * d_ffn, d_ffn);
        n->agree += routed && ev->own[t] == c->cluster[t];
    }
    return PV_OK;
}

/* The caller's masks, counted on the way. */
static enum pv_status on_mask(void *user, const struct pv_capture *c, uint32_t *bits)
{
    struct eval *ev = user;
    const uint32_t d_ffn = ev->engine->hp.d_ffn;
    const size_t words = pv_bit_words(d_ffn);
    PV_TRY(ev->params->mask(ev->params->mask_user, c, bits));
    for (uint32_t t = 0; t < c->n_tokens; t++)
        pv_mask_score_add(&ev->counts[c->layer].score, bits + t * words, c->bits + t * words,
                          c->contribution + (size_t)t * d_ffn, d_ffn);
    return PV_OK;
}

static double fixed_density(const struct pv_clusters *clusters, enum pv_ffn_mode mode)
{
    double sum = 0.0;
    if (!clusters || mode == PV_FFN_DENSE)
        return 1.0;
    for (uint32_t l = 0; l < clusters->info.n_layers; l++)
        sum += mode == PV_FFN_STATIC ? (double)clusters->layers[l].n_hot / clusters->info.d_ffn
                                     : (double)clusters->layers[l].density;
    return sum / clusters->info.n_layers;
}

static struct pv_eval_layer layer_result(const struct layer_counts *n, uint32_t d_ffn, bool has_centroids)
{
    const struct pv_mask_score *s = &n->score;

    return (struct pv_eval_layer){
        .density = s->computed / (s->n_tokens * d_ffn),
        .active = s->active / (s->n_tokens * d_ffn),
        .precision = pv_mask_precision(s),
        .recall = pv_mask_recall(s),
        .weighted_recall = pv_mask_weighted_recall(s),
        .router_accuracy = has_centroids ? n->agree / s->n_tokens : (double)NAN,
    };
}

/* All layers as one; weighted recall is the plain mean, since energies of different layers are not
 * comparable. */
static struct pv_eval_layer mean_result(const struct eval *ev)
{
    const uint32_t d_ffn = ev->engine->hp.d_ffn, n_layers = ev->engine->hp.n_layers;
    struct layer_counts all = {0};
    double weighted_recall = 0.0;
    for (uint32_t l = 0; l < n_layers; l++) {
        const struct layer_counts *n = &ev->counts[l];
        weighted_recall += pv_mask_weighted_recall(&n->score) / n_layers;
        pv_mask_score_merge(&all.score, &n->score);
        all.agree += n->agree;
    }
    struct pv_eval_layer mean = layer_result(&all, d_ffn, ev->has_centroids);
    mean.weighted_recall = weighted_recall;
    return mean;
}

static void count_mode(const struct eval *ev, struct pv_eval_mode_result *result)
{
    const struct pv_eval_layer mean = mean_result(ev);
    result->density = mean.density;
    result->precision = mean.precision;
    result->recall = mean.recall;
    result->weighted_recall = mean.weighted_recall;
}

/* The routed mode's counts, layer by layer. */
static enum pv_status summarise(const struct eval *ev, struct pv_eval_result *out)
{
    out->mean = mean_result(ev);
    free(out->layers);
    out->layers = pv_calloc(out->n_layers, sizeof *out->layers);
    if (!out->layers)
        return pv_fail(ev->engine->log, PV_ERR_NOMEM, "no memory for %u layers' results", out->n_layers);
    for (uint32_t l = 0; l < out->n_layers; l++)
        out->layers[l] = layer_result(&ev->counts[l], ev->engine->hp.d_ffn, ev->has_centroids);
    return PV_OK;
}

static enum pv_status run_mode(struct eval *ev, const uint32_t *tokens, uint32_t index,
                               struct pv_eval_result *out)
{
    static const char *const stages[] = {"dense",          "routed",      "oracle cluster",
                                         "static hot set", "oracle mask", "masks"};
    const enum pv_ffn_mode mode = ev->params->modes[index];
    const struct pv_progress *progress = &ev->params->progress;
    const bool counts = mode == PV_FFN_ROUTED || mode == PV_FFN_ORACLE_CLUSTER;
    struct pv_eval_mode_result *result = &out->modes[index];
    float *nll = pv_calloc(out->n_ctx, sizeof *nll);
    double sum = 0.0;
    enum pv_status status = PV_OK;
    if (!nll)
        return pv_fail(ev->engine->log, PV_ERR_NOMEM, "no memory for %u scores", out->n_ctx);
    memset(ev->counts, 0, out->n_layers * sizeof *ev->counts);
    ev->session->params.mask = ev->params->mask ? on_mask : NULL;
    ev->session->params.mask_user = ev;
    PV_TRY_GOTO(pv_session_set_ffn(ev->session, mode));
    ev->session->params.capture = counts ? on_capture : NULL;
    ev->session->params.capture_user = ev;
    for (uint32_t w = 0; w < out->n_windows; w++) {
        const uint32_t *window = tokens + (size_t)w * out->n_ctx;
        if (progress->fn && !progress->fn(progress->user, stages[mode], w, out->n_windows)) {
            status = PV_ERR_INTERRUPTED;
            goto fail;
        }
        pv_session_reset(ev->session);
        PV_TRY_GOTO(pv_session_score(ev->session, window, window + 1, out->n_ctx, nll, NULL));
        for (uint32_t t = 0; t < out->n_ctx; t++)
            sum += (double)nll[t];
    }
    if (progress->fn)
        progress->fn(progress->user, stages[mode], out->n_windows, out->n_windows);
    result->mode = mode;
    result->ppl = exp(sum / (double)out->n_tokens);
    result->density = fixed_density(ev->engine->clusters, mode);
    result->precision = result->recall = result->weighted_recall = (double)NAN;
    if (counts || mode == PV_FFN_CALLBACK)
        count_mode(ev, result);
    if (mode == PV_FFN_ROUTED)
        PV_TRY_GOTO(summarise(ev, out));
fail:
    free(nll);
    return status;
}

static enum pv_status check(const struct pv_engine *engine, size_t n_tokens,
                            const struct pv_eval_params *params, struct pv_eval_result *out)
{
    out->n_ctx = params->n_ctx ? params->n_ctx : engine->n_ctx;
    if (params->n_modes == 0 || params->n_modes > sizeof out->modes / sizeof *out->modes)
        return pv_fail(engine->log, PV_ERR_ARG, "%u modes to evaluate: give 1 to 8", params->n_modes);
    if (out->n_ctx > engine->n_ctx)
        return pv_fail(engine->log, PV_ERR_ARG, "windows of %u tokens do not fit the context of %u",
                       out->n_ctx, engine->n_ctx);
    const size_t most = n_tokens > 0 ? (n_tokens - 1) / out->n_ctx : 0;
    if (most == 0)
        return pv_fail(
            engine->log, PV_ERR_ARG,
            "the text has %zu tokens, one window of %u needs %u: give a longer text or a smaller n_ctx",
            n_tokens, out->n_ctx, out->n_ctx + 1);
    if (params->n_windows > most)
        pv_warn(engine->log, "the text has %zu windows of %u tokens, not %u: measuring those", most,
                out->n_ctx, params->n_windows);
    out->n_windows = params->n_windows && params->n_windows < most ? params->n_windows : (uint32_t)most;
    out->n_tokens = (uint64_t)out->n_windows * out->n_ctx;
    out->n_layers = engine->hp.n_layers;
    out->n_modes = params->n_modes;
    return PV_OK;
}

enum pv_status pv_eval(struct pv_engine *engine, const uint32_t *tokens, size_t n_tokens,
                       const struct pv_eval_params *params, struct pv_eval_result *out)
{
    struct eval ev = {.engine = engine, .params = params};
    enum pv_status status = PV_OK;
    memset(out, 0, sizeof *out);
    PV_TRY(check(engine, n_tokens, params, out));
    PV_TRY(pv_session_create(engine, NULL, &ev.session));
    ev.counts = pv_calloc(out->n_layers, sizeof *ev.counts);
    if (!ev.counts) {
        status = pv_fail(engine->log, PV_ERR_NOMEM, "no memory for %u layers' counts", out->n_layers);
        goto fail;
    }
    if (engine->clusters)
        PV_TRY_GOTO(build_masks(&ev));
    for (uint32_t m = 0; m < params->n_modes; m++)
        PV_TRY_GOTO(run_mode(&ev, tokens, m, out));
fail:
    for (uint32_t l = 0; ev.masks && l < engine->hp.n_layers; l++)
        free(ev.masks[l]);
    free(ev.masks);
    free(ev.counts);
    free(ev.own);
    pv_session_destroy(ev.session);
    if (status != PV_OK)
        pv_eval_result_free(out);
    return status;
}

void pv_eval_result_free(struct pv_eval_result *result)
{
    free(result->layers);
    result->layers = NULL;
}
