/* One layer: cluster the training tokens, give every token its own cluster, train the routers to name it,
 * send every token where the routers say, and sum what fires there (algo/layer.h). Only the sums, the routers and
 * the tokens' own clusters are kept. */
#include "lab/methods/baseline_group.h"

#include <math.h>
#include <stdlib.h>
#include "base/log.h"
#include "base/mem.h"
#include "learn/algo/gain.h"
#include "learn/algo/router/router_centroid.h"
#include "lab/methods/baseline_kmodes.h"

enum { ONE = 0x3c00 };

/* k-modes of the training tokens; the test tokens are named by the modes too. */
static enum pv_status cluster_modes(struct pv_group_work *w, const struct pv_steps *steps)
{
    const struct pv_rows train = pv_split_train(w->tokens.split, w->in->x),
                         all = {.x = w->in->x, .n = w->in->x->n_rows},
                         test = {.x = w->in->test_x, .n = w->in->test_x->n_rows};
    const struct pv_kmodes_params params = {.n_clusters = w->params.n_clusters,
                                            .n_iters = w->params.n_iters,
                                            .n_threads = w->params.n_threads,
                                            .seed = w->params.seed + w->params.layer};
    struct pv_kmodes_result result;
    enum pv_status status = pv_kmodes(&train, &params, steps, &result);

    if (status == PV_OK)
        status = pv_kmodes_assign(&all, result.modes, &params, w->out->learned.own, NULL);
    if (status == PV_OK)
        status = pv_kmodes_assign(&test, result.modes, &params, w->out->own_test, NULL);
    free(result.modes);
    return status;
}

static enum pv_status name_test_by_means(struct pv_group_work *w)
{
    const struct pv_rows test = {.x = w->in->test_x, .n = w->in->test_x->n_rows};
    const struct pv_kmeans_params params = {
        .n_clusters = w->params.n_clusters,
        .space = w->params.space == PV_FIT_SPACE_PATTERN ? PV_SPACE_BITS : PV_SPACE_CONTRIBUTION,
        .n_threads = w->params.n_threads};

    return pv_kmeans_assign(&test, w->out->learned.centroids, &params, w->out->own_test, NULL);
}

static enum pv_status name_test_by_inputs(struct pv_group_work *w)
{
    const struct pv_router_params params = pv_layer_router_params(&w->params, 0);
    const struct pv_router_data data = pv_layer_router_data(&w->tokens, w->out->learned.own);
    struct pv_router router = {0};
    enum pv_status status = pv_router_centroid(&params, &data, &router);

    if (status == PV_OK)
        status = pv_router_apply(&router, w->in->test_z, NULL, w->in->test_x->n_rows, params.n_threads,
                                 w->out->own_test);
    pv_router_free(&router);
    return status;
}

static enum pv_status cluster(struct pv_group_work *w)
{
    const struct pv_steps steps = pv_group_stage(w, 0.4);

    w->out->own_test = pv_calloc(w->in->test_x->n_rows, sizeof *w->out->own_test);
    w->out->learned.own = pv_calloc(w->in->x->n_rows, sizeof *w->out->learned.own);
    if (!w->out->own_test || !w->out->learned.own)
        return PV_ERR_NOMEM;
    if (w->g->params.by == PV_GROUP_KMODES)
        return cluster_modes(w, &steps);
    PV_TRY(pv_layer_cluster(&w->params, &w->tokens, &steps, &w->out->learned));
    return w->params.space == PV_FIT_SPACE_INPUT ? name_test_by_inputs(w) : name_test_by_means(w);
}

static enum pv_status train_layer(struct pv_group_work *w)
{
    PV_TRY(cluster(w));
    PV_TRY(pv_group_sum(w, PV_ROUTE_OWN, w->out->learned.own));
    return pv_group_moves(w->g->params.by) > 0 ? PV_OK : pv_group_train_routers(w);
}

static enum pv_mask_rule regroup_rule(const struct pv_grouping *g)
{
    return g->params.by == PV_GROUP_HITS ? PV_RULE_ACTIVE : PV_RULE_ENERGY;
}

static enum pv_status move_rows(struct pv_group_work *w, struct pv_sparse x, uint16_t *own)
{
    const enum pv_mask_rule rule = regroup_rule(w->g);

