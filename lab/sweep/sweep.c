/* Methods without clusters first, then for every K the low-rank predictors and the three groupings, each with
 * the methods that share it. Whatever is learned lives until its last row is out, no longer. */
#include "lab/sweep/sweep.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/threads.h"
#include "lab/methods/baseline_clusters.h"
#include "learn/algo/router/router.h"
#include "lab/sweep/sweep_run.h"

enum { MAX_CTX = 512, N_SCORES = 6 };
static const double macs_per_token = 1e7; /* of learning, that take as long as a token through the network */

static const struct pv_score_kind *const scores[N_SCORES] = {&pv_predict_oracle, &pv_predict_magnitude,
                                                             &pv_predict_static, &pv_predict_sign,
                                                             &pv_predict_svd,    &pv_predict_lowrank};

struct sweep {
    struct pv_sweep_params params; /* resolved */
    struct pv_sweep_data data;
    struct pv_sweep_info info;
    struct pv_sweep_progress progress;
    pv_sweep_fn fn;
    void *user;
    double *layer_energy, *layer_density; /* [n_layers] of the row under way */
    double learn_from, learn_weight;      /* progress of the learning under way */
};

const char *pv_sweep_method_name(uint32_t i)
{
    if (i < N_SCORES)
        return scores[i]->ops.name;
    return i - N_SCORES < pv_n_cluster_kinds ? pv_cluster_kinds[i - N_SCORES].name : NULL;
}

static bool wanted(const struct sweep *s, const char *name)
{
    bool found = !s->params.methods;

    for (uint32_t i = 0; i < s->params.n_methods && !found; i++)
        found = strcmp(s->params.methods[i], name) == 0;
    return found;
}

static bool learning(void *user, const char *stage, double done, double total)
{
    const struct sweep *s = user;

    (void)stage;
    return pv_sweep_report(&s->progress, "learn", s->learn_from + s->learn_weight * done / total);
}

/* Steps of layer l of something that costs `weight` tokens over all layers. */
static struct pv_steps layer_steps(struct sweep *s, uint32_t l, double weight)
{
    s->learn_weight = weight / s->data.shape.n_layers;
    s->learn_from = s->learn_weight * l;
    return (struct pv_steps){.sink = {.fn = learning, .user = s}, .stage = "learn", .total = 1.0};
}

static enum pv_status fail_memory(const struct sweep *s)
{
    return pv_fail(s->data.engine->log, PV_ERR_NOMEM, "sweep: no memory; use fewer tokens or clusters");
}

static struct pv_predict_params predict_params(const struct sweep *s, uint32_t n_clusters)
{
    return (struct pv_predict_params){.shape = s->data.shape,
                                      .n_clusters = n_clusters,
                                      .n_threads = s->params.n_threads,
                                      .seed = s->params.seed};
}

static struct pv_sweep_row new_row(const struct pv_predictor *p)
{
    return (struct pv_sweep_row){.method = p->ops->name,
                                 .label = p->ops->label,
                                 .clustered = p->ops->clustered,
                                 .knows_truth = p->ops->knows_truth,
                                 .n_clusters = p->ops->clustered ? p->params.n_clusters : 0,
                                 .ppl = (double)NAN,
                                 .rise = (double)NAN,
                                 .density = (double)NAN,
                                 .predictor_bytes = (double)NAN,
                                 .bytes = (double)NAN,
                                 .precision = (double)NAN,
                                 .recall = (double)NAN,
                                 .weighted_recall = (double)NAN,
                                 .router_accuracy = (double)NAN,
                                 .own_density = (double)NAN,
                                 .own_precision = (double)NAN,
                                 .own_recall = (double)NAN,
                                 .own_weighted_recall = (double)NAN};
}

static enum pv_status run_row(struct sweep *s, struct pv_predictor *p, double density,
                              struct pv_sweep_row *row)
{
    row->density_target = density;
    if (p->ops->set_density(p, density) != PV_OK)
        return fail_memory(s);
    return pv_sweep_run(&s->data, &s->params, p, s->info.ppl_dense, &s->progress, row, s->layer_energy,
                        s->layer_density);
}

