/* Cases of the kernels on rows of activations: norms, activations, masks, capture, likelihoods, the router's
 * choice. */
#include <math.h>
#include <string.h>

#include "base/bits.h"
#include "base/log.h"
#include "kernel/call.h"
#include "check/case_tables.h"

enum { GATED = 1, WIDE = 2, TIES = 4, NANS = 8, ALL_NAN = 16, LAYER = 32, BIAS = 64, ACCUMULATE = 128 };

enum { INNER = 256, N_OUTER = 3, AHEAD = 8 };

/* Rows of AHEAD values and n_inner of the norm's rows, in a buffer. */
static enum pv_status make_inner(struct pv_case_run *run, struct pv_norm_args *a, const float *x)
{
    const size_t own = (size_t)a->n_inner * a->n_cols;
    float *rows = NULL;
    PV_TRY(pv_case_random(run, (size_t)N_OUTER * a->width, 1.0f, &rows));
    for (size_t t = 0; t < N_OUTER; t++)
        memcpy(rows + t * a->width + AHEAD, x + t * own, own * sizeof *rows);
    return pv_case_rows(run, rows, N_OUTER, a->width, &a->x);
}

static enum pv_status check_inner(struct pv_case_run *run, const struct pv_norm_args *a,
                                  const float *expected)
{
    const size_t own = (size_t)a->n_inner * a->n_cols;
    float *got = NULL;
    uint32_t *words = NULL;
    PV_TRY(pv_case_read(run, a->out, &words));
    PV_TRY(pv_case_floats(run, N_OUTER * own, &got));
    for (size_t t = 0; t < N_OUTER; t++)
        memcpy(got + t * own, words + t * a->width + AHEAD, own * sizeof *got);
    pv_case_compare(run, "heads", got, expected, N_OUTER * own);
    return PV_OK;
}

static enum pv_status run_rmsnorm(struct pv_case_run *run, const struct pv_case *c)
{
    const size_t n = (size_t)c->t * c->n;
    const float eps = 1e-5f;
    const bool inner = (c->flags & INNER) != 0; /* all rows within a wider one, behind HEAD others */
    float *x = NULL, *weight = NULL, *bias = NULL, *expected = NULL;
    struct pv_norm_args a = {.n_rows = c->t,
                             .n_cols = c->n,
                             .eps = eps,
                             .layer = (c->flags & LAYER) != 0,
                             .n_inner = inner ? c->t / N_OUTER : 0,
                             .first = inner ? AHEAD : 0,
                             .width = inner ? AHEAD + c->t / N_OUTER * c->n : 0,
                             .accumulate = (c->flags & ACCUMULATE) != 0};
    PV_TRY(pv_case_random(run, n, c->flags & WIDE ? 1e3f : 1.0f, &x));
    PV_TRY(pv_case_random(run, c->n, 1.0f, &weight));
    PV_TRY(pv_case_random(run, c->n, 1.0f, &bias));
    PV_TRY(pv_case_random(run, n, 1.0f, &expected));
    for (size_t i = 0; c->flags & LAYER && i < n; i++)
        x[i] += 3.0f; /* a mean that must come off */
    PV_TRY(inner ? make_inner(run, &a, x) : pv_case_rows(run, x, c->t, c->n, &a.x));
    PV_TRY(pv_case_rows(run, weight, 1, c->n, &a.weight));
    if (c->flags & BIAS)
        PV_TRY(pv_case_rows(run, bias, 1, c->n, &a.bias));
    a.out = a.x;
    if (!inner)
        PV_TRY(pv_case_rows(run, a.accumulate ? expected : NULL, c->t, c->n, &a.out));
    PV_TRY(pv_case_begin(run));
    PV_TRY(pv_kernel_norm(run->recorder, &a));
    PV_TRY(pv_case_submit(run));
    const struct pv_ref_norm ref = {.weight = weight,
                                    .bias = a.bias ? bias : NULL,
                                    .n_rows = c->t,
                                    .n_cols = c->n,
                                    .eps = eps,
                                    .layer = a.layer,
                                    .accumulate = a.accumulate};
    pv_ref_norm(&ref, x, expected);
    return inner ? check_inner(run, &a, expected)
                 : pv_case_check_rows(run, "out", a.out, expected, c->t, c->n);
}

