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
        const size_t i = km->order[s], row = pv_row_at(&km->rows, i);
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
    size_t n_sample = km->rows.n, at;
    struct pv_rng rng;

    if ((size_t)km->n_clusters * SEED_ROWS < n_sample)
        n_sample = (size_t)km->n_clusters * SEED_ROWS;
    pv_rng_seed(&rng, seed);
    for (size_t i = 0; i < km->rows.n; i++)
        km->order[i] = (uint32_t)i;
    for (size_t s = 0; s < n_sample; s++) { /* the first n_sample of a random permutation */
        const size_t other = s + pv_rng_below(&rng, (uint32_t)(km->rows.n - s));
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

static bool open_tiles(struct kmeans *km)
{
    size_t size;

    km->n_tiles = (km->n_clusters + PV_KMEANS_TILE - 1) / PV_KMEANS_TILE;
    if (pv_mul_size((size_t)km->n_tiles * PV_KMEANS_TILE, km->x->n_cols, &size))
        km->tiles = pv_calloc(size, sizeof *km->tiles);
    return km->tiles != NULL;
}

/* Room for the lengths of as many rows; those that are there are taken. */
static bool open_lengths(struct kmeans *km, size_t room)
{
    km->inv = pv_calloc(room, sizeof *km->inv);
    if (km->inv)
        pv_kmeans_lengths(km);
    return km->inv != NULL;
}

/* What an average needs, but for the centroids. */
static bool open_sums(struct kmeans *km, size_t room)
{
    km->cluster = pv_calloc(room, sizeof *km->cluster);
    km->first = pv_calloc(km->n_clusters + (size_t)1, sizeof *km->first);
    km->order = pv_calloc(room, sizeof *km->order);
    return km->cluster && km->first && km->order && open_lengths(km, room);
}

static bool kmeans_open(struct kmeans *km, size_t room)
{
    km->score = pv_calloc(room, sizeof *km->score);
    return km->score && open_sums(km, room) && open_tiles(km);
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
        for (size_t i = 0; i < km->rows.n; i++)
            n_moved += km->cluster[i] != last[i];
        memcpy(last, km->cluster, km->rows.n * sizeof *last);
        if (iter > 0 && n_moved <= km->rows.n / SETTLED_SHARE) {
            iter++;
            break;
        }
    }
    out->n_iters = iter;
    for (uint32_t k = 0; k < km->n_clusters && iter > 0; k++)
        out->n_empty += km->first[k + 1] == km->first[k];
    for (size_t i = 0; i < km->rows.n; i++)
        out->similarity += (double)km->score[i] / (double)km->rows.n;
    return PV_OK;
}

/* On the device if one is given and its bindings can see enough. */
static enum pv_status choose_place(struct kmeans *km, struct pv_device *device)
{
    struct pv_accel_rows rows = {
        .rows = km->rows, .inv = km->inv, .bits = km->space == PV_SPACE_BITS, .n_threads = km->n_threads};

    if (!device || !pv_accel_kmeans_fits(device, km->n_clusters, km->x->n_cols))
        return PV_OK;
    return pv_accel_kmeans_create(device, &rows, km->n_clusters, &km->accel);
}

static struct kmeans kmeans_of(const struct pv_rows *rows, const struct pv_kmeans_params *params)
{
    return (struct kmeans){.x = rows->x,
                           .rows = *rows,
                           .space = params->space,
                           .n_clusters = params->n_clusters,
                           .n_threads = params->n_threads};
}

static float *new_centroids(const struct kmeans *km)
{
    size_t size;

    return pv_mul_size(km->n_clusters, km->x->n_cols, &size) ? pv_calloc(size, sizeof(float)) : NULL;
}

static enum pv_status seed_and_iterate(struct kmeans *km, const struct pv_kmeans_params *params,
                                       uint16_t *last, const struct pv_steps *steps,
                                       struct pv_kmeans_result *out)
{
    PV_TRY(choose_place(km, params->device));
    PV_TRY(seed_centroids(km, params->seed, steps, 1.0 / (1.0 + params->n_iters)));
    return iterate(km, params, last, steps, out);
}

enum pv_status pv_kmeans(const struct pv_rows *rows, const struct pv_kmeans_params *params,
                         const struct pv_steps *steps, struct pv_kmeans_result *out)
{
    struct kmeans km = kmeans_of(rows, params);
    uint16_t *last;
    enum pv_status status = PV_ERR_NOMEM;

    *out = (struct pv_kmeans_result){0};
    if (rows->n == 0 || params->n_clusters == 0)
        return PV_ERR_ARG;
    last = pv_calloc(rows->n, sizeof *last);
    km.centroids = new_centroids(&km);
    if (last && km.centroids && kmeans_open(&km, rows->n))
        status = seed_and_iterate(&km, params, last, steps, out);
    if (status == PV_OK) {
        out->centroids = km.centroids;
        km.centroids = NULL;
    }
    kmeans_free(&km);
    free(last);
    return status;
}

