/* Cases of the products with weights: embed, matvec, matmul and the transposed matmul, in every weight type.
 */
#include <string.h>

#include "base/log.h"
#include "check/case_tables.h"

enum { BIAS = 1, ACCUMULATE = 2, TRANSPOSED = 4, SCALED = 8, NORM = 16, WITHIN = 32 };
enum { AHEAD = 5, WIDTH = 300 }; /* outputs WITHIN a wider row */

static enum pv_status run_embed(struct pv_case_run *run, const struct pv_case *c)
{
    struct pv_tensor *table = NULL;
    struct pv_ref_matrix ref;
    uint32_t *tokens = NULL;
    float *expected = NULL;
    struct pv_buffer *ids = NULL, *out = NULL;
    PV_TRY(pv_case_matrix(run, c->type, c->n, c->k, &table, &ref));
    PV_TRY(pv_case_words(run, c->t, &tokens));
    for (uint32_t t = 0; t < c->t; t++)
        tokens[t] = pv_rng_below(&run->rng, c->n);
    if (c->t > 2)
        tokens[1] = c->n; /* outside the vocabulary */
    PV_TRY(pv_case_buffer(run, tokens, c->t, &ids));
    PV_TRY(pv_case_rows(run, NULL, c->t, c->k, &out));
    PV_TRY(pv_case_begin(run));
    const float scale = c->flags & SCALED ? 12.0f : 1.0f;
    PV_TRY(pv_kernel_embed(run->recorder, table, ids, out, c->t, scale));
    PV_TRY(pv_case_submit(run));
    PV_TRY(pv_case_floats(run, (size_t)c->t * c->k, &expected));
    pv_ref_embed(&ref, tokens, c->t, scale, expected);
    return pv_case_check_rows(run, "out", out, expected, c->t, c->k);
}

/* One row of a stream whose norm is x: into the product goes stream * weight. */
static enum pv_status make_unnormed(struct pv_case_run *run, const struct pv_case *c, struct pv_linear *a,
                                    float *x)
{
    float *stream = NULL, *weight = NULL, *weighted = NULL;
    a->unnormed.eps = 1e-5f;
    PV_TRY(pv_case_random(run, c->k, 3.0f, &stream));
    PV_TRY(pv_case_random(run, c->k, 1.0f, &weight));
    PV_TRY(pv_case_floats(run, c->k, &weighted));
    for (uint32_t i = 0; i < c->k; i++)
        weighted[i] = stream[i] * weight[i];
    const struct pv_ref_norm norm = {.weight = weight, .n_rows = 1, .n_cols = c->k, .eps = a->unnormed.eps};
    pv_ref_norm(&norm, stream, x);
    PV_TRY(pv_case_rows(run, stream, 1, c->k, &a->unnormed.stream));
    return pv_case_rows(run, weighted, 1, c->k, &a->x);
}

/* A product that takes its input before the norm, and makes another such one of its output. */
static enum pv_status run_normed(struct pv_case_run *run, const struct pv_case *c)
{
    struct pv_tensor *w = NULL;
    struct pv_ref_matrix ref;
    float *x = NULL, *y = NULL, *next_weight = NULL;
    struct pv_linear a = {.n_tokens = 1, .accumulate = (c->flags & ACCUMULATE) != 0};
    PV_TRY(pv_case_matrix(run, c->type, c->n, c->k, &w, &ref));
    a.w = w;
    PV_TRY(pv_case_floats(run, c->k, &x));
    PV_TRY(pv_case_random(run, c->n, 1.0f, &y));
    PV_TRY(pv_case_random(run, c->n, 1.0f, &next_weight));
    PV_TRY(make_unnormed(run, c, &a, x));
    PV_TRY(pv_case_rows(run, a.accumulate ? y : NULL, 1, c->n, &a.y));
    PV_TRY(pv_case_rows(run, next_weight, 1, c->n, &a.next.weight));
    PV_TRY(pv_case_rows(run, NULL, 1, c->n, &a.next.out));
    PV_TRY(pv_case_begin(run));
    PV_TRY(pv_kernel_linear(run->recorder, &a));
    PV_TRY(pv_case_submit(run));
    pv_ref_linear(&ref, NULL, x, 1, a.accumulate, y);
    PV_TRY(pv_case_check_rows(run, "y", a.y, y, 1, c->n));
    for (uint32_t i = 0; i < c->n; i++)
        y[i] *= next_weight[i];
    return pv_case_check_rows(run, "next", a.next.out, y, 1, c->n);
}

