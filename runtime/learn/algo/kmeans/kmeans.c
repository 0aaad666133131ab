/* Seeds, iterations, and a pass in batches; the arithmetic of one assignment is in kmeans_step.c. */
#include "learn/algo/kmeans/kmeans_impl.h"

#include <stdlib.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/threads.h"
#include "learn/algo/device/accel.h"

enum {
    SEED_ROWS = 32,       /* rows sampled per cluster for seeding */
    SEEDS_A_REPORT = 64,  /* between two reports of progress */
    SETTLED_SHARE = 1000, /* stop when fewer than 1 / this of the rows moved */
    BATCH_ROWS = 4096,    /* of a pass, at least */
    BATCH_ROWS_EACH = 8,  /* per cluster, at least */
};

/* distance[i] = min(distance[i], 1 - f_i . seed) over the sample, whose `score` holds the distances. */
static void shrink_distances(void *user, size_t chunk, size_t begin, size_t end)
{
    struct kmeans *km = user;
    const struct pv_sparse *x = km->x;

    (void)chunk;
    for (size_t s = begin; s < end; s++) {
        const size_t i = km->order[s], row = pv_kmeans_row(km, i);
        float sum = 0.0f, distance;

        for (uint64_t p = x->offset[row]; p < x->offset[row + 1]; p++)
            sum += (km->space == PV_SPACE_BITS ? 1.0f : pv_root_to_float(x->root[p])) * km->seed[x->col[p]];
        distance = 1.0f - sum * km->inv[i];
        if (distance < 1e-6f || km->inv[i] <= 0.0f)
            distance = 0.0f;
        if (distance < km->score[s])
            km->score[s] = distance;
    }
}

/* `share` of the progress. k-means++ on a random sample: each next centroid is a row, drawn with probability
 * proportional to its squared distance 2 (1 - f . centroid) from the nearest one. */
static enum pv_status seed_centroids(struct kmeans *km, uint64_t seed, const struct pv_steps *steps,
                                     double share)
{
    const uint32_t n_cols = km->x->n_cols;
    size_t n_sample = km->n_rows, at;
    struct pv_rng rng;

    if ((size_t)km->n_clusters * SEED_ROWS < n_sample)
        n_sample = (size_t)km->n_clusters * SEED_ROWS;
    pv_rng_seed(&rng, seed);
    for (size_t i = 0; i < km->n_rows; i++)
        km->order[i] = (uint32_t)i;
    for (size_t s = 0; s < n_sample; s++) { /* the first n_sample of a random permutation */
        const size_t other = s + pv_rng_below(&rng, (uint32_t)(km->n_rows - s));
        const uint32_t i = km->order[s];

        km->order[s] = km->order[other];
        km->order[other] = i;
        km->score[s] = 1.0f;
    }
    at = 0;
    for (uint32_t k = 0; k < km->n_clusters; k++) {
        float *centroid = km->centroids + (size_t)k * n_cols;
        double sum = 0.0, mark;

        if (k % SEEDS_A_REPORT == 0 && !pv_steps_report(steps, share * k / km->n_clusters))
            return PV_ERR_INTERRUPTED;
        pv_kmeans_add(km, km->order[at], centroid);
        km->seed = centroid;
        pv_parallel_for(km->n_threads, n_sample, pv_kmeans_blocks(n_sample), shrink_distances, km);
        for (size_t s = 0; s < n_sample; s++)
            sum += (double)km->score[s];
        mark = pv_rng_double(&rng) * sum;
        if (sum <= 0.0)
            break; /* every distinct row is a centroid already */
        for (at = 0; at + 1 < n_sample; at++) {
            mark -= (double)km->score[at];
            if (mark < 0.0 && km->score[at] > 0.0f)
                break;
        }
    }
    return PV_OK;
}

static void kmeans_free(struct kmeans *km)
{
    pv_accel_kmeans_destroy(km->accel);
    free(km->inv);
    free(km->tiles);
    free(km->centroids);
    free(km->sums);
    free(km->cluster);
    free(km->score);
    free(km->first);
    free(km->order);
}

/* Buffers to assign as many rows as there is room for, but `cluster` and `score`, and the lengths of those
 * that are there. */
static bool kmeans_prepare(struct kmeans *km, size_t room)
{
    size_t size;

    km->n_tiles = (km->n_clusters + PV_KMEANS_TILE - 1) / PV_KMEANS_TILE;
    if (!pv_mul_size((size_t)km->n_tiles * PV_KMEANS_TILE, km->x->n_cols, &size))
        return false;
    km->inv = pv_calloc(room, sizeof *km->inv);
    km->tiles = pv_calloc(size, sizeof *km->tiles);
    if (!km->inv || !km->tiles)
        return false;
    pv_kmeans_lengths(km);
    return true;
}

