/* A rank costs a training of its own, so the smallest come first and the first that is good enough ends the
 * search. The scores' map is taken without what all clusters share, which no argmax sees. */
#include "learn/algo/router/router_lowrank.h"

#include <math.h>
#include <stdlib.h>
#include "base/half.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/threads.h"
#include "learn/algo/router/lowrank_map.h"

enum { FIRST_DIVISOR = 16, LAST_DIVISOR = 4, N_TRIES = 3, ROW_CHUNK = 64, MAX_CHUNKS = 256 };
static const double MOST_LOST = 0.01; /* of held-out accuracy */

enum pv_status pv_narrow_create(struct pv_narrow *narrow, uint32_t rank, uint32_t d_model)
{
    *narrow = (struct pv_narrow){.rank = rank,
                                 .d_model = d_model,
                                 .weight = pv_calloc((size_t)rank * d_model, sizeof *narrow->weight),
                                 .weight_t = pv_calloc((size_t)rank * d_model, sizeof *narrow->weight_t)};
    if (narrow->weight && narrow->weight_t)
        return PV_OK;
    pv_narrow_free(narrow);
    return PV_ERR_NOMEM;
}

void pv_narrow_transpose(struct pv_narrow *narrow)
{
    const size_t rank = narrow->rank, d = narrow->d_model;

    for (size_t k = 0; k < rank; k++) {
        for (size_t i = 0; i < d; i++)
            narrow->weight_t[i * rank + k] = pv_half_to_float(narrow->weight[k * d + i]);
    }
}

void pv_narrow_free(struct pv_narrow *narrow)
{
    free(narrow->weight);
    free(narrow->weight_t);
    *narrow = (struct pv_narrow){0};
}

void pv_narrow_project(const struct pv_narrow *narrow, const float *z, float *h)
{
    const struct pv_lowrank map = {.n_cols = narrow->d_model, .rank = narrow->rank, .b_t = narrow->weight_t};

    pv_lowrank_project(&map, z, h);
}

struct projecting {
    const struct pv_narrow *narrow;
    const uint16_t *z;
    uint16_t *h;
    float *room; /* [n_chunks][d + rank] */
};

static void project_rows(void *user, size_t chunk, size_t begin, size_t end)
{
    const struct projecting *p = user;
    const size_t d = p->narrow->d_model, rank = p->narrow->rank;
    float *z = p->room + chunk * (d + rank), *h = z + d;

    for (size_t i = begin; i < end; i++) {
        for (size_t k = 0; k < d; k++)
            z[k] = pv_half_to_float(p->z[i * d + k]);
        pv_narrow_project(p->narrow, z, h);
        for (size_t k = 0; k < rank; k++)
            p->h[i * rank + k] = pv_float_to_half(fminf(fmaxf(h[k], -65504.0f), 65504.0f));
    }
}

enum pv_status pv_narrow_rows(const struct pv_narrow *narrow, const uint16_t *z, size_t n_rows,
                              uint32_t n_threads, uint16_t **h)
{
    size_t n_chunks = (n_rows + ROW_CHUNK - 1) / ROW_CHUNK;
    struct projecting p = {.narrow = narrow, .z = z};

    n_chunks = n_chunks < MAX_CHUNKS ? n_chunks : MAX_CHUNKS;
    p.h = pv_calloc(n_rows * narrow->rank, sizeof *p.h);
    p.room = pv_calloc(n_chunks * ((size_t)narrow->d_model + narrow->rank), sizeof *p.room);
    if (!p.h || !p.room) {
        free(p.h);
        free(p.room);
        return PV_ERR_NOMEM;
    }
    pv_parallel_for(n_threads, n_rows, n_chunks, project_rows, &p);
    free(p.room);
    *h = p.h;
    return PV_OK;
}

/* [K][d] */
static float *score_map(const struct pv_router *linear, size_t n_clusters, size_t d)
{
    float *map = pv_calloc(n_clusters * d, sizeof *map);

    for (size_t i = 0; map && i < d; i++) {
        double mean = 0.0;

        for (size_t k = 0; k < n_clusters; k++)
            mean += (double)pv_half_to_float(linear->weight[k * d + i]) / (double)n_clusters;
        for (size_t k = 0; k < n_clusters; k++)
            map[k * d + i] = pv_half_to_float(linear->weight[k * d + i]) - (float)mean;
    }
    return map;
}

