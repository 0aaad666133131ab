/* The centroids lie transposed in tiles, [K / TILE][F][TILE]: an active neuron adds TILE neighbouring floats,
 * scaled, to TILE running scores that stay in registers, and the loop over a tile vectorises. A block of rows
 * visits all tiles before the next block, so its patterns stay in the cache. Every output element is computed
 * by one chunk in a fixed order, which is what makes the result independent of the number of threads. */
#include "learn/kmeans.h"

#include <math.h>
#include <stdlib.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/threads.h"
#include "learn/accel.h"

enum {
    TILE = 32,
    BLOCK_ROWS = 256,     /* rows a chunk of the assignment */
    SEED_ROWS = 32,       /* rows sampled per cluster for seeding */
    SEEDS_A_REPORT = 64,  /* between two reports of progress */
    SETTLED_SHARE = 1000, /* stop when fewer than 1 / this of the rows moved */
};

struct kmeans {
    const struct pv_sparse *x;
    const uint32_t *rows; /* NULL: row i is i */
    size_t n_rows;
    enum pv_space space;
    uint32_t n_clusters, n_tiles, n_threads;
    float *inv;                    /* [n_rows] 1 / |f|, 0 for an empty row */
    float *tiles;                  /* [n_tiles][F][TILE] */
    float *centroids;              /* [K][F] */
    uint16_t *cluster;             /* [n_rows] */
    float *score;                  /* [n_rows] f . centroid */
    size_t *first;                 /* [K + 1] into order */
    uint32_t *order;               /* [n_rows] rows sorted by cluster, stable */
    const float *seed;             /* [F] newest centroid while seeding */
    struct pv_accel_kmeans *accel; /* NULL: on the host */
};

static size_t row_at(const struct kmeans *km, size_t i)
{
    return km->rows != NULL ? km->rows[i] : i;
}

static size_t n_blocks(size_t n_rows)
{
    return (n_rows + BLOCK_ROWS - 1) / BLOCK_ROWS;
}

static void invert_lengths(void *user, size_t chunk, size_t begin, size_t end)
{
    struct kmeans *km = user;

    (void)chunk;
    for (size_t i = begin; i < end; i++) {
        size_t row = row_at(km, i);
        float sum = 0.0f;

        for (uint64_t p = km->x->offset[row]; p < km->x->offset[row + 1]; p++) {
            float v = pv_root_to_float(km->x->root[p]);

            sum += km->space == PV_SPACE_BITS ? 1.0f : v * v;
        }
        km->inv[i] = sum > 0.0f ? 1.0f / sqrtf(sum) : 0.0f;
    }
}

static void score_roots(const float *tile, const uint16_t *col, const uint16_t *root, size_t n, float *out)
{
    float acc[TILE] = {0};

    for (size_t p = 0; p < n; p++) {
        const float *line = tile + (size_t)col[p] * TILE;
        float v = pv_root_to_float(root[p]);

        for (int t = 0; t < TILE; t++)
            acc[t] += v * line[t];
    }
    memcpy(out, acc, sizeof(acc));
}

static void score_bits(const float *tile, const uint16_t *col, size_t n, float *out)
{
    float acc[TILE] = {0};

    for (size_t p = 0; p < n; p++) {
        const float *line = tile + (size_t)col[p] * TILE;

        for (int t = 0; t < TILE; t++)
            acc[t] += line[t];
    }
    memcpy(out, acc, sizeof(acc));
}

static void assign_block(void *user, size_t chunk, size_t begin, size_t end)
{
    struct kmeans *km = user;
    const struct pv_sparse *x = km->x;

    (void)chunk;
    for (size_t i = begin; i < end; i++) {
        km->score[i] = -INFINITY;
        km->cluster[i] = 0;
    }
    for (uint32_t b = 0; b < km->n_tiles; b++) {
        const float *tile = km->tiles + (size_t)b * x->n_cols * TILE;
        uint32_t n_used = km->n_clusters - b * TILE < TILE ? km->n_clusters - b * TILE : TILE;

        for (size_t i = begin; i < end; i++) {
            size_t row = row_at(km, i), at = x->offset[row], n = x->offset[row + 1] - at;
            float score[TILE];

            if (km->space == PV_SPACE_BITS)
                score_bits(tile, x->col + at, n, score);
            else
                score_roots(tile, x->col + at, x->root + at, n, score);
            for (uint32_t t = 0; t < n_used; t++) {
                if (score[t] > km->score[i]) {
                    km->score[i] = score[t];
                    km->cluster[i] = (uint16_t)(b * TILE + t);
                }
            }
        }
    }
    for (size_t i = begin; i < end; i++)
        km->score[i] *= km->inv[i];
}

