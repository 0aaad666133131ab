/* One layer: cluster the training tokens, give every token its own cluster, train the routers to name it,
 * send every token where the routers say, and sum what fires there. Only the sums, the routers and the test
 * tokens' own clusters are kept. */
#include "learn/baseline_group.h"

#include <stdlib.h>
#include "base/half.h"
#include "base/mem.h"
#include "base/threads.h"
#include "learn/baseline_kmodes.h"
#include "learn/kmeans.h"
#include "learn/router.h"

enum { ONE = 0x3c00, PAIR_ROWS = 1024, ROW_CHUNK = 64 };

/* Work on one layer. */
struct layer_work {
    struct pv_grouping *g;
    const struct pv_predict_layer *in;
    struct pv_group_layer *out;
    uint16_t *own, *routed; /* [n_rows] */
    uint16_t *ones;         /* float16 1 for every entry of x: its energies are frequencies */
    uint32_t n_clusters, d, n_threads;
    const struct pv_steps *steps;
    double done, part; /* share of the layer's work before, and in, the stage under way */
};

static bool pass_share(void *user, const char *stage, double done, double total)
{
    const struct layer_work *w = user;

    (void)stage;
    return pv_steps_report(w->steps, w->done + w->part * done / total);
}

static struct pv_steps stage(struct layer_work *w, double part)
{
    w->done += w->part;
    w->part = part;
    return (struct pv_steps){.sink = {.fn = pass_share, .user = w}, .stage = "", .total = 1.0};
}

static enum pv_status cluster_bits(struct layer_work *w, const struct pv_steps *steps)
{
    struct pv_kmodes_params params = {.n_clusters = w->n_clusters,
                                      .n_iters = w->g->params.n_iters,
                                      .n_threads = w->n_threads,
                                      .seed = w->g->params.base.seed + w->in->layer};
    struct pv_kmodes_result result;
    enum pv_status status = pv_kmodes(w->in->x, w->in->train, w->in->n_train, &params, steps, &result);

    if (status == PV_OK)
        status = pv_kmodes_assign(w->in->x, NULL, w->in->x->n_rows, result.modes, w->n_clusters, w->n_threads,
                                  w->own, NULL);
    if (status == PV_OK)
        status = pv_kmodes_assign(w->in->test_x, NULL, w->in->test_x->n_rows, result.modes, w->n_clusters,
                                  w->n_threads, w->out->own_test, NULL);
    free(result.modes);
    return status;
}

static enum pv_status cluster_means(struct layer_work *w, enum pv_space space, const struct pv_steps *steps)
{
    struct pv_kmeans_params params = {.n_clusters = w->n_clusters,
                                      .n_iters = w->g->params.n_iters,
                                      .n_threads = w->n_threads,
                                      .seed = w->g->params.base.seed + w->in->layer,
                                      .space = space};
    struct pv_kmeans_result result;
    enum pv_status status = pv_kmeans(w->in->x, w->in->train, w->in->n_train, &params, steps, &result);

    if (status == PV_OK)
        status = pv_kmeans_assign(w->in->x, NULL, w->in->x->n_rows, result.centroids, w->n_clusters, space,
                                  w->n_threads, w->own, NULL);
    if (status == PV_OK)
        status = pv_kmeans_assign(w->in->test_x, NULL, w->in->test_x->n_rows, result.centroids, w->n_clusters,
                                  space, w->n_threads, w->out->own_test, NULL);
    free(result.centroids);
    return status;
}

static enum pv_status cluster(struct layer_work *w)
{
    struct pv_steps steps = stage(w, 0.4);

    w->out->own_test = pv_calloc(w->in->test_x->n_rows, sizeof(*w->out->own_test));
    if (w->out->own_test == NULL)
        return PV_ERR_NOMEM;
    if (w->g->params.by == PV_GROUP_KMODES)
        return cluster_bits(w, &steps);
    return cluster_means(w, w->g->params.by == PV_GROUP_BITS ? PV_SPACE_BITS : PV_SPACE_CONTRIBUTION, &steps);
}