/* The densities asked for; sign bits, whose predictor reads least and cannot grow, are also run at 1.5 and 2
 * times the highest, so that they can be compared at the bytes that others read. */
static uint32_t n_runs(const struct sweep *s, const struct pv_score_kind *kind)
{
    const uint32_t n = s->params.n_densities;

    return n > 0 && kind == &pv_predict_sign ? n + 2 : n;
}

static double density_of_run(const struct sweep *s, uint32_t i)
{
    double top = 0.0;

    if (i < s->params.n_densities)
        return s->params.densities[i];
    for (uint32_t k = 0; k < s->params.n_densities; k++)
        top = s->params.densities[k] > top ? s->params.densities[k] : top;
    top *= i == s->params.n_densities ? 1.5 : 2.0;
    return top < 1.0 ? top : 1.0;
}

/* Methods that score neurons, all of those that depend on K or all that do not. */
static enum pv_status run_scores(struct sweep *s, bool clustered, uint32_t n_clusters)
{
    struct pv_predict_params params = predict_params(s, n_clusters);
    struct pv_predictor *p[N_SCORES] = {NULL};
    double started = pv_now_s(), learned;
    enum pv_status status = PV_OK;

    if (s->params.n_densities == 0)
        return PV_OK;
    for (int i = 0; i < N_SCORES && status == PV_OK; i++) {
        if (scores[i]->ops.clustered == clustered && wanted(s, scores[i]->ops.name))
            status = pv_predict_score_create(scores[i], &params, &p[i]);
    }
    for (uint32_t l = 0; l < s->data.shape.n_layers && status == PV_OK; l++) {
        struct pv_steps steps = layer_steps(s, l, 0.0);
        struct pv_sweep_layer layer;

        status = pv_sweep_layer_load(&s->data, l, &layer);
        for (int i = 0; i < N_SCORES && status == PV_OK; i++) {
            if (p[i])
                status = p[i]->ops->train(p[i], &layer.in, &steps);
        }
        pv_sweep_layer_free(&layer);
    }
    learned = pv_now_s() - started;
    for (int i = 0; i < N_SCORES && status == PV_OK; i++) {
        for (uint32_t k = 0; k < n_runs(s, scores[i]) && status == PV_OK && p[i]; k++) {
            struct pv_sweep_row row = new_row(p[i]);

            started = pv_now_s();
            status = run_row(s, p[i], density_of_run(s, k), &row);
            row.seconds = learned + pv_now_s() - started;
            if (status == PV_OK)
                s->fn(s->user, &s->info, &row);
        }
    }
    for (int i = 0; i < N_SCORES; i++) {
        if (p[i])
            p[i]->ops->destroy(p[i]);
    }
    return status == PV_ERR_NOMEM ? fail_memory(s) : status;
}

/* What the clustering itself reaches on the test text. */
static enum pv_status judge_own(struct sweep *s, struct pv_predictor *p, double density,
                                struct pv_sweep_row *row)
{
    const uint32_t n_layers = s->data.shape.n_layers;
    struct pv_mask_score all = {0};

    row->own_weighted_recall = 0.0;
    PV_TRY(pv_predict_clusters_choose_own(p, (enum pv_sweep_own)row->own_masks, density));
    for (uint32_t l = 0; l < n_layers; l++) {
        struct pv_mask_score score = {0};
        struct pv_layer_data test;
        enum pv_status status;

        PV_TRY(pv_sweep_test_load(&s->data, l, &test));
        status = pv_predict_clusters_judge_own(p, l, &test.x, &score);
        pv_layer_data_free(&test);
        PV_TRY(status);
        row->own_weighted_recall += pv_mask_weighted_recall(&score) / n_layers;
        pv_mask_score_merge(&all, &score);
    }
    row->own_density = all.computed / (all.n_tokens * s->data.shape.d_ffn);
    row->own_precision = pv_mask_precision(&all);
    row->own_recall = pv_mask_recall(&all);
    return PV_OK;
}

/* The clustering alone: at masks as large as the mean pattern, with one budget and layer by layer, and for
 * k-modes the modes themselves. */