static void fill_tile(void *user, size_t chunk, size_t begin, size_t end)
{
    struct kmeans *km = user;
    uint32_t n_cols = km->x->n_cols;

    (void)chunk;
    for (size_t b = begin; b < end; b++) {
        float *tile = km->tiles + b * n_cols * TILE;

        for (uint32_t t = 0; t < TILE; t++) {
            size_t k = b * TILE + t;

            for (uint32_t j = 0; j < n_cols; j++)
                tile[(size_t)j * TILE + t] = k < km->n_clusters ? km->centroids[k * n_cols + j] : 0.0f;
        }
    }
}

static void assign(struct kmeans *km)
{
    pv_parallel_for(km->n_threads, km->n_tiles, km->n_tiles, fill_tile, km);
    pv_parallel_for(km->n_threads, km->n_rows, n_blocks(km->n_rows), assign_block, km);
}

/* f . centroid of each row's own cluster, as `assign` leaves it. */
static void score_rows(void *user, size_t chunk, size_t begin, size_t end)
{
    struct kmeans *km = user;
    const struct pv_sparse *x = km->x;

    (void)chunk;
    for (size_t i = begin; i < end; i++) {
        const float *centroid = km->centroids + (size_t)km->cluster[i] * x->n_cols;
        size_t row = row_at(km, i);
        float sum = 0.0f;

        for (uint64_t p = x->offset[row]; p < x->offset[row + 1]; p++)
            sum += (km->space == PV_SPACE_BITS ? 1.0f : pv_root_to_float(x->root[p])) * centroid[x->col[p]];
        km->score[i] = sum * km->inv[i];
    }
}

static enum pv_status assign_anywhere(struct kmeans *km)
{
    if (km->accel == NULL) {
        assign(km);
        return PV_OK;
    }
    PV_TRY(pv_accel_kmeans_assign(km->accel, km->centroids, km->cluster));
    pv_parallel_for(km->n_threads, km->n_rows, n_blocks(km->n_rows), score_rows, km);
    return PV_OK;
}

/* Adds row i's feature vector to a dense one. */
static void add_row(const struct kmeans *km, size_t i, float *sum)
{
    const struct pv_sparse *x = km->x;
    size_t row = row_at(km, i);
    float scale = km->inv[i];

    for (uint64_t p = x->offset[row]; p < x->offset[row + 1]; p++)
        sum[x->col[p]] += km->space == PV_SPACE_BITS ? scale : scale * pv_root_to_float(x->root[p]);
}

static void average_cluster(void *user, size_t chunk, size_t begin, size_t end)
{
    struct kmeans *km = user;
    uint32_t n_cols = km->x->n_cols;

    (void)chunk;
    for (size_t k = begin; k < end; k++) {
        float *centroid = km->centroids + k * n_cols;
        double sum = 0.0;
        float scale;

        if (km->accel == NULL) { /* else the sums are there */
            memset(centroid, 0, n_cols * sizeof(*centroid));
            for (size_t i = km->first[k]; i < km->first[k + 1]; i++)
                add_row(km, km->order[i], centroid);
        }
        for (uint32_t j = 0; j < n_cols; j++)
            sum += (double)centroid[j] * (double)centroid[j];
        scale = sum > 0.0 ? (float)(1.0 / sqrt(sum)) : 0.0f;
        for (uint32_t j = 0; j < n_cols; j++)
            centroid[j] *= scale;
    }
}

/* Sorts the rows by cluster. */
static void group(struct kmeans *km)
{
    size_t sum = 0;

    memset(km->first, 0, (km->n_clusters + (size_t)1) * sizeof(*km->first));
    for (size_t i = 0; i < km->n_rows; i++)
        km->first[km->cluster[i]]++;
    for (uint32_t k = 0; k <= km->n_clusters; k++) {
        size_t n = km->first[k];

        km->first[k] = sum;
        sum += n;
    }
    for (size_t i = 0; i < km->n_rows; i++)
        km->order[km->first[km->cluster[i]]++] = (uint32_t)i;
    for (uint32_t k = km->n_clusters; k > 0; k--)
        km->first[k] = km->first[k - 1];
    km->first[0] = 0;
}

/* Gives every empty cluster the row that its own centroid fits worst. Needs `first` for the sizes. */
static void repair_empty(struct kmeans *km)
{
    bool moved = false;

    for (uint32_t k = 0; k < km->n_clusters; k++) {
        size_t worst = km->n_rows;

        if (km->first[k + 1] != km->first[k])
            continue;
        for (size_t i = 0; i < km->n_rows; i++) {
            size_t own = km->cluster[i];

            if (km->inv[i] > 0.0f && km->first[own + 1] - km->first[own] > 1 && km->score[i] < 0.9999f &&
                (worst == km->n_rows || km->score[i] < km->score[worst]))
                worst = i;
        }
        if (worst == km->n_rows)
            break;
        km->cluster[worst] = (uint16_t)k;
        km->score[worst] = 1.0f; /* taken */
        moved = true;
    }
    if (moved)
        group(km);
}