static enum pv_status run_soft_cap(struct pv_case_run *run, const struct pv_case *c)
{
    const size_t n = (size_t)c->t * c->n;
    float *y = NULL;
    struct pv_buffer *yb = NULL;
    PV_TRY(pv_case_random(run, n, c->flags & WIDE ? 1e4f : 20.0f, &y));
    PV_TRY(pv_case_rows(run, y, c->t, c->n, &yb));
    PV_TRY(pv_case_begin(run));
    PV_TRY(pv_kernel_soft_cap(run->recorder, yb, c->t, c->n, 30.0f));
    PV_TRY(pv_case_submit(run));
    pv_ref_soft_cap(y, n, 30.0f);
    return pv_case_check_rows(run, "y", yb, y, c->t, c->n);
}

static enum pv_status run_lanes(struct pv_case_run *run, const struct pv_case *c)
{
    const struct pv_row_split split = pv_row_split(&run->device->plan);
    uint32_t *expected = NULL, *got = NULL;
    struct pv_buffer *yb = NULL;
    PV_TRY(pv_case_words(run, 2 * (size_t)c->n, &expected));
    PV_TRY(pv_case_buffer(run, NULL, 2 * (size_t)c->n, &yb));
    PV_TRY(pv_case_begin(run));
    PV_TRY(pv_kernel_lanes(run->recorder, yb, c->n));
    PV_TRY(pv_case_submit(run));
    pv_ref_lanes(split.lanes, c->n, expected);
    PV_TRY(pv_case_read(run, yb, &got));
    for (size_t i = 0; split.subgroup && i < 2 * (size_t)c->n; i++)
        if (got[i] != expected[i] && got[i] != run->poison)
            pv_case_fail(run, PV_FAULT_SUBGROUPS, "subgroups %s %u invocations, the driver says %u",
                         i % 2 ? "sum over" : "say they have", (unsigned)got[i], (unsigned)expected[i]);
    return pv_case_check_words(run, "y", yb, expected, 2 * (size_t)c->n);
}

static enum pv_status run_act_rows(struct pv_case_run *run, const struct pv_case *c)
{
    const size_t n = (size_t)c->t * c->n;
    float *up = NULL, *gate = NULL;
    struct pv_buffer *ub = NULL, *gb = NULL;
    PV_TRY(pv_case_random(run, n, c->flags & WIDE ? 1e4f : 1.0f, &up));
    PV_TRY(pv_case_random(run, n, c->flags & WIDE ? 100.0f : 1.0f, &gate));
    PV_TRY(pv_case_rows(run, up, c->t, c->n, &ub));
    if (c->flags & GATED)
        PV_TRY(pv_case_rows(run, gate, c->t, c->n, &gb));
    PV_TRY(pv_case_begin(run));
    PV_TRY(pv_kernel_act_rows(run->recorder, ub, gb, c->t, c->n, c->act));
    PV_TRY(pv_case_submit(run));
    pv_ref_act_rows(up, gb ? gate : NULL, c->t, c->n, c->act);
    return pv_case_check_rows(run, "a", ub, up, c->t, c->n);
}

/* [n_masks][F] bits; mask 0: all, 1: none, else some. */
static enum pv_status make_bits(struct pv_case_run *run, uint32_t n_masks, uint32_t d_ffn, uint32_t **out)
{
    const size_t bit_words = pv_bit_words(d_ffn);
    PV_TRY(pv_case_words(run, n_masks * bit_words, out));
    for (uint32_t k = 0; k < n_masks; k++)
        for (uint32_t j = 0; j < d_ffn; j++)
            if (k == 0 || (k != 1 && pv_rng_below(&run->rng, 3) == 0))
                pv_bit_set(*out + k * bit_words, j);
    return PV_OK;
}

