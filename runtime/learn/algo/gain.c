/* The masks lie transposed in tiles of clusters, like the centroids in kmeans.c: an active neuron adds its
 * energy times a line of zeros and ones to the running gains of a whole tile. */
#include "learn/algo/gain.h"

#include <math.h>
#include <stdlib.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/threads.h"

enum { TILE = PV_GAIN_TILE, ONE = 0x3c00 /* 1.0 as float16 */, BLOCK_ROWS = 64 /* at most, of a chunk */ };

static float energy_at(const struct pv_gain *gain, uint64_t p)
{
    const float root = pv_root_to_float(gain->x->root[p]), c = root * root;

    return c * c * gain->scale;
}

enum pv_status pv_gain_init(struct pv_gain *gain, const struct pv_rows *rows,
                            const struct pv_mask_lists *lists)
{
    size_t n_cols = rows->x->n_cols, size;
    double total = 0.0;

    *gain = (struct pv_gain){.x = rows->x, .n_clusters = lists->n_clusters, .scale = 1.0f};
    gain->n_tiles = (lists->n_clusters + TILE - 1) / TILE;
    if (pv_mul_size((size_t)gain->n_tiles * TILE, n_cols, &size))
        gain->tiles = pv_calloc(size, sizeof *gain->tiles);
    if (!gain->tiles)
        return PV_ERR_NOMEM;
    for (size_t k = 0; k < lists->n_clusters; k++) {
        float *tile = gain->tiles + k / TILE * n_cols * TILE + k % TILE;

        for (uint32_t i = lists->offset[k]; i < lists->offset[k + 1]; i++)
            tile[(size_t)lists->neurons[i] * TILE] = 1.0f;
    }
    for (size_t i = 0; i < rows->n; i++)
        total += pv_gain_whole(gain, pv_row_at(rows, i));
    gain->scale = total > 0.0 ? (float)((double)rows->n / total) : 1.0f;
    return PV_OK;
}

void pv_gain_free(struct pv_gain *gain)
{
    free(gain->tiles);
    *gain = (struct pv_gain){0};
}

void pv_gain_tile(const struct pv_gain *gain, uint32_t b, const uint32_t *rows, size_t n_rows, float *out)
{
    const struct pv_sparse *x = gain->x;
    const float *tile = gain->tiles + (size_t)b * x->n_cols * TILE;

    for (size_t i = 0; i < n_rows; i++) {
        float sum[TILE] = {0};

        for (uint64_t p = x->offset[rows[i]]; p < x->offset[rows[i] + (size_t)1]; p++) {
            const float *line = tile + (size_t)x->col[p] * TILE;
            const float energy = energy_at(gain, p);

            for (size_t t = 0; t < TILE; t++)
                sum[t] += energy * line[t];
        }
        memcpy(out + i * TILE, sum, sizeof sum);
    }
}

double pv_gain_of(const struct pv_gain *gain, size_t row, uint32_t k)
{
    const struct pv_sparse *x = gain->x;
    const float *tile = gain->tiles + (size_t)(k / TILE) * x->n_cols * TILE + k % TILE;
    double sum = 0.0;

    for (uint64_t p = x->offset[row]; p < x->offset[row + 1]; p++)
        sum += (double)(energy_at(gain, p) * tile[(size_t)x->col[p] * TILE]);
    return sum;
}

double pv_gain_whole(const struct pv_gain *gain, size_t row)
{
    double sum = 0.0;

    for (uint64_t p = gain->x->offset[row]; p < gain->x->offset[row + 1]; p++)
        sum += (double)energy_at(gain, p);
    return sum;
}

void pv_gain_masks(const struct pv_gain *gain, uint16_t *out)
{
    const size_t n_cols = gain->x->n_cols;

    for (size_t k = 0; k < gain->n_clusters; k++) {
        const float *tile = gain->tiles + k / TILE * n_cols * TILE + k % TILE;

        for (size_t j = 0; j < n_cols; j++)
            out[k * n_cols + j] = tile[j * TILE] > 0.0f ? ONE : 0;
    }
}

struct assigning {
    const struct pv_gain *gain;
    const struct pv_mask_lists *lists;
    const uint64_t *use;
    float price;
    uint16_t *cluster;
};

static void assign_block(void *user, size_t chunk, size_t begin, size_t end)
{
    const struct assigning *a = user;
    const size_t n = end - begin;
    uint32_t rows[BLOCK_ROWS];
    float best[BLOCK_ROWS], gain[BLOCK_ROWS * TILE];

    (void)chunk;
    for (size_t i = 0; i < n; i++) {
        rows[i] = (uint32_t)(begin + i);
        best[i] = -INFINITY;
        a->cluster[begin + i] = 0;
    }
    for (uint32_t b = 0; b < a->gain->n_tiles; b++) {
        pv_gain_tile(a->gain, b, rows, n, gain);
        for (uint32_t t = 0; t < TILE && b * TILE + t < a->lists->n_clusters; t++) {
            const uint32_t k = b * TILE + t;
            const float cost = a->price * (float)(a->lists->offset[k + 1] - a->lists->offset[k]);

            for (size_t i = 0; i < n && a->use[k] > 0; i++) {
                const float worth = gain[i * TILE + t] - cost;

                if (worth > best[i]) {
                    best[i] = worth;
                    a->cluster[begin + i] = (uint16_t)k;
                }
            }
        }
    }
}

enum pv_status pv_gain_regroup(const struct pv_sparse *x, const struct pv_mask_lists *lists,
                               const struct pv_energy *energy, float threshold, uint32_t n_threads,
                               uint16_t *cluster)
{
    const size_t n = x->n_rows;
    struct pv_gain gain;

    PV_TRY(pv_gain_init(&gain, &(struct pv_rows){.x = x}, lists)); /* in units of c_j^2 */
    pv_parallel_for(n_threads, n, (n + BLOCK_ROWS - 1) / BLOCK_ROWS, assign_block,
                    &(struct assigning){.gain = &gain,
                                        .lists = lists,
                                        .use = energy->use,
                                        .price = (float)((double)threshold / energy->scale),
                                        .cluster = cluster});
    pv_gain_free(&gain);
    return PV_OK;
}
