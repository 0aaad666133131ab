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
static void iterate(const float *w, const float *w_t, size_t n_rows, size_t n_cols, const float *moment,
                    size_t r, uint32_t n_threads, struct work *work)
{
    multiply(n_threads, r, &(struct product){work->q, w, n_rows, 1, n_rows, n_cols, work->t});
    if (moment)
        multiply(n_threads, r, &(struct product){work->t, moment, n_cols, 1, n_cols, n_cols, work->u});
    multiply(n_threads, r,
             &(struct product){moment ? work->u : work->t, w_t, n_cols, 1, n_cols, n_rows, work->q});
    orthonormalise(work->q, r, n_rows);
}

enum pv_status pv_lowrank_find(const float *w, uint32_t n_rows, uint32_t n_cols, const float *moment,
                               uint32_t rank, uint64_t seed, uint32_t n_threads, struct pv_lowrank *out)
{
    size_t least = n_rows < n_cols ? n_rows : n_cols, r;
    struct work work = {0};
    float *w_t = pv_calloc((size_t)n_rows * n_cols, sizeof *w_t);
    enum pv_status status = PV_ERR_NOMEM;
    struct pv_rng rng;

    *out = (struct pv_lowrank){.n_rows = n_rows, .n_cols = n_cols};
    out->rank = rank < least ? rank : (uint32_t)least;
    r = out->rank + (size_t)EXTRA < least ? out->rank + (size_t)EXTRA : least;
    work.q = pv_calloc(r * n_rows, sizeof(float));
    work.t = pv_calloc(r * n_cols, sizeof(float));
    work.u = pv_calloc(r * n_cols, sizeof(float));
    out->a_t = pv_calloc((size_t)out->rank * n_rows, sizeof(float));
    out->b_t = pv_calloc((size_t)out->rank * n_cols, sizeof(float));
    if (w_t && work.q && work.t && work.u && out->a_t && out->b_t) {
        for (size_t i = 0; i < n_rows; i++) {
            for (size_t j = 0; j < n_cols; j++)
                w_t[j * n_rows + i] = w[i * n_cols + j];
        }
        pv_rng_seed(&rng, seed);
        for (size_t i = 0; i < r * n_rows; i++)
            work.q[i] = pv_rng_normal(&rng);
        orthonormalise(work.q, r, n_rows);
        for (int i = 0; i < ITERATIONS; i++)
            iterate(w, w_t, n_rows, n_cols, moment, r, n_threads, &work);
        memcpy(out->a_t, work.q, (size_t)out->rank * n_rows * sizeof(float));
        multiply(n_threads, out->rank, &(struct product){out->a_t, w, n_rows, 1, n_rows, n_cols, work.t});
        for (size_t k = 0; k < out->rank; k++) {
            for (size_t i = 0; i < n_cols; i++)
                out->b_t[i * out->rank + k] = work.t[k * n_cols + i];
        }
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