static enum pv_status run_mask_rows(struct pv_case_run *run, const struct pv_case *c)
{
    const size_t bit_words = pv_bit_words(c->n);
    float *a = NULL;
    uint32_t *bits = NULL, *cluster = NULL;
    struct pv_buffer *ab = NULL, *bb = NULL, *cb = NULL;
    PV_TRY(pv_case_random(run, (size_t)c->t * c->n, 1.0f, &a));
    PV_TRY(make_bits(run, c->k, c->n, &bits));
    PV_TRY(pv_case_words(run, c->t, &cluster));
    for (uint32_t t = 0; t < c->t; t++)
        cluster[t] = pv_rng_below(&run->rng, c->k);
    PV_TRY(pv_case_rows(run, a, c->t, c->n, &ab));
    PV_TRY(pv_case_buffer(run, bits, c->k * bit_words, &bb));
    PV_TRY(pv_case_buffer(run, cluster, c->t, &cb));
    PV_TRY(pv_case_begin(run));
    PV_TRY(pv_kernel_mask_rows(run->recorder, ab, bb, cb, c->t, c->n));
    PV_TRY(pv_case_submit(run));
    pv_ref_mask_rows(a, bits, cluster, c->t, c->n);
    return pv_case_check_rows(run, "a", ab, a, c->t, c->n);
}

static enum pv_status run_capture(struct pv_case_run *run, const struct pv_case *c)
{
    const size_t n = (size_t)c->t * c->n, n_bits = c->t * pv_bit_words(c->n);
    const float tau = c->flags ? 0.5f : 0.0f;
    float *a = NULL, *norm = NULL, *expected = NULL;
    uint32_t *bits = NULL;
    struct pv_buffer *ab = NULL, *nb = NULL, *cb = NULL, *bb = NULL;
    PV_TRY(pv_case_random(run, n, 1.0f, &a));
    PV_TRY(pv_case_random(run, c->n, 1.0f, &norm));
    PV_TRY(pv_case_floats(run, n, &expected));
    PV_TRY(pv_case_words(run, n_bits, &bits));
    for (size_t i = 0; i < n; i++)
        if (a[i] < -0.3f)
            a[i] = 0.0f; /* exact zeros, as ReLU gives */
    for (size_t j = 0; j < c->n; j++)
        norm[j] = fabsf(norm[j]);
    PV_TRY(pv_case_rows(run, a, c->t, c->n, &ab));
    PV_TRY(pv_case_rows(run, norm, 1, c->n, &nb));
    PV_TRY(pv_case_rows(run, NULL, c->t, c->n, &cb));
    PV_TRY(pv_case_buffer(run, NULL, n_bits, &bb));
    PV_TRY(pv_case_begin(run));
    PV_TRY(pv_kernel_capture(run->recorder, ab, nb, cb, bb, c->t, c->n, tau));
    PV_TRY(pv_case_submit(run));
    pv_ref_capture(a, norm, c->t, c->n, tau, expected, bits);
    PV_TRY(pv_case_check_rows(run, "contribution", cb, expected, c->t, c->n));
    return pv_case_check_words(run, "bits", bb, bits, n_bits);
}

static enum pv_status run_add(struct pv_case_run *run, const struct pv_case *c)
{
    float *x = NULL, *y = NULL;
    struct pv_buffer *xb = NULL, *yb = NULL;
    const float scale = c->flags & WIDE ? 1e6f : 1.0f; /* past float16 */
    PV_TRY(pv_case_random(run, c->n, scale, &x));
    PV_TRY(pv_case_random(run, c->n, scale, &y));
    PV_TRY(pv_case_rows(run, x, 1, c->n, &xb));
    PV_TRY(pv_case_rows(run, y, 1, c->n, &yb));
    PV_TRY(pv_case_begin(run));
    PV_TRY(pv_kernel_add(run->recorder, yb, xb, c->n));
    PV_TRY(pv_case_submit(run));
    pv_ref_add(y, x, c->n);
    return pv_case_check_rows(run, "y", yb, y, 1, c->n);
}

