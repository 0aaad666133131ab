/* Six stages, each over all layers before the next, one layer's tokens in memory at a time:
 *   capture  run the text, journal every layer's z and contributions;
 *   cluster  spherical k-means of the contributions -> centroids, journaled; by masks: masks for these, the
 *            tokens again to the mask that keeps most -> centroids, journaled;
 *   router   softmax regression from z to the nearest centroid -> weights, journaled; of low rank once more;
 *   refine   masks for where the router sends tokens, the router on from there for what the masks keep, and
 *            again -> weights, journaled;
 *   masks    energies over the tokens that the router sends to a cluster, one threshold for all layers ->
 * lists. One block of tokens in ten is held out of clustering, training and masks alike; the result is
 * measured on those;
 *   loss     perplexity of some of them, dense and masked. */
#include "learn/fit/learn.h"

#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/threads.h"
#include "format/clusters/cluster_file.h"
#include "learn/fit/auto_k.h"
#include "learn/fit/density_search.h"
#include "learn/fit/loss.h"
#include "vk/device.h"

enum {
    DEFAULT_CLUSTERS = 256,
    MIN_CLUSTERS = 8,
    TOKENS_A_CLUSTER = 64, /* wanted, before the default K is lowered */
    MIN_TOKENS = 64,
    CLUSTERING = 2, /* version: a resume file with another's clusters makes them anew */
};
static const double SEARCH_GROUP_DENSITY = 0.2; /* while the density is not known yet */

static enum pv_status resolve(struct learner *ln, const uint32_t *tokens, size_t n_tokens)
{
    struct pv_fit_params *p = &ln->params;
    const uint32_t n_ctx = ln->source->n_ctx;

    p->n_ctx = p->n_ctx != 0 ? p->n_ctx : pv_capture_ctx(n_ctx);
    p->thin = p->thin != 0 ? p->thin : 1;
    if (p->density == 0.0 && p->max_ppl_rise == 0.0)
        p->density = 0.2;
    if (p->active_share == 0.0)
        p->active_share = p->density > 0.5 ? p->density : 0.5;
    p->n_iters = p->n_iters != 0 ? p->n_iters : 20;
    p->n_epochs = p->n_epochs != 0 ? p->n_epochs : 12;
    p->seed = p->seed != 0 ? p->seed : 1;
    p->n_restarts = p->n_restarts != 0 ? p->n_restarts : 1;
    p->n_rounds = p->n_rounds != 0 ? p->n_rounds : PV_REFINE_ROUNDS;
    if (ln->method)
        p->space = PV_FIT_SPACE_PATTERN;
    if ((p->max_ppl_rise == 0.0 && !(p->density > 0.0 && p->density <= 1.0)) ||
        !(p->active_share > 0.0 && p->active_share <= 1.0))
        return pv_fail(&ln->log, PV_ERR_ARG, "fit: density and active share must be above 0 and at most 1");
    ln->group_density = p->max_ppl_rise != 0.0 ? SEARCH_GROUP_DENSITY : p->density;
    if (p->n_ctx > n_ctx && ln->captured == &ln->journal)
        return pv_fail(&ln->log, PV_ERR_ARG, "fit: windows of %u tokens do not fit the context of %u",
                       p->n_ctx, n_ctx);
    if (ln->source->d_ffn > 65536)
        return pv_fail(&ln->log, PV_ERR_UNSUPPORTED,
                       "fit: %u neurons a layer; cluster files hold at most 65536", ln->source->d_ffn);
    if (ln->captured == &ln->journal)
        ln->windows = pv_windows_plan_thin(tokens, n_tokens, p->n_tokens, p->n_ctx, p->thin);
    if (ln->windows.n_tokens < MIN_TOKENS || ln->windows.n_tokens > UINT32_MAX)
        return pv_fail(&ln->log, PV_ERR_ARG, "fit: %zu tokens to learn from; give a text of at least %d",
                       ln->windows.n_tokens, MIN_TOKENS);
    if (p->max_ppl_rise != 0.0)
        PV_TRY(pv_density_check(ln));
    if (p->n_clusters == 0) {
        const size_t wanted = ln->windows.n_tokens / TOKENS_A_CLUSTER;

        p->n_clusters = wanted >= DEFAULT_CLUSTERS ? DEFAULT_CLUSTERS
                        : wanted <= MIN_CLUSTERS   ? MIN_CLUSTERS
                                                   : (uint32_t)wanted;
    }
    if (p->n_clusters == PV_FIT_CLUSTERS_AUTO)
        return PV_OK;
    if (p->n_clusters > 65536 || p->n_clusters > ln->windows.n_tokens)
        return pv_fail(&ln->log, PV_ERR_ARG,
                       "fit: %u clusters for %zu tokens; use fewer clusters or more text", p->n_clusters,
                       ln->windows.n_tokens);
    return PV_OK;
}

