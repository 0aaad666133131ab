/* Energies are summed cluster by cluster over rows sorted by cluster, so that each row of the table has one
 * writer. Floats >= 0 order like their bits, so the budget's threshold is found by bisection over the bits:
 * 31 passes that only compare and count. */
#include "learn/algo/masks.h"

#include <stdlib.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/threads.h"

/* c_j^2 of a root contribution. */
static float energy_of(uint16_t root)
{
    const float s = pv_root_to_float(root);

    return s * s * s * s;
}

struct summing {
    const struct pv_sparse *x;
    const uint32_t *order; /* rows sorted by cluster */
    const size_t *first;   /* [K + 1] */
    float *mean;
};

static void sum_cluster(void *user, size_t chunk, size_t begin, size_t end)
{
    const struct summing *s = user;
    const struct pv_sparse *x = s->x;

    (void)chunk;
    for (size_t k = begin; k < end; k++) {
        float *mean = s->mean + k * x->n_cols;
        const float scale = 1.0f / (float)(s->first[k + 1] - s->first[k]);

        if (s->first[k + 1] == s->first[k])
            continue;
        for (size_t i = s->first[k]; i < s->first[k + 1]; i++) {
            const size_t row = s->order[i];

            for (uint64_t p = x->offset[row]; p < x->offset[row + 1]; p++)
                mean[x->col[p]] += energy_of(x->root[p]);
        }
        for (uint32_t j = 0; j < x->n_cols; j++)
            mean[j] *= scale;
    }
}

/* Mean over all rows, for the clusters without one, and the layer's total. */
static void finish(struct pv_energy *e, size_t n_rows, double *overall)
{
    for (uint32_t k = 0; k < e->n_clusters; k++) {
        const double share = (double)e->use[k] / (double)n_rows;

        for (uint32_t j = 0; j < e->n_cols && e->use[k] > 0; j++)
            overall[j] += share * (double)e->mean[(size_t)k * e->n_cols + j];
    }
    for (uint32_t j = 0; j < e->n_cols; j++)
        e->total += overall[j];
    for (uint32_t k = 0; k < e->n_clusters; k++) {
        for (uint32_t j = 0; j < e->n_cols && e->use[k] == 0; j++)
            e->mean[(size_t)k * e->n_cols + j] = (float)overall[j];
    }
    e->scale = 1.0;
}

enum pv_status pv_energy_init(struct pv_energy *e, const struct pv_rows *rows, const uint16_t *cluster,
                              uint32_t n_clusters, uint32_t n_threads)
{
    const struct pv_sparse *x = rows->x;
    size_t *first = pv_calloc(n_clusters + (size_t)1, sizeof *first), size;
    uint32_t *order = pv_calloc(rows->n, sizeof *order);
    double *overall = pv_calloc(x->n_cols, sizeof *overall);
    enum pv_status status = PV_ERR_NOMEM;
    struct summing summing = {.x = x, .order = order, .first = first};

    *e = (struct pv_energy){.n_clusters = n_clusters, .n_cols = x->n_cols};
    if (pv_mul_size(n_clusters, x->n_cols, &size))
        e->mean = pv_calloc(size, sizeof *e->mean);
    e->use = pv_calloc(n_clusters, sizeof *e->use);
    if (first && order && overall && e->mean && e->use) {
        for (size_t i = 0; i < rows->n; i++)
            e->use[cluster[pv_row_at(rows, i)]]++;
        for (uint32_t k = 0; k < n_clusters; k++)
            first[k + 1] = first[k] + e->use[k];
        for (size_t i = 0; i < rows->n; i++) {
            const size_t row = pv_row_at(rows, i);

            order[first[cluster[row]]++] = (uint32_t)row;
        }
        for (uint32_t k = n_clusters; k > 0; k--)
            first[k] = first[k - 1];
        first[0] = 0;
        summing.mean = e->mean;
        pv_parallel_for(n_threads, n_clusters, n_clusters, sum_cluster, &summing);
        finish(e, rows->n, overall);
        status = PV_OK;
    } else {
        pv_energy_free(e);
    }
    free(first);
    free(order);
    free(overall);
    return status;
}

void pv_energy_free(struct pv_energy *energy)
{
    free(energy->mean);
    free(energy->use);
    *energy = (struct pv_energy){0};
}

