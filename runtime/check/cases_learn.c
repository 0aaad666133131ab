/* Cases of the kernels that learn: sparse rows, sums by cluster, the router's gradient and its step. */
#include "base/half.h"
#include "base/log.h"
#include "check/case_tables.h"

enum { WIDE = 1, GAINS = 2, ENERGY = 4 };

/* Rows of k % of the columns; the first row is empty, the second full. */
static enum pv_status run_sparse_rows(struct pv_case_run *run, const struct pv_case *c)
{
    uint32_t *offset = NULL, *entries = NULL, n = 0;
    float *scale = NULL, *expected = NULL;
    const bool energy = (c->flags & ENERGY) != 0;
    struct pv_sparse_rows_args a = {.n_tokens = c->t, .n_cols = c->n, .energy = energy};
    PV_TRY(pv_case_words(run, c->t + 1, &offset));
    PV_TRY(pv_case_words(run, (size_t)c->t * c->n + 1, &entries));
    PV_TRY(pv_case_random(run, c->t, 1.0f, &scale));
    PV_TRY(pv_case_floats(run, (size_t)c->t * c->n, &expected));
    for (uint32_t t = 0; t < c->t; t++) {
        const uint32_t percent = t == 0 && c->t > 1 ? 0 : t == 1 ? 100 : c->k;
        for (uint32_t j = 0; j < c->n; j++)
            if (pv_rng_below(&run->rng, 100) < percent)
                entries[n++] = j | (uint32_t)pv_float_to_half(0.1f + pv_rng_float(&run->rng)) << 16;
        offset[t + 1] = n;
    }
    PV_TRY(pv_case_buffer(run, offset, c->t + 1, &a.offset));
    PV_TRY(pv_case_buffer(run, entries, n ? n : 1, &a.entries));
    PV_TRY(pv_case_buffer(run, scale, c->t, &a.scale));
    PV_TRY(pv_case_rows(run, NULL, c->t, c->n, &a.x));
    PV_TRY(pv_case_begin(run));
    PV_TRY(pv_kernel_sparse_rows(run->recorder, &a));
    PV_TRY(pv_case_submit(run));
    pv_ref_sparse_rows(offset, entries, scale, c->t, c->n, energy, expected);
    return pv_case_check_rows(run, "x", a.x, expected, c->t, c->n);
}

/* T rows in k clusters, every third of them empty, added to sums that are there. */
static enum pv_status run_cluster_sum(struct pv_case_run *run, const struct pv_case *c)
{
    uint32_t *cluster = NULL, *first = NULL, *order = NULL, n = 0;
    float *rows = NULL, *sums = NULL;
    struct pv_cluster_sum_args a = {.n_tokens = c->t, .n_clusters = c->k, .n_cols = c->n};
    PV_TRY(pv_case_words(run, c->t, &cluster));
    PV_TRY(pv_case_words(run, c->k + 1, &first));
    PV_TRY(pv_case_words(run, c->t, &order));
    PV_TRY(pv_case_random(run, (size_t)c->t * c->n, 1.0f, &rows));
    PV_TRY(pv_case_random(run, (size_t)c->k * c->n, 1.0f, &sums));
    for (uint32_t t = 0; t < c->t; t++) {
        cluster[t] = pv_rng_below(&run->rng, c->k);
        cluster[t] -= cluster[t] % 3 == 2;
    }
    for (uint32_t k = 0; k < c->k; k++) {
        for (uint32_t t = c->t; t > 0; t--) /* backwards: the order is the kernel's to keep */
            if (cluster[t - 1] == k)
                order[n++] = t - 1;
        first[k + 1] = n;
    }
    PV_TRY(pv_case_rows(run, rows, c->t, c->n, &a.x));
    PV_TRY(pv_case_buffer(run, first, c->k + 1, &a.first));
    PV_TRY(pv_case_buffer(run, order, c->t, &a.order));
    PV_TRY(pv_case_rows(run, sums, c->k, c->n, &a.sums));
    PV_TRY(pv_case_begin(run));
    PV_TRY(pv_kernel_cluster_sum(run->recorder, &a));
    PV_TRY(pv_case_submit(run));
    pv_ref_cluster_sum(rows, first, order, c->k, c->n, sums);
    return pv_case_check_rows(run, "sums", a.sums, sums, c->k, c->n);
}

