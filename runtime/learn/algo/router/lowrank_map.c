/* All products are sums of scaled rows, so that the inner loops vectorise without reordering any sum: results
 * are the same for every number of threads. */
#include "learn/algo/router/lowrank_map.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/half.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/threads.h"

enum { ITERATIONS = 10, EXTRA = 8, MOMENT_ROWS = 8192 };

/* c [m][n] = a x b, with a(i, p) at a[i * a_row + p * a_col], b [k][n]. */
struct product {
    const float *a, *b;
    size_t a_row, a_col, k, n;
    float *c;
};

static void multiply_rows(void *user, size_t chunk, size_t begin, size_t end)
{
    const struct product *g = user;

    (void)chunk;
    for (size_t i = begin; i < end; i++) {
        float *c = g->c + i * g->n;

        memset(c, 0, g->n * sizeof *c);
        for (size_t p = 0; p < g->k; p++) {
            const float v = g->a[i * g->a_row + p * g->a_col];
            const float *b = g->b + p * g->n;

            for (size_t j = 0; j < g->n; j++)
                c[j] += v * b[j];
        }
    }
}

static void multiply(uint32_t n_threads, size_t m, const struct product *g)
{
    struct product copy = *g;

    pv_parallel_for(n_threads, m, (m + 15) / 16, multiply_rows, &copy);
}

/* Gram-Schmidt on the rows of q [n][width], twice for accuracy; a row that depends on earlier ones becomes
 * zero. */
static void orthonormalise(float *q, size_t n, size_t width)
{
    for (size_t i = 0; i < n; i++) {
        float *row = q + i * width;
        double length = 0.0, before = 0.0;

        for (size_t p = 0; p < width; p++)
            before += (double)row[p] * (double)row[p];
        for (size_t pass = 0; pass < 2; pass++) {
            for (size_t k = 0; k < i; k++) {
                const float *other = q + k * width;
                double dot = 0.0;

                for (size_t p = 0; p < width; p++)
                    dot += (double)row[p] * (double)other[p];
                for (size_t p = 0; p < width; p++)
                    row[p] -= (float)dot * other[p];
            }
        }
        for (size_t p = 0; p < width; p++)
            length += (double)row[p] * (double)row[p];
        length = length > 1e-12 * before && length > 0.0 ? 1.0 / sqrt(length) : 0.0;
        for (size_t p = 0; p < width; p++)
            row[p] *= (float)length;
    }
}

struct work {
    float *q; /* [r + EXTRA][n_rows] the subspace, a vector a row */
    float *t; /* [r + EXTRA][n_cols] */
    float *u; /* the same, times the moment */
};

/* One round: q <- orthonormal basis of (W C W^T) q, vectors as rows: t = q W, u = t C, q = u W^T. */
static void iterate(const struct pv_lowrank_params *p, const float *w_t, size_t r, const struct work *work)
{
    const size_t n_rows = p->n_rows, n_cols = p->n_cols;

    multiply(p->n_threads, r, &(struct product){work->q, p->w, n_rows, 1, n_rows, n_cols, work->t});
    if (p->moment)
        multiply(p->n_threads, r, &(struct product){work->t, p->moment, n_cols, 1, n_cols, n_cols, work->u});
    multiply(p->n_threads, r,
             &(struct product){p->moment ? work->u : work->t, w_t, n_cols, 1, n_cols, n_rows, work->q});
    orthonormalise(work->q, r, n_rows);
}

/* The subspace of r vectors, and of it the first out->rank. */
static void find_subspace(const struct pv_lowrank_params *p, float *w_t, size_t r, const struct work *work,
                          struct pv_lowrank *out)
{
    const size_t n_rows = p->n_rows, n_cols = p->n_cols;
    struct pv_rng rng;