/* A trained router as the methods read it. */
static bool keep_router(const struct layer_work *w, const struct pv_router *from, uint32_t width,
                        struct pv_group_router *to)
{
    to->width = width;
    to->weight_t = pv_calloc((size_t)width * w->n_clusters, sizeof(*to->weight_t));
    to->bias = pv_calloc(w->n_clusters, sizeof(*to->bias));
    if (to->weight_t == NULL || to->bias == NULL)
        return false;
    for (size_t k = 0; k < w->n_clusters; k++) {
        to->bias[k] = from->bias[k];
        for (size_t i = 0; i < width; i++)
            to->weight_t[i * w->n_clusters + k] = pv_half_to_float(from->weight[k * width + i]);
    }
    return true;
}

static enum pv_status train_router(struct layer_work *w, const uint16_t *z, uint32_t width,
                                   const struct pv_steps *steps, struct pv_router *router)
{
    struct pv_router_params params = {.n_clusters = w->n_clusters,
                                      .d_model = width,
                                      .n_epochs = w->g->params.n_epochs,
                                      .n_threads = w->n_threads,
                                      .seed = w->g->params.base.seed + w->in->layer};
    struct pv_router_data data = {.z = z,
                                  .label = w->own,
                                  .train = w->in->train,
                                  .n_train = w->in->n_train,
                                  .held_out = w->g->params.held_out,
                                  .n_held_out = w->g->params.n_held_out};
    return pv_router_train(&params, &data, steps, router);
}

/* Where the router sends every row; then its sums. */
static enum pv_status sum_routed(struct layer_work *w, enum pv_route_by route, const struct pv_router *router,
                                 const uint16_t *z, uint32_t width)
{
    const uint16_t *to = route == PV_ROUTE_OWN ? w->own : w->routed;
    enum pv_status status = PV_OK;

    if (route != PV_ROUTE_OWN)
        status =
            pv_router_apply(router, w->n_clusters, width, z, NULL, w->in->x->n_rows, w->n_threads, w->routed);
    for (int rule = 0; rule < PV_RULE_COUNT && status == PV_OK; rule++) {
        struct pv_energy *table = w->g->tables[route][rule];
        struct pv_sparse bits = *w->in->x;

        if (table == NULL)
            continue;
        bits.root = rule == PV_RULE_ACTIVE ? w->ones : bits.root;
        status = pv_energy_init(&table[w->in->layer], &bits, w->in->train, w->in->n_train, to, w->n_clusters,
                                w->n_threads);
        if (status == PV_OK && rule == PV_RULE_ENERGY)
            table[w->in->layer].scale = (double)w->in->scale;
    }
    return status;
}

/* The scores' map [K][d] without what all clusters share, which no argmax sees. */
static float *score_map(const struct layer_work *w, const struct pv_router *linear)
{
    size_t k_all = w->n_clusters, d = w->d;
    float *map = pv_calloc(k_all * d, sizeof(*map));

    for (size_t i = 0; map != NULL && i < d; i++) {
        double mean = 0.0;

        for (size_t k = 0; k < k_all; k++)
            mean += (double)pv_half_to_float(linear->weight[k * d + i]) / (double)k_all;
        for (size_t k = 0; k < k_all; k++)
            map[k * d + i] = pv_half_to_float(linear->weight[k * d + i]) - (float)mean;
    }
    return map;
}

struct projecting {
    const struct layer_work *w;
    const struct pv_lowrank *map;
    uint16_t *h; /* [n_rows][rank] */
};

static void project_rows(void *user, size_t chunk, size_t begin, size_t end)
{
    const struct projecting *p = user;
    size_t d = p->w->d, r = p->map->rank;
    float *room = pv_calloc(d + r, sizeof(*room));

    (void)chunk;
    for (size_t i = begin; room != NULL && i < end; i++) {
        pv_predict_float_row(p->w->in->z + i * d, d, room);
        pv_lowrank_project(p->map, room, room + d);
        for (size_t k = 0; k < r; k++)
            p->h[i * r + k] = pv_float_to_half(room[d + k]);
    }
    free(room);
}

