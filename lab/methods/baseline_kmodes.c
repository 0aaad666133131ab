/* The Hamming distance |p| + |m| - 2 |p & m| is a product, so the assignment is that of spherical k-means
 * (kmeans.h) with centroids 2 m and one more column, on in every row, that holds -|m|: the largest product is
 * the least distance. */
#include "lab/methods/baseline_kmodes.h"

#include <math.h>
#include <stdlib.h>
#include "base/bits.h"
#include "base/mem.h"
#include "base/rng.h"
#include "learn/algo/kmeans/kmeans.h"

enum { ONE = 0x3c00, SETTLED_SHARE = 1000 };

/* The chosen rows as bits, with the extra column. */
struct ones {
    struct pv_sparse x;
    uint64_t *offset;
    uint16_t *col, *root;
};

static void ones_free(struct ones *o)
{
    free(o->offset);
    free(o->col);
    free(o->root);
}

static enum pv_status ones_init(struct ones *o, const struct pv_rows *rows)
{
    const struct pv_sparse *x = rows->x;
    size_t n = rows->n;

    *o = (struct ones){0};
    if (x->n_cols >= UINT16_MAX)
        return PV_ERR_UNSUPPORTED;
    for (size_t i = 0; i < rows->n; i++) {
        const size_t row = pv_row_at(rows, i);

        n += (size_t)(x->offset[row + 1] - x->offset[row]);
    }
    o->offset = pv_calloc(rows->n + 1, sizeof *o->offset);
    o->col = pv_calloc(n, sizeof *o->col);
    o->root = pv_calloc(n, sizeof *o->root);
    if (!o->offset || !o->col || !o->root) {
        ones_free(o);
        return PV_ERR_NOMEM;
    }
    for (size_t i = 0; i < rows->n; i++) {
        const size_t row = pv_row_at(rows, i), count = (size_t)(x->offset[row + 1] - x->offset[row]);
        uint16_t *col = o->col + o->offset[i];

        memcpy(col, x->col + x->offset[row], count * sizeof *col);
        col[count] = (uint16_t)x->n_cols;
        o->offset[i + 1] = o->offset[i] + count + 1;
    }
    for (size_t p = 0; p < n; p++)
        o->root[p] = ONE;
    o->x = (struct pv_sparse){
        .n_rows = rows->n, .n_cols = x->n_cols + 1, .offset = o->offset, .col = o->col, .root = o->root};
    return PV_OK;
}

/* The assignment; `score` turns into distances. */
static enum pv_status assign(const struct ones *o, const uint32_t *modes, uint32_t n_clusters,
                             uint32_t n_threads, uint16_t *cluster, float *distance)
{
    size_t width = o->x.n_cols, words = pv_bit_words(width - 1), size;
    float *centroids = pv_mul_size(n_clusters, width, &size) ? pv_calloc(size, sizeof *centroids) : NULL;
    enum pv_status status;

    if (!centroids)
        return PV_ERR_NOMEM;
    for (uint32_t k = 0; k < n_clusters; k++) {
        for (size_t j = 0; j + 1 < width; j++)
            centroids[k * width + j] = pv_bit_get(modes + k * words, j) ? 2.0f : 0.0f;
        centroids[(k + (size_t)1) * width - 1] = -(float)pv_bit_count(modes + k * words, words);
    }
    status = pv_kmeans_assign(
        &(struct pv_rows){.x = &o->x, .n = o->x.n_rows}, centroids,
        &(struct pv_kmeans_params){.n_clusters = n_clusters, .space = PV_SPACE_BITS, .n_threads = n_threads},
        cluster, distance);
    free(centroids);
    for (size_t i = 0; i < o->x.n_rows && status == PV_OK; i++) {
        const float n =
            (float)(o->offset[i + 1] - o->offset[i]); /* |p| + 1; scores come divided by its root */

        distance[i] = n - 1.0f - distance[i] * sqrtf(n);
    }
    return status;
}