static void make_keys(struct learner *ln)
{
    const struct pv_fit_params *p = &ln->params;
    struct pv_capture_params capture = {.active_share = p->active_share};
    uint64_t cluster[] = {p->n_clusters, p->n_iters,    p->seed,   ln->clusters_on != NULL, 0,
                          p->space,      p->n_restarts, CLUSTERING};
    uint64_t router[] = {p->n_epochs, ln->router_on != NULL, p->router};

    ln->capture_key = pv_capture_key(ln->source, &ln->windows, &capture);
    ln->cluster_key = pv_hash64(cluster, sizeof cluster, ln->capture_key);
    if (ln->method)
        ln->cluster_key = pv_hash64(ln->method->name, strlen(ln->method->name), ln->cluster_key);
    if (p->max_ppl_rise != 0.0) /* fewer tokens to learn from */
        ln->cluster_key ^= 1;
    ln->router_key = pv_hash64(router, sizeof router, ln->cluster_key);
    if (p->space == PV_FIT_SPACE_MASK)
        ln->router_key = pv_hash64(&ln->group_density, sizeof ln->group_density, ln->router_key);
}

/* Takes text, windows and thresholds from a capture file instead. */
static enum pv_status open_capture(struct learner *ln, const uint32_t *tokens, size_t n_tokens)
{
    PV_TRY(pv_capture_file_open(&ln->file, ln->params.capture_path, &ln->log));
    PV_TRY(pv_capture_file_check(&ln->file, ln->source));
    ln->captured = &ln->file.journal;
    ln->windows = ln->file.windows;
    if (tokens) {
        ln->windows.text = tokens;
        if (n_tokens != ln->windows.n_text || pv_windows_text_hash(&ln->windows) != ln->file.head.text_hash)
            return pv_fail(&ln->log, PV_ERR_MISMATCH, "%s: was captured from another text",
                           ln->params.capture_path);
    }
    ln->params.n_ctx = ln->file.head.n_ctx;
    ln->params.thin = ln->file.head.thin;
    ln->params.active_share = ln->file.head.active_share;
    return PV_OK;
}

static enum pv_status choose_place(struct learner *ln)
{
    struct pv_device *device = ln->source->device;

    if (ln->params.learn_on == PV_LEARN_DEVICE && !device)
        return pv_fail(&ln->log, PV_ERR_ARG, "fit: there is no device to learn on");
    if (ln->params.learn_on == PV_LEARN_CPU || !device)
        return PV_OK;
    if (ln->params.learn_on == PV_LEARN_DEVICE || device->plan.learn_clusters)
        ln->clusters_on = device;
    if (ln->params.learn_on == PV_LEARN_DEVICE || device->plan.learn_router)
        ln->router_on = device;
    return PV_OK;
}

/* Is the token in a window that the search for the density is to judge by? */
static bool kept_out(const void *user, size_t row)
{
    const struct learner *ln = user;
    const size_t a_window = pv_windows_kept(&ln->windows, 0);

    return ln->params.max_ppl_rise != 0.0 && pv_density_keeps_out(&ln->windows, (uint32_t)(row / a_window));
}

static enum pv_status prepare(struct learner *ln)
{
    const uint32_t n = ln->source->n_layers;

