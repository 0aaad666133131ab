/* pv_fit: the learner over an engine. The engine's model is the source, watched through a dense session. */
#include "learn/learn.h"

#include "base/hash.h"
#include "base/log.h"
#include "infer/session.h"

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

    if (w->scored == NULL)
        PV_TRY(pv_session_create(w->engine, NULL, &w->scored));
    w->scored->params.mask = mask;
    w->scored->params.mask_user = mask_user;
    PV_TRY(pv_session_set_ffn(w->scored, mask != NULL ? PV_FFN_CALLBACK : PV_FFN_DENSE));
    pv_session_reset(w->scored);
    return pv_session_score(w->scored, tokens, targets, n, nll, NULL);
}

static enum pv_status check_tokens(const struct pv_engine *engine, const uint32_t *tokens, size_t n_tokens)
{
    if (engine->clusters != NULL)
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

    if (layer->ffn_gate != NULL)
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

enum pv_status pv_fit(struct pv_engine *engine, const uint32_t *tokens, size_t n_tokens, const char *out_path,
                      const struct pv_fit_params *params, struct pv_fit_result *out)
{
    struct watched watched = {.engine = engine};
    struct pv_source source;
    enum pv_status status;

    PV_TRY(check_tokens(engine, tokens, n_tokens));
    PV_TRY(watch(engine, &watched, &source));
    status = pv_learn(&source, tokens, n_tokens, out_path, params, engine->log, out);
    pv_session_destroy(watched.scored);
    pv_session_destroy(watched.session);
    return status;
}

enum pv_status pv_capture_write(struct pv_engine *engine, const uint32_t *tokens, size_t n_tokens,
                                const char *out_path, const struct pv_capture_options *options,
                                struct pv_capture_result *out)
{
    struct watched watched = {.engine = engine};
    struct pv_source source;
    enum pv_status status;

    PV_TRY(check_tokens(engine, tokens, n_tokens));
    PV_TRY(watch(engine, &watched, &source));
    status = pv_learn_capture(&source, tokens, n_tokens, out_path, options, engine->log, out);
    pv_session_destroy(watched.scored);
    pv_session_destroy(watched.session);
    return status;
}
