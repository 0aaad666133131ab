/* Whole models on one device against the host reference: what kernels that are each right may still get wrong
 * together. The models are tiny and random, written to a file of the caller's choice and removed at once. */
#include "parvin/conform.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "format/model/tiny_model.h"
#include "infer/eval/reference.h"
#include "check/variants.h"
#include "parvin/session.h"
#include "vk/instance.h"

enum { N_TEXT = 13, N_GREEDY = 12, N_ALL = N_TEXT + N_GREEDY, N_CLUSTERS = 7 };

struct form {
    const char *name;
    struct pv_tiny_params tiny;
    bool routed;
    uint32_t rank;    /* of the router; 0: not of low rank */
    uint32_t n_best;  /* clusters a token computes; 0: 1 */
    double tolerance; /* normalised mean squared error of a row of logits */
};
/* The KV cache in float16 alone costs some 1e-7. Quantised ffn_down is quantised again along d when it is
 * transposed, which the reference does not do. */
static const struct form forms[] = {
    {"arcee f32", {.arch = "arcee", .type = PV_F32}, false, 0, 0, 1e-5},
    {"arcee f16 routed", {.arch = "arcee", .type = PV_F16, .d_model = 64, .d_ffn = 172}, true, 0, 0, 1e-5},
    {"arcee f32 low-rank router", {.arch = "arcee", .type = PV_F32}, true, 5, 0, 1e-5},
    {"llama f32 best two clusters", {.arch = "llama", .type = PV_F32}, true, 0, 2, 1e-5},
    {"llama bf16 untied",
     {.arch = "llama", .type = PV_BF16, .tokenizer = "spm", .untied = true},
     false,
     0,
     0,
     1e-5},
    {"llama q8_0", {.arch = "llama", .type = PV_Q8_0, .d_model = 64, .d_ffn = 96}, false, 0, 0, 1e-3},
};
enum { N_FORMS = sizeof forms / sizeof forms[0] };

struct model_run {
    struct pv_context *context;
    const struct form *form;
    struct pv_model *model;
    struct pv_clusters *clusters;
    struct pv_engine *engine;
    struct pv_session *session;
    uint32_t n_vocab, tokens[N_ALL];
    float *expected; /* [N_ALL][n_vocab] */
    struct pv_conform_row *row;
};

static uint32_t best_of(const float *logits, uint32_t n)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        if (logits[i] > logits[best])
            best = i;
    return best;
}

static void fail_row(struct pv_conform_row *row, const char *what, uint32_t at, double got, double expected)
{
    if (row->passed)
        snprintf(row->detail, sizeof row->detail, "%s at token %u: %.9g, expected %.9g", what, at, got,
                 expected);
    row->passed = false;
}

static void check_logits(struct model_run *run, const char *what, uint32_t at)
{
    const float *got = pv_session_logits(run->session), *want = run->expected + (size_t)at * run->n_vocab;
    double error = 0, power = 0;
    for (uint32_t i = 0; i < run->n_vocab; i++) {
        const double e = (double)got[i] - (double)want[i];
        error += isfinite(e) ? e * e : INFINITY;
        power += (double)want[i] * (double)want[i];
    }
    error /= power > 0 ? power : 1;
    if (error > run->row->error)
        run->row->error = error;
    if (error > run->row->tolerance)
        fail_row(run->row, what, at, error, run->row->tolerance);
}

/* The device's likeliest token is the reference's, unless that one is ahead by less than the tolerance. */
static void check_greedy(struct model_run *run, uint32_t at)
{
    const float *want = run->expected + (size_t)at * run->n_vocab;
    const uint32_t best = best_of(want, run->n_vocab), got = pv_session_argmax(run->session);
    const double slack = 4 * sqrt(run->row->tolerance) * fabs((double)want[best]);
    if (got >= run->n_vocab || (got != best && (double)want[best] - (double)want[got] > slack))
        fail_row(run->row, "greedy token", at, (double)got, (double)best);
}

/* A random prompt, and what the reference makes of it greedily. */
static enum pv_status make_text(struct model_run *run, uint64_t seed)
{
    struct pv_rng rng;
    run->n_vocab = pv_model_hparams(run->model)->n_vocab;
    run->expected = pv_calloc((size_t)N_ALL * run->n_vocab, sizeof *run->expected);
    if (!run->expected)
        return pv_fail(&run->context->log, PV_ERR_NOMEM, "no memory for a conformance model");
    pv_rng_seed(&rng, seed);
    for (uint32_t i = 0; i < N_TEXT; i++)
        run->tokens[i] = pv_rng_below(&rng, run->n_vocab);
    for (uint32_t n = N_TEXT; n <= N_ALL; n++) {
        PV_TRY(pv_reference_forward(run->model, run->clusters, run->form->n_best, run->tokens, n,
                                    run->expected));
        if (n < N_ALL)
            run->tokens[n] = best_of(run->expected + (size_t)(n - 1) * run->n_vocab, run->n_vocab);
    }
    return PV_OK;
}

static enum pv_status open_model(struct model_run *run, const char *path, uint64_t seed)
{
    const struct pv_log *log = &run->context->log;
    struct pv_tiny_params tiny = run->form->tiny;
    const struct pv_model_params params = {.log = *log};
    const struct pv_tiny_clusters clusters = {
        .n_clusters = N_CLUSTERS, .rank = run->form->rank, .density = 0.4, .seed = seed};
    enum pv_status status;
    tiny.seed = seed;
    if (pv_tiny_model_write(path, &tiny) != PV_OK)
        return pv_fail(log, PV_ERR_IO, "%s: a conformance model could not be written there", path);
    status = pv_model_open(path, &params, &run->model);
    remove(path); /* the map stays */
    PV_TRY(status);
    if (!run->form->routed)
        return PV_OK;
    if (pv_tiny_clusters_write(path, run->model, &clusters) != PV_OK)
        return pv_fail(log, PV_ERR_IO, "%s: conformance clusters could not be written there", path);
    status = pv_clusters_open(path, log, &run->clusters);
    remove(path);
    return status;
}

