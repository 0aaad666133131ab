/* The routers of a grouping: trained to name a token's own cluster, then every token sent where they say and
 * what fires there summed. */
#include "lab/methods/baseline_group.h"

#include <stdlib.h>
#include <string.h>
#include "base/half.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/threads.h"
#include "learn/algo/gain.h"
#include "learn/algo/router/router_centroid.h"

enum { PAIR_ROWS = 1024, ROW_CHUNK = 64, ROUND_SEEDS = 1000 };

/* A trained router as the methods read it. */
static bool keep_router(const struct pv_group_work *w, const struct pv_router *from, uint32_t width,
                        struct pv_group_router *to)
{
    to->width = width;
    to->weight_t = pv_calloc((size_t)width * w->n_clusters, sizeof *to->weight_t);
    to->bias = pv_calloc(w->n_clusters, sizeof *to->bias);
    if (!to->weight_t || !to->bias)
        return false;
    for (size_t k = 0; k < w->n_clusters; k++) {
        to->bias[k] = from->bias[k];
        for (size_t i = 0; i < width; i++)
            to->weight_t[i * w->n_clusters + k] = pv_half_to_float(from->weight[k * width + i]);
    }
    return true;
}

static struct pv_router_params router_params(const struct pv_group_work *w, uint32_t width)
{
    return (struct pv_router_params){.n_clusters = w->n_clusters,
                                     .d_model = width,
                                     .n_epochs = w->g->params.n_epochs,
                                     .n_threads = w->n_threads,
                                     .seed = w->g->params.base.seed + w->in->layer};
}

static struct pv_router_data router_data(const struct pv_group_work *w, const uint16_t *z)
{
    return (struct pv_router_data){.z = z,
                                   .label = w->own,
                                   .train = w->in->train,
                                   .n_train = w->in->n_train,
                                   .held_out = w->g->params.held_out,
                                   .n_held_out = w->g->params.n_held_out};
}

static enum pv_status train_router(const struct pv_group_work *w, const struct pv_steps *steps,
                                   struct pv_router *router)
{
    struct pv_router_params params = router_params(w, w->d);
    struct pv_router_data data = router_data(w, w->in->z);

    return pv_router_train(&params, &data, steps, router);
}

static double linear_bytes(const struct pv_group_work *w)
{
    return (2.0 * w->d + 4.0) * w->n_clusters;
}

/* Where the router sends every row; then its sums. */
static enum pv_status sum_routed(struct pv_group_work *w, enum pv_route_by route,
                                 const struct pv_router *router, const uint16_t *z, uint32_t width)
{
    const uint16_t *to = route == PV_ROUTE_OWN ? w->own : w->routed;
    enum pv_status status = PV_OK;

    if (route != PV_ROUTE_OWN)
        status =
            pv_router_apply(router, w->n_clusters, width, z, NULL, w->in->x->n_rows, w->n_threads, w->routed);
    for (int rule = 0; rule < PV_RULE_COUNT && status == PV_OK; rule++) {
        struct pv_energy *table = w->g->tables[route][rule];
        struct pv_sparse bits = *w->in->x;

        if (!table)
            continue;
        pv_energy_free(&table[w->in->layer]);
        bits.root = rule == PV_RULE_ACTIVE ? w->ones : bits.root;
        status = pv_energy_init(&table[w->in->layer], &bits, w->in->train, w->in->n_train, to, w->n_clusters,
                                w->n_threads);
        if (status == PV_OK && rule == PV_RULE_ENERGY)
            table[w->in->layer].scale = (double)w->in->scale;
    }
    return status;
}

enum pv_status pv_group_sum_own(struct pv_group_work *w)
{
    return sum_routed(w, PV_ROUTE_OWN, NULL, NULL, 0);
}

void pv_group_router_clear(struct pv_group_router *r)
{
    pv_narrow_free(&r->narrow);
    free(r->weight_t);
    free(r->bias);
    *r = (struct pv_group_router){0};
}

static enum pv_status train_lowrank(struct pv_group_work *w, const struct pv_router *linear)
{
    struct pv_group_router *to = &w->out->routers[PV_ROUTE_LOWRANK];
    struct pv_router_params params = router_params(w, w->d);
    struct pv_router_data data = router_data(w, w->in->z);
    const struct pv_steps steps = pv_group_stage(w, 0.24);
    struct pv_lowrank_router low;
    enum pv_status status = pv_router_train_lowrank(&params, &data, w->in->x->n_rows, linear, &steps, &low);
    const uint32_t rank = low.narrow.rank;

    if (status != PV_OK)
        return status;
    to->bytes = 2.0 * rank * ((double)w->d + w->n_clusters) + 4.0 * w->n_clusters;
    status = keep_router(w, &low.router, rank, to) ? sum_routed(w, PV_ROUTE_LOWRANK, &low.router, low.h, rank)
                                                   : PV_ERR_NOMEM;
    to->narrow = low.narrow;
    low.narrow = (struct pv_narrow){0};
    pv_lowrank_router_free(&low);
    return status;
}

static enum pv_status train_centroid(struct pv_group_work *w)
{
    struct pv_group_router *to = &w->out->routers[PV_ROUTE_CENTROID];
    struct pv_router router;
    enum pv_status status =
        pv_router_centroid(w->in->z, w->d, w->in->train, w->in->n_train, w->own, w->n_clusters, &router);

    if (status != PV_OK)
        return status;
    to->bytes = linear_bytes(w);
    status = keep_router(w, &router, w->d, to) ? sum_routed(w, PV_ROUTE_CENTROID, &router, w->in->z, w->d)
                                               : PV_ERR_NOMEM;
    pv_router_free(&router);
    return status;
}