    ln->tau = pv_calloc(n, sizeof *ln->tau);
    ln->layers = pv_calloc(n, sizeof *ln->layers);
    ln->centroids = pv_calloc(n, sizeof *ln->centroids);
    ln->energies = pv_calloc(n, sizeof *ln->energies);
    ln->hot_energies = pv_calloc(n, sizeof *ln->hot_energies);
    ln->masks = pv_calloc(n, sizeof *ln->masks);
    ln->hot = pv_calloc(n, sizeof *ln->hot);
    if (!ln->tau || !ln->layers || !ln->centroids || !ln->energies || !ln->hot_energies || !ln->masks ||
        !ln->hot || pv_split_rows(ln->windows.n_tokens, kept_out, ln, &ln->split) != PV_OK)
        return pv_fail(&ln->log, PV_ERR_NOMEM, "fit: no memory for %zu tokens", ln->windows.n_tokens);
    return PV_OK;
}

static struct pv_steps stage_steps(const struct learner *ln, const char *stage)
{
    return (struct pv_steps){.sink = ln->params.progress, .stage = stage, .total = ln->source->n_layers};
}

static enum pv_status stage_capture(struct learner *ln, bool *resumed)
{
    struct pv_capture_params params = {.active_share = ln->params.active_share, .log = ln->log};
    struct pv_steps steps = stage_steps(ln, "capture");
    struct pv_capture_state state = {.tau = ln->tau};
    enum pv_status status;

    if (ln->captured != &ln->journal)
        return pv_capture_file_tau(&ln->file, ln->tau);
    steps.total = ln->windows.n_windows;
    status = pv_capture_text(ln->source, &ln->windows, &params, &ln->journal, &steps, &state);
    *resumed = state.resumed;
    return status;
}

/* All layers; an interruption is heeded before each. */
static enum pv_status measure_all(struct learner *ln, struct pv_steps *steps)
{
    for (uint32_t l = 0; l < ln->source->n_layers; l++) {
        steps->done = l;
        if (!pv_steps_report(steps, 0.0))
            return PV_ERR_INTERRUPTED;
        PV_TRY(pv_learner_measure(ln, l));
    }
    steps->done = ln->source->n_layers;
    return PV_OK;
}

/* Routes and sums; with a search for the density, that too. */
static enum pv_status stage_budget(struct learner *ln, struct pv_fit_result *out)
{
    const bool search = ln->params.max_ppl_rise != 0.0;
    const bool refined = ln->round == pv_learner_rounds(ln);
    struct pv_steps steps = stage_steps(ln, search ? "budget" : refined ? "masks" : "refine");

    steps.total += search ? pv_density_steps(ln) : ln->source->n_layers;
    PV_TRY(measure_all(ln, &steps));
    return search ? pv_density_search(ln, &steps, out) : PV_OK;
}

static enum pv_status stage_masks(struct learner *ln, struct pv_fit_result *out)
{
    struct pv_steps steps = stage_steps(ln, "masks");

    steps.total *= 2.0; /* measured, then judged */
    PV_TRY(pv_learner_spend(ln, ln->params.density));
    PV_TRY(pv_learner_spend_hot(ln));
    PV_TRY(pv_learner_judge(ln, &steps, out));
    steps.done = steps.total;
    return pv_steps_report(&steps, 0.0) ? PV_OK : PV_ERR_INTERRUPTED;
}

static enum pv_status stage_loss(struct learner *ln, struct pv_fit_result *out)
{
    struct pv_steps steps = stage_steps(ln, "loss");

    return pv_learner_measure_loss(ln, &steps, out);
}

/* Finds the number of clusters, if that is asked for. */
static enum pv_status stage_tries(struct learner *ln, struct pv_fit_result *out)
{
    if (ln->params.n_clusters == PV_FIT_CLUSTERS_AUTO)
        PV_TRY(pv_auto_k(ln, out));
    out->n_clusters = ln->params.n_clusters;
    make_keys(ln);
    return PV_OK;
}

