/* The centroids lie transposed in tiles, [K / TILE][F][TILE]: an active neuron adds TILE neighbouring floats,
 * scaled, to TILE running scores that stay in registers, and the loop over a tile vectorises. A block of rows
 * visits all tiles before the next block, so its patterns stay in the cache. Every output element is computed
 * by one chunk in a fixed order, which is what makes the result independent of the number of threads. */
#include "learn/algo/kmeans/kmeans_impl.h"

#include <math.h>
#include "base/log.h"
#include "base/threads.h"
#include "learn/algo/device/accel.h"

enum { TILE = PV_KMEANS_TILE };

static void invert_lengths(void *user, size_t chunk, size_t begin, size_t end)
{
    struct kmeans *km = user;

    (void)chunk;
    for (size_t i = begin; i < end; i++) {
        const size_t row = pv_row_at(&km->rows, i);
        float sum = 0.0f;

        for (uint64_t p = km->x->offset[row]; p < km->x->offset[row + 1]; p++) {
            const float v = pv_root_to_float(km->x->root[p]);

            sum += km->space == PV_SPACE_BITS ? 1.0f : v * v;
        }
        km->inv[i] = sum > 0.0f ? 1.0f / sqrtf(sum) : 0.0f;
    }
}

void pv_kmeans_lengths(struct kmeans *km)
{
    pv_parallel_for(km->n_threads, km->rows.n, pv_kmeans_blocks(km->rows.n), invert_lengths, km);
}

static void score_roots(const float *tile, const uint16_t *col, const uint16_t *root, size_t n, float *out)
{
    float acc[TILE] = {0};

    for (size_t p = 0; p < n; p++) {
        const float *line = tile + (size_t)col[p] * TILE;
        const float v = pv_root_to_float(root[p]);

        for (int t = 0; t < TILE; t++)
            acc[t] += v * line[t];
    }
    memcpy(out, acc, sizeof acc);
}