/* A router as it was trained, out of what the methods read. */
static bool restore_router(const struct pv_group_work *w, const struct pv_group_router *from,
                           struct pv_router *to)
{
    const size_t n_clusters = w->n_clusters;

    *to = (struct pv_router){.weight = pv_calloc(n_clusters * w->d, sizeof *to->weight),
                             .bias = pv_calloc(n_clusters, sizeof *to->bias)};
    if (!to->weight || !to->bias)
        return false;
    memcpy(to->bias, from->bias, n_clusters * sizeof *to->bias);
    for (size_t k = 0; k < n_clusters; k++) {
        for (size_t i = 0; i < w->d; i++)
            to->weight[k * w->d + i] = pv_float_to_half(from->weight_t[i * n_clusters + k]);
    }
    return true;
}

void pv_group_best(const struct pv_group_router *r, uint32_t n_clusters, const float *z, float *room,
                   uint16_t best[2])
{
    const float *in = z;
    float *score = room + r->width;
    uint32_t first = 0, second = n_clusters > 1 ? 1 : 0;

    if (r->narrow.rank > 0) {
        pv_narrow_project(&r->narrow, z, room);
        in = room;
    }
    memcpy(score, r->bias, n_clusters * sizeof *score);
    for (size_t i = 0; i < r->width; i++) {
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
    const size_t d = c->w->d;
    float *room = pv_calloc(d + c->router->width + c->w->n_clusters, sizeof *room);

    (void)chunk;
    for (size_t i = begin; room && i < end; i++) {
        const size_t row = c->rows ? c->rows[i * c->stride] : i;

        pv_predict_float_row(c->z + row * d, d, room);
        pv_group_best(c->router, c->w->n_clusters, room, room + d, c->pairs + 2 * i);
    }
    free(room);
}

static void choose(const struct choosing *c, size_t n)
{
    struct choosing copy = *c;

    pv_parallel_for(c->w->n_threads, n, (n + ROW_CHUNK - 1) / ROW_CHUNK, choose_rows, &copy);
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

enum pv_status pv_group_train_refined(struct pv_group_work *w)
{
    struct pv_group_router *to = &w->out->routers[PV_ROUTE_REFINED];
    struct pv_router_params params = router_params(w, w->d);
    struct pv_router_data data = router_data(w, w->in->z);
    struct pv_router start = {0}, refined = {0};
    struct pv_gain gain = {0};
    enum pv_status status = PV_ERR_NOMEM;

    params.seed += (uint64_t)w->g->round * ROUND_SEEDS;
    pv_router_refinement(&params);
    data.gain = &gain;
    data.start = &start;
    if (restore_router(w, w->g->round == 1 ? &w->out->routers[PV_ROUTE_LINEAR] : to, &start))
        status = pv_gain_init(&gain, w->in->x, &w->out->lists, w->in->train, w->in->n_train);
    if (status == PV_OK)
        status = pv_router_train(&params, &data, w->steps, &refined);
    if (status == PV_OK) {
        pv_group_router_clear(to);
        to->bytes = linear_bytes(w);
        status = keep_router(w, &refined, w->d, to)
                     ? sum_routed(w, PV_ROUTE_REFINED, &refined, w->in->z, w->d)
                     : PV_ERR_NOMEM;
    }
    pv_gain_free(&gain);
    pv_router_free(&start);
    pv_router_free(&refined);
    return status == PV_OK ? judge_router(w, PV_ROUTE_REFINED) : status;
}

/* Every router, and the linear one's best two on a sample of the training tokens. */
static enum pv_status judge(struct pv_group_work *w)
{
    for (int route = PV_ROUTE_LINEAR; route < PV_ROUTE_COUNT; route++)
        PV_TRY(judge_router(w, (enum pv_route_by)route));
    if (!w->out->routers[PV_ROUTE_LINEAR].weight_t)
        return PV_OK;
    w->out->n_pairs = w->in->n_train < PAIR_ROWS ? w->in->n_train : PAIR_ROWS;
    w->out->pairs = pv_calloc(2 * w->out->n_pairs, sizeof *w->out->pairs);
    if (!w->out->pairs)
        return PV_ERR_NOMEM;
    choose(&(struct choosing){.w = w,
                              .router = &w->out->routers[PV_ROUTE_LINEAR],
                              .z = w->in->z,
                              .rows = w->in->train,
                              .stride = w->in->n_train / w->out->n_pairs,
                              .pairs = w->out->pairs},
           w->out->n_pairs);
    return PV_OK;
}

enum pv_status pv_group_train_routers(struct pv_group_work *w)
{
    const bool *wanted = w->g->params.route;
    struct pv_router linear = {0};
    struct pv_steps steps;
    enum pv_status status = PV_OK;

    if (wanted[PV_ROUTE_LINEAR] || wanted[PV_ROUTE_LOWRANK] || wanted[PV_ROUTE_REFINED]) {
        steps = pv_group_stage(w, 0.35);
        status = train_router(w, &steps, &linear);
        if (status == PV_OK && !keep_router(w, &linear, w->d, &w->out->routers[PV_ROUTE_LINEAR]))
            status = PV_ERR_NOMEM;
        w->out->routers[PV_ROUTE_LINEAR].bytes = linear_bytes(w);
        if (status == PV_OK)
            status = sum_routed(w, PV_ROUTE_LINEAR, &linear, w->in->z, w->d);
    }
    if (status == PV_OK && wanted[PV_ROUTE_LOWRANK])
        status = train_lowrank(w, &linear);
    if (status == PV_OK && wanted[PV_ROUTE_CENTROID])
        status = train_centroid(w);
    pv_router_free(&linear);
    return status == PV_OK ? judge(w) : status;
}
