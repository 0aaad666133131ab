/* pv_fit and pv_capture_write: the learner over an engine. The engine's model is the source, watched through
 * a dense session; where there is no text it writes one, through a session of many sequences. */
#include "learn/fit/learn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/threads.h"
#include "infer/sequences.h"
#include "learn/capture/sample.h"

enum { SAMPLED_TOKENS = 65536 }; /* where no number is asked for */

struct watched {
    struct pv_engine *engine;
    struct pv_session *session, *scored; /* the second made when first needed */
    pv_capture_fn fn;                    /* of the run under way */
    void *fn_user;
};

static enum pv_status pass_on(void *user, const struct pv_capture *capture)
{
    struct watched *w = user;

    return w->fn(w->fn_user, capture);
}

static enum pv_status run_window(void *user, const uint32_t *tokens, uint32_t n, pv_capture_fn fn,
                                 void *fn_user)
{
    struct watched *w = user;

    w->fn = fn;
    w->fn_user = fn_user;
    pv_session_reset(w->session);
    return pv_session_prefill(w->session, tokens, n);
}

/* A session of its own, since one that is captured from stops at every layer. */
static enum pv_status score(void *user, const uint32_t *tokens, const uint32_t *targets, uint32_t n,
                            pv_mask_fn mask, void *mask_user, float *nll)
{
    struct watched *w = user;

    if (!w->scored)
        PV_TRY(pv_session_create(w->engine, NULL, &w->scored));
    w->scored->params.mask = mask;
    w->scored->params.mask_user = mask_user;
    PV_TRY(pv_session_set_ffn(w->scored, mask ? PV_FFN_CALLBACK : PV_FFN_DENSE));
    pv_session_reset(w->scored);
    return pv_session_score(w->scored, tokens, targets, n, nll, NULL);
}

static enum pv_status check_tokens(const struct pv_engine *engine, const uint32_t *tokens, size_t n_tokens)
{
    if (engine->clusters)
        return pv_fail(engine->log, PV_ERR_ARG,
                       "fit: learns from a dense engine; create it without clusters");
    for (size_t i = 0; i < n_tokens; i++) {
        if (tokens[i] >= engine->hp.n_vocab)
            return pv_fail(engine->log, PV_ERR_ARG, "fit: token %u at %zu; the vocabulary has %u", tokens[i],
                           i, engine->hp.n_vocab);
    }
    return PV_OK;
}

static double neuron_bytes(const struct pv_model *model)
{
    const struct pv_model_layer *layer = &model->layers[0];
    double bytes = (double)layer->ffn_up->size_bytes + (double)layer->ffn_down->size_bytes;

    if (layer->ffn_gate)
        bytes += (double)layer->ffn_gate->size_bytes;
    return bytes / model->hp.d_ffn;
}

/* The engine's model, watched. The sessions are the caller's to destroy. */
static enum pv_status watch(struct pv_engine *engine, struct watched *watched, struct pv_source *source)
{
    const struct pv_hparams *hp = &engine->hp;
    struct pv_session_params session = {.ffn = PV_FFN_DENSE, .capture = pass_on, .capture_user = watched};

    *source = (struct pv_source){.n_layers = hp->n_layers,
                                 .d_model = hp->d_model,
                                 .d_ffn = hp->d_ffn,
                                 .n_ctx = engine->n_ctx,
                                 .fingerprint = pv_model_fingerprint(engine->model),
                                 .variant = (uint32_t)hp->act * 2 + hp->gated,
                                 .neuron_bytes = neuron_bytes(engine->model),
                                 .exact_zeros = hp->act == PV_ACT_RELU || hp->act == PV_ACT_RELU2,
                                 .run = run_window,
                                 .score = score,
                                 .user = watched,
                                 .device = engine->stages[0].device};
    return pv_session_create(engine, &session, &watched->session);
}

static enum pv_status step(void *user, bool first, const uint32_t *tokens, float *logits)
{
    struct pv_session *session = user;

    if (first)
        pv_session_reset(session);
    return pv_sequences_step(session, tokens, logits);
}

/* The model writes the text itself; it is kept at RESUME.text until the work is done. */
static enum pv_status sample(struct pv_engine *engine, const struct pv_source *source,
                             const char *resume_path, uint32_t n_ctx, struct pv_sample_params *params,
                             struct pv_sample *out)
{
    struct pv_sample_source from = {.n_vocab = engine->hp.n_vocab,
                                    .n_ctx = n_ctx != 0 ? n_ctx : pv_learn_ctx(engine->n_ctx),
                                    .start = pv_token_bos(engine->model),
                                    .end = pv_token_eos(engine->model),
                                    .fingerprint = source->fingerprint,
                                    .variant = source->variant,
                                    .step = step};
    const size_t room = strlen(resume_path) + sizeof ".text";
    struct pv_session *session = NULL;
    char *path = pv_calloc(room, 1);
    enum pv_status status = PV_OK;