/* Outputs AHEAD within rows of WIDTH, whose other values stay as they are. */
static enum pv_status run_within(struct pv_case_run *run, const struct pv_case *c)
{
    struct pv_tensor *w = NULL;
    struct pv_ref_matrix ref;
    float *x = NULL, *y = NULL, *rows = NULL, *bias = NULL;
    struct pv_linear a = {.n_tokens = c->t, .y_first = AHEAD, .y_width = WIDTH};
    PV_TRY(pv_case_matrix(run, c->type, c->n, c->k, &w, &ref));
    a.w = w;
    PV_TRY(pv_case_random(run, (size_t)c->t * c->k, 1.0f, &x));
    PV_TRY(pv_case_random(run, (size_t)c->t * WIDTH, 1.0f, &rows));
    PV_TRY(pv_case_random(run, WIDTH, 1.0f, &bias));
    PV_TRY(pv_case_floats(run, (size_t)c->t * c->n, &y));
    PV_TRY(pv_case_rows(run, x, c->t, c->k, &a.x));
    PV_TRY(pv_case_rows(run, rows, c->t, WIDTH, &a.y));
    PV_TRY(pv_case_rows(run, bias, 1, WIDTH, &a.bias));
    PV_TRY(pv_case_begin(run));
    PV_TRY(pv_kernel_linear(run->recorder, &a));
    PV_TRY(pv_case_submit(run));
    pv_ref_linear(&ref, bias + AHEAD, x, c->t, false, y);
    for (uint32_t t = 0; t < c->t; t++)
        memcpy(rows + (size_t)t * WIDTH + AHEAD, y + (size_t)t * c->n, c->n * sizeof *y);
    return pv_case_check_rows(run, "y", a.y, rows, c->t, WIDTH);
}

/* w [n][k]; y [T][n] from x [T][k], or transposed y [T][k] from x [T][n]. */
static enum pv_status run_linear(struct pv_case_run *run, const struct pv_case *c)
{
    const bool transposed = c->flags & TRANSPOSED;
    const uint32_t n_in = transposed ? c->n : c->k, n_out = transposed ? c->k : c->n;
    struct pv_tensor *w = NULL;
    struct pv_ref_matrix ref;
    float *x = NULL, *y = NULL, *bias = NULL;
    struct pv_linear a = {.n_tokens = c->t, .accumulate = (c->flags & ACCUMULATE) != 0};
    PV_TRY(pv_case_matrix(run, c->type, c->n, c->k, &w, &ref));
    PV_TRY(pv_case_random(run, (size_t)c->t * n_in, 1.0f, &x));
    PV_TRY(pv_case_random(run, (size_t)c->t * n_out, 1.0f, &y));
    PV_TRY(pv_case_random(run, n_out, 1.0f, &bias));
    a.w = w;
    PV_TRY(pv_case_rows(run, x, c->t, n_in, &a.x));
    PV_TRY(pv_case_rows(run, a.accumulate ? y : NULL, c->t, n_out, &a.y));
    if (c->flags & BIAS)
        PV_TRY(pv_case_buffer(run, bias, n_out, &a.bias));
    PV_TRY(pv_case_begin(run));
    PV_TRY(transposed ? pv_kernel_linear_t(run->recorder, &a) : pv_kernel_linear(run->recorder, &a));
    PV_TRY(pv_case_submit(run));
    (transposed ? pv_ref_linear_t : pv_ref_linear)(&ref, a.bias ? bias : NULL, x, c->t, a.accumulate, y);
    return pv_case_check_rows(run, "y", a.y, y, c->t, n_out);
}