/* Scores with ties and NaNs where the case asks for them. */
static enum pv_status make_scores(struct pv_case_run *run, const struct pv_case *c, float **out)
{
    const size_t n = (size_t)c->t * c->n;
    PV_TRY(pv_case_random(run, n, 1.0f, out));
    for (size_t i = 0; i < n; i++) {
        if (c->flags & TIES)
            (*out)[i] = floorf((*out)[i]);
        if (c->flags & ALL_NAN || (c->flags & NANS && pv_rng_below(&run->rng, 4) == 0))
            (*out)[i] = NAN;
    }
    return PV_OK;
}

static enum pv_status run_argmax(struct pv_case_run *run, const struct pv_case *c)
{
    float *x = NULL;
    struct pv_buffer *xb = NULL, *out = NULL;
    PV_TRY(make_scores(run, c, &x));
    PV_TRY(pv_case_rows(run, x, 1, c->n, &xb));
    PV_TRY(pv_case_buffer(run, NULL, 1, &out));
    PV_TRY(pv_case_begin(run));
    PV_TRY(pv_kernel_argmax(run->recorder, xb, out, c->n));
    PV_TRY(pv_case_submit(run));
    const uint32_t expected = pv_ref_argmax(x, c->n);
    return pv_case_check_words(run, "out", out, &expected, 1);
}

static enum pv_status run_route_rows(struct pv_case_run *run, const struct pv_case *c)
{
    float *scores = NULL, *margin = NULL;
    uint32_t *cluster = NULL;
    struct pv_buffer *sb = NULL, *cb = NULL, *mb = NULL;
    PV_TRY(make_scores(run, c, &scores));
    PV_TRY(pv_case_floats(run, c->t, &margin));
    PV_TRY(pv_case_words(run, c->t, &cluster));
    PV_TRY(pv_case_rows(run, scores, c->t, c->n, &sb));
    PV_TRY(pv_case_buffer(run, NULL, c->t, &cb));
    PV_TRY(pv_case_buffer(run, NULL, c->t, &mb));
    PV_TRY(pv_case_begin(run));
    PV_TRY(pv_kernel_route_rows(run->recorder, sb, cb, mb, c->t, c->n));
    PV_TRY(pv_case_submit(run));
    for (uint32_t t = 0; t < c->t; t++)
        cluster[t] = pv_ref_route(scores + (size_t)t * c->n, c->n, &margin[t]);
    PV_TRY(pv_case_check_words(run, "cluster", cb, cluster, c->t));
    return pv_case_check_words(run, "margin", mb, margin, c->t);
}