struct kmodes {
    struct ones o;
    uint32_t n_clusters;
    uint32_t *modes; /* [K][words] */
    uint16_t *cluster, *last;
    float *distance;
    uint32_t *count; /* [K] rows */
    uint32_t *votes; /* [F] of one cluster */
    size_t *first;   /* [K + 1] into order */
    uint32_t *order; /* rows by cluster */
};

static void set_mode_to_row(struct kmodes *km, uint32_t k, size_t row)
{
    const size_t words = pv_bit_words(km->o.x.n_cols - 1);

    memset(km->modes + k * words, 0, words * sizeof *km->modes);
    for (uint64_t p = km->o.offset[row]; p + 1 < km->o.offset[row + 1]; p++)
        pv_bit_set(km->modes + k * words, km->o.col[p]);
}

static void start(struct kmodes *km, uint64_t seed)
{
    const size_t n = km->o.x.n_rows;
    struct pv_rng rng;

    pv_rng_seed(&rng, seed);
    for (size_t i = 0; i < n; i++)
        km->order[i] = (uint32_t)i;
    for (uint32_t k = 0; k < km->n_clusters; k++) {
        const size_t other =
            k < n ? k + pv_rng_below(&rng, (uint32_t)(n - k)) : pv_rng_below(&rng, (uint32_t)n);
        const uint32_t row = km->order[other];

        if (k < n) {
            km->order[other] = km->order[k];
            km->order[k] = row;
        }
        set_mode_to_row(km, k, row);
    }
}

/* Majority votes; an empty cluster takes the row farthest from its mode. */
static void vote(struct kmodes *km)
{
    const size_t n = km->o.x.n_rows, n_cols = km->o.x.n_cols - 1, words = pv_bit_words(n_cols);

    memset(km->first, 0, (km->n_clusters + (size_t)1) * sizeof *km->first);
    for (size_t i = 0; i < n; i++)
        km->first[km->cluster[i] + 1]++;
    for (uint32_t k = 0; k < km->n_clusters; k++) {
        km->count[k] = (uint32_t)km->first[k + 1];
        km->first[k + 1] += km->first[k];
    }
    for (size_t i = 0; i < n; i++)
        km->order[km->first[km->cluster[i]]++] = (uint32_t)i;
    for (uint32_t k = 0; k < km->n_clusters; k++) {
        const uint32_t *own = km->order + km->first[k] - km->count[k];
        uint32_t *mode = km->modes + k * words;

        memset(km->votes, 0, n_cols * sizeof *km->votes);
        memset(mode, 0, words * sizeof *mode);
        for (uint32_t i = 0; i < km->count[k]; i++) {
            for (uint64_t p = km->o.offset[own[i]]; p + 1 < km->o.offset[own[i] + 1]; p++)
                km->votes[km->o.col[p]]++;
        }
        for (size_t j = 0; j < n_cols; j++) {
            if (2 * km->votes[j] > km->count[k])
                pv_bit_set(mode, j);
        }
    }
    for (uint32_t k = 0; k < km->n_clusters; k++) {
        size_t farthest = 0;

        if (km->count[k] != 0)
            continue;
        for (size_t i = 1; i < n; i++) {
            if (km->distance[i] > km->distance[farthest])
                farthest = i;
        }
        if (km->distance[farthest] <= 0.0f)
            break; /* every row is a mode */
        km->distance[farthest] = 0.0f;
        set_mode_to_row(km, k, farthest);
    }
}

static enum pv_status run(struct kmodes *km, const struct pv_kmodes_params *params,
                          const struct pv_steps *steps, struct pv_kmodes_result *out)
{
    const size_t n = km->o.x.n_rows;

    start(km, params->seed);
    for (uint32_t iter = 0; iter < params->n_iters; iter++) {
        size_t n_moved = 0;
        enum pv_status status;

        if (!pv_steps_report(steps, (double)iter / (double)params->n_iters))
            return PV_ERR_INTERRUPTED;
        status = assign(&km->o, km->modes, km->n_clusters, params->n_threads, km->cluster, km->distance);
        if (status != PV_OK)
            return status;
        out->n_iters = iter + 1;
        out->distance = 0.0;
        for (size_t i = 0; i < n; i++) {
            out->distance += (double)km->distance[i] / (double)n;
            n_moved += km->cluster[i] != km->last[i];
        }
        memcpy(km->last, km->cluster, n * sizeof *km->last);
        if (iter > 0 && n_moved <= n / SETTLED_SHARE)
            break;
        vote(km);
    }
    return PV_OK;
}

