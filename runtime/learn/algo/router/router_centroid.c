/* An iteration of k-means is a router of the means, applied: the product is the router's own. */
#include "learn/algo/router/router_centroid.h"

#include <stdlib.h>
#include "base/half.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"

static const float NEVER = -1e9f; /* bias of a cluster that must not be chosen */

/* Row k of the router from a mean. */
static void set_row(struct pv_router *router, uint32_t k, uint32_t d, const double *sum, double count)
{
    uint16_t *weight = router->weight + (size_t)k * d;
    double length = 0.0;

    for (uint32_t j = 0; j < d; j++) {
        double v;

        weight[j] = pv_float_to_half((float)(sum[j] / count));
        v = (double)pv_half_to_float(weight[j]);
        length += v * v;
    }
    router->bias[k] = (float)(-0.5 * length);
}

/* Means of z by label over the first n training rows. */
static enum pv_status take_means(const struct pv_router_data *data, const uint16_t *label, size_t n,
                                 struct pv_router *out)
{
    const uint32_t n_clusters = out->n_clusters, d = out->n_in;
    double *sum = pv_calloc((size_t)n_clusters * d, sizeof *sum);
    size_t *count = pv_calloc(n_clusters, sizeof *count);
    enum pv_status status = sum && count ? PV_OK : PV_ERR_NOMEM;

    for (size_t i = 0; i < n && status == PV_OK; i++) {
        const size_t row = data->train[i], k = label[row];

        count[k]++;
        for (uint32_t j = 0; j < d; j++)
            sum[k * d + j] += (double)pv_half_to_float(data->z[row * d + j]);
    }
    for (uint32_t k = 0; k < n_clusters && status == PV_OK; k++) {
        if (count[k] > 0)
            set_row(out, k, d, sum + (size_t)k * d, (double)count[k]);
        else
            out->bias[k] = NEVER;
    }
    free(sum);
    free(count);
    return status;
}

enum pv_status pv_router_centroid(const struct pv_router_params *params, const struct pv_router_data *data,
                                  struct pv_router *out)
{
    enum pv_status status = pv_router_create(out, params->n_clusters, params->d_model);

    if (status == PV_OK)
        status = take_means(data, data->label, data->n_train, out);
    if (status == PV_OK)
        status = pv_router_judge(out, data, params->n_threads);
    if (status != PV_OK)
        pv_router_free(out);
    return status;
}

/* Clusters that nothing is in start again from a random row. */
static void reseed(struct pv_router *router, const struct pv_router_data *data, struct pv_rng *rng,
                   double *room)
{
    const uint32_t d = router->n_in;

    for (uint32_t k = 0; k < router->n_clusters; k++) {
        const uint16_t *row;

        if (router->bias[k] > NEVER)
            continue;
        row = data->z + (size_t)data->train[pv_rng_below(rng, (uint32_t)data->n_train)] * d;
        for (uint32_t j = 0; j < d; j++)
            room[j] = (double)pv_half_to_float(row[j]);
        set_row(router, k, d, room, 1.0);
    }
}

enum pv_status pv_input_cluster(const struct pv_input_params *p, const struct pv_router_data *data,
                                const struct pv_steps *steps, uint16_t *label)
{
    double *room = pv_calloc(p->d_model, sizeof *room);
    uint16_t *choice = pv_calloc(data->n_train, sizeof *choice);
    struct pv_router router = {0};
    struct pv_rng rng;
    enum pv_status status;

    pv_rng_seed(&rng, p->seed);
    PV_TRY_GOTO(pv_router_create(&router, p->n_clusters, p->d_model));
    PV_TRY_GOTO(room && choice ? PV_OK : PV_ERR_NOMEM);
    PV_TRY_GOTO(
        take_means(data, label, 0, &router)); /* no row is in a cluster yet: all start from random rows */
    for (uint32_t iter = 0; iter < p->n_iters; iter++) {
        PV_TRY_GOTO(pv_steps_report(steps, (double)iter / (1.0 + p->n_iters)) ? PV_OK : PV_ERR_INTERRUPTED);
        reseed(&router, data, &rng, room);
        PV_TRY_GOTO(pv_router_apply(&router, data->z, data->train, data->n_train, p->n_threads, choice));
        for (size_t i = 0; i < data->n_train; i++)
            label[data->train[i]] = choice[i];
        PV_TRY_GOTO(take_means(data, label, data->n_train, &router));
    }
    PV_TRY_GOTO(pv_steps_report(steps, p->n_iters / (1.0 + p->n_iters)) ? PV_OK : PV_ERR_INTERRUPTED);
    reseed(&router, data, &rng, room);
    PV_TRY_GOTO(pv_router_apply(&router, data->z, NULL, data->n_rows, p->n_threads, label));
fail:
    pv_router_free(&router);
    free(room);
    free(choice);
    return status;
}