/* Those too, and what an average needs. */
static bool kmeans_open(struct kmeans *km, size_t room)
{
    km->cluster = pv_calloc(room, sizeof *km->cluster);
    km->score = pv_calloc(room, sizeof *km->score);
    km->first = pv_calloc(km->n_clusters + (size_t)1, sizeof *km->first);
    km->order = pv_calloc(room, sizeof *km->order);
    return km->cluster && km->score && km->first && km->order && kmeans_prepare(km, room);
}

static enum pv_status iterate(struct kmeans *km, const struct pv_kmeans_params *params, uint16_t *last,
                              const struct pv_steps *steps, struct pv_kmeans_result *out)
{
    uint32_t iter = 0;

    for (; iter < params->n_iters; iter++) {
        size_t n_moved = 0;

        if (!pv_steps_report(steps, (1.0 + iter) / (1.0 + params->n_iters)))
            return PV_ERR_INTERRUPTED;
        PV_TRY(pv_kmeans_step(km, true));
        for (size_t i = 0; i < km->n_rows; i++)
            n_moved += km->cluster[i] != last[i];
        memcpy(last, km->cluster, km->n_rows * sizeof *last);
        if (iter > 0 && n_moved <= km->n_rows / SETTLED_SHARE) {
            iter++;
            break;
        }
    }
    out->n_iters = iter;
    for (uint32_t k = 0; k < km->n_clusters && iter > 0; k++)
        out->n_empty += km->first[k + 1] == km->first[k];
    for (size_t i = 0; i < km->n_rows; i++)
        out->similarity += (double)km->score[i] / (double)km->n_rows;
    return PV_OK;
}

/* On the device if one is given and its bindings can see enough. */
static enum pv_status choose_place(struct kmeans *km, struct pv_device *device)
{
    struct pv_accel_rows rows = {.x = km->x,
                                 .rows = km->rows,
                                 .n_rows = km->n_rows,
                                 .inv = km->inv,
                                 .bits = km->space == PV_SPACE_BITS,
                                 .n_threads = km->n_threads};

    if (!device || !pv_accel_kmeans_fits(device, km->n_clusters, km->x->n_cols))
        return PV_OK;
    return pv_accel_kmeans_create(device, &rows, km->n_clusters, &km->accel);
}

enum pv_status pv_kmeans(const struct pv_sparse *x, const uint32_t *rows, size_t n_rows,
                         const struct pv_kmeans_params *params, const struct pv_steps *steps,
                         struct pv_kmeans_result *out)
{
    struct kmeans km = {.x = x,
                        .rows = rows,
                        .n_rows = n_rows,
                        .space = params->space,
                        .n_clusters = params->n_clusters,
                        .n_threads = params->n_threads};
    uint16_t *last = pv_calloc(n_rows, sizeof *last);
    enum pv_status status = PV_ERR_NOMEM;
    size_t size;

    *out = (struct pv_kmeans_result){0};
    if (n_rows == 0 || params->n_clusters == 0) {
        free(last);
        return PV_ERR_ARG;
    }
    if (pv_mul_size(km.n_clusters, x->n_cols, &size))
        km.centroids = pv_calloc(size, sizeof *km.centroids);
    if (last && km.centroids && kmeans_open(&km, n_rows)) {
        status = choose_place(&km, params->device);
        if (status == PV_OK) {
            status = seed_centroids(&km, params->seed, steps, 1.0 / (1.0 + params->n_iters));
            if (status == PV_OK)
                status = iterate(&km, params, last, steps, out);
        }
    }
    if (status == PV_OK) {
        out->centroids = km.centroids;
        km.centroids = NULL;
    }
    kmeans_free(&km);
    free(last);
    return status;
}

/* The rows that are not in the sample, in random order; returns how many. */
static size_t shuffle_others(const uint32_t *sample, size_t n_sample, const uint32_t *rows, size_t n_rows,
                             uint64_t seed, bool *sampled, uint32_t *others)
{
    size_t n = 0;
    struct pv_rng rng;

    pv_rng_seed(&rng, seed);
    for (size_t i = 0; i < n_sample; i++)
        sampled[sample[i]] = true;
    for (size_t i = 0; i < n_rows; i++) {
        if (!sampled[rows[i]])
            others[n++] = rows[i];
    }
    for (size_t i = n; i > 1; i--) {
        const size_t other = pv_rng_below(&rng, (uint32_t)i);
        const uint32_t row = others[i - 1];

        others[i - 1] = others[other];
        others[other] = row;
    }
    return n;
}