static enum pv_status judge_rows(struct sweep *s, struct pv_predictor *p, const struct pv_sweep_row *like,
                                 const struct pv_cluster_kind *kind)
{
    for (uint32_t masks = PV_SWEEP_OWN_BUDGET; masks < PV_SWEEP_OWN_COUNT; masks++) {
        struct pv_sweep_row row = *like;

        if ((masks == PV_SWEEP_OWN_LAYER && kind->rule != PV_RULE_ACTIVE) ||
            (masks == PV_SWEEP_OWN_MAJORITY && kind->by != PV_GROUP_KMODES))
            continue;
        row.own_masks = masks;
        row.density_target = masks == PV_SWEEP_OWN_MAJORITY ? 0.0 : s->data.active;
        PV_TRY(judge_own(s, p, row.density_target, &row));
        s->fn(s->user, &s->info, &row);
    }
    return PV_OK;
}

/* The grouping's linear routers refined at a density. */
static enum pv_status refine(struct sweep *s, struct pv_grouping *grouping, double density)
{
    for (uint32_t round = 1; round <= PV_REFINE_ROUNDS; round++) {
        PV_TRY(pv_grouping_refine_begin(grouping, round, density));
        for (uint32_t l = 0; l < s->data.shape.n_layers; l++) {
            struct pv_steps steps = layer_steps(s, l, 0.0);
            struct pv_sweep_layer layer;
            enum pv_status status;

            PV_TRY(pv_sweep_layer_load(&s->data, l, &layer));
            status = pv_grouping_refine(grouping, &layer.in, &steps);
            pv_sweep_layer_free(&layer);
            PV_TRY(status);
        }
    }
    return PV_OK;
}

static enum pv_status run_kind(struct sweep *s, const struct pv_cluster_kind *kind,
                               struct pv_grouping *grouping, double learned)
{
    struct pv_predictor *p;
    enum pv_status status = pv_predict_clusters_create(kind, grouping, &p);
    struct pv_sweep_row like;

    if (status != PV_OK)
        return status;
    like = new_row(p);
    like.router_accuracy = pv_grouping_accuracy(grouping, kind->route);
    like.rank = kind->route == PV_ROUTE_LOWRANK ? pv_grouping_rank(grouping) : 0;
    like.seconds = learned;
    if ((kind->route == PV_ROUTE_LINEAR || kind->route == PV_ROUTE_REFINED) && kind->n_union == 1)
        status = judge_rows(s, p, &like, kind);
    for (uint32_t i = 0; i < s->params.n_densities && status == PV_OK; i++) {
        struct pv_sweep_row row = like;
        const double started = pv_now_s();

        if (kind->route == PV_ROUTE_REFINED) {
            status = refine(s, grouping, s->params.densities[i]);
            row.router_accuracy = pv_grouping_accuracy(grouping, kind->route);
        }
        if (kind->n_union == 1 && status == PV_OK)
            status = judge_own(s, p, s->params.densities[i], &row);
        if (status == PV_OK)
            status = run_row(s, p, s->params.densities[i], &row);
        row.seconds += pv_now_s() - started;
        if (status == PV_OK)
            s->fn(s->user, &s->info, &row);
    }
    p->ops->destroy(p);
    return status;
}

/* Tokens through the network that take as long as learning a grouping. */
static double grouping_weight(const struct sweep *s, uint32_t n_clusters)
{
    const double active = s->data.active * s->data.shape.d_ffn * s->params.n_iters;
    const double router = s->params.n_densities > 0 ? 4.0 * s->data.shape.d_model * s->params.n_epochs : 0.0;

    return (active + router) * n_clusters * (double)s->data.split.n_train * s->data.shape.n_layers /
           macs_per_token;
}

static bool grouping_wanted(const struct sweep *s, enum pv_group_by by)
{
    bool any = false;

    for (uint32_t i = 0; i < pv_n_cluster_kinds; i++)
        any = any || (pv_cluster_kinds[i].by == by && wanted(s, pv_cluster_kinds[i].name));
    return any;
}