/* c->n clusters of c->k neurons in random masks, as run_mask_rows makes them. */
static enum pv_status run_union_rows(struct pv_case_run *run, const struct pv_case *c)
{
    const size_t bit_words = pv_bit_words(c->k);
    float *scores = NULL, *margin = NULL;
    uint32_t *cluster = NULL, *masks = NULL, *bits = NULL, best[2];
    struct pv_masks table = {.n_clusters = c->n};
    struct pv_union_args args = {.masks = &table, .n_tokens = c->t, .d_ffn = c->k};
    PV_TRY(make_scores(run, c, &scores));
    PV_TRY(make_bits(run, c->n, c->k, &masks));
    PV_TRY(pv_case_floats(run, c->t, &margin));
    PV_TRY(pv_case_words(run, c->t, &cluster));
    PV_TRY(pv_case_words(run, c->t * bit_words, &bits));
    PV_TRY(pv_case_buffer(run, masks, c->n * bit_words, &table.bits));
    PV_TRY(pv_case_rows(run, scores, c->t, c->n, &args.scores));
    PV_TRY(pv_case_buffer(run, NULL, c->t, &args.cluster));
    PV_TRY(pv_case_buffer(run, NULL, c->t, &args.margin));
    PV_TRY(pv_case_buffer(run, NULL, c->t * bit_words, &args.bits));
    PV_TRY(pv_case_begin(run));
    PV_TRY(pv_kernel_union_rows(run->recorder, &args));
    PV_TRY(pv_case_submit(run));
    for (uint32_t t = 0; t < c->t; t++) {
        const float *row = scores + (size_t)t * c->n;
        cluster[t] = pv_ref_route(row, c->n, &margin[t]);
        pv_ref_best_two(row, c->n, best);
        pv_ref_union(masks, best, c->k, bits + t * bit_words);
    }
    PV_TRY(pv_case_check_words(run, "cluster", args.cluster, cluster, c->t));
    PV_TRY(pv_case_check_words(run, "margin", args.margin, margin, c->t));
    return pv_case_check_words(run, "bits", args.bits, bits, c->t * bit_words);
}

/* c->n neurons; c->k: 0 all of them set, 1 none, 2 some. */
static enum pv_status run_union_list(struct pv_case_run *run, const struct pv_case *c)
{
    const size_t bit_words = pv_bit_words(c->n);
    const float margin = 0.75f;
    const uint32_t cluster = 5;
    uint32_t *masks = NULL, *list = NULL, *words = NULL;
    struct pv_union_args args = {.n_tokens = 1, .d_ffn = c->n};
    struct pv_buffer *route = NULL, *out = NULL;
    struct pv_route slot;
    PV_TRY(make_bits(run, 3, c->n, &masks));
    PV_TRY(pv_case_words(run, c->n, &list));
    PV_TRY(pv_case_buffer(run, masks + c->k * bit_words, bit_words, &args.bits));
    PV_TRY(pv_case_buffer(run, &cluster, 1, &args.cluster));
    PV_TRY(pv_case_buffer(run, &margin, 1, &args.margin));
    PV_TRY(pv_case_buffer(run, NULL, (size_t)pv_route_bytes() / 4, &route));
    PV_TRY(pv_case_buffer(run, NULL, pv_row_stride(c->n), &out));
    PV_TRY(pv_case_begin(run));
    PV_TRY(pv_kernel_union_list(run->recorder, &args, route, out));
    PV_TRY(pv_case_submit(run));
    const uint32_t n = pv_ref_union_list(masks + c->k * bit_words, c->n, list);
    PV_TRY(pv_case_read(run, route, &words));
    memcpy(&slot, words, sizeof slot);
    pv_case_expect(run, slot.cluster == cluster && slot.n_neurons == n && slot.list_offset == 0,
                   "route: not the cluster or the length of the list");
    pv_case_expect(run, memcmp(&slot.margin, &margin, sizeof margin) == 0, "route: wrong margin");
    pv_case_expect(run,
                   slot.up_x == pv_ceil_div(n, pv_row_split(&run->device->plan).rows_per_workgroup) &&
                       slot.up_y == 1 && slot.up_z == 1,
                   "route: wrong indirect arguments for ffn_up");
    pv_case_expect(run, words[sizeof slot / 4] == run->poison, "route: written past the end");
    return pv_case_check_words(run, "list", out, list, n); /* the first n, then poison */
}