/* A stage of work on each layer in turn. */
static enum pv_status stage_each(struct learner *ln, const char *stage,
                                 enum pv_status (*work)(struct learner *ln, uint32_t l,
                                                        const struct pv_steps *steps))
{
    struct pv_steps steps = stage_steps(ln, stage);

    for (uint32_t l = 0; l < ln->source->n_layers; l++) {
        steps.done = l;
        PV_TRY(work(ln, l, &steps));
    }
    steps.done = steps.total;
    return pv_steps_report(&steps, 0.0) ? PV_OK : PV_ERR_INTERRUPTED;
}

/* Clusters by what their masks keep: one budget for all layers, so all are measured first. */
static enum pv_status stage_regroup(struct learner *ln)
{
    if (ln->params.space != PV_FIT_SPACE_MASK ||
        ln->group_density >= 1.0) /* masks of every neuron are all alike */
        return PV_OK;
    PV_TRY(stage_each(ln, "cluster", pv_learner_measure_own));
    PV_TRY(pv_learner_spend(ln, ln->group_density));
    return stage_each(ln, "cluster", pv_learner_regroup);
}

/* Rounds of refinement at the density that is given or found; after each, where the refined routers send the
 * tokens. A searched density is searched again at the end, since refined routers do with less. */
static enum pv_status stage_refine(struct learner *ln, struct pv_fit_result *out)
{
    const uint32_t n_rounds = pv_learner_rounds(ln);
    struct pv_steps steps = stage_steps(ln, "refine");

    for (uint32_t r = 1; r <= n_rounds; r++) {
        PV_TRY(pv_learner_spend(ln, ln->params.density));
        ln->round = r;
        PV_TRY(stage_each(ln, "refine", pv_learner_train));
        if (r < n_rounds)
            PV_TRY(measure_all(ln, &steps));
    }
    return n_rounds > 0 ? stage_budget(ln, out) : PV_OK;
}

static enum pv_status write_file(const struct learner *ln, const struct pv_fit_result *result,
                                 const char *path)
{
    const uint32_t n_layers = ln->source->n_layers;
    struct pv_cluster_layer *layers = pv_calloc(n_layers, sizeof *layers);
    struct pv_clusters clusters = {.layers = layers};
    enum pv_status status;

    if (!layers)
        return pv_fail(&ln->log, PV_ERR_NOMEM, "%s: no memory to write it", path);
    clusters.info = (struct pv_clusters_info){.n_layers = n_layers,
                                              .n_clusters = ln->params.n_clusters,
                                              .d_model = ln->source->d_model,
                                              .d_ffn = ln->source->d_ffn,
                                              .fingerprint = ln->source->fingerprint,
                                              .density = ln->budget.reached,
                                              .density_target = ln->params.density,
                                              .router_accuracy = result->router_accuracy,
                                              .n_tokens = ln->windows.n_tokens,
                                              .seed = ln->params.seed,
                                              .method = ln->method ? ln->method->name : "energy"};
    for (uint32_t l = 0; l < n_layers; l++) {
        const struct pv_router *router = &ln->layers[l].router;

        layers[l] = (struct pv_cluster_layer){.offset = ln->masks[l].offset,
                                              .neurons = ln->masks[l].neurons,
                                              .router = router->weight,
                                              .router_bias = router->bias,
                                              .down_projection = router->down.weight,
                                              .rank = router->down.rank,
                                              .centroids = ln->centroids[l],
                                              .hot = ln->hot[l].neurons,
                                              .n_hot = ln->hot[l].offset[1],
                                              .tau = ln->tau[l],
                                              .density = (float)ln->masks[l].density};
    }
    status = pv_clusters_write(&clusters, path, &ln->log);
    free(layers);
    return status;
}

/* The last stage: once the file is there the fit is done, so it cannot be interrupted after it. */
static enum pv_status stage_write(const struct learner *ln, const struct pv_fit_result *result,
                                  const char *path)
{
    struct pv_steps steps = stage_steps(ln, "writing");

    if (!pv_steps_report(&steps, 0.0))
        return PV_ERR_INTERRUPTED;
    PV_TRY(write_file(ln, result, path));
    steps.done = steps.total;
    (void)pv_steps_report(&steps, 0.0);
    return PV_OK;
}