static enum pv_status learn_each(struct sweep *s, struct pv_grouping *grouping, double weight,
                                 enum pv_status (*learn)(struct pv_grouping *,
                                                         const struct pv_predict_layer *,
                                                         const struct pv_steps *))
{
    for (uint32_t l = 0; l < s->data.shape.n_layers; l++) {
        struct pv_steps steps = layer_steps(s, l, weight);
        struct pv_sweep_layer layer;
        enum pv_status status;

        PV_TRY(pv_sweep_layer_load(&s->data, l, &layer));
        status = learn(grouping, &layer.in, &steps);
        pv_sweep_layer_free(&layer);
        PV_TRY(status);
    }
    s->progress.done += weight;
    return PV_OK;
}

/* One grouping serves all densities: that of the masks it is made for is between the lowest and the highest
 * asked for. */
static double group_density(const struct sweep *s)
{
    double low = 1.0, high = 0.0;

    for (uint32_t i = 0; i < s->params.n_densities; i++) {
        low = s->params.densities[i] < low ? s->params.densities[i] : low;
        high = s->params.densities[i] > high ? s->params.densities[i] : high;
    }
    return s->params.n_densities > 0 ? sqrt(low * high) : s->data.active;
}

static enum pv_status learn_grouping(struct sweep *s, struct pv_grouping *grouping, enum pv_group_by by,
                                     double weight)
{
    const uint32_t n_moves = pv_group_moves(by);

    if (n_moves == 0)
        return learn_each(s, grouping, weight, pv_grouping_train);
    PV_TRY(learn_each(s, grouping, 0.5 * weight, pv_grouping_train));
    for (uint32_t i = 0; i < n_moves; i++) {
        PV_TRY(pv_grouping_regroup_begin(grouping, by == PV_GROUP_HITS ? s->data.active : group_density(s)));
        PV_TRY(learn_each(s, grouping, 0.0, pv_grouping_regroup));
    }
    return learn_each(s, grouping, 0.5 * weight, pv_grouping_route);
}

static enum pv_status run_grouping(struct sweep *s, enum pv_group_by by, uint32_t n_clusters)
{
    struct pv_grouping_params params = {.base = predict_params(s, n_clusters),
                                        .by = by,
                                        .n_iters = s->params.n_iters,
                                        .n_epochs = s->params.n_epochs};
    struct pv_grouping *grouping = NULL;
    const double started = pv_now_s();
    enum pv_status status = PV_OK;

    for (uint32_t i = 0; i < pv_n_cluster_kinds; i++) {
        if (pv_cluster_kinds[i].by == by && wanted(s, pv_cluster_kinds[i].name) && s->params.n_densities > 0)
            params.route[pv_cluster_kinds[i].route] = true;
    }
    status = pv_grouping_create(&params, &grouping);
    if (status == PV_OK)
        status = learn_grouping(s, grouping, by, grouping_weight(s, n_clusters));
    for (uint32_t i = 0; i < pv_n_cluster_kinds && status == PV_OK; i++) {
        if (pv_cluster_kinds[i].by == by && wanted(s, pv_cluster_kinds[i].name))
            status = run_kind(s, &pv_cluster_kinds[i], grouping, pv_now_s() - started);
    }
    pv_grouping_destroy(grouping);
    return status == PV_ERR_NOMEM ? fail_memory(s) : status;
}

static enum pv_status resolve(struct sweep *s, const struct pv_engine *engine,
                              const struct pv_sweep_params *given)
{
    struct pv_sweep_params *p = &s->params;

    *p = *given;
    if (p->n_ctx == 0)
        p->n_ctx = engine->n_ctx < MAX_CTX ? engine->n_ctx : MAX_CTX;
    p->n_iters = p->n_iters != 0 ? p->n_iters : 20;
    p->n_epochs = p->n_epochs != 0 ? p->n_epochs : 12;
    p->active_share = p->active_share > 0.0 ? p->active_share : 0.5;
    p->seed = p->seed != 0 ? p->seed : 1;
    if (engine->clusters)
        return pv_fail(engine->log, PV_ERR_ARG,
                       "sweep: learns from a dense engine; create it without clusters");
    if (p->n_ctx > engine->n_ctx || !p->work_path)
        return pv_fail(engine->log, PV_ERR_ARG, "sweep: needs a path for its files and windows that fit");
    for (uint32_t i = 0; i < p->n_densities; i++) {
        if (!(p->densities[i] > 0.0 && p->densities[i] <= 1.0))
            return pv_fail(engine->log, PV_ERR_ARG, "sweep: densities are above 0 and at most 1");
    }
    for (uint32_t i = 0; i < p->n_clusters; i++) {
        if (p->clusters[i] == 0 || p->clusters[i] > 65536)
            return pv_fail(engine->log, PV_ERR_ARG, "sweep: clusters are from 1 to 65536");
    }
    for (uint32_t i = 0; i < p->n_methods; i++) {
        bool found = false;

        for (uint32_t m = 0; pv_sweep_method_name(m); m++)
            found = found || strcmp(p->methods[i], pv_sweep_method_name(m)) == 0;
        if (!found)
            return pv_fail(
                engine->log, PV_ERR_ARG,
                "sweep: no method '%s'; there are oracle, magnitude, static, sign, svd, lowrank, k-modes, "
                "k-means, parvin-active, parvin-plain, parvin, parvin-lowrank, parvin-centroid, parvin-two, "
                "parvin-input, parvin-mask and parvin-hits",
                p->methods[i]);
    }
    return PV_OK;
}

