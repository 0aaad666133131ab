/* A long capture is clustered by a sample of it, and the centroids are then taken over the rest in one pass.
 * Tokens that are in neither half of the split are left alone. A low-rank router is trained after a linear
 * one. */
#include "learn/algo/layer.h"

#include <stdlib.h>
#include "base/half.h"
#include "base/log.h"
#include "base/mem.h"
#include "learn/algo/gain.h"
#include "learn/algo/router/router_centroid.h"
#include "learn/algo/router/router_lowrank.h"

enum { ROUND_SEEDS = 1000 /* more than layers */ };
static const double LINEAR_SHARE = 0.4; /* of the training of a low-rank router */

void pv_layer_free(struct pv_learned *layer)
{
    free(layer->centroids);
    free(layer->own);
    free(layer->routed);
    pv_router_free(&layer->router);
    *layer = (struct pv_learned){0};
}

static size_t n_centroid_floats(const struct pv_layer_params *p, const struct pv_layer_tokens *t)
{
    return (size_t)p->n_clusters * t->x->n_cols;
}

static uint64_t layer_seed(const struct pv_layer_params *p)
{
    return p->seed + p->layer;
}

static enum pv_space kmeans_space(const struct pv_layer_params *p)
{
    return p->space == PV_FIT_SPACE_PATTERN ? PV_SPACE_BITS : PV_SPACE_CONTRIBUTION;
}

static struct pv_kmeans_params kmeans_params(const struct pv_layer_params *p, enum pv_space space)
{
    return (struct pv_kmeans_params){.n_clusters = p->n_clusters,
                                     .n_iters = p->n_iters,
                                     .n_threads = p->n_threads,
                                     .seed = layer_seed(p),
                                     .space = space,
                                     .device = p->clusters_on};
}

/* The split's rows, training first, and what is said of each. */
struct listed {
    uint32_t *rows;
    uint16_t *choice;
    size_t n;
};

static enum pv_status listed_open(struct listed *l, const struct pv_split *s)
{
    *l = (struct listed){.n = s->n_train + s->n_held_out};
    l->rows = pv_calloc(l->n, sizeof *l->rows);
    l->choice = pv_calloc(l->n, sizeof *l->choice);
    if (!l->rows || !l->choice)
        return PV_ERR_NOMEM;
    memcpy(l->rows, s->train, s->n_train * sizeof *l->rows);
    if (s->n_held_out > 0)
        memcpy(l->rows + s->n_train, s->held_out, s->n_held_out * sizeof *l->rows);
    return PV_OK;
}

/* Puts what was said where it belongs, if all went well, and closes. */
static enum pv_status listed_close(struct listed *l, enum pv_status status, uint16_t *to)
{
    for (size_t i = 0; i < l->n && status == PV_OK; i++)
        to[l->rows[i]] = l->choice[i];
    free(l->rows);
    free(l->choice);
    return status;
}

/* Evenly spread training rows, or all of them. */
static enum pv_status take_sample(const struct pv_layer_params *p, const struct pv_layer_tokens *t,
                                  uint32_t **index, struct pv_rows *out)
{
    const struct pv_split *s = t->split;
    const size_t most = p->n_sample > 0 ? (size_t)p->n_clusters * p->n_sample : s->n_train;
    const size_t n = s->n_train < most ? s->n_train : most;

    *index = pv_calloc(n, sizeof **index);
    if (!*index)
        return PV_ERR_NOMEM;
    for (size_t i = 0; i < n; i++)
        (*index)[i] = s->train[i * s->n_train / n];
    *out = (struct pv_rows){.x = t->x, .index = *index, .n = n};
    return PV_OK;
}

/* k-means with every restart, the one of highest similarity kept; `share` of the progress. */
static enum pv_status restart(const struct pv_layer_params *p, const struct pv_rows *sample,
                              const struct pv_steps *steps, double share, struct pv_kmeans_result *best)
{
    struct pv_kmeans_params params = kmeans_params(p, kmeans_space(p));
    const uint32_t n = p->n_restarts > 0 ? p->n_restarts : 1;

    for (uint32_t i = 0; i < n; i++, params.seed += p->n_layers) {
        struct pv_steps part = pv_steps_within(steps, share * i / n, share / n);
        struct pv_kmeans_result result;

        PV_TRY(pv_kmeans(sample, &params, &part, &result));
        if (!best->centroids || result.similarity > best->similarity) {
            free(best->centroids);
            *best = result;
        } else {
            free(result.centroids);
        }
    }
    return PV_OK;
}