static enum pv_status run_softmax_grad(struct pv_case_run *run, const struct pv_case *c)
{
    float *scores = NULL, *gains = NULL, *expected = NULL;
    uint32_t *targets = NULL;
    struct pv_ref_softmax_grad ref = {
        .n_tokens = c->t, .n_clusters = c->n, .scale = 0.125f, .share = c->flags & GAINS ? 0.05f : 1.0f};
    struct pv_softmax_grad_args a = {
        .n_tokens = c->t, .n_clusters = c->n, .scale = ref.scale, .share = ref.share};
    PV_TRY(pv_case_random(run, (size_t)c->t * c->n, c->flags & WIDE ? 60.0f : 2.0f, &scores));
    PV_TRY(pv_case_words(run, c->t, &targets));
    PV_TRY(pv_case_floats(run, (size_t)c->t * c->n, &expected));
    for (uint32_t t = 0; t < c->t; t++)
        targets[t] = pv_rng_below(&run->rng, c->n);
    if (c->flags & GAINS) {
        PV_TRY(pv_case_random(run, (size_t)c->t * c->n, 1.0f, &gains));
        PV_TRY(pv_case_rows(run, gains, c->t, c->n, &a.gains));
    }
    PV_TRY(pv_case_rows(run, scores, c->t, c->n, &a.scores));
    PV_TRY(pv_case_buffer(run, targets, c->t, &a.targets));
    PV_TRY(pv_case_rows(run, NULL, c->n, c->t, &a.gradient_t));
    PV_TRY(pv_case_begin(run));
    PV_TRY(pv_kernel_softmax_grad(run->recorder, &a));
    PV_TRY(pv_case_submit(run));
    ref.scores = scores;
    ref.gains = gains;
    ref.targets = targets;
    pv_ref_softmax_grad(&ref, expected);
    return pv_case_check_rows(run, "gradient", a.gradient_t, expected, c->n, c->t);
}

static enum pv_status run_adam(struct pv_case_run *run, const struct pv_case *c)
{
    const struct pv_ref_adam ref = {
        .n = c->n, .rate = 0.01f, .moment_scale = 1.7f, .square_scale = 30.0f, .decay = 0.1f};
    struct pv_adam_args a = {.n = c->n,
                             .rate = ref.rate,
                             .moment_scale = ref.moment_scale,
                             .square_scale = ref.square_scale,
                             .decay = ref.decay};
    float *w = NULL, *m = NULL, *v = NULL, *g = NULL;
    PV_TRY(pv_case_random(run, c->n, 1.0f, &w));
    PV_TRY(pv_case_random(run, c->n, 0.1f, &m));
    PV_TRY(pv_case_random(run, c->n, 0.1f, &v));
    PV_TRY(pv_case_random(run, c->n, 0.3f, &g));
    for (uint32_t i = 0; i < c->n; i++)
        v[i] = v[i] * v[i];
    PV_TRY(pv_case_rows(run, w, 1, c->n, &a.w));
    PV_TRY(pv_case_rows(run, m, 1, c->n, &a.moment));
    PV_TRY(pv_case_rows(run, v, 1, c->n, &a.square));
    PV_TRY(pv_case_rows(run, g, 1, c->n, &a.gradient));
    PV_TRY(pv_case_begin(run));
    PV_TRY(pv_kernel_adam(run->recorder, &a));
    PV_TRY(pv_case_submit(run));
    pv_ref_adam(&ref, w, m, v, g);
    PV_TRY(pv_case_check_rows(run, "w", a.w, w, 1, c->n));
    PV_TRY(pv_case_check_rows(run, "moment", a.moment, m, 1, c->n));
    return pv_case_check_rows(run, "square", a.square, v, 1, c->n);
}

#define SPARSE(t, n, k) PV_CASE_ROWS(sparse_rows, t, n, k, 0, " " #k " %", PV_AXIS_TILES, 0.0)
#define SPARSE_ENERGY(t, n, k)                                                                               \
    PV_CASE_ROWS(sparse_rows, t, n, k, ENERGY, " " #k " % energies", PV_AXIS_TILES, 1e-12)
#define SUM(t, n, k) PV_CASE_ROWS(cluster_sum, t, n, k, 0, " K=" #k, PV_AXIS_ACCESS | PV_AXIS_TILES, 1e-12)
#define GRAD(t, n, flags, text)                                                                              \
    PV_CASE_ROWS(softmax_grad, t, n, 0, flags, text, PV_AXIS_ACCESS | PV_AXIS_REDUCE | PV_AXIS_TILES, 1e-10)
#define ADAM(n) PV_CASE_ROWS(adam, 1, n, 0, 0, "", PV_AXIS_ACCESS | PV_AXIS_TILES, 1e-11)

const struct pv_case pv_cases_learn[] = {
    SPARSE(1, 1, 100) SPARSE(3, 31, 30) SPARSE(33, 33, 50) SPARSE(5, 64, 10) SPARSE(4, 1030, 9) SUM(1, 1, 1)
        SUM(31, 33, 4) SUM(33, 31, 7) SUM(200, 172, 33) SUM(5, 1030, 2) GRAD(1, 1, 0, "") GRAD(3, 31, 0, "")
            GRAD(33, 33, 0, "") GRAD(31, 256, 0, "") GRAD(2, 172, WIDE, " wide") GRAD(1, 1, GAINS, " gains")
                GRAD(33, 31, GAINS, " gains") GRAD(31, 257, GAINS, " gains")
                    GRAD(3, 172, WIDE | GAINS, " wide gains") SPARSE_ENERGY(3, 31, 30)
                        SPARSE_ENERGY(4, 1030, 9) ADAM(1) ADAM(31) ADAM(33) ADAM(4099)};
const uint32_t pv_n_cases_learn = sizeof pv_cases_learn / sizeof *pv_cases_learn;
