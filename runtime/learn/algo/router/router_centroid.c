/* An iteration of k-means is a router of the means, applied: the product is the router's own. */
#include "learn/algo/router/router_centroid.h"

#include <stdlib.h>
#include <string.h>
#include "base/half.h"
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

enum pv_status pv_router_centroid(const uint16_t *z, uint32_t d, const uint32_t *rows, size_t n_rows,
                                  const uint16_t *label, uint32_t n_clusters, struct pv_router *out)
{
    double *sum = pv_calloc((size_t)n_clusters * d, sizeof *sum);
    size_t *count = pv_calloc(n_clusters, sizeof *count);
    enum pv_status status = PV_ERR_NOMEM;

    *out = (struct pv_router){.weight = pv_calloc((size_t)n_clusters * d, sizeof(uint16_t)),
                              .bias = pv_calloc(n_clusters, sizeof(float))};
    if (sum && count && out->weight && out->bias) {
        for (size_t i = 0; i < n_rows; i++) {
            const uint16_t *row = z + (size_t)rows[i] * d;
            size_t k = label[rows[i]];

            count[k]++;
            for (uint32_t j = 0; j < d; j++)
                sum[k * d + j] += (double)pv_half_to_float(row[j]);
        }
        for (uint32_t k = 0; k < n_clusters; k++) {
            if (count[k] > 0)
                set_row(out, k, d, sum + (size_t)k * d, (double)count[k]);
            else
                out->bias[k] = NEVER;
        }
        status = PV_OK;
    }
    free(sum);
    free(count);
    if (status != PV_OK)
        pv_router_free(out);
    return status;
}

/* Clusters that nothing is in start again from a random row. */
static void reseed(struct pv_router *router, const struct pv_input_params *p, const uint16_t *z,
                   const uint32_t *rows, size_t n_rows, struct pv_rng *rng, double *room)
{
    for (uint32_t k = 0; k < p->n_clusters; k++) {
        const uint16_t *row;

        if (router->bias[k] > NEVER)
            continue;
        row = z + (size_t)rows[pv_rng_below(rng, (uint32_t)n_rows)] * p->d_model;
        for (uint32_t j = 0; j < p->d_model; j++)
            room[j] = (double)pv_half_to_float(row[j]);
        set_row(router, k, p->d_model, room, 1.0);
    }
}

enum pv_status pv_input_cluster(const uint16_t *z, size_t n_all, const uint32_t *rows, size_t n_rows,
                                const struct pv_input_params *p, const struct pv_steps *steps,
                                uint16_t *label)
{
    double *room = pv_calloc(p->d_model, sizeof *room);
    uint16_t *choice = pv_calloc(n_rows, sizeof *choice);
    enum pv_status status = room && choice ? PV_OK : PV_ERR_NOMEM;
    struct pv_router router = {0};
    struct pv_rng rng;

    pv_rng_seed(&rng, p->seed);
    if (status == PV_OK) /* no row is in a cluster yet: all start from random rows */
        status = pv_router_centroid(z, p->d_model, rows, 0, label, p->n_clusters, &router);
    for (uint32_t iter = 0; iter <= p->n_iters && status == PV_OK; iter++) {
        if (!pv_steps_report(steps, (double)iter / (1.0 + p->n_iters)))
            status = PV_ERR_INTERRUPTED;
        reseed(&router, p, z, rows, n_rows, &rng, room);
        if (iter == p->n_iters || status != PV_OK)
            break;
        status = pv_router_apply(&router, p->n_clusters, p->d_model, z, rows, n_rows, p->n_threads, choice);
        for (size_t i = 0; i < n_rows && status == PV_OK; i++)
            label[rows[i]] = choice[i];
        pv_router_free(&router);
        if (status == PV_OK)
            status = pv_router_centroid(z, p->d_model, rows, n_rows, label, p->n_clusters, &router);
    }
    if (status == PV_OK)
        status = pv_router_apply(&router, p->n_clusters, p->d_model, z, NULL, n_all, p->n_threads, label);
    pv_router_free(&router);
    free(room);
    free(choice);
    return status;
}