static enum pv_status prepare(struct sweep *s)
{
    const struct pv_predict_shape *shape = &s->data.shape;
    double runs = 1.0, learn = 0.0;

    s->layer_energy = pv_calloc(shape->n_layers, sizeof *s->layer_energy);
    s->layer_density = pv_calloc(shape->n_layers, sizeof *s->layer_density);
    if (!s->layer_energy || !s->layer_density)
        return fail_memory(s);
    for (uint32_t m = 0; pv_sweep_method_name(m); m++) {
        const bool clustered = m >= N_SCORES || scores[m]->ops.clustered;

        if (wanted(s, pv_sweep_method_name(m)))
            runs += (clustered ? (double)s->params.n_clusters : 1.0) *
                    (m < N_SCORES ? n_runs(s, scores[m]) : s->params.n_densities);
    }
    for (uint32_t i = 0; i < s->params.n_clusters; i++) {
        for (int by = 0; by < PV_GROUP_COUNT; by++)
            learn +=
                grouping_wanted(s, (enum pv_group_by)by) ? grouping_weight(s, s->params.clusters[i]) : 0.0;
    }
    s->progress = (struct pv_sweep_progress){.sink = s->params.progress,
                                             .total = learn + runs * pv_sweep_run_tokens(&s->data)};
    s->info = (struct pv_sweep_info){.dense_bytes = pv_predict_dense_bytes(shape),
                                     .active = s->data.active,
                                     .n_fit_tokens = s->data.fit.windows.n_tokens,
                                     .n_test_tokens = s->data.test.windows.n_tokens,
                                     .n_ctx = s->params.n_ctx,
                                     .n_layers = shape->n_layers,
                                     .d_model = shape->d_model,
                                     .d_ffn = shape->d_ffn};
    return pv_sweep_run_dense(&s->data, &s->params, &s->progress, &s->info.ppl_dense);
}

enum pv_status pv_sweep(struct pv_engine *engine, const uint32_t *fit_tokens, size_t n_fit,
                        const uint32_t *test_tokens, size_t n_test, const struct pv_sweep_params *params,
                        pv_sweep_fn fn, void *user)
{
    struct sweep s = {.fn = fn, .user = user};
    enum pv_status status = resolve(&s, engine, params);

    if (status != PV_OK)
        return status;
    status = pv_sweep_data_open(&s.data, engine, fit_tokens, n_fit, test_tokens, n_test, &s.params);
    if (status == PV_OK)
        status = prepare(&s);
    if (status == PV_OK) {
        fn(user, &s.info, NULL);
        status = run_scores(&s, false, 0);
    }
    for (uint32_t i = 0; i < s.params.n_clusters && status == PV_OK; i++) {
        status = run_scores(&s, true, s.params.clusters[i]);
        for (int by = 0; by < PV_GROUP_COUNT && status == PV_OK; by++) {
            if (grouping_wanted(&s, (enum pv_group_by)by))
                status = run_grouping(&s, (enum pv_group_by)by, s.params.clusters[i]);
        }
    }
    pv_sweep_data_close(&s.data, status != PV_ERR_INTERRUPTED);
    free(s.layer_energy);
    free(s.layer_density);
    return status;
}
