/* A rank costs a training of its own, so the smallest come first and the first that is good enough ends the
 * search. The scores' map is taken without what all clusters share, which no argmax sees. */
#include "learn/algo/router/router_lowrank.h"

#include <math.h>
#include <stdlib.h>
#include "base/half.h"
#include "base/log.h"
#include "base/mem.h"
#include "learn/algo/router/lowrank_map.h"

enum { FIRST_DIVISOR = 16, LAST_DIVISOR = 4, N_TRIES = 3 };
static const double MOST_LOST = 0.01; /* of held-out accuracy */

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
static void scale_rows(const struct pv_lowrank *map, struct pv_down_projection *down)
{
    const size_t rank = down->rank, d = down->d_model;

    for (size_t k = 0; k < rank; k++) {
        double length = 0.0;

        for (size_t i = 0; i < d; i++)
            length += (double)map->b_t[i * rank + k] * (double)map->b_t[i * rank + k];
        length = length > 0.0 ? 1.0 / sqrt(length) : 0.0;
        for (size_t i = 0; i < d; i++)
            down->weight[k * d + i] = pv_float_to_half((float)(length * (double)map->b_t[i * rank + k]));
    }
    pv_down_transpose(down);
}

static enum pv_status find_down(const struct pv_lowrank_params *search, struct pv_down_projection *out)
{
    struct pv_lowrank map;
    enum pv_status status;

    PV_TRY(pv_lowrank_find(search, &map));
    status = pv_down_create(out, map.rank, search->n_cols);
    if (status == PV_OK)
        scale_rows(&map, out);
    pv_lowrank_free(&map);
    return status;
}

/* A router for B z; `out` takes B over. */
static enum pv_status train_on(const struct pv_router_params *params, const struct pv_router_data *data,
                               struct pv_down_projection *down, const struct pv_steps *steps,
                               struct pv_router *out)
{
    struct pv_router_params inner = *params;
    struct pv_router_data rows = *data;
    uint16_t *h = NULL;
    enum pv_status status = pv_down_rows(down, data->z, NULL, data->n_rows, params->n_threads, &h);

    inner.d_model = down->rank;
    rows.z = h;
    if (status == PV_OK)
        status = pv_router_train(&inner, &rows, steps, out);
    free(h);
    if (status == PV_OK) {
        out->down = *down;
        *down = (struct pv_down_projection){0};
    }
    return status;
}

static enum pv_status try_ranks(const struct pv_router_params *params, const struct pv_router_data *data,
                                struct pv_lowrank_params *search, double wanted, const struct pv_steps *steps,
                                struct pv_router *out)
{
    double done = 0.0;

    for (uint32_t divisor = FIRST_DIVISOR; divisor >= LAST_DIVISOR; divisor /= 2) {
        const struct pv_steps part = pv_steps_within(steps, done, 1.0 / N_TRIES);
        struct pv_down_projection down = {0};
        enum pv_status status;

        search->rank = params->d_model / divisor > 0 ? params->d_model / divisor : 1;
        search->rank = search->rank < params->n_clusters ? search->rank : params->n_clusters;
        if (search->rank == out->down.rank)
            break; /* no greater one left */
        pv_router_free(out);
        status = find_down(search, &down);
        if (status == PV_OK)
            status = train_on(params, data, &down, &part, out);
        pv_down_free(&down);
        PV_TRY(status);
        if (out->accuracy >= wanted)
            break;
        done += 1.0 / N_TRIES;
    }
    return PV_OK;
}

enum pv_status pv_router_train_lowrank(const struct pv_router_params *params,
                                       const struct pv_router_data *data, const struct pv_router *linear,
                                       const struct pv_steps *steps, struct pv_router *out)
{
    float *moment =
        pv_lowrank_moment(data->z, params->d_model, data->train, data->n_train, params->n_threads);
    float *scores = score_map(linear, params->n_clusters, params->d_model);
    struct pv_lowrank_params search = {.w = scores,
                                       .moment = moment,
                                       .n_rows = params->n_clusters,
                                       .n_cols = params->d_model,
                                       .seed = params->seed,
                                       .n_threads = params->n_threads};
    enum pv_status status = PV_ERR_NOMEM;

    *out = (struct pv_router){0};
    if (moment && scores)
        status = try_ranks(params, data, &search, linear->accuracy - MOST_LOST, steps, out);
    free(moment);
    free(scores);
    if (status != PV_OK)
        pv_router_free(out);
    return status;
}