/* distance[i] = min(distance[i], 1 - f_i . seed) over the sample, whose `score` holds the distances. */
static void shrink_distances(void *user, size_t chunk, size_t begin, size_t end)
{
    struct kmeans *km = user;
    const struct pv_sparse *x = km->x;

    (void)chunk;
    for (size_t s = begin; s < end; s++) {
        size_t i = km->order[s], row = row_at(km, i);
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
    uint32_t n_cols = km->x->n_cols;
    size_t n_sample = km->n_rows, at;
    struct pv_rng rng;

    if ((size_t)km->n_clusters * SEED_ROWS < n_sample)
        n_sample = (size_t)km->n_clusters * SEED_ROWS;
    pv_rng_seed(&rng, seed);
    for (size_t i = 0; i < km->n_rows; i++)
        km->order[i] = (uint32_t)i;
    for (size_t s = 0; s < n_sample; s++) { /* the first n_sample of a random permutation */
        size_t other = s + pv_rng_below(&rng, (uint32_t)(km->n_rows - s));
        uint32_t i = km->order[s];

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
        add_row(km, km->order[at], centroid);
        km->seed = centroid;
        pv_parallel_for(km->n_threads, n_sample, n_blocks(n_sample), shrink_distances, km);
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
    free(km->cluster);
    free(km->score);
    free(km->first);
    free(km->order);
}

/* Buffers of one assignment; `cluster` and `score` too, where the caller has none. */
static bool kmeans_prepare(struct kmeans *km)
{
    size_t size;

    km->n_tiles = (km->n_clusters + TILE - 1) / TILE;
    if (!pv_mul_size((size_t)km->n_tiles * TILE, km->x->n_cols, &size))
        return false;
    km->inv = pv_calloc(km->n_rows, sizeof(*km->inv));
    km->tiles = pv_calloc(size, sizeof(*km->tiles));
    if (km->inv == NULL || km->tiles == NULL)
        return false;
    pv_parallel_for(km->n_threads, km->n_rows, n_blocks(km->n_rows), invert_lengths, km);
    return true;
}

static enum pv_status iterate(struct kmeans *km, const struct pv_kmeans_params *params, uint16_t *last,
                              const struct pv_steps *steps, struct pv_kmeans_result *out)
{
    uint32_t iter = 0;

    for (; iter < params->n_iters; iter++) {
        size_t n_moved = 0;

        if (!pv_steps_report(steps, (1.0 + iter) / (1.0 + params->n_iters)))
            return PV_ERR_INTERRUPTED;
        PV_TRY(assign_anywhere(km));
        group(km);
        repair_empty(km);
        if (km->accel != NULL)
            PV_TRY(pv_accel_kmeans_sum(km->accel, km->cluster, km->centroids));
        pv_parallel_for(km->n_threads, km->n_clusters, km->n_clusters, average_cluster, km);
        for (size_t i = 0; i < km->n_rows; i++)
            n_moved += km->cluster[i] != last[i];
        memcpy(last, km->cluster, km->n_rows * sizeof(*last));
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

    if (device == NULL || !pv_accel_kmeans_fits(device, km->n_clusters, km->x->n_cols))
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
    uint16_t *last = pv_calloc(n_rows, sizeof(*last));
    enum pv_status status = PV_ERR_NOMEM;
    size_t size;

    *out = (struct pv_kmeans_result){0};
    if (n_rows == 0 || params->n_clusters == 0) {
        free(last);
        return PV_ERR_ARG;
    }
    if (pv_mul_size(km.n_clusters, x->n_cols, &size))
        km.centroids = pv_calloc(size, sizeof(*km.centroids));
    km.cluster = pv_calloc(n_rows, sizeof(*km.cluster));
    km.score = pv_calloc(n_rows, sizeof(*km.score));
    km.first = pv_calloc(km.n_clusters + (size_t)1, sizeof(*km.first));
    km.order = pv_calloc(n_rows, sizeof(*km.order));
    if (last != NULL && km.centroids != NULL && km.cluster != NULL && km.score != NULL && km.first != NULL &&
        km.order != NULL && kmeans_prepare(&km)) {
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

    if (km.inv != NULL && km.cluster != NULL && km.first != NULL && km.order != NULL) {
        km.centroids = centroids;
        for (size_t i = 0; i < n_rows; i++)
            km.cluster[i] = cluster[row_at(&km, i)];
        pv_parallel_for(n_threads, n_rows, n_blocks(n_rows), invert_lengths, &km);
        group(&km);
        pv_parallel_for(n_threads, n_clusters, n_clusters, average_cluster, &km);
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

    if (score == NULL)
        km.score = own_score = pv_calloc(n_rows, sizeof(*own_score));
    km.centroids = borrowed.out;
    if (km.score != NULL && kmeans_prepare(&km)) {
        assign(&km);
        status = PV_OK;
    }
    free(km.inv);
    free(km.tiles);
    free(own_score);
    return status;
}