static enum pv_status run_nll_rows(struct pv_case_run *run, const struct pv_case *c)
{
    float *logits = NULL, *expected = NULL;
    uint32_t *targets = NULL;
    struct pv_buffer *lb = NULL, *tb = NULL, *out = NULL;
    PV_TRY(pv_case_random(run, (size_t)c->t * c->n, c->flags & WIDE ? 80.0f : 3.0f, &logits));
    PV_TRY(pv_case_floats(run, c->t, &expected));
    PV_TRY(pv_case_words(run, c->t, &targets));
    for (uint32_t t = 0; t < c->t; t++)
        targets[t] = pv_rng_below(&run->rng, c->n);
    if (c->t > 2)
        targets[1] = c->n; /* outside the row */
    PV_TRY(pv_case_rows(run, logits, c->t, c->n, &lb));
    PV_TRY(pv_case_buffer(run, targets, c->t, &tb));
    PV_TRY(pv_case_buffer(run, NULL, c->t, &out));
    PV_TRY(pv_case_begin(run));
    PV_TRY(pv_kernel_nll_rows(run->recorder, lb, tb, out, c->t, c->n));
    PV_TRY(pv_case_submit(run));
    pv_ref_nll_rows(logits, targets, c->t, c->n, expected);
    uint32_t *words = NULL;
    PV_TRY(pv_case_read(run, out, &words));
    pv_case_expect(run, words[c->t] == run->poison, "written past the end of nll");
    float *got = NULL;
    PV_TRY(pv_case_floats(run, c->t, &got));
    for (uint32_t t = 0; t < c->t; t++)
        got[t] = ((const float *)(const void *)words)[t];
    pv_case_compare(run, "nll", got, expected, c->t);
    return PV_OK;
}

#define NORM(t, n, flags, text)                                                                              \
    PV_CASE_ROWS(rmsnorm, t, n, 0, flags, text, PV_AXIS_ACCESS | PV_AXIS_REDUCE | PV_AXIS_TILES, 1e-11)
#define CAP(t, n, flags, text) PV_CASE_ROWS(soft_cap, t, n, 0, flags, text, PV_AXIS_TILES, 1e-10)
#define ACT(act_, t_, n_, flags_, text)                                                                      \
    {.kernel = "act_rows",                                                                                   \
     .name = #n_ " T=" #t_ " " #act_ text,                                                                   \
     .run = run_act_rows,                                                                                    \
     .axes = PV_AXIS_ACCESS | PV_AXIS_TILES,                                                                 \
     .tolerance = 1e-10,                                                                                     \
     .act = PV_ACT_##act_,                                                                                   \
     .t = t_,                                                                                                \
     .n = n_,                                                                                                \
     .flags = flags_},
#define ACTS(act)                                                                                            \
    ACT(act, 1, 1, 0, "")                                                                                    \
    ACT(act, 3, 31, GATED, " gated")                                                                         \
    ACT(act, 2, 172, 0, "")                                                                                  \
    ACT(act, 33, 33, WIDE, " wide")                                                                          \
    ACT(act, 2, 130, GATED | WIDE, " gated wide")
