/* The routers of a grouping: trained to name a token's own cluster, then every token sent where they say and
 * what fires there summed. */
#include "lab/methods/baseline_group.h"

#include <stdlib.h>
#include <string.h>
#include "base/half.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/threads.h"
#include "learn/algo/router/router_centroid.h"
#include "learn/algo/router/router_lowrank.h"

enum { PAIR_ROWS = 1024, ROW_CHUNK = 64 };

struct pv_steps pv_group_stage(struct pv_group_work *w, double part)
{
    w->done += w->part;
    w->part = part;
    return pv_steps_within(w->steps, w->done, part);
}

enum pv_status pv_group_sum(struct pv_group_work *w, enum pv_route_by route, const uint16_t *cluster)
{
    for (int rule = 0; rule < PV_RULE_COUNT; rule++) {
        struct pv_energy *table = w->g->tables[route][rule];
        struct pv_sparse x = *w->in->x;
        const struct pv_rows train = pv_split_train(w->tokens.split, &x);

        if (!table)
            continue;
        table += w->in->layer;
        pv_energy_free(table);
        x.root = rule == PV_RULE_ACTIVE ? w->ones : x.root;
        PV_TRY(pv_energy_init(table, &train, cluster, w->params.n_clusters, w->params.n_threads));
        if (rule == PV_RULE_ENERGY)
            table->scale = (double)w->in->scale;
    }
    return PV_OK;
}

void pv_group_router_clear(struct pv_group_router *r)
{
    pv_router_free(&r->trained);
    free(r->weight_t);
    *r = (struct pv_group_router){0};
}

/* Takes a trained router over, as the methods read it, and sums where it sends every row. */
static enum pv_status keep(struct pv_group_work *w, enum pv_route_by route, struct pv_router *trained)
{
    struct pv_group_router *to = &w->out->routers[route];
    const size_t n_clusters = trained->n_clusters, n_in = trained->n_in;
    uint16_t *routed = pv_calloc(w->in->x->n_rows, sizeof *routed);
    enum pv_status status = PV_ERR_NOMEM;

    pv_group_router_clear(to);
    to->trained = *trained;
    *trained = (struct pv_router){0};
    to->weight_t = pv_calloc(n_in * n_clusters, sizeof *to->weight_t);
    for (size_t k = 0; k < n_clusters && to->weight_t; k++) {
        for (size_t i = 0; i < n_in; i++)
            to->weight_t[i * n_clusters + k] = pv_half_to_float(to->trained.weight[k * n_in + i]);
    }
    if (to->weight_t && routed)
        status = pv_router_apply(&to->trained, w->in->z, NULL, w->in->x->n_rows, w->params.n_threads, routed);
    if (status == PV_OK)
        status = pv_group_sum(w, route, routed);
    free(routed);
    return status;
}

void pv_group_best(const struct pv_group_router *r, const float *z, float *room, uint16_t best[2])
{
    const uint32_t n_clusters = r->trained.n_clusters, n_in = r->trained.n_in;
    const float *in = z;
    float *score = room + n_in;
    uint32_t first = 0, second = n_clusters > 1 ? 1 : 0;

    if (r->trained.down.rank > 0) {
        pv_down_project(&r->trained.down, z, room);
        in = room;
    }
    memcpy(score, r->trained.bias, n_clusters * sizeof *score);
    for (size_t i = 0; i < n_in; i++) {
        for (size_t k = 0; k < n_clusters; k++)
            score[k] += in[i] * r->weight_t[i * n_clusters + k];
    }
    if (score[second] > score[first]) {
        first = second;
        second = 0;
    }
    for (uint32_t k = 2; k < n_clusters; k++) {
        if (score[k] > score[first]) {
            second = first;
            first = k;
        } else if (score[k] > score[second]) {
            second = k;
        }
    }
    best[0] = (uint16_t)first;
    best[1] = (uint16_t)second;
}

struct choosing {
    const struct pv_group_work *w;
    const struct pv_group_router *router;
    const uint16_t *z;
    const uint32_t *rows; /* NULL: row i */
    size_t stride;        /* row i is rows[i * stride] */
    uint16_t *pairs;      /* [n][2] */
};

static void choose_rows(void *user, size_t chunk, size_t begin, size_t end)
{
    const struct choosing *c = user;
    const size_t d = c->w->params.d_model;
    float *room = pv_calloc(d + c->router->trained.n_in + c->router->trained.n_clusters, sizeof *room);

    (void)chunk;
    for (size_t i = begin; room && i < end; i++) {
        const size_t row = c->rows ? c->rows[i * c->stride] : i;

        pv_predict_float_row(c->z + row * d, d, room);
        pv_group_best(c->router, room, room + d, c->pairs + 2 * i);
    }
    free(room);
}