#define EMBED(ty, t, n, k) EMBED_OF(ty, t, n, k, 0, "")
#define EMBED_OF(ty, t_, n_, k_, flags_, text)                                                               \
    {.kernel = "embed",                                                                                      \
     .name = #ty " " #n_ "x" #k_ " T=" #t_ text,                                                             \
     .run = run_embed,                                                                                       \
     .repeats = !PV_CASE_TILES(ty),                                                                          \
     .axes = PV_AXIS_ACCESS | PV_CASE_PARTS(ty),                                                             \
     .tolerance = 1e-11,                                                                                     \
     .type = PV_CASE_TYPE(ty),                                                                               \
     .t = t_,                                                                                                \
     .n = n_,                                                                                                \
     .k = k_,                                                                                                \
     .flags = flags_},
#define LINEAR_(kernel_, ty, t_, n_, k_, flags_, text, axes_, large_)                                        \
    {.kernel = kernel_,                                                                                      \
     .name = #ty " " #n_ "x" #k_ " T=" #t_ text,                                                             \
     .run = (flags_)&NORM     ? run_normed                                                                   \
            : (flags_)&WITHIN ? run_within                                                                   \
                              : run_linear,                                                                  \
     .repeats = !PV_CASE_TILES(ty),                                                                          \
     .axes = (axes_) | PV_CASE_PARTS(ty),                                                                    \
     .tolerance = 1e-11,                                                                                     \
     .large = large_,                                                                                        \
     .type = PV_CASE_TYPE(ty),                                                                               \
     .t = t_,                                                                                                \
     .n = n_,                                                                                                \
     .k = k_,                                                                                                \
     .flags = flags_},
#define MATVEC(ty, n, k, flags, text)                                                                        \
    LINEAR_("matvec", ty, 1, n, k, flags, text, PV_AXIS_ACCESS | PV_AXIS_REDUCE | PV_CASE_TILES(ty), false)
#define MATMUL(ty, t, n, k, flags, text)                                                                     \
    LINEAR_("matmul", ty, t, n, k, flags, text, PV_AXIS_ACCESS | PV_CASE_TILES(ty), false)
#define MATMUL_T(ty, t, n, k, flags, text)                                                                   \
    LINEAR_("matmul_t", ty, t, n, k, (flags) | TRANSPOSED, text, PV_AXIS_ACCESS | PV_CASE_TILES(ty), false)
#define LARGE(ty)                                                                                            \
    LINEAR_("matvec", ty, 1, 1000, 1024, 0, "", PV_AXIS_ACCESS | PV_AXIS_REDUCE, true)                       \
    LINEAR_("matmul", ty, 70, 257, 512, 0, "", PV_AXIS_ACCESS | PV_CASE_TILES(ty), true)                     \
    LINEAR_("matmul_t", ty, 70, 257, 512, TRANSPOSED, "", PV_AXIS_ACCESS | PV_CASE_TILES(ty), true)

/* Types that hold any number of columns, and those in blocks of 32. */
#define PLAIN(ty)                                                                                            \
    EMBED(ty, 1, 1, 1)                                                                                       \
    EMBED_OF(ty, 3, 31, 33, SCALED, " scaled")                                                               \
    EMBED(ty, 5, 31, 33)                                                                                     \
    EMBED(ty, 33, 40, 172)                                                                                   \
    MATVEC(ty, 1, 1, 0, "")                                                                                  \
    MATVEC(ty, 31, 1, 0, "")                                                                                 \
    MATVEC(ty, 33, 31, BIAS, " bias")                                                                        \
    MATVEC(ty, 31, 33, ACCUMULATE, " accumulate")                                                            \
    MATVEC(ty, 130, 172, BIAS | ACCUMULATE, " bias accumulate")                                              \
    MATVEC(ty, 1, 1, NORM, " norm")                                                                          \
    MATVEC(ty, 33, 31, NORM, " norm")                                                                        \
    MATVEC(ty, 130, 172, NORM | ACCUMULATE, " norm accumulate")                                              \
    MATVEC(ty, 33, 31, WITHIN, " within")                                                                    \
    MATMUL(ty, 3, 33, 31, WITHIN, " within")                                                                 \
    MATMUL(ty, 2, 1, 1, 0, "")                                                                               \
    MATMUL(ty, 3, 31, 33, BIAS, " bias")                                                                     \
    MATMUL(ty, 31, 33, 172, ACCUMULATE, " accumulate")                                                       \
    MATMUL(ty, 33, 65, 31, BIAS | ACCUMULATE, " bias accumulate")                                            \
    MATMUL_T(ty, 1, 33, 31, 0, "")                                                                           \
    MATMUL_T(ty, 2, 1, 1, 0, "")                                                                             \
    MATMUL_T(ty, 3, 31, 33, BIAS, " bias")                                                                   \
    MATMUL_T(ty, 31, 33, 172, ACCUMULATE, " accumulate")                                                     \
    MATMUL_T(ty, 33, 65, 31, BIAS | ACCUMULATE, " bias accumulate")