/* Every token's own cluster, and how near the training tokens are to theirs. */
static enum pv_status name_tokens(const struct pv_layer_params *p, const struct pv_layer_tokens *t,
                                  struct pv_learned *layer)
{
    const struct pv_kmeans_params params = kmeans_params(p, kmeans_space(p));
    const size_t n_train = t->split->n_train;
    struct listed listed;
    enum pv_status status = listed_open(&listed, t->split);
    float *score = pv_calloc(listed.n, sizeof *score);
    const struct pv_rows rows = {.x = t->x, .index = listed.rows, .n = listed.n};

    if (status == PV_OK)
        status =
            score ? pv_kmeans_assign(&rows, layer->centroids, &params, listed.choice, score) : PV_ERR_NOMEM;
    for (size_t i = 0; i < n_train && status == PV_OK; i++)
        layer->clustering.similarity += (double)score[i] / (double)n_train;
    free(score);
    return listed_close(&listed, status, layer->own);
}

/* k-means of a sample, then a pass over the training rows that are not in it. */
static enum pv_status cluster_patterns(const struct pv_layer_params *p, const struct pv_layer_tokens *t,
                                       const struct pv_rows *sample, const struct pv_steps *steps,
                                       struct pv_learned *layer)
{
    const struct pv_kmeans_params params = kmeans_params(p, kmeans_space(p));
    const struct pv_rows train = pv_split_train(t->split, t->x);
    const bool passes = sample->n < train.n;
    const double work = (double)sample->n * (1.0 + p->n_iters) * (p->n_restarts > 0 ? p->n_restarts : 1);
    const double share = work / (work + (passes ? (double)train.n : 0.0)); /* of rows assigned */
    const struct pv_steps rest = pv_steps_within(steps, share, 1.0 - share);
    struct pv_kmeans_result best = {0};
    const enum pv_status status = restart(p, sample, steps, share, &best);

    layer->centroids = best.centroids;
    PV_TRY(status);
    layer->clustering = (struct pv_layer_clustering){.n_iters = best.n_iters,
                                                     .n_empty = best.n_empty,
                                                     .n_sample = sample->n,
                                                     .sample_similarity = best.similarity};
    if (passes)
        PV_TRY(pv_kmeans_pass(sample, &train, &params, &rest, layer->centroids));
    for (size_t i = 0; i < n_centroid_floats(p, t) && p->half_centroids; i++)
        layer->centroids[i] = pv_half_to_float(pv_float_to_half(layer->centroids[i]));
    return name_tokens(p, t, layer);
}

static enum pv_status cluster_inputs(const struct pv_layer_params *p, const struct pv_layer_tokens *t,
                                     const struct pv_rows *sample, const struct pv_steps *steps,
                                     uint16_t *own)
{
    const struct pv_input_params params = {.n_clusters = p->n_clusters,
                                           .d_model = p->d_model,
                                           .n_iters = p->n_iters,
                                           .n_threads = p->n_threads,
                                           .seed = layer_seed(p)};
    const struct pv_router_data data = {
        .z = t->z, .n_rows = t->x->n_rows, .train = sample->index, .n_train = sample->n};

    return pv_input_cluster(&params, &data, steps, own);
}

enum pv_status pv_layer_cluster(const struct pv_layer_params *p, const struct pv_layer_tokens *t,
                                const struct pv_steps *steps, struct pv_learned *layer)
{
    uint32_t *index = NULL;
    struct pv_rows sample;
    enum pv_status status = take_sample(p, t, &index, &sample);

    if (!layer->own)
        layer->own = pv_calloc(t->x->n_rows, sizeof *layer->own);
    if (!layer->own)
        status = PV_ERR_NOMEM;
    if (status == PV_OK && p->clusterer)
        status = p->clusterer->run(p, t, &sample, steps, layer->own);
    else if (status == PV_OK && p->space == PV_FIT_SPACE_INPUT)
        status = cluster_inputs(p, t, &sample, steps, layer->own);
    else if (status == PV_OK)
        status = cluster_patterns(p, t, &sample, steps, layer);
    free(index);
    return status;
}

enum pv_status pv_layer_average(const struct pv_layer_params *p, const struct pv_layer_tokens *t,
                                struct pv_learned *layer)
{
    const struct pv_kmeans_params params = kmeans_params(p, PV_SPACE_CONTRIBUTION);
    const struct pv_rows train = pv_split_train(t->split, t->x);