    if (!path)
        return pv_fail(engine->log, PV_ERR_NOMEM, "sampling: no memory for a name");
    snprintf(path, room, "%s.text", resume_path);
    params->n_tokens = params->n_tokens != 0 ? params->n_tokens : SAMPLED_TOKENS;
    params->seed = params->seed != 0 ? params->seed : 1;
    params->log = *engine->log;
    if (from.n_ctx > engine->n_ctx) {
        status =
            pv_fail(engine->log, PV_ERR_ARG, "sampling: windows of %u tokens do not fit the context of %u",
                    from.n_ctx, engine->n_ctx);
        goto fail;
    }
    from.n_seqs = pv_sequences_best(engine, from.n_ctx);
    PV_TRY_GOTO(pv_sequences_create(engine, from.n_seqs, from.n_ctx, &session));
    from.user = session;
    status = pv_sample_text(&from, params, path, out);
fail:
    pv_session_destroy(session);
    free(path);
    return status;
}

/* RESUME, or OUT.resume; to be freed. */
static char *resume_name(const char *out_path, const char *resume_path)
{
    const size_t room = strlen(out_path) + sizeof ".resume";
    char *path = resume_path ? pv_strndup(resume_path, strlen(resume_path)) : pv_calloc(room, 1);

    if (path && !resume_path)
        snprintf(path, room, "%s.resume", out_path);
    return path;
}

enum pv_status pv_fit(struct pv_engine *engine, const uint32_t *tokens, size_t n_tokens, const char *out_path,
                      const struct pv_fit_params *params, struct pv_fit_result *out)
{
    struct watched watched = {.engine = engine};
    struct pv_sample own = {.journal = {.fd = -1}};
    char *resume = resume_name(out_path, params->resume_path);
    double begin = pv_now_s(), seconds = 0.0;
    struct pv_source source;
    enum pv_status status;

    *out = (struct pv_fit_result){0};
    if (!resume)
        return pv_fail(engine->log, PV_ERR_NOMEM, "%s: no memory to fit", out_path);
    PV_TRY_GOTO(check_tokens(engine, tokens, n_tokens));
    PV_TRY_GOTO(watch(engine, &watched, &source));
    if (!tokens && !params->capture_path) {
        struct pv_sample_params how = {.n_tokens = params->n_tokens * (params->thin != 0 ? params->thin : 1),
                                       .seed = params->seed,
                                       .n_threads = params->n_threads,
                                       .progress = params->progress};

        PV_TRY_GOTO(sample(engine, &source, resume, params->n_ctx, &how, &own));
        seconds = pv_now_s() - begin;
        tokens = own.tokens;
        n_tokens = own.n_tokens;
    }
    status = pv_learn(&source, tokens, n_tokens, out_path, params, engine->log, out);
    out->seconds_sampling = seconds;
    out->resumed = out->resumed || own.resumed;
fail:
    pv_sample_close(&own, status == PV_OK);
    pv_session_destroy(watched.scored);
    pv_session_destroy(watched.session);
    free(resume);
    return status;
}

enum pv_status pv_capture_write(struct pv_engine *engine, const uint32_t *tokens, size_t n_tokens,
                                const char *out_path, const struct pv_capture_options *options,
                                struct pv_capture_result *out)
{
    struct watched watched = {.engine = engine};
    struct pv_sample own = {.journal = {.fd = -1}};
    char *resume = resume_name(out_path, NULL);
    struct pv_source source;
    enum pv_status status;

    if (!resume)
        return pv_fail(engine->log, PV_ERR_NOMEM, "%s: no memory to capture", out_path);
    PV_TRY_GOTO(check_tokens(engine, tokens, n_tokens));
    PV_TRY_GOTO(watch(engine, &watched, &source));
    if (!tokens && options->n_shards > 1) {
        status = pv_fail(engine->log, PV_ERR_ARG,
                         "capture: parts are of one text, and each machine would write its own; give a text");
        goto fail;
    }
    if (!tokens) {
        struct pv_sample_params how = {.n_tokens =
                                           options->n_tokens * (options->thin != 0 ? options->thin : 1),
                                       .seed = options->seed,
                                       .progress = options->progress};

        PV_TRY_GOTO(sample(engine, &source, resume, options->n_ctx, &how, &own));
        tokens = own.tokens;
        n_tokens = own.n_tokens;
    }
    status = pv_learn_capture(&source, tokens, n_tokens, out_path, options, engine->log, out);
    if (status == PV_OK)
        out->resumed = out->resumed || own.resumed;
fail:
    pv_sample_close(&own, status == PV_OK);
    pv_session_destroy(watched.scored);
    pv_session_destroy(watched.session);
    free(resume);
    return status;
}