#define BLOCKS(ty)                                                                                           \
    EMBED(ty, 1, 1, 32)                                                                                      \
    EMBED(ty, 5, 31, 96)                                                                                     \
    EMBED(ty, 33, 40, 160)                                                                                   \
    MATVEC(ty, 1, 32, 0, "")                                                                                 \
    MATVEC(ty, 31, 96, BIAS, " bias")                                                                        \
    MATVEC(ty, 33, 64, ACCUMULATE, " accumulate")                                                            \
    MATVEC(ty, 130, 160, BIAS | ACCUMULATE, " bias accumulate")                                              \
    MATVEC(ty, 33, 96, NORM | ACCUMULATE, " norm accumulate")                                                \
    MATMUL(ty, 2, 1, 32, 0, "")                                                                              \
    MATMUL(ty, 3, 31, 96, BIAS, " bias")                                                                     \
    MATMUL(ty, 33, 65, 160, BIAS | ACCUMULATE, " bias accumulate")                                           \
    MATMUL_T(ty, 1, 33, 32, 0, "")                                                                           \
    MATMUL_T(ty, 2, 1, 32, 0, "")                                                                            \
    MATMUL_T(ty, 3, 31, 96, BIAS, " bias")                                                                   \
    MATMUL_T(ty, 33, 65, 160, BIAS | ACCUMULATE, " bias accumulate")

/* Layouts of chunks, by rows that leave a group of chunks incomplete (k1, k2) or, of K blocks, several of them. */
#define CHUNKS(ty, k1, k2)                                                                                   \
    EMBED(ty, 5, 31, k1)                                                                                     \
    MATVEC(ty, 31, k1, 0, "")                                                                                \
    MATVEC(ty, 33, k2, BIAS | ACCUMULATE, " bias accumulate")                                                \
    MATVEC(ty, 31, k1, NORM, " norm")                                                                        \
    MATMUL(ty, 3, 31, k1, BIAS, " bias")                                                                     \
    LINEAR_("matvec", ty, 1, 300, 1024, 0, "", PV_AXIS_ACCESS | PV_AXIS_REDUCE, true)
/* Types that are repacked into the layout of another. */
#define REPACKED(ty, k)                                                                                      \
    EMBED(ty, 3, 7, k)                                                                                       \
    MATVEC(ty, 5, k, 0, "")

const struct pv_case pv_cases_linear[] = {
    PLAIN(f32) PLAIN(f16) PLAIN(bf16) BLOCKS(q8_0) BLOCKS(q4_0) LARGE(f32) LARGE(f16) LARGE(bf16) LARGE(q8_0)
        LARGE(q4_0) CHUNKS(q4_1, 96, 160) CHUNKS(q5_1, 96, 160) CHUNKS(q2_k, 256, 512) CHUNKS(q4_k, 256, 512)
            CHUNKS(q5_k, 256, 512) CHUNKS(q6_k, 256, 512) CHUNKS(iq4_nl, 96, 160) CHUNKS(mxfp4, 96, 160)
                REPACKED(q5_0, 96) REPACKED(q3_k, 256) REPACKED(iq4_xs, 256) REPACKED(tq1_0, 256)
                    REPACKED(tq2_0, 256) MATMUL_T(q6_k, 3, 31, 256, BIAS, " bias")
                        MATMUL_T(q6_k, 33, 65, 512, BIAS | ACCUMULATE, " bias accumulate")};
const uint32_t pv_n_cases_linear = sizeof pv_cases_linear / sizeof *pv_cases_linear;