static enum pv_status try_rank(struct layer_work *w, const float *map, const float *moment, uint32_t rank,
                               const struct pv_steps *steps, struct pv_group_router *to, double *accuracy)
{
    size_t n = w->in->x->n_rows;
    struct projecting p = {.w = w, .map = &to->narrow};
    struct pv_router router = {0};
    enum pv_status status = pv_lowrank_find(map, w->n_clusters, w->d, moment, rank,
                                            w->g->params.base.seed + w->in->layer, w->n_threads, &to->narrow);

    if (status != PV_OK)
        return status;
    rank = to->narrow.rank;
    p.h = pv_calloc(n * rank, sizeof(*p.h));
    status = p.h == NULL ? PV_ERR_NOMEM : PV_OK;
    if (status == PV_OK) {
        pv_parallel_for(w->n_threads, n, (n + ROW_CHUNK - 1) / ROW_CHUNK, project_rows, &p);
        status = train_router(w, p.h, rank, steps, &router);
    }
    if (status == PV_OK) {
        *accuracy = router.accuracy;
        to->bytes = 2.0 * rank * ((double)w->d + w->n_clusters) + 4.0 * w->n_clusters;
        status = keep_router(w, &router, rank, to) ? sum_routed(w, PV_ROUTE_LOWRANK, &router, p.h, rank)
                                                   : PV_ERR_NOMEM;
    }
    pv_router_free(&router);
    free(p.h);
    return status;
}

static void router_clear(struct pv_group_router *r)
{
    pv_lowrank_free(&r->narrow);
    free(r->weight_t);
    free(r->bias);
    *r = (struct pv_group_router){0};
}

/* The smallest rank that costs at most a point of held-out accuracy. */
static enum pv_status train_lowrank(struct layer_work *w, const struct pv_router *linear)
{
    struct pv_group_router *to = &w->out->routers[PV_ROUTE_LOWRANK];
    float *moment = pv_lowrank_moment(w->in->z, w->d, w->in->train, w->in->n_train, w->n_threads);
    float *map = score_map(w, linear);
    enum pv_status status = moment != NULL && map != NULL ? PV_OK : PV_ERR_NOMEM;
    double accuracy = -1.0;

    for (uint32_t divisor = 16; divisor >= 4 && status == PV_OK && accuracy < linear->accuracy - 0.01;
         divisor /= 2) {
        struct pv_steps steps = stage(w, 0.08);

        router_clear(to);
        for (int rule = 0; rule < PV_RULE_COUNT; rule++) {
            if (w->g->tables[PV_ROUTE_LOWRANK][rule] != NULL)
                pv_energy_free(&w->g->tables[PV_ROUTE_LOWRANK][rule][w->in->layer]);
        }
        status = try_rank(w, map, moment, w->d / divisor > 0 ? w->d / divisor : 1, &steps, to, &accuracy);
    }
    free(moment);
    free(map);
    return status;
}

/* argmin |z - m_k|^2 as a linear router. */
static enum pv_status train_centroid(struct layer_work *w)
{
    size_t d = w->d, n_clusters = w->n_clusters;
    struct pv_router router = {.weight = pv_calloc(n_clusters * d, sizeof(uint16_t)),
                               .bias = pv_calloc(n_clusters, sizeof(float))};
    double *sum = pv_calloc(n_clusters * d, sizeof(*sum));
    size_t *count = pv_calloc(n_clusters, sizeof(*count));
    enum pv_status status = PV_ERR_NOMEM;