/* The rows that are not in the sample, in random order; returns how many. */
static size_t shuffle_others(const struct pv_rows *sample, const struct pv_rows *rows, uint64_t seed,
                             bool *sampled, uint32_t *others)
{
    size_t n = 0;
    struct pv_rng rng;

    pv_rng_seed(&rng, seed);
    for (size_t i = 0; i < sample->n; i++)
        sampled[pv_row_at(sample, i)] = true;
    for (size_t i = 0; i < rows->n; i++) {
        if (!sampled[pv_row_at(rows, i)])
            others[n++] = (uint32_t)pv_row_at(rows, i);
    }
    pv_rng_shuffle(&rng, others, n);
    return n;
}

/* The sample, from which km is set up, then the others. */
static enum pv_status pass(struct kmeans *km, const uint32_t *others, size_t n_others, size_t n_batch,
                           const struct pv_steps *steps)
{
    const double n_rows = (double)(km->rows.n + n_others), done = (double)km->rows.n;

    if (!pv_steps_report(steps, 0.0))
        return PV_ERR_INTERRUPTED;
    PV_TRY(pv_kmeans_step(km, true));
    for (size_t begin = 0; begin < n_others; begin += n_batch) {
        if (!pv_steps_report(steps, (done + (double)begin) / n_rows))
            return PV_ERR_INTERRUPTED;
        km->rows.index = others + begin;
        km->rows.n = n_others - begin < n_batch ? n_others - begin : n_batch;
        pv_kmeans_lengths(km);
        if (km->accel)
            pv_accel_kmeans_aim(km->accel, &km->rows, km->inv);
        PV_TRY(pv_kmeans_step(km, false));
    }
    return PV_OK;
}

enum pv_status pv_kmeans_pass(const struct pv_rows *sample, const struct pv_rows *rows,
                              const struct pv_kmeans_params *params, const struct pv_steps *steps,
                              float *centroids)
{
    struct kmeans km = kmeans_of(sample, params);
    const size_t least = (size_t)params->n_clusters * BATCH_ROWS_EACH,
                 n_batch = least > BATCH_ROWS ? least : BATCH_ROWS;
    uint32_t *others;
    bool *sampled;
    enum pv_status status = PV_ERR_NOMEM;

    if (sample->n == 0)
        return PV_ERR_ARG;
    others = pv_calloc(rows->n, sizeof *others);
    sampled = pv_calloc(rows->x->n_rows, sizeof *sampled);
    km.sums = new_centroids(&km);
    km.centroids = centroids;
    if (others && sampled && km.sums && kmeans_open(&km, sample->n > n_batch ? sample->n : n_batch)) {
        const size_t n = shuffle_others(sample, rows, params->seed, sampled, others);

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

enum pv_status pv_kmeans_average(const struct pv_rows *rows, const uint16_t *cluster,
                                 const struct pv_kmeans_params *params, float *centroids)
{
    struct kmeans km = kmeans_of(rows, params);
    enum pv_status status = PV_ERR_NOMEM;

    if (open_sums(&km, rows->n)) {
        km.centroids = centroids;
        for (size_t i = 0; i < rows->n; i++)
            km.cluster[i] = cluster[pv_row_at(rows, i)];
        pv_kmeans_sort(&km);
        pv_kmeans_mean(&km);
        km.centroids = NULL; /* the caller's */
        status = PV_OK;
    }
    kmeans_free(&km);
    return status;
}

enum pv_status pv_kmeans_assign(const struct pv_rows *rows, const float *centroids,
                                const struct pv_kmeans_params *params, uint16_t *cluster, float *score)
{
    struct kmeans km = kmeans_of(rows, params);
    union {
        const float *in;
        float *out;
    } borrowed = {.in = centroids}; /* only read */
    enum pv_status status = PV_ERR_NOMEM;

    km.cluster = cluster;
    km.score = score ? score : pv_calloc(rows->n, sizeof *km.score);
    km.centroids = borrowed.out;
    if (km.score && open_lengths(&km, rows->n) && open_tiles(&km)) {
        pv_kmeans_nearest(&km);
        status = PV_OK;
    }
    free(km.inv);
    free(km.tiles);
    if (!score)
        free(km.score);
    return status;
}