static void choose(const struct choosing *c, size_t n)
{
    struct choosing copy = *c;

    pv_parallel_for(c->w->params.n_threads, n, (n + ROW_CHUNK - 1) / ROW_CHUNK, choose_rows, &copy);
}

/* Accuracy of a router on the test text, if there is such a router. */
static enum pv_status judge_router(struct pv_group_work *w, enum pv_route_by route)
{
    struct pv_group_router *r = &w->out->routers[route];
    size_t n = w->in->test_x->n_rows, right = 0;
    uint16_t *pairs;

    if (!r->weight_t)
        return PV_OK;
    pairs = pv_calloc(2 * n, sizeof *pairs);
    if (!pairs)
        return PV_ERR_NOMEM;
    choose(&(struct choosing){.w = w, .router = r, .z = w->in->test_z, .pairs = pairs}, n);
    for (size_t i = 0; i < n; i++)
        right += pairs[2 * i] == w->out->own_test[i];
    r->accuracy = n > 0 ? (double)right / (double)n : 0.0;
    free(pairs);
    return PV_OK;
}

/* A linear router again: refinement goes on from it and leaves it for the next density. */
static enum pv_status copy_linear(const struct pv_router *from, struct pv_router *to)
{
    PV_TRY(pv_router_create(to, from->n_clusters, from->n_in));
    memcpy(to->weight, from->weight, (size_t)from->n_clusters * from->n_in * sizeof *to->weight);
    memcpy(to->bias, from->bias, from->n_clusters * sizeof *to->bias);
    return PV_OK;
}

enum pv_status pv_group_train_refined(struct pv_group_work *w)
{
    const uint32_t round = w->g->round;
    struct pv_learned layer = {.own = w->out->learned.own};
    enum pv_status status =
        copy_linear(&w->out->routers[round == 1 ? PV_ROUTE_LINEAR : PV_ROUTE_REFINED].trained, &layer.router);

    if (status == PV_OK)
        status = pv_layer_refine(&w->params, &w->tokens, &w->out->lists, round, w->steps, &layer);
    if (status == PV_OK)
        status = keep(w, PV_ROUTE_REFINED, &layer.router);
    pv_router_free(&layer.router);
    return status == PV_OK ? judge_router(w, PV_ROUTE_REFINED) : status;
}

/* Every router, and the linear one's best two on a sample of the training tokens. */
static enum pv_status judge(struct pv_group_work *w)
{
    const struct pv_split *split = w->tokens.split;

    for (int route = PV_ROUTE_LINEAR; route < PV_ROUTE_COUNT; route++)
        PV_TRY(judge_router(w, (enum pv_route_by)route));
    if (!w->out->routers[PV_ROUTE_LINEAR].weight_t)
        return PV_OK;
    w->out->n_pairs = split->n_train < PAIR_ROWS ? split->n_train : PAIR_ROWS;
    w->out->pairs = pv_calloc(2 * w->out->n_pairs, sizeof *w->out->pairs);
    if (!w->out->pairs)
        return PV_ERR_NOMEM;
    choose(&(struct choosing){.w = w,
                              .router = &w->out->routers[PV_ROUTE_LINEAR],
                              .z = w->in->z,
                              .rows = split->train,
                              .stride = split->n_train / w->out->n_pairs,
                              .pairs = w->out->pairs},
           w->out->n_pairs);
    return PV_OK;
}

static enum pv_status train(struct pv_group_work *w, enum pv_route_by route, double part)
{
    const struct pv_router_params params = pv_layer_router_params(&w->params, 0);
    const struct pv_router_data data = pv_layer_router_data(&w->tokens, w->out->learned.own);
    const struct pv_steps steps = pv_group_stage(w, part);
    struct pv_router router = {0};
    enum pv_status status;

    if (route == PV_ROUTE_LOWRANK)
        status = pv_router_train_lowrank(&params, &data, &w->out->routers[PV_ROUTE_LINEAR].trained, &steps,
                                         &router);
    else if (route == PV_ROUTE_CENTROID)
        status = pv_router_centroid(&params, &data, &router);
    else
        status = pv_router_train(&params, &data, &steps, &router);
    if (status == PV_OK)
        status = keep(w, route, &router);
    pv_router_free(&router);
    return status;
}

enum pv_status pv_group_train_routers(struct pv_group_work *w)
{
    const bool *wanted = w->g->params.route;

    if (wanted[PV_ROUTE_LINEAR] || wanted[PV_ROUTE_LOWRANK] || wanted[PV_ROUTE_REFINED])
        PV_TRY(train(w, PV_ROUTE_LINEAR, 0.35));
    if (wanted[PV_ROUTE_LOWRANK])
        PV_TRY(train(w, PV_ROUTE_LOWRANK, 0.24));
    if (wanted[PV_ROUTE_CENTROID])
        PV_TRY(train(w, PV_ROUTE_CENTROID, 0.0));
    return judge(w);
}