void pv_energy_scale(struct pv_energy *layers, uint32_t n_layers)
{
    double sum = 0.0;

    for (uint32_t l = 0; l < n_layers; l++) {
        sum += layers[l].total;
        layers[l].scale = sum > 0.0 ? 1.0 / sum : 1.0;
    }
}

/* Neurons of a row above a threshold; the test that makes the masks, so the two agree. */
static inline uint32_t above(const float *mean, uint32_t n, float scale, float threshold)
{
    uint32_t count = 0;

    for (uint32_t j = 0; j < n; j++)
        count += mean[j] * scale > threshold;
    return count;
}

struct counting {
    const struct pv_energy *layers;
    float threshold;
    double *density; /* [n_layers] */
};

static void count_layer(void *user, size_t chunk, size_t begin, size_t end)
{
    struct counting *c = user;

    (void)chunk;
    for (size_t l = begin; l < end; l++) {
        const struct pv_energy *e = &c->layers[l];
        double computed = 0.0, rows = 0.0;

        for (uint32_t k = 0; k < e->n_clusters; k++) {
            rows += (double)e->use[k];
            if (e->use[k] > 0)
                computed += (double)e->use[k] *
                            above(e->mean + (size_t)k * e->n_cols, e->n_cols, (float)e->scale, c->threshold);
        }
        c->density[l] = rows > 0.0 ? computed / (rows * e->n_cols) : 0.0;
    }
}

static double density_at(struct counting *c, uint32_t n_layers, float threshold, uint32_t n_threads)
{
    double sum = 0.0;

    c->threshold = threshold;
    pv_parallel_for(n_threads, n_layers, n_layers, count_layer, c);
    for (uint32_t l = 0; l < n_layers; l++)
        sum += c->density[l];
    return sum / n_layers;
}

enum pv_status pv_energy_threshold(const struct pv_energy *layers, uint32_t n_layers, double density,
                                   uint32_t n_threads, float *threshold, double *reached)
{
    struct counting c = {.layers = layers, .density = pv_calloc(n_layers, sizeof(double))};
    uint32_t low = 0, high = 0x7f800000u; /* 0 and infinity */

    if (!c.density)
        return PV_ERR_NOMEM;
    while (low < high) { /* the lowest threshold within the budget is in [low, high] */
        uint32_t middle = low + (high - low) / 2;

        memcpy(threshold, &middle, sizeof *threshold);
        if (density_at(&c, n_layers, *threshold, n_threads) <= density)
            high = middle;
        else
            low = middle + 1;
    }
    memcpy(threshold, &high, sizeof *threshold);
    *reached = density_at(&c, n_layers, *threshold, n_threads);
    free(c.density);
    return PV_OK;
}

enum pv_status pv_mask_lists_choose(struct pv_mask_lists *lists, const struct pv_energy *e, float threshold)
{
    size_t total = 0, rows = 0;
    uint16_t *next;

    *lists = (struct pv_mask_lists){.n_clusters = e->n_clusters, .n_cols = e->n_cols};
    lists->offset = pv_calloc(e->n_clusters + (size_t)1, sizeof *lists->offset);
    if (!lists->offset)
        return PV_ERR_NOMEM;
    for (uint32_t k = 0; k < e->n_clusters; k++) {
        const uint32_t n = above(e->mean + (size_t)k * e->n_cols, e->n_cols, (float)e->scale, threshold);

        total += n;
        rows += e->use[k];
        lists->density += (double)e->use[k] * n;
        lists->offset[k + 1] = (uint32_t)total;
    }
    lists->density = rows > 0 ? lists->density / ((double)rows * e->n_cols) : 0.0;
    lists->neurons = total <= UINT32_MAX ? pv_calloc(total, sizeof *lists->neurons) : NULL;
    if (!lists->neurons) {
        pv_mask_lists_free(lists);
        return PV_ERR_NOMEM;
    }
    next = lists->neurons;
    for (uint32_t k = 0; k < e->n_clusters; k++) {
        const float *mean = e->mean + (size_t)k * e->n_cols;

        for (uint32_t j = 0; j < e->n_cols; j++) {
            if (mean[j] * (float)e->scale > threshold)
                *next++ = (uint16_t)j;
        }
    }
    return PV_OK;
}

static int descending(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;

    return (x < y) - (x > y);
}