enum pv_status pv_kmodes(const struct pv_rows *rows, const struct pv_kmodes_params *params,
                         const struct pv_steps *steps, struct pv_kmodes_result *out)
{
    struct kmodes km = {.n_clusters = params->n_clusters};
    enum pv_status status;

    *out = (struct pv_kmodes_result){0};
    if (rows->n == 0 || params->n_clusters == 0 || params->n_clusters > 65536)
        return PV_ERR_ARG;
    status = ones_init(&km.o, rows);
    if (status != PV_OK)
        return status;
    km.modes = pv_calloc(params->n_clusters * pv_bit_words(rows->x->n_cols), sizeof *km.modes);
    km.cluster = pv_calloc(rows->n, sizeof *km.cluster);
    km.last = pv_calloc(rows->n, sizeof *km.last);
    km.distance = pv_calloc(rows->n, sizeof *km.distance);
    km.count = pv_calloc(params->n_clusters, sizeof *km.count);
    km.votes = pv_calloc(rows->x->n_cols, sizeof *km.votes);
    km.first = pv_calloc(params->n_clusters + (size_t)1, sizeof *km.first);
    km.order = pv_calloc(rows->n, sizeof *km.order);
    status = PV_ERR_NOMEM;
    if (km.modes && km.cluster && km.last && km.distance && km.count && km.votes && km.first && km.order)
        status = run(&km, params, steps, out);
    if (status == PV_OK)
        out->modes = km.modes;
    else
        free(km.modes);
    ones_free(&km.o);
    free(km.cluster);
    free(km.last);
    free(km.distance);
    free(km.count);
    free(km.votes);
    free(km.first);
    free(km.order);
    return status;
}

enum pv_status pv_kmodes_assign(const struct pv_rows *rows, const uint32_t *modes,
                                const struct pv_kmodes_params *params, uint16_t *cluster, float *distance)
{
    float *own = !distance ? pv_calloc(rows->n, sizeof *own) : NULL;
    enum pv_status status = PV_ERR_NOMEM;
    struct ones o;

    if (distance || own)
        status = ones_init(&o, rows);
    if (status == PV_OK) {
        status = assign(&o, modes, params->n_clusters, params->n_threads, cluster, distance ? distance : own);
        ones_free(&o);
    }
    free(own);
    return status;
}

static enum pv_status name_all(const struct pv_layer_params *p, const struct pv_layer_tokens *tokens,
                               const struct pv_rows *sample, const struct pv_steps *steps, uint16_t *own)
{
    const struct pv_kmodes_params params = {.n_clusters = p->n_clusters,
                                            .n_iters = p->n_iters,
                                            .n_threads = p->n_threads,
                                            .seed = p->seed + p->layer};
    struct pv_kmodes_result result = {0};
    enum pv_status status = pv_kmodes(sample, &params, steps, &result);

    if (status == PV_OK)
        status = pv_kmodes_assign(&(struct pv_rows){.x = tokens->x, .n = tokens->x->n_rows}, result.modes,
                                  &params, own, NULL);
    free(result.modes);
    return status;
}

static void count_use(uint16_t *root, size_t n)
{
    for (size_t i = 0; i < n; i++)
        root[i] = ONE;
}

static const struct pv_clusterer by_modes = {name_all};
const struct pv_baseline pv_fit_kmeans = {.name = "k-means, most often active", .weigh = count_use};
const struct pv_baseline pv_fit_kmodes = {
    .name = "k-modes, most often active", .clusterer = &by_modes, .weigh = count_use};