    for (size_t i = 0; i < n_rows; i++) {
        for (size_t j = 0; j < n_cols; j++)
            w_t[j * n_rows + i] = p->w[i * n_cols + j];
    }
    pv_rng_seed(&rng, p->seed);
    for (size_t i = 0; i < r * n_rows; i++)
        work->q[i] = pv_rng_normal(&rng);
    orthonormalise(work->q, r, n_rows);
    for (int i = 0; i < ITERATIONS; i++)
        iterate(p, w_t, r, work);
    memcpy(out->a_t, work->q, out->rank * n_rows * sizeof(float));
    multiply(p->n_threads, out->rank, &(struct product){out->a_t, p->w, n_rows, 1, n_rows, n_cols, work->t});
    for (size_t k = 0; k < out->rank; k++) {
        for (size_t i = 0; i < n_cols; i++)
            out->b_t[i * out->rank + k] = work->t[k * n_cols + i];
    }
}

enum pv_status pv_lowrank_find(const struct pv_lowrank_params *p, struct pv_lowrank *out)
{
    const size_t n_rows = p->n_rows, n_cols = p->n_cols, least = n_rows < n_cols ? n_rows : n_cols;
    const size_t rank = p->rank < least ? p->rank : least, r = rank + EXTRA < least ? rank + EXTRA : least;
    float *w_t = pv_calloc(n_rows * n_cols, sizeof *w_t);
    const struct work work = {.q = pv_calloc(r * n_rows, sizeof(float)),
                              .t = pv_calloc(r * n_cols, sizeof(float)),
                              .u = pv_calloc(r * n_cols, sizeof(float))};
    enum pv_status status = PV_ERR_NOMEM;

    *out = (struct pv_lowrank){.n_rows = p->n_rows,
                               .n_cols = p->n_cols,
                               .rank = (uint32_t)rank,
                               .a_t = pv_calloc(rank * n_rows, sizeof(float)),
                               .b_t = pv_calloc(rank * n_cols, sizeof(float))};
    if (w_t && work.q && work.t && work.u && out->a_t && out->b_t) {
        find_subspace(p, w_t, r, &work, out);
        status = PV_OK;
    } else {
        pv_lowrank_free(out);
    }
    free(w_t);
    free(work.q);
    free(work.t);
    free(work.u);
    return status;
}

void pv_lowrank_free(struct pv_lowrank *map)
{
    free(map->a_t);
    free(map->b_t);
    *map = (struct pv_lowrank){0};
}

static void combine(const float *v, size_t k, const float *rows, size_t n, float *out)
{
    memset(out, 0, n * sizeof *out);
    for (size_t p = 0; p < k; p++) {
        for (size_t j = 0; j < n; j++)
            out[j] += v[p] * rows[p * n + j];
    }
}

void pv_lowrank_project(const struct pv_lowrank *map, const float *z, float *h)
{
    combine(z, map->n_cols, map->b_t, map->rank, h);
}

void pv_lowrank_expand(const struct pv_lowrank *map, const float *h, float *y)
{
    combine(h, map->rank, map->a_t, map->n_rows, y);
}

float *pv_lowrank_moment(const uint16_t *z, uint32_t d, const uint32_t *rows, size_t n_rows,
                         uint32_t n_threads)
{
    const size_t n = n_rows < MOMENT_ROWS ? n_rows : MOMENT_ROWS;
    float *sample = pv_calloc(n * d, sizeof *sample), *moment = pv_calloc((size_t)d * d, sizeof *moment);

    if (!sample || !moment || n == 0) {
        free(sample);
        free(moment);
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        const uint16_t *row = z + (size_t)rows[i * n_rows / n] * d;

        for (size_t j = 0; j < d; j++)
            sample[i * d + j] = pv_half_to_float(row[j]);
    }
    multiply(n_threads, d, &(struct product){sample, sample, 1, d, n, d, moment});
    for (size_t i = 0; i < (size_t)d * d; i++)
        moment[i] /= (float)n;
    free(sample);
    return moment;
}