/* Runs one stage and adds its time. */
#define TIMED(seconds, stage)                                                                                \
    do {                                                                                                     \
        double begin_ = pv_now_s();                                                                          \
        status = (stage);                                                                                    \
        (seconds) = pv_now_s() - begin_;                                                                     \
        if (status != PV_OK)                                                                                 \
            goto fail;                                                                                       \
    } while (0)

static enum pv_status run_stages(struct learner *ln, const char *out_path, struct pv_fit_result *out)
{
    double regrouping;
    enum pv_status status;

    TIMED(out->seconds_capture, stage_capture(ln, &out->resumed));
    TIMED(out->seconds_tries, stage_tries(ln, out));
    TIMED(out->seconds_cluster, stage_each(ln, "cluster", pv_learner_cluster));
    TIMED(regrouping, stage_regroup(ln));
    out->seconds_cluster += regrouping;
    TIMED(out->seconds_router, stage_each(ln, "router", pv_learner_train));
    TIMED(out->seconds_budget, stage_budget(ln, out));
    TIMED(out->seconds_refine, stage_refine(ln, out));
    TIMED(out->seconds_masks, stage_masks(ln, out));
    if (ln->params.max_ppl_rise == 0.0) { /* no search: the first half of the masks */
        out->seconds_masks += out->seconds_budget;
        out->seconds_budget = 0.0;
    }
    TIMED(out->seconds_loss, stage_loss(ln, out));
    TIMED(out->seconds_writing, stage_write(ln, out, out_path));
fail:
    return status;
}

static void learner_free(struct learner *ln)
{
    for (uint32_t l = 0; l < ln->source->n_layers; l++) {
        if (ln->layers)
            pv_layer_free(&ln->layers[l]);
        if (ln->centroids)
            free(ln->centroids[l]);
        if (ln->energies)
            pv_energy_free(&ln->energies[l]);
        if (ln->hot_energies)
            pv_energy_free(&ln->hot_energies[l]);
        if (ln->masks)
            pv_mask_lists_free(&ln->masks[l]);
        if (ln->hot)
            pv_mask_lists_free(&ln->hot[l]);
    }
    void *all[] = {ln->layers, ln->centroids, ln->energies, ln->hot_energies, ln->masks, ln->hot, ln->tau};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    pv_split_free(&ln->split);
}

enum pv_status pv_learn(const struct pv_source *source, const struct pv_learn_job *job,
                        struct pv_fit_result *out)
{
    struct learner ln = {.source = source,
                         .params = *job->params,
                         .method = job->method,
                         .journal = {.fd = -1},
                         .file = {.journal = {.fd = -1}}};
    char *path = pv_resume_path(job->out_path, job->params->resume_path);
    enum pv_status status;

    *out = (struct pv_fit_result){0};
    if (job->log)
        ln.log = *job->log;
    if (!path)
        return pv_fail(job->log, PV_ERR_NOMEM, "%s: no memory to fit", job->out_path);
    ln.captured = &ln.journal;
    if (ln.params.capture_path)
        PV_TRY_GOTO(open_capture(&ln, job->tokens, job->n_tokens));
    PV_TRY_GOTO(resolve(&ln, job->tokens, job->n_tokens));
    PV_TRY_GOTO(prepare(&ln));
    PV_TRY_GOTO(choose_place(&ln));
    make_keys(&ln);
    out->clusters_on_device = ln.clusters_on != NULL;
    out->router_on_device = ln.router_on != NULL;
    out->n_tokens = ln.windows.n_tokens;
    PV_TRY_GOTO(pv_journal_open(&ln.journal, path, ln.capture_key, job->log));
    pv_writer_clean(job->out_path); /* the journal's lock says that no other fit is writing it */
    status = run_stages(&ln, job->out_path, out);
    if (status == PV_ERR_INTERRUPTED)
        pv_info(job->log, "stopped; the same command goes on from %s", path);
fail:
    pv_journal_close(&ln.journal, status == PV_OK);
    pv_capture_file_close(&ln.file);
    learner_free(&ln);
    free(path);
    if (status != PV_OK)
        pv_fit_result_free(out);
    return status;
}

void pv_fit_result_free(struct pv_fit_result *result)
{
    free(result->layers);
    result->layers = NULL;
}