    if (router.weight != NULL && router.bias != NULL && sum != NULL && count != NULL) {
        for (size_t i = 0; i < w->in->n_train; i++) {
            size_t row = w->in->train[i], k = w->own[row];

            count[k]++;
            for (size_t j = 0; j < d; j++)
                sum[k * d + j] += (double)pv_half_to_float(w->in->z[row * d + j]);
        }
        for (size_t k = 0; k < n_clusters; k++) {
            double length = 0.0;

            for (size_t j = 0; j < d && count[k] > 0; j++) {
                router.weight[k * d + j] = pv_float_to_half((float)(sum[k * d + j] / (double)count[k]));
                length += (double)pv_half_to_float(router.weight[k * d + j]) *
                          (double)pv_half_to_float(router.weight[k * d + j]);
            }
            router.bias[k] = count[k] > 0 ? (float)(-0.5 * length) : -1e9f;
        }
        w->out->routers[PV_ROUTE_CENTROID].bytes = 2.0 * (double)(n_clusters * d) + 4.0 * (double)n_clusters;
        status = keep_router(w, &router, w->d, &w->out->routers[PV_ROUTE_CENTROID])
                     ? sum_routed(w, PV_ROUTE_CENTROID, &router, w->in->z, w->d)
                     : PV_ERR_NOMEM;
    }
    pv_router_free(&router);
    free(sum);
    free(count);
    return status;
}

void pv_group_best(const struct pv_group_router *r, uint32_t n_clusters, const float *z, float *room,
                   uint16_t best[2])
{
    const float *in = z;
    float *score = room + r->width;
    uint32_t first = 0, second = n_clusters > 1 ? 1 : 0;

    if (r->narrow.b_t != NULL) {
        pv_lowrank_project(&r->narrow, z, room);
        in = room;
    }
    memcpy(score, r->bias, n_clusters * sizeof(*score));
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
    const struct layer_work *w;
    const struct pv_group_router *router;
    const uint16_t *z;
    const uint32_t *rows; /* NULL: row i */
    size_t stride;        /* row i is rows[i * stride] */
    uint16_t *pairs;      /* [n][2] */
};