static void score_bits(const float *tile, const uint16_t *col, size_t n, float *out)
{
    float acc[TILE] = {0};

    for (size_t p = 0; p < n; p++) {
        const float *line = tile + (size_t)col[p] * TILE;

        for (int t = 0; t < TILE; t++)
            acc[t] += line[t];
    }
    memcpy(out, acc, sizeof acc);
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
        const uint32_t n_used = km->n_clusters - b * TILE < TILE ? km->n_clusters - b * TILE : TILE;

        for (size_t i = begin; i < end; i++) {
            const size_t row = pv_row_at(&km->rows, i), at = x->offset[row], n = x->offset[row + 1] - at;
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
    const uint32_t n_cols = km->x->n_cols;

    (void)chunk;
    for (size_t b = begin; b < end; b++) {
        float *tile = km->tiles + b * n_cols * TILE;

        for (uint32_t t = 0; t < TILE; t++) {
            const size_t k = b * TILE + t;

            for (uint32_t j = 0; j < n_cols; j++)
                tile[(size_t)j * TILE + t] = k < km->n_clusters ? km->centroids[k * n_cols + j] : 0.0f;
        }
    }
}

void pv_kmeans_nearest(struct kmeans *km)
{
    pv_parallel_for(km->n_threads, km->n_tiles, km->n_tiles, fill_tile, km);
    pv_parallel_for(km->n_threads, km->rows.n, pv_kmeans_blocks(km->rows.n), assign_block, km);
}

/* f . centroid of each row's own cluster, as pv_kmeans_nearest leaves it. */
static void score_rows(void *user, size_t chunk, size_t begin, size_t end)
{
    struct kmeans *km = user;
    const struct pv_sparse *x = km->x;

    (void)chunk;
    for (size_t i = begin; i < end; i++) {
        const float *centroid = km->centroids + (size_t)km->cluster[i] * x->n_cols;
        const size_t row = pv_row_at(&km->rows, i);
        float sum = 0.0f;

        for (uint64_t p = x->offset[row]; p < x->offset[row + 1]; p++)
            sum += (km->space == PV_SPACE_BITS ? 1.0f : pv_root_to_float(x->root[p])) * centroid[x->col[p]];
        km->score[i] = sum * km->inv[i];
    }
}

static enum pv_status assign_anywhere(struct kmeans *km)
{
    if (!km->accel) {
        pv_kmeans_nearest(km);
        return PV_OK;
    }
    PV_TRY(pv_accel_kmeans_assign(km->accel, km->centroids, km->cluster));
    pv_parallel_for(km->n_threads, km->rows.n, pv_kmeans_blocks(km->rows.n), score_rows, km);
    return PV_OK;
}

void pv_kmeans_add(const struct kmeans *km, size_t i, float *sum)
{
    const struct pv_sparse *x = km->x;
    const size_t row = pv_row_at(&km->rows, i);
    const float scale = km->inv[i];

    for (uint64_t p = x->offset[row]; p < x->offset[row + 1]; p++)
        sum[x->col[p]] += km->space == PV_SPACE_BITS ? scale : scale * pv_root_to_float(x->root[p]);
}

static void average_cluster(void *user, size_t chunk, size_t begin, size_t end)
{
    struct kmeans *km = user;
    const uint32_t n_cols = km->x->n_cols;

    (void)chunk;
    for (size_t k = begin; k < end; k++) {
        float *centroid = km->centroids + k * n_cols;
        double sum = 0.0;
        float scale;

        if (!km->accel) { /* else the sums are there */
            memset(centroid, 0, n_cols * sizeof *centroid);
            for (size_t i = km->first[k]; i < km->first[k + 1]; i++)
                pv_kmeans_add(km, km->order[i], centroid);
        }
        for (uint32_t j = 0; j < n_cols && km->sums; j++) {
            float *all = km->sums + k * n_cols + j;

            *all += centroid[j];
            centroid[j] = *all;
        }
        for (uint32_t j = 0; j < n_cols; j++)
            sum += (double)centroid[j] * (double)centroid[j];
        scale = sum > 0.0 ? (float)(1.0 / sqrt(sum)) : 0.0f;
        for (uint32_t j = 0; j < n_cols; j++)
            centroid[j] *= scale;
    }
}

void pv_kmeans_mean(struct kmeans *km)
{
    pv_parallel_for(km->n_threads, km->n_clusters, km->n_clusters, average_cluster, km);
}

void pv_kmeans_sort(struct kmeans *km)
{
    size_t sum = 0;

    memset(km->first, 0, (km->n_clusters + (size_t)1) * sizeof *km->first);
    for (size_t i = 0; i < km->rows.n; i++)
        km->first[km->cluster[i]]++;
    for (uint32_t k = 0; k <= km->n_clusters; k++) {
        const size_t n = km->first[k];

        km->first[k] = sum;
        sum += n;
    }
    for (size_t i = 0; i < km->rows.n; i++)
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
        size_t worst = km->rows.n;

        if (km->first[k + 1] != km->first[k])
            continue;
        for (size_t i = 0; i < km->rows.n; i++) {
            const size_t own = km->cluster[i];

            if (km->inv[i] > 0.0f && km->first[own + 1] - km->first[own] > 1 && km->score[i] < 0.9999f &&
                (worst == km->rows.n || km->score[i] < km->score[worst]))
                worst = i;
        }
        if (worst == km->rows.n)
            break;
        km->cluster[worst] = (uint16_t)k;
        km->score[worst] = 1.0f; /* taken */
        moved = true;
    }
    if (moved)
        pv_kmeans_sort(km);
}

enum pv_status pv_kmeans_step(struct kmeans *km, bool repair)
{
    PV_TRY(assign_anywhere(km));
    pv_kmeans_sort(km);
    if (repair)
        repair_empty(km);
    if (km->accel)
        PV_TRY(pv_accel_kmeans_sum(km->accel, km->cluster, km->centroids));
    pv_kmeans_mean(km);
    return PV_OK;
}