/* Rows of unit length, so that neither they nor B z leave the range of float16; W undoes it. */
static void scale_rows(const struct pv_lowrank *map, struct pv_narrow *narrow)
{
    const size_t rank = narrow->rank, d = narrow->d_model;

    for (size_t k = 0; k < rank; k++) {
        double length = 0.0;

        for (size_t i = 0; i < d; i++)
            length += (double)map->b_t[i * rank + k] * (double)map->b_t[i * rank + k];
        length = length > 0.0 ? 1.0 / sqrt(length) : 0.0;
        for (size_t i = 0; i < d; i++)
            narrow->weight[k * d + i] = pv_float_to_half((float)(length * (double)map->b_t[i * rank + k]));
    }
    pv_narrow_transpose(narrow);
}

static enum pv_status find_narrow(const struct pv_router_params *params, const float *scores,
                                  const float *moment, uint32_t rank, struct pv_narrow *out)
{
    struct pv_lowrank map;
    enum pv_status status = pv_lowrank_find(scores, params->n_clusters, params->d_model, moment, rank,
                                            params->seed, params->n_threads, &map);

    if (status != PV_OK)
        return status;
    status = pv_narrow_create(out, map.rank, params->d_model);
    if (status == PV_OK)
        scale_rows(&map, out);
    pv_lowrank_free(&map);
    return status;
}

static enum pv_status try_rank(const struct pv_router_params *params, const struct pv_router_data *data,
                               size_t n_rows, const struct pv_steps *steps, struct pv_lowrank_router *out)
{
    struct pv_router_params narrow_params = *params;
    struct pv_router_data narrow_data = *data;

    PV_TRY(pv_narrow_rows(&out->narrow, data->z, n_rows, params->n_threads, &out->h));
    narrow_params.d_model = out->narrow.rank;
    narrow_data.z = out->h;
    return pv_router_train(&narrow_params, &narrow_data, steps, &out->router);
}

static enum pv_status try_ranks(const struct pv_router_params *params, const struct pv_router_data *data,
                                size_t n_rows, const struct pv_router *linear, const float *scores,
                                const float *moment, const struct pv_steps *steps,
                                struct pv_lowrank_router *out)
{
    double done = 0.0;

    for (uint32_t divisor = FIRST_DIVISOR; divisor >= LAST_DIVISOR; divisor /= 2) {
        const struct pv_steps part = pv_steps_within(steps, done, 1.0 / N_TRIES);
        uint32_t rank = params->d_model / divisor > 0 ? params->d_model / divisor : 1;

        rank = rank < params->n_clusters ? rank : params->n_clusters;
        if (rank == out->narrow.rank)
            break; /* no greater one left */
        pv_lowrank_router_free(out);
        PV_TRY(find_narrow(params, scores, moment, rank, &out->narrow));
        PV_TRY(try_rank(params, data, n_rows, &part, out));
        if (out->router.accuracy >= linear->accuracy - MOST_LOST)
            break;
        done += 1.0 / N_TRIES;
    }
    return PV_OK;
}

enum pv_status pv_router_train_lowrank(const struct pv_router_params *params,
                                       const struct pv_router_data *data, size_t n_rows,
                                       const struct pv_router *linear, const struct pv_steps *steps,
                                       struct pv_lowrank_router *out)
{
    float *moment =
        pv_lowrank_moment(data->z, params->d_model, data->train, data->n_train, params->n_threads);
    float *scores = score_map(linear, params->n_clusters, params->d_model);
    enum pv_status status = PV_ERR_NOMEM;

    *out = (struct pv_lowrank_router){0};
    if (moment && scores)
        status = try_ranks(params, data, n_rows, linear, scores, moment, steps, out);
    free(moment);
    free(scores);
    if (status != PV_OK)
        pv_lowrank_router_free(out);
    return status;
}

void pv_lowrank_router_free(struct pv_lowrank_router *router)
{
    pv_narrow_free(&router->narrow);
    pv_router_free(&router->router);
    free(router->h);
    *router = (struct pv_lowrank_router){0};
}