    x.root = rule == PV_RULE_ACTIVE ? w->ones : x.root;
    return pv_gain_regroup(&x, &w->out->lists, &w->g->tables[PV_ROUTE_OWN][rule][w->in->layer],
                           w->g->budget.threshold, w->params.n_threads, own);
}

static enum pv_status regroup_layer(struct pv_group_work *w)
{
    PV_TRY(move_rows(w, *w->in->test_x, w->out->own_test));
    PV_TRY(move_rows(w, *w->in->x, w->out->learned.own));
    return pv_group_sum(w, PV_ROUTE_OWN, w->out->learned.own);
}

static struct pv_layer_params layer_params(const struct pv_grouping *g, uint32_t layer)
{
    return (struct pv_layer_params){.layer = layer,
                                    .n_layers = g->params.base.shape.n_layers,
                                    .n_clusters = g->params.base.n_clusters,
                                    .d_model = g->params.base.shape.d_model,
                                    .space = g->params.by == PV_GROUP_BITS    ? PV_FIT_SPACE_PATTERN
                                             : g->params.by == PV_GROUP_INPUT ? PV_FIT_SPACE_INPUT
                                                                              : PV_FIT_SPACE_CONTRIBUTION,
                                    .n_iters = g->params.n_iters,
                                    .n_epochs = g->params.n_epochs,
                                    .n_threads = g->params.base.n_threads,
                                    .seed = g->params.base.seed};
}

/* What a layer's work shares. */
static enum pv_status work_begin(struct pv_group_work *w, struct pv_grouping *g,
                                 const struct pv_predict_layer *layer, const struct pv_steps *steps)
{
    size_t n = (size_t)layer->x->offset[layer->x->n_rows];
    const size_t n_test = (size_t)layer->test_x->offset[layer->test_x->n_rows];

    n = n > n_test ? n : n_test;
    *w = (struct pv_group_work){.g = g,
                                .in = layer,
                                .out = &g->layers[layer->layer],
                                .params = layer_params(g, layer->layer),
                                .tokens = {.x = layer->x, .z = layer->z, .split = layer->split},
                                .ones = pv_calloc(n, sizeof(uint16_t)),
                                .steps = steps};
    for (size_t p = 0; p < n && w->ones; p++)
        w->ones[p] = ONE;
    return w->ones ? PV_OK : PV_ERR_NOMEM;
}

static void work_end(struct pv_group_work *w)
{
    free(w->ones);
}

/* Masks of all layers for one budget. */
static enum pv_status choose_lists(struct pv_grouping *g, const struct pv_energy *table, double density)
{
    struct pv_mask_lists *lists = pv_calloc(g->params.base.shape.n_layers, sizeof *lists); /* borrowed */
    enum pv_status status = PV_ERR_NOMEM;

    g->budget = (struct pv_mask_budget){.density = density};
    for (uint32_t l = 0; lists && l < g->params.base.shape.n_layers; l++)
        lists[l] = g->layers[l].lists;
    if (lists)
        status = pv_mask_lists_spend(lists, table, g->params.base.shape.n_layers, g->params.base.n_threads,
                                     &g->budget);
    for (uint32_t l = 0; lists && l < g->params.base.shape.n_layers; l++)
        g->layers[l].lists = lists[l];
    free(lists);
    return status;
}

static enum pv_status with_work(struct pv_grouping *g, const struct pv_predict_layer *layer,
                                const struct pv_steps *steps, enum pv_status (*fn)(struct pv_group_work *w))
{
    struct pv_group_work w;
    enum pv_status status = work_begin(&w, g, layer, steps);

    if (status == PV_OK)
        status = fn(&w);
    work_end(&w);
    return status;
}

enum pv_status pv_grouping_train(struct pv_grouping *g, const struct pv_predict_layer *layer,
                                 const struct pv_steps *steps)
{
    return with_work(g, layer, steps, train_layer);
}

enum pv_status pv_grouping_regroup_begin(struct pv_grouping *g, double density)
{
    return choose_lists(g, g->tables[PV_ROUTE_OWN][regroup_rule(g)], density);
}