static void choose_rows(void *user, size_t chunk, size_t begin, size_t end)
{
    const struct choosing *c = user;
    size_t d = c->w->d;
    float *room = pv_calloc(d + c->router->width + c->w->n_clusters, sizeof(*room));

    (void)chunk;
    for (size_t i = begin; room != NULL && i < end; i++) {
        size_t row = c->rows != NULL ? c->rows[i * c->stride] : i;

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

/* Accuracy of every router on the test text, and the linear one's best two on a sample of the training
 * tokens. */
static enum pv_status judge(struct layer_work *w)
{
    size_t n = w->in->test_x->n_rows;
    uint16_t *pairs = pv_calloc(2 * n, sizeof(*pairs));

    if (pairs == NULL)
        return PV_ERR_NOMEM;
    for (int route = PV_ROUTE_LINEAR; route < PV_ROUTE_COUNT; route++) {
        struct pv_group_router *r = &w->out->routers[route];
        size_t right = 0;

        if (r->weight_t == NULL)
            continue;
        choose(&(struct choosing){.w = w, .router = r, .z = w->in->test_z, .pairs = pairs}, n);
        for (size_t i = 0; i < n; i++)
            right += pairs[2 * i] == w->out->own_test[i];
        r->accuracy = n > 0 ? (double)right / (double)n : 0.0;
    }
    free(pairs);
    if (w->out->routers[PV_ROUTE_LINEAR].weight_t == NULL)
        return PV_OK;
    w->out->n_pairs = w->in->n_train < PAIR_ROWS ? w->in->n_train : PAIR_ROWS;
    w->out->pairs = pv_calloc(2 * w->out->n_pairs, sizeof(*w->out->pairs));
    if (w->out->pairs == NULL)
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

static enum pv_status train_layer(struct layer_work *w)
{
    const bool *wanted = w->g->params.route;
    struct pv_router linear = {0};
    struct pv_steps steps;
    enum pv_status status = cluster(w);

    if (status == PV_OK)
        status = sum_routed(w, PV_ROUTE_OWN, NULL, NULL, 0);
    if (status == PV_OK && (wanted[PV_ROUTE_LINEAR] || wanted[PV_ROUTE_LOWRANK])) {
        steps = stage(w, 0.35);
        status = train_router(w, w->in->z, w->d, &steps, &linear);
        if (status == PV_OK && !keep_router(w, &linear, w->d, &w->out->routers[PV_ROUTE_LINEAR]))
            status = PV_ERR_NOMEM;
        w->out->routers[PV_ROUTE_LINEAR].bytes = (2.0 * w->d + 4.0) * w->n_clusters;
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

enum pv_status pv_grouping_train(struct pv_grouping *g, const struct pv_predict_layer *layer,
                                 const struct pv_steps *steps)
{
    size_t n_rows = layer->x->n_rows, n = (size_t)layer->x->offset[n_rows];
    struct layer_work w = {.g = g,
                           .in = layer,
                           .out = &g->layers[layer->layer],
                           .own = pv_calloc(n_rows, sizeof(uint16_t)),
                           .routed = pv_calloc(n_rows, sizeof(uint16_t)),
                           .ones = pv_calloc(n, sizeof(uint16_t)),
                           .n_clusters = g->params.base.n_clusters,
                           .d = g->params.base.shape.d_model,
                           .n_threads = g->params.base.n_threads,
                           .steps = steps};
    enum pv_status status = PV_ERR_NOMEM;

    if (w.own != NULL && w.routed != NULL && w.ones != NULL) {
        for (size_t p = 0; p < n; p++)
            w.ones[p] = ONE;
        status = train_layer(&w);
    }
    free(w.own);
    free(w.routed);
    free(w.ones);
    return status;
}

/* Tables that some method reads: own clusters by both rules, and each router's as the kinds ask. */
static bool table_wanted(const struct pv_grouping_params *params, int route, int rule)
{
    for (uint32_t i = 0; i < pv_n_cluster_kinds; i++) {
        const struct pv_cluster_kind *kind = &pv_cluster_kinds[i];

        if (kind->by == params->by && (int)kind->rule == rule &&
            (route == PV_ROUTE_OWN || ((int)kind->route == route && params->route[route])))
            return true;
    }
    return false;
}

enum pv_status pv_grouping_create(const struct pv_grouping_params *params, struct pv_grouping **out)
{
    struct pv_grouping *g = pv_calloc(1, sizeof(*g));
    bool good = g != NULL;

    if (!good)
        return PV_ERR_NOMEM;
    g->params = *params;
    g->layers = pv_calloc(params->base.shape.n_layers, sizeof(*g->layers));
    good = g->layers != NULL;
    for (int route = 0; route < PV_ROUTE_COUNT; route++) {
        for (int rule = 0; rule < PV_RULE_COUNT; rule++) {
            if (!table_wanted(params, route, rule))
                continue;
            g->tables[route][rule] = pv_calloc(params->base.shape.n_layers, sizeof(struct pv_energy));
            good = good && g->tables[route][rule] != NULL;
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
    uint32_t n_layers = g != NULL ? g->params.base.shape.n_layers : 0;

    if (g == NULL)
        return;
    for (int route = 0; route < PV_ROUTE_COUNT; route++) {
        for (uint32_t l = 0; g->layers != NULL && l < n_layers; l++)
            router_clear(&g->layers[l].routers[route]);
        for (int rule = 0; rule < PV_RULE_COUNT; rule++) {
            for (uint32_t l = 0; g->tables[route][rule] != NULL && l < n_layers; l++)
                pv_energy_free(&g->tables[route][rule][l]);
            free(g->tables[route][rule]);
        }
    }
    for (uint32_t l = 0; g->layers != NULL && l < n_layers; l++) {
        free(g->layers[l].own_test);
        free(g->layers[l].pairs);
    }
    free(g->layers);
    free(g);
}

double pv_grouping_accuracy(const struct pv_grouping *g, enum pv_route_by route)
{
    double sum = 0.0;

    for (uint32_t l = 0; l < g->params.base.shape.n_layers; l++)
        sum += g->layers[l].routers[route].accuracy;
    return sum / g->params.base.shape.n_layers;
}

uint32_t pv_grouping_rank(const struct pv_grouping *g)
{
    uint32_t most = 0;

    for (uint32_t l = 0; l < g->params.base.shape.n_layers; l++) {
        uint32_t rank = g->layers[l].routers[PV_ROUTE_LOWRANK].narrow.rank;

        most = rank > most ? rank : most;
    }
    return most;
}