/* The sample, from which km is set up, then the others. */
static enum pv_status pass(struct kmeans *km, const uint32_t *others, size_t n_others, size_t n_batch,
                           const struct pv_steps *steps)
{
    const double n_rows = (double)(km->n_rows + n_others), done = (double)km->n_rows;

    if (!pv_steps_report(steps, 0.0))
        return PV_ERR_INTERRUPTED;
    PV_TRY(pv_kmeans_step(km, true));
    for (size_t begin = 0; begin < n_others; begin += n_batch) {
        if (!pv_steps_report(steps, (done + (double)begin) / n_rows))
            return PV_ERR_INTERRUPTED;
        km->rows = others + begin;
        km->n_rows = n_others - begin < n_batch ? n_others - begin : n_batch;
        pv_kmeans_lengths(km);
        if (km->accel)
            pv_accel_kmeans_aim(km->accel, km->rows, km->n_rows, km->inv);
        PV_TRY(pv_kmeans_step(km, false));
    }
    return PV_OK;
}

enum pv_status pv_kmeans_pass(const struct pv_sparse *x, const uint32_t *sample, size_t n_sample,
                              const uint32_t *rows, size_t n_rows, const struct pv_kmeans_params *params,
                              const struct pv_steps *steps, float *centroids)
{
    size_t size, n_batch = (size_t)params->n_clusters * BATCH_ROWS_EACH;
    struct kmeans km = {.x = x,
                        .rows = sample,
                        .n_rows = n_sample,
                        .space = params->space,
                        .n_clusters = params->n_clusters,
                        .n_threads = params->n_threads,
                        .centroids = centroids};
    uint32_t *others = pv_calloc(n_rows, sizeof *others);
    bool *sampled = pv_calloc(x->n_rows, sizeof *sampled);
    enum pv_status status = n_sample > 0 ? PV_ERR_NOMEM : PV_ERR_ARG;

    n_batch = n_batch > BATCH_ROWS ? n_batch : BATCH_ROWS;
    if (pv_mul_size(km.n_clusters, x->n_cols, &size))
        km.sums = pv_calloc(size, sizeof *km.sums);
    if (n_sample > 0 && others && sampled && km.sums &&
        kmeans_open(&km, n_sample > n_batch ? n_sample : n_batch)) {
        const size_t n = shuffle_others(sample, n_sample, rows, n_rows, params->seed, sampled, others);

        status = choose_place(&km, params->device);
        if (status == PV_OK)
            status = pass(&km, others, n, n_batch, steps);
    }
    km.centroids = NULL; /* the caller's */
    kmeans_free(&km);
    free(others);
    free(sampled);
    return status;
}

enum pv_status pv_kmeans_average(const struct pv_sparse *x, const uint32_t *rows, size_t n_rows,
                                 const uint16_t *cluster, uint32_t n_clusters, enum pv_space space,
                                 uint32_t n_threads, float *centroids)
{
    struct kmeans km = {.x = x,
                        .rows = rows,
                        .n_rows = n_rows,
                        .space = space,
                        .n_clusters = n_clusters,
                        .n_threads = n_threads,
                        .inv = pv_calloc(n_rows, sizeof(float)),
                        .cluster = pv_calloc(n_rows, sizeof(uint16_t)),
                        .first = pv_calloc(n_clusters + (size_t)1, sizeof(size_t)),
                        .order = pv_calloc(n_rows, sizeof(uint32_t))};
    enum pv_status status = PV_ERR_NOMEM;

    if (km.inv && km.cluster && km.first && km.order) {
        km.centroids = centroids;
        for (size_t i = 0; i < n_rows; i++)
            km.cluster[i] = cluster[pv_kmeans_row(&km, i)];
        pv_kmeans_lengths(&km);
        pv_kmeans_sort(&km);
        pv_kmeans_mean(&km);
        km.centroids = NULL; /* the caller's */
        status = PV_OK;
    }
    kmeans_free(&km);
    return status;
}

enum pv_status pv_kmeans_assign(const struct pv_sparse *x, const uint32_t *rows, size_t n_rows,
                                const float *centroids, uint32_t n_clusters, enum pv_space space,
                                uint32_t n_threads, uint16_t *cluster, float *score)
{
    struct kmeans km = {.x = x,
                        .rows = rows,
                        .n_rows = n_rows,
                        .space = space,
                        .n_clusters = n_clusters,
                        .n_threads = n_threads,
                        .cluster = cluster,
                        .score = score};
    union {
        const float *in;
        float *out;
    } borrowed = {.in = centroids}; /* only read */
    float *own_score = NULL;
    enum pv_status status = PV_ERR_NOMEM;

    if (!score)
        km.score = own_score = pv_calloc(n_rows, sizeof *own_score);
    km.centroids = borrowed.out;
    if (km.score && kmeans_prepare(&km, n_rows)) {
        pv_kmeans_nearest(&km);
        status = PV_OK;
    }
    free(km.inv);
    free(km.tiles);
    free(own_score);
    return status;
}