    if (!layer->centroids)
        layer->centroids = pv_calloc(n_centroid_floats(p, t), sizeof *layer->centroids);
    if (!layer->centroids)
        return PV_ERR_NOMEM;
    return pv_kmeans_average(&train, layer->own, &params, layer->centroids);
}

struct pv_router_params pv_layer_router_params(const struct pv_layer_params *p, uint32_t round)
{
    struct pv_router_params params = {.n_clusters = p->n_clusters,
                                      .d_model = p->d_model,
                                      .n_epochs = p->n_epochs,
                                      .n_threads = p->n_threads,
                                      .seed = layer_seed(p) + (uint64_t)round * ROUND_SEEDS,
                                      .device = p->router_on};

    if (round > 0)
        pv_router_refinement(&params);
    return params;
}

struct pv_router_data pv_layer_router_data(const struct pv_layer_tokens *t, const uint16_t *own)
{
    return (struct pv_router_data){.z = t->z,
                                   .n_rows = t->x->n_rows,
                                   .label = own,
                                   .train = t->split->train,
                                   .n_train = t->split->n_train,
                                   .held_out = t->split->held_out,
                                   .n_held_out = t->split->n_held_out};
}

static enum pv_status train_lowrank(const struct pv_router_params *params, const struct pv_router_data *data,
                                    const struct pv_steps *steps, struct pv_learned *layer)
{
    const struct pv_steps first = pv_steps_within(steps, 0.0, LINEAR_SHARE);
    const struct pv_steps rest = pv_steps_within(steps, LINEAR_SHARE, 1.0 - LINEAR_SHARE);
    struct pv_router linear;
    enum pv_status status;

    PV_TRY(pv_router_train(params, data, &first, &linear));
    layer->linear_accuracy = linear.accuracy;
    status = pv_router_train_lowrank(params, data, &linear, &rest, &layer->router);
    pv_router_free(&linear);
    return status;
}

enum pv_status pv_layer_train(const struct pv_layer_params *p, const struct pv_layer_tokens *t,
                              const struct pv_steps *steps, struct pv_learned *layer)
{
    const struct pv_router_params params = pv_layer_router_params(p, 0);
    const struct pv_router_data data = pv_layer_router_data(t, layer->own);

    pv_router_free(&layer->router);
    switch (p->router) {
    case PV_FIT_ROUTER_CENTROID:
        return pv_router_centroid(&params, &data, &layer->router);
    case PV_FIT_ROUTER_LOWRANK:
        return train_lowrank(&params, &data, steps, layer);
    case PV_FIT_ROUTER_LINEAR:
        break;
    }
    return pv_router_train(&params, &data, steps, &layer->router);
}

enum pv_status pv_layer_refine(const struct pv_layer_params *p, const struct pv_layer_tokens *t,
                               const struct pv_mask_lists *lists, uint32_t round,
                               const struct pv_steps *steps, struct pv_learned *layer)
{
    const struct pv_router_params params = pv_layer_router_params(p, round);
    const struct pv_rows train = pv_split_train(t->split, t->x);
    struct pv_router_data data = pv_layer_router_data(t, layer->own);
    struct pv_router next = {0};
    struct pv_gain gain = {0};
    enum pv_status status = pv_gain_init(&gain, &train, lists);

    data.gain = &gain;
    data.start = &layer->router;
    if (status == PV_OK)
        status = pv_router_train(&params, &data, steps, &next);
    pv_gain_free(&gain);
    PV_TRY(status);
    next.down = layer->router.down; /* the same in all rounds */
    layer->router.down = (struct pv_down_projection){0};
    pv_router_free(&layer->router);
    layer->router = next;
    return PV_OK;
}

enum pv_status pv_layer_route(const struct pv_layer_params *p, const struct pv_layer_tokens *t,
                              struct pv_learned *layer)
{
    struct listed listed;
    enum pv_status status = listed_open(&listed, t->split);

    if (!layer->routed)
        layer->routed = pv_calloc(t->x->n_rows, sizeof *layer->routed);
    if (!layer->routed)
        status = PV_ERR_NOMEM;
    if (status == PV_OK)
        status = pv_router_apply(&layer->router, t->z, listed.rows, listed.n, p->n_threads, listed.choice);
    return listed_close(&listed, status, layer->routed);
}