/* A prompt in batches of 8, then token by token. */
static enum pv_status feed(struct model_run *run)
{
    PV_TRY(pv_session_prefill(run->session, run->tokens, N_TEXT));
    check_logits(run, "logits of the prompt", N_TEXT - 1);
    check_greedy(run, N_TEXT - 1);
    for (uint32_t t = N_TEXT; t < N_ALL; t++) {
        PV_TRY(pv_session_decode(run->session, run->tokens[t]));
        check_logits(run, "logits of a decode step", t);
        check_greedy(run, t);
    }
    return PV_OK;
}

static enum pv_status run_form(struct model_run *run, uint32_t device, const char *path, uint64_t seed)
{
    struct pv_engine_params params = {
        .devices = &device, .n_devices = 1, .n_batch = 8, .n_best = run->form->n_best};
    struct pv_session_params session = {.ffn = run->form->routed ? PV_FFN_ROUTED : PV_FFN_DENSE};
    enum pv_status status = PV_OK;
    PV_TRY_GOTO(open_model(run, path, seed));
    PV_TRY_GOTO(make_text(run, seed));
    params.clusters = run->clusters;
    PV_TRY_GOTO(pv_engine_create(run->context, run->model, &params, &run->engine));
    PV_TRY_GOTO(pv_session_create(run->engine, &session, &run->session));
    PV_TRY_GOTO(feed(run));
fail:
    pv_session_destroy(run->session);
    pv_engine_destroy(run->engine);
    pv_clusters_close(run->clusters);
    pv_model_close(run->model);
    free(run->expected);
    return status;
}

/* All models under the plan that the context holds for the device at the moment. */
static enum pv_status run_forms(struct pv_context *context, uint32_t device, const char *path,
                                const struct pv_conform_params *params, const char *variant,
                                void (*row)(void *user, const struct pv_conform_row *row), void *user,
                                struct pv_conform_result *out)
{
    const uint64_t seed = params->seed ? params->seed : 1;
    for (size_t i = 0; i < N_FORMS; i++) {
        struct pv_conform_row r = {.kernel = "model", .passed = true, .tolerance = forms[i].tolerance};
        struct model_run run = {.context = context, .form = &forms[i], .row = &r};
        char full[160];
        snprintf(r.name, sizeof r.name, "%s [%s]", forms[i].name, variant);
        snprintf(r.variant, sizeof r.variant, "%s", variant);
        snprintf(full, sizeof full, "model/%s", r.name);
        if ((params->filter && !strstr(full, params->filter)) ||
            (params->starting && !params->starting(user, &r)))
            continue;
        const uint64_t n_messages = pv_context_validation_messages(context);
        enum pv_status status = run_form(&run, device, path, seed);
        if (status == PV_ERR_CHECK && params->record_only)
            status = PV_OK; /* logits that are no numbers, where nothing computes them */
        if (status != PV_OK) {
            r.passed = false;
            r.fault = PV_FAULT_CALL;
            snprintf(r.detail, sizeof r.detail, "could not run: %s (see the log)", pv_status_name(status));
        }
        if (status == PV_OK && params->record_only) {
            r.passed = true;
            r.error = 0;
            r.detail[0] = '\0';
        } else if (status == PV_OK && !r.passed) {
            r.fault = isfinite(r.error) ? PV_FAULT_VALUES : PV_FAULT_NAN;
        }
        if (pv_context_validation_messages(context) > n_messages) {
            r.passed = false;
            r.fault = PV_FAULT_LAYERS;
            snprintf(r.detail, sizeof r.detail, "the validation layers have sent messages (see the log)");
        }
        out->n_passed += r.passed;
        out->n_failed += !r.passed;
        row(user, &r);
        if (status == PV_ERR_NOMEM || status == PV_ERR_DEVICE_LOST || status == PV_ERR_IO)
            return status;
    }
    return PV_OK;
}

enum pv_status pv_conform_models(struct pv_context *context, uint32_t device, const char *path,
                                 const struct pv_conform_params *params,
                                 void (*row)(void *user, const struct pv_conform_row *row), void *user,
                                 struct pv_conform_result *out)
{
    enum pv_status status = PV_OK;
    *out = (struct pv_conform_result){0};
    if (device >= context->n_physical)
        return pv_fail(&context->log, PV_ERR_ARG, "device %u of %u", device, context->n_physical);
    struct pv_variant *variants = pv_calloc(PV_VARIANTS_MAX, sizeof *variants);
    if (!variants)
        return pv_fail(&context->log, PV_ERR_NOMEM, "no memory for the variants of a device");
    struct pv_physical *p = &context->physical[device];
    const struct pv_plan own = p->plan;
    const uint32_t n = pv_variants_make(&p->caps, p->quirks, &own, variants);
    for (uint32_t i = 0; i < n && status == PV_OK; i++) {
        const bool named = params->variant && strcmp(params->variant, variants[i].name) == 0;
        if (params->variant ? !named : variants[i].state != PV_VARIANT_RUNS || (params->quick && i > 0))
            continue;
        p->plan = variants[i].plan;
        status = run_forms(context, device, path, params, variants[i].name, row, user, out);
    }
    p->plan = own;
    free(variants);
    return status;
}