/* The n highest of mean [n_cols], in order, to `out`; their number. */
static uint32_t take_top(const float *mean, uint32_t n_cols, uint32_t n, float *room, uint16_t *out)
{
    uint32_t taken = 0, ties = n;
    float least;

    if (n == 0)
        return 0;
    memcpy(room, mean, n_cols * sizeof *room);
    qsort(room, n_cols, sizeof *room, descending);
    least = room[n - 1];
    for (uint32_t j = 0; j < n && room[j] > least; j++)
        ties--;
    for (uint32_t j = 0; j < n_cols; j++) {
        if (mean[j] > least || (mean[j] > 0.0f && !(mean[j] < least) && ties > 0)) {
            ties -= !(mean[j] > least);
            out[taken++] = (uint16_t)j;
        }
    }
    return taken;
}

enum pv_status pv_mask_lists_top(struct pv_mask_lists *lists, const struct pv_energy *e, uint32_t n)
{
    float *room = pv_calloc(e->n_cols, sizeof *room);
    size_t most;
    double rows = 0.0;

    n = n < e->n_cols ? n : e->n_cols;
    *lists = (struct pv_mask_lists){.n_clusters = e->n_clusters, .n_cols = e->n_cols};
    lists->offset = pv_calloc(e->n_clusters + (size_t)1, sizeof *lists->offset);
    lists->neurons = pv_mul_size(n > 0 ? n : 1, e->n_clusters, &most) && most <= UINT32_MAX
                         ? pv_calloc(most, sizeof *lists->neurons)
                         : NULL;
    if (!room || !lists->offset || !lists->neurons) {
        free(room);
        pv_mask_lists_free(lists);
        return PV_ERR_NOMEM;
    }
    for (uint32_t k = 0; k < e->n_clusters; k++) {
        const uint32_t taken =
            take_top(e->mean + (size_t)k * e->n_cols, e->n_cols, n, room, lists->neurons + lists->offset[k]);

        lists->offset[k + 1] = lists->offset[k] + taken;
        lists->density += (double)e->use[k] * taken;
        rows += (double)e->use[k];
    }
    lists->density = rows > 0.0 ? lists->density / (rows * e->n_cols) : 0.0;
    free(room);
    return PV_OK;
}

void pv_mask_lists_free(struct pv_mask_lists *lists)
{
    free(lists->offset);
    free(lists->neurons);
    *lists = (struct pv_mask_lists){0};
}

enum pv_status pv_mask_lists_judge(const struct pv_mask_lists *lists, const struct pv_rows *rows,
                                   const uint16_t *cluster, struct pv_mask_score *score)
{
    const struct pv_sparse *x = rows->x;
    const size_t words = pv_bit_words(lists->n_cols);
    uint32_t *bits = pv_calloc(words * lists->n_clusters, sizeof *bits);

    if (!bits)
        return PV_ERR_NOMEM;
    for (uint32_t k = 0; k < lists->n_clusters; k++) {
        for (uint32_t i = lists->offset[k]; i < lists->offset[k + 1]; i++)
            pv_bit_set(bits + k * words, lists->neurons[i]);
    }
    for (size_t i = 0; i < rows->n; i++) {
        const size_t row = pv_row_at(rows, i), k = cluster[row];

        score->n_tokens += 1.0;
        score->computed += lists->offset[k + 1] - lists->offset[k];
        score->active += (double)(x->offset[row + 1] - x->offset[row]);
        for (uint64_t p = x->offset[row]; p < x->offset[row + 1]; p++) {
            const bool kept = pv_bit_get(bits + k * words, x->col[p]);
            const double energy = (double)energy_of(x->root[p]);

            score->hit += kept;
            score->energy += energy;
            score->energy_kept += kept ? energy : 0.0;
        }
    }
    free(bits);
    return PV_OK;
}

enum pv_status pv_mask_lists_spend(struct pv_mask_lists *lists, const struct pv_energy *energies,
                                   uint32_t n_layers, uint32_t n_threads, struct pv_mask_budget *budget)
{
    PV_TRY(pv_energy_threshold(energies, n_layers, budget->density, n_threads, &budget->threshold,
                               &budget->reached));
    if (budget->density >= 1.0) {
        budget->threshold = -1.0f;
        budget->reached = 1.0;
    }
    for (uint32_t l = 0; l < n_layers; l++) {
        pv_mask_lists_free(&lists[l]);
        PV_TRY(pv_mask_lists_choose(&lists[l], &energies[l], budget->threshold));
    }
    return PV_OK;
}