#define MASK(t, n, k) PV_CASE_ROWS(mask_rows, t, n, k, 0, " K=" #k, PV_AXIS_TILES, 0.0)
#define CAPTURE(t, n, tau)                                                                                   \
    PV_CASE_ROWS(capture, t, n, 0, tau, " tau=" #tau, PV_AXIS_ACCESS | PV_AXIS_TILES, 0.0)
#define LANES(n)               PV_CASE_ROWS(lanes, 1, n, 0, 0, "", PV_AXIS_REDUCE, 0.0)
#define ADD(n, flags, text)    PV_CASE_ROWS(add, 1, n, 0, flags, text, PV_AXIS_ACCESS | PV_AXIS_TILES, 0.0)
#define ARGMAX(n, flags, text) PV_CASE_ROWS(argmax, 1, n, 0, flags, text, PV_AXIS_ACCESS | PV_AXIS_TILES, 0.0)
#define ROUTE(t, n, flags, text)                                                                             \
    PV_CASE_ROWS(route_rows, t, n, 0, flags, text, PV_AXIS_ACCESS | PV_AXIS_REDUCE | PV_AXIS_TILES, 0.0)
#define UNION(t, n, k, flags, text)                                                                          \
    PV_CASE_ROWS(union_rows, t, n, k, flags, " F=" #k text, PV_AXIS_ACCESS | PV_AXIS_REDUCE, 0.0)
#define LIST(n, k, text) PV_CASE_ROWS(union_list, 1, n, k, 0, text, PV_AXIS_REDUCE, 0.0)
#define NLL(t, n, flags, text)                                                                               \
    PV_CASE_ROWS(nll_rows, t, n, 0, flags, text, PV_AXIS_ACCESS | PV_AXIS_REDUCE | PV_AXIS_TILES, 1e-10)

const struct pv_case pv_cases_rows[] = {
    NORM(1, 1, 0, "") NORM(2, 31, 0, "") NORM(33, 33, 0, "") NORM(3, 172, WIDE, " wide") NORM(1, 1024, 0, "")
        NORM(3, 33, ACCUMULATE, " accumulate") NORM(15, 12, INNER, " heads") NORM(
            3, 172, INNER, " heads") NORM(1, 31, LAYER, " layer") NORM(31, 172, LAYER | BIAS, " layer bias")
            NORM(2, 1030, LAYER | BIAS | WIDE, " layer bias wide") NORM(
                5, 33, LAYER | BIAS | ACCUMULATE, " layer bias accumulate") CAP(1, 1, 0, "")
                CAP(3, 31, 0, "") CAP(33, 33, 0, "") CAP(2, 5003, WIDE, " wide") ACTS(RELU2) ACTS(RELU)
                    ACTS(SILU) ACTS(GELU) ACTS(DRELU) MASK(1, 1, 1) MASK(31, 31, 3) MASK(5, 172, 33)
                        MASK(33, 1030, 4) CAPTURE(1, 1, 0) CAPTURE(3, 31, 0) CAPTURE(2, 33, 1) CAPTURE(
                            31, 172, 1) CAPTURE(2, 3000, 0) LANES(1) LANES(1000) ADD(1, 0, "") ADD(31, 0, "")
                            ADD(33, 0, "") ADD(4099, 0, "") ADD(4099, WIDE, " wide") ARGMAX(1, 0, "")
                                ARGMAX(31, 0, "") ARGMAX(33, TIES, " ties") ARGMAX(172, NANS, " nan") ARGMAX(
                                    33, ALL_NAN, " all nan") ARGMAX(5003, 0, "") ARGMAX(5003, TIES, " ties")
                                    ROUTE(1, 1, 0, "") ROUTE(2, 2, 0, "") ROUTE(33, 31, TIES, " ties")
                                        ROUTE(31, 33, NANS, " nan") ROUTE(3, 256, 0,
                                                                          "") ROUTE(2, 3, ALL_NAN, " all nan")
                                            ROUTE(9, 1000, TIES | NANS, " ties nan") UNION(1, 1, 1, 0, "")
                                                UNION(2, 2, 31, 0, "") UNION(5, 3, 33, ALL_NAN, " all nan")
                                                    UNION(33, 31, 172, TIES,
                                                          " ties") UNION(9, 33, 64, TIES | NANS, " ties nan")
                                                        UNION(3, 300, 1030, 0, "") LIST(1, 0, " all")
                                                            LIST(31, 1, " none") LIST(31, 2, "")
                                                                LIST(33, 0, " all") LIST(172, 2, "")
                                                                    LIST(3000, 2, "") LIST(4096, 0, " all")
                                                                        NLL(1, 1, 0, "") NLL(3, 31, 0, "")
                                                                            NLL(33, 33, 0, "")
                                                                                NLL(2, 172, WIDE, " wide")
                                                                                    NLL(5, 5003, 0, "")};
const uint32_t pv_n_cases_rows = sizeof pv_cases_rows / sizeof *pv_cases_rows;
