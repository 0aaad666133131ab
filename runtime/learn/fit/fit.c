/* pv_fit and pv_capture_write: the learner over an engine. The engine's model is the source, watched through
 * a dense session; where there is no text it writes one, through many sequences. */
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
    if (engine->hp.n_experts > 0)
        return pv_fail(
            engine->log, PV_ERR_UNSUPPORTED,
            "fit: %u experts a layer are clusters that training made, and clusters within experts are not "
            "learned: run the model as it is",
            engine->hp.n_experts);
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
                                 .exact_zeros = pv_act_makes_zeros(hp->act),
                                 .run = run_window,
                                 .score = score,
                                 .user = watched,
                                 .device = engine->stages[0].device};
    return pv_session_create(engine, &session, &watched->session);
}

struct writer {
    struct pv_sequences *sequences;
    uint32_t pos;
};

static enum pv_status step(void *user, bool first, const uint32_t *tokens, float *logits)
{
    struct writer *w = user;

    w->pos = first ? 0 : w->pos + 1;
    return pv_sequences_lockstep(w->sequences, w->pos, tokens, logits);
}

/* The model writes the text itself; it is kept at RESUME.text until the work is done. */
static enum pv_status sample(struct pv_engine *engine, const struct pv_source *source,
                             const char *resume_path, uint32_t n_ctx, struct pv_sample_params *params,
                             struct pv_sample *out)
{
    struct pv_sample_source from = {.n_vocab = engine->hp.n_vocab,
                                    .n_ctx = n_ctx != 0 ? n_ctx : pv_capture_ctx(engine->n_ctx),
                                    .start = pv_token_bos(engine->model),
                                    .end = pv_token_eos(engine->model),
                                    .fingerprint = source->fingerprint,
                                    .variant = source->variant,
                                    .step = step};
    const size_t room = strlen(resume_path) + sizeof ".text";
    struct writer writer = {NULL, 0};
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
    PV_TRY_GOTO(pv_sequences_create(engine, from.n_seqs, from.n_ctx, &writer.sequences));
    from.user = &writer;
    status = pv_sample_text(&from, params, path, out);
fail:
    pv_sequences_destroy(writer.sequences);
    free(path);
    return status;
}

/* The model, watched, and what it is to learn from: the text that is given, or one that it writes. */
struct task {
    struct watched watched;
    struct pv_source source;
    struct pv_sample own;
    const uint32_t *tokens;
    size_t n_tokens;
    double seconds; /* of writing it */
};

static enum pv_status task_open(struct task *t, struct pv_engine *engine, const uint32_t *tokens,
                                size_t n_tokens)
{
    *t = (struct task){.watched = {.engine = engine},
                       .own = {.journal = {.fd = -1}},
                       .tokens = tokens,
                       .n_tokens = n_tokens};
    PV_TRY(check_tokens(engine, tokens, n_tokens));
    return watch(engine, &t->watched, &t->source);
}

/* The model writes the text; of `params` n_tokens counts tokens kept. */
static enum pv_status task_write(struct task *t, const char *resume_path, uint32_t thin, uint32_t n_ctx,
                                 struct pv_sample_params params)
{
    const double begin = pv_now_s();

    params.n_tokens *= thin != 0 ? thin : 1;
    PV_TRY(sample(t->watched.engine, &t->source, resume_path, n_ctx, &params, &t->own));
    t->seconds = pv_now_s() - begin;
    t->tokens = t->own.tokens;
    t->n_tokens = t->own.n_tokens;
    return PV_OK;
}

static void task_close(struct task *t, bool done)
{
    pv_sample_close(&t->own, done);
    pv_session_destroy(t->watched.scored);
    pv_session_destroy(t->watched.session);
}

enum pv_status pv_fit_by(struct pv_engine *engine, struct pv_learn_job job, struct pv_fit_result *out)
{
    const struct pv_fit_params *p = job.params;
    char *resume = pv_resume_path(job.out_path, p->resume_path);
    struct task t;
    enum pv_status status;

    *out = (struct pv_fit_result){0};
    if (!resume)
        return pv_fail(engine->log, PV_ERR_NOMEM, "%s: no memory to fit", job.out_path);
    PV_TRY_GOTO(task_open(&t, engine, job.tokens, job.n_tokens));
    if (!t.tokens && !p->capture_path)
        PV_TRY_GOTO(task_write(&t, resume, p->thin, p->n_ctx,
                               (struct pv_sample_params){.n_tokens = p->n_tokens,
                                                         .seed = p->seed,
                                                         .n_threads = p->n_threads,
                                                         .progress = p->progress}));
    job.tokens = t.tokens;
    job.n_tokens = t.n_tokens;
    job.log = engine->log;
    status = pv_learn(&t.source, &job, out);
    out->seconds_sampling = t.seconds;
    out->resumed = out->resumed || t.own.resumed;
fail:
    task_close(&t, status == PV_OK);
    free(resume);
    return status;
}

enum pv_status pv_fit(struct pv_engine *engine, const uint32_t *tokens, size_t n_tokens, const char *out_path,
                      const struct pv_fit_params *params, struct pv_fit_result *out)
{
    const struct pv_learn_job job = {
        .tokens = tokens, .n_tokens = n_tokens, .out_path = out_path, .params = params};

    return pv_fit_by(engine, job, out);
}

enum pv_status pv_capture_write(struct pv_engine *engine, const uint32_t *tokens, size_t n_tokens,
                                const char *out_path, const struct pv_capture_options *o,
                                struct pv_capture_result *out)
{
    char *resume = pv_resume_path(out_path, NULL);
    struct task t;
    enum pv_status status;

    if (!resume)
        return pv_fail(engine->log, PV_ERR_NOMEM, "%s: no memory to capture", out_path);
    PV_TRY_GOTO(task_open(&t, engine, tokens, n_tokens));
    if (!tokens && o->n_shards > 1) {
        status = pv_fail(engine->log, PV_ERR_ARG,
                         "capture: parts are of one text, and each machine would write its own; give a text");
        goto fail;
    }
    if (!tokens)
        PV_TRY_GOTO(task_write(
            &t, resume, o->thin, o->n_ctx,
            (struct pv_sample_params){.n_tokens = o->n_tokens, .seed = o->seed, .progress = o->progress}));
    status =
        pv_capture_to_file(&t.source, (struct pv_text){t.tokens, t.n_tokens}, out_path, o, engine->log, out);
    if (status == PV_OK)
        out->resumed = out->resumed || t.own.resumed;
fail:
    task_close(&t, status == PV_OK);
    free(resume);
    return status;
}