enum pv_status pv_grouping_regroup(struct pv_grouping *g, const struct pv_predict_layer *layer,
                                   const struct pv_steps *steps)
{
    return with_work(g, layer, steps, regroup_layer);
}

enum pv_status pv_grouping_route(struct pv_grouping *g, const struct pv_predict_layer *layer,
                                 const struct pv_steps *steps)
{
    return with_work(g, layer, steps, pv_group_train_routers);
}

enum pv_status pv_grouping_refine_begin(struct pv_grouping *g, uint32_t round, double density)
{
    g->round = round;
    return choose_lists(g, g->tables[round == 1 ? PV_ROUTE_LINEAR : PV_ROUTE_REFINED][PV_RULE_ENERGY],
                        density);
}

enum pv_status pv_grouping_refine(struct pv_grouping *g, const struct pv_predict_layer *layer,
                                  const struct pv_steps *steps)
{
    return with_work(g, layer, steps, pv_group_train_refined);
}

/* Tables that some method reads: own clusters by both rules, and each router's as the kinds ask. */
static bool table_wanted(const struct pv_grouping_params *params, int route, int rule)
{
    for (uint32_t i = 0; i < pv_n_cluster_kinds; i++) {
        const struct pv_cluster_kind *kind = &pv_cluster_kinds[i];

        if (kind->by == params->by && (int)kind->rule == rule &&
            (route == PV_ROUTE_OWN || ((int)kind->route == route && params->route[route]) ||
             (route == PV_ROUTE_LINEAR && kind->route == PV_ROUTE_REFINED &&
              params->route[PV_ROUTE_REFINED])))
            return true;
    }
    return false;
}

enum pv_status pv_grouping_create(const struct pv_grouping_params *params, struct pv_grouping **out)
{
    struct pv_grouping *g = pv_calloc(1, sizeof *g);
    bool good = g != NULL;

    if (!good)
        return PV_ERR_NOMEM;
    g->params = *params;
    g->layers = pv_calloc(params->base.shape.n_layers, sizeof *g->layers);
    good = g->layers != NULL;
    for (int route = 0; route < PV_ROUTE_COUNT; route++) {
        for (int rule = 0; rule < PV_RULE_COUNT; rule++) {
            if (!table_wanted(params, route, rule))
                continue;
            g->tables[route][rule] = pv_calloc(params->base.shape.n_layers, sizeof(struct pv_energy));
            good = good && g->tables[route][rule];
        }
    }
    if (!good) {
        pv_grouping_destroy(g);
        return PV_ERR_NOMEM;
    }
    *out = g;
    return PV_OK;
}

void pv_grouping_destroy(struct pv_grouping *g)
{
    const uint32_t n_layers = g ? g->params.base.shape.n_layers : 0;

    if (!g)
        return;
    for (int route = 0; route < PV_ROUTE_COUNT; route++) {
        for (uint32_t l = 0; g->layers && l < n_layers; l++)
            pv_group_router_clear(&g->layers[l].routers[route]);
        for (int rule = 0; rule < PV_RULE_COUNT; rule++) {
            for (uint32_t l = 0; g->tables[route][rule] && l < n_layers; l++)
                pv_energy_free(&g->tables[route][rule][l]);
            free(g->tables[route][rule]);
        }
    }
    for (uint32_t l = 0; g->layers && l < n_layers; l++) {
        pv_layer_free(&g->layers[l].learned);
        free(g->layers[l].own_test);
        pv_mask_lists_free(&g->layers[l].lists);
        free(g->layers[l].pairs);
    }
    free(g->layers);
    free(g);
}

double pv_grouping_accuracy(const struct pv_grouping *g, enum pv_route_by route)
{
    double sum = 0.0;

    for (uint32_t l = 0; l < g->params.base.shape.n_layers; l++)
        sum += g->layers[l].routers[route].weight_t ? g->layers[l].routers[route].accuracy : (double)NAN;
    return sum / g->params.base.shape.n_layers;
}

uint32_t pv_grouping_rank(const struct pv_grouping *g)
{
    uint32_t most = 0;

    for (uint32_t l = 0; l < g->params.base.shape.n_layers; l++) {
        const uint32_t rank = g->layers[l].routers[PV_ROUTE_LOWRANK].trained.down.rank;

        most = rank > most ? rank : most;
    }
    return most;
}
