/* Cases of rope, the KV cache and attention. Cells of a cache that were never written hold NaN, so a kernel
 * that reads past the positions it may see is caught. */
#include <math.h>
#include <string.h>

#include "base/half.h"
#include "base/log.h"
#include "iface.h"
#include "kernel/attention/attention.h"
#include "check/case_tables.h"

enum { NEOX = 1, SEQUENCES = 2, FACTORS = 4, SCALED = 8, CAPPED = 16, WINDOWED = 32 };
enum { WINDOW = 16 };

/* Two rows of each sequence, as far as there are rows. */
static uint32_t n_seqs(const struct pv_case *c)
{
    return c->flags & SEQUENCES ? (c->t + 1) / 2 : 0;
}

/* The rows' places: the sequences by turns, the last one first, each a position further back than the one before it. */
static enum pv_status make_step(struct pv_case_run *run, const struct pv_case *c, const struct pv_step **rows,
                                struct pv_buffer **out)
{
    const uint32_t n = n_seqs(c);
    *rows = NULL;
    if (n == 0)
        return pv_case_step(run, c->pos, out);
    struct pv_step *steps = pv_arena_alloc(&run->arena, c->t, sizeof *steps);
    if (!steps)
        return pv_fail(run->device->log, PV_ERR_NOMEM, "no memory for a kernel case");
    for (uint32_t t = 0; t < c->t; t++) {
        const uint32_t seq = n - 1 - t % n;
        steps[t] = (struct pv_step){.pos = (c->pos > seq ? c->pos - seq : 0) + t / n, .seq = seq};
    }
    *rows = steps;
    return pv_case_buffer(run, (const uint32_t *)steps, c->t * sizeof *steps / 4, out);
}

static struct pv_ref_attention ref_shape(const struct pv_case_run *run, const struct pv_case *c)
{
    return (struct pv_ref_attention){.n_tokens = c->t,
                                     .n_heads = c->heads,
                                     .n_kv_heads = c->kv_heads,
                                     .head_dim = c->head_dim,
                                     .head_stride = pv_kv_head_stride(&run->device->plan, c->head_dim),
                                     .n_ctx = c->ctx,
                                     .pos = c->pos,
                                     .scale = c->flags & SCALED ? 0.4f : 0.0f,
                                     .softcap = c->flags & CAPPED ? 5.0f : 0.0f,
                                     .window = c->flags & WINDOWED ? WINDOW : 0,
                                     .n_seqs = n_seqs(c)};
}

static uint32_t n_caches(const struct pv_ref_attention *s)
{
    return s->n_seqs > 0 ? s->n_seqs : 1;
}

static uint32_t position(const struct pv_ref_attention *s, uint32_t t)
{
    return s->rows ? s->rows[t].pos : s->pos + t;
}

static uint32_t sequence(const struct pv_ref_attention *s, uint32_t t)
{
    return s->rows ? s->rows[t].seq : 0;
}

static size_t cache_values(const struct pv_ref_attention *s)
{
    return (size_t)n_caches(s) * s->n_kv_heads * s->n_ctx * s->head_stride;
}

/* A cache's floats as the device stores them; in float16 the floats are rounded in place to what was stored.
 */
static enum pv_status pack_cache(struct pv_case_run *run, float *values, size_t n, uint32_t **words)
{
    if (!run->device->plan.kv_f16) {
        PV_TRY(pv_case_words(run, n, words));
        memcpy(*words, values, n * sizeof *values);
        return PV_OK;
    }
    PV_TRY(pv_case_words(run, n / 2, words));
    for (size_t i = 0; i < n; i++) {
        const uint16_t h = pv_float_to_half(values[i]);
        (*words)[i / 2] |= (uint32_t)h << (i % 2 * 16);
        values[i] = pv_half_to_float(h);
    }
    return PV_OK;
}

/* Written cells against the reference, the others against poison. */
static enum pv_status check_cache(struct pv_case_run *run, const char *what,
                                  const struct pv_ref_attention *shape, struct pv_buffer *buffer,
                                  const float *rows)
{
    const bool f16 = run->device->plan.kv_f16;
    const size_t n = cache_values(shape);
    uint32_t *words = NULL;
    float *expected = NULL, *got = NULL, *mark = NULL;
    PV_TRY(pv_case_read(run, buffer, &words));
    PV_TRY(pv_case_floats(run, n, &expected));
    PV_TRY(pv_case_floats(run, n, &got));
    PV_TRY(pv_case_floats(run, n, &mark));
    for (size_t i = 0; i < n; i++)
        mark[i] = -1.0f;
    pv_ref_kv_write(shape, rows, expected);
    for (uint32_t t = 0; t < shape->n_tokens; t++) {
        const size_t p = position(shape, t), first = (size_t)sequence(shape, t) * shape->n_kv_heads;
        for (size_t h = first; p < shape->n_ctx && h < first + shape->n_kv_heads; h++)
            for (size_t i = 0; i < shape->head_stride; i++)
                mark[(h * shape->n_ctx + p) * shape->head_stride + i] = 1.0f;
    }
    for (size_t i = 0; i < n; i++) {
        const uint32_t word = words[f16 ? i / 2 : i], half = word >> (i % 2 * 16) & 0xffffu;
        if (mark[i] < 0.0f)
            pv_case_expect(run, f16 ? half == (run->poison & 0xffffu) : word == run->poison,
                           "a cell outside the batch was written");
        else if (f16)
            got[i] = pv_half_to_float((uint16_t)half);
        else
            memcpy(&got[i], &word, sizeof word);
    }
    for (size_t i = f16 ? n / 2 : n; i < buffer->size_bytes / 4; i++)
        pv_case_expect(run, words[i] == run->poison, "written past the end of the cache");
    pv_case_compare(run, what, got, expected, n);
    return PV_OK;
}

/* Rows of T times `n` values from `first` on in rows of `width`. */
static enum pv_status take(struct pv_case_run *run, const float *rows, uint32_t n_tokens, uint32_t width,
                           uint32_t first, uint32_t n, float **out)
{
    PV_TRY(pv_case_floats(run, (size_t)n_tokens * n, out));
    for (uint32_t t = 0; t < n_tokens; t++)
        memcpy(*out + (size_t)t * n, rows + (size_t)t * width + first, n * sizeof **out);
    return PV_OK;
}

/* Queries turn in place, keys on their way into the cache: c->k dimensions of a head, or none. */
static enum pv_status run_rope_kv(struct pv_case_run *run, const struct pv_case *c)
{
    struct pv_ref_attention shape = ref_shape(run, c);
    const uint32_t n_q = c->heads * c->head_dim, n_kv = c->kv_heads * c->head_dim, width = n_q + 2 * n_kv;
    const size_t cache_words =
        (size_t)pv_kv_cache_bytes(&run->device->plan, c->ctx, c->kv_heads, c->head_dim) * n_caches(&shape) /
        4;
    float *x = NULL, *q = NULL, *k = NULL, *v = NULL, *factors = NULL;
    struct pv_rope_kv_args a = {.n_tokens = c->t,
                                .n_heads = c->heads,
                                .n_kv_heads = c->kv_heads,
                                .head_dim = c->head_dim,
                                .n_ctx = c->ctx,
                                .rope_dim = c->k,
                                .freq_base = 10000.0f,
                                .kind = c->flags & NEOX ? PV_ROPE_NEOX : PV_ROPE_ADJACENT,
                                .n_seqs = shape.n_seqs};
    struct pv_ref_rope ref = {.n_tokens = c->t,
                              .n_heads = c->heads,
                              .head_dim = c->head_dim,
                              .rope_dim = c->k,
                              .pos = c->pos,
                              .freq_base = a.freq_base,
                              .kind = a.kind};
    PV_TRY(pv_case_random(run, (size_t)c->t * width, 1.0f, &x));
    if (c->flags & FACTORS) {
        PV_TRY(pv_case_random(run, c->k / 2, 1.0f, &factors));
        for (uint32_t i = 0; i < c->k / 2; i++)
            factors[i] = 1.0f + fabsf(factors[i]);
        PV_TRY(pv_case_rows(run, factors, 1, c->k / 2, &a.factors));
        ref.factors = factors;
        ref.amplitude = a.amplitude = 1.19f;
    }
    PV_TRY(pv_case_rows(run, x, c->t, width, &a.qkv));
    PV_TRY(pv_case_buffer(run, NULL, cache_words, &a.cache_k));
    PV_TRY(pv_case_buffer(run, NULL, cache_words, &a.cache_v));
    PV_TRY(make_step(run, c, &shape.rows, &a.step));
    ref.rows = shape.rows;
    PV_TRY(pv_case_begin(run));
    PV_TRY(pv_kernel_rope_kv(run->recorder, &a));
    PV_TRY(pv_case_submit(run));
    PV_TRY(take(run, x, c->t, width, 0, n_q, &q));
    PV_TRY(take(run, x, c->t, width, n_q, n_kv, &k));
    PV_TRY(take(run, x, c->t, width, n_q + n_kv, n_kv, &v));
    pv_ref_rope(&ref, q);
    ref.n_heads = c->kv_heads;
    pv_ref_rope(&ref, k);
    for (uint32_t t = 0; t < c->t; t++)
        memcpy(x + (size_t)t * width, q + (size_t)t * n_q, n_q * sizeof *x);
    const double of_cache = run->tolerance;
    run->tolerance = 1e-8; /* not rounded to float16 */
    PV_TRY(pv_case_check_rows(run, "qkv", a.qkv, x, c->t, width));
    run->tolerance = of_cache;
    PV_TRY(check_cache(run, "cache_k", &shape, a.cache_k, k));
    return check_cache(run, "cache_v", &shape, a.cache_v, v);
}

/* Whether any row may look at position p of sequence seq. */
static bool is_seen(const struct pv_ref_attention *s, uint32_t seq, uint32_t p)
{
    for (uint32_t t = 0; t < s->n_tokens; t++) {
        const uint32_t last = position(s, t);
        if (sequence(s, t) == seq && p <= last && (s->window == 0 || p + s->window > last))
            return true;
    }
    return false;
}

/* A cache filled where rows may look; the rest NaN. */
static enum pv_status make_cache(struct pv_case_run *run, const struct pv_ref_attention *shape,
                                 float **values, struct pv_buffer **out)
{
    const size_t n = cache_values(shape);
    uint32_t *words = NULL;
    PV_TRY(pv_case_random(run, n, 1.0f, values));
    for (size_t i = 0; i < n; i++)
        if (i % shape->head_stride >= shape->head_dim)
            (*values)[i] = 0.0f;
    PV_TRY(pack_cache(run, *values, n, &words));
    const size_t row_words = shape->head_stride / (run->device->plan.kv_f16 ? 2 : 1);
    const size_t n_rows = (size_t)n_caches(shape) * shape->n_kv_heads * shape->n_ctx;
    for (size_t i = 0; i < n_rows; i++)
        if (!is_seen(shape, (uint32_t)(i / shape->n_ctx / shape->n_kv_heads), (uint32_t)(i % shape->n_ctx)))
            memset(words + i * row_words, 0xff, row_words * sizeof *words);
    return pv_case_buffer(run, words, n_rows * row_words, out);
}

static enum pv_status run_attention(struct pv_case_run *run, const struct pv_case *c)
{
    struct pv_ref_attention shape = ref_shape(run, c);
    const uint32_t width = c->heads * c->head_dim;
    float *q = NULL, *k = NULL, *v = NULL, *expected = NULL;
    struct pv_attention_args a = {.n_tokens = c->t,
                                  .n_heads = c->heads,
                                  .n_kv_heads = c->kv_heads,
                                  .head_dim = c->head_dim,
                                  .n_ctx = c->ctx,
                                  .scale = shape.scale,
                                  .softcap = shape.softcap,
                                  .window = shape.window,
                                  .n_seqs = shape.n_seqs};
    PV_TRY(make_step(run, c, &shape.rows, &a.step));
    PV_TRY(pv_case_random(run, (size_t)c->t * width, 3.0f, &q));
    PV_TRY(make_cache(run, &shape, &k, &a.cache_k));
    PV_TRY(make_cache(run, &shape, &v, &a.cache_v));
    PV_TRY(pv_case_rows(run, q, c->t, width, &a.q));
    PV_TRY(pv_case_rows(run, NULL, c->t, width, &a.out));
    PV_TRY(pv_case_begin(run));
    PV_TRY(pv_kernel_attention(run->recorder, &a));
    PV_TRY(pv_case_submit(run));
    double *scores = pv_arena_alloc(&run->arena, c->ctx, sizeof *scores);
    if (!scores)
        return pv_fail(run->device->log, PV_ERR_NOMEM, "no memory for a kernel case");
    PV_TRY(pv_case_floats(run, (size_t)c->t * width, &expected));
    pv_ref_attention(&shape, q, k, v, scores, expected);
    return pv_case_check_rows(run, "out", a.out, expected, c->t, width);
}

#define ROPE_KV(t_, heads_, kv_, head_dim_, rope_dim_, ctx_, pos_, flags_, text)                             \
    {.kernel = "rope_kv",                                                                                    \
     .name = text " heads=" #heads_ "/" #kv_ "x" #head_dim_ " dim=" #rope_dim_ " ctx=" #ctx_ " T=" #t_       \
                  " pos=" #pos_,                                                                             \
     .run = run_rope_kv,                                                                                     \
     .axes = PV_AXIS_KV | PV_AXIS_TILES,                                                                     \
     .tolerance = 1e-6,                                                                                      \
     .t = t_,                                                                                                \
     .k = rope_dim_,                                                                                         \
     .heads = heads_,                                                                                        \
     .kv_heads = kv_,                                                                                        \
     .head_dim = head_dim_,                                                                                  \
     .ctx = ctx_,                                                                                            \
     .pos = pos_,                                                                                            \
     .flags = flags_},
#define ATTENTION(kernel_, t_, heads_, kv_, head_dim_, ctx_, pos_, axes_, large_, text, flags_)              \
    {.kernel = kernel_,                                                                                      \
     .name = text "heads=" #heads_ "/" #kv_ "x" #head_dim_ " ctx=" #ctx_ " T=" #t_ " pos=" #pos_,            \
     .run = run_attention,                                                                                   \
     .axes = axes_,                                                                                          \
     .tolerance = 1e-9,                                                                                      \
     .large = large_,                                                                                        \
     .t = t_,                                                                                                \
     .heads = heads_,                                                                                        \
     .kv_heads = kv_,                                                                                        \
     .head_dim = head_dim_,                                                                                  \
     .ctx = ctx_,                                                                                            \
     .pos = pos_,                                                                                            \
     .flags = flags_},
#define DECODE(heads, kv, head_dim, ctx, pos)                                                                \
    ATTENTION("attn_decode", 1, heads, kv, head_dim, ctx, pos,                                               \
              PV_AXIS_ACCESS | PV_AXIS_REDUCE | PV_AXIS_KV | PV_AXIS_TILES, false, "", 0)
#define PREFILL(t, heads, kv, head_dim, ctx, pos)                                                            \
    ATTENTION("attn_prefill", t, heads, kv, head_dim, ctx, pos, PV_AXIS_ACCESS | PV_AXIS_KV | PV_AXIS_TILES, \
              false, "", 0)
/* Heads this large are unrolled into much code: only where they differ. */
#define DECODE_LARGE(heads, kv, head_dim, ctx, pos)                                                          \
    ATTENTION("attn_decode", 1, heads, kv, head_dim, ctx, pos, PV_AXIS_ACCESS | PV_AXIS_REDUCE, true, "", 0)
#define PREFILL_LARGE(t, heads, kv, head_dim, ctx, pos)                                                      \
    ATTENTION("attn_prefill", t, heads, kv, head_dim, ctx, pos, PV_AXIS_ACCESS, true, "", 0)

#define DECODE_SEQS(t, heads, kv, head_dim, ctx, pos)                                                        \
    ATTENTION("attn_decode", t, heads, kv, head_dim, ctx, pos,                                               \
              PV_AXIS_ACCESS | PV_AXIS_REDUCE | PV_AXIS_KV | PV_AXIS_TILES, false, "sequences ", SEQUENCES)

/* What some architectures do to the scores. */
#define DECODE_OF(heads, kv, head_dim, ctx, pos, flags, text)                                                \
    ATTENTION("attn_decode", 1, heads, kv, head_dim, ctx, pos,                                               \
              PV_AXIS_ACCESS | PV_AXIS_REDUCE | PV_AXIS_KV | PV_AXIS_TILES, false, text, flags)
#define PREFILL_OF(t, heads, kv, head_dim, ctx, pos, flags, text)                                            \
    ATTENTION("attn_prefill", t, heads, kv, head_dim, ctx, pos, PV_AXIS_ACCESS | PV_AXIS_KV | PV_AXIS_TILES, \
              false, text, flags)

const struct pv_case pv_cases_attention[] = {
    ROPE_KV(1, 1, 1, 2, 2, 1, 0, 0, "adjacent") ROPE_KV(3, 3, 3, 64, 64, 33, 5, 0, "adjacent") ROPE_KV(
        2, 5, 1, 12, 6, 1002, 1000, 0, "adjacent") ROPE_KV(1, 1, 1, 2, 2, 31, 7, NEOX, "neox")
        ROPE_KV(3, 3, 3, 64, 64, 31, 5, NEOX, "neox") ROPE_KV(33, 5, 2, 12, 6, 905, 900, NEOX, "neox")
            ROPE_KV(5, 3, 1, 12, 6, 901, 900, SEQUENCES,
                    "adjacent sequences") ROPE_KV(3, 1, 1, 64, 64, 33, 31, NEOX | SEQUENCES, "neox sequences")
                ROPE_KV(2, 2, 2, 8, 8, 8192, 8190, 0, "adjacent") ROPE_KV(
                    33, 5, 1, 12, 6, 933, 900, NEOX | FACTORS,
                    "neox factors") ROPE_KV(3, 3, 1, 64, 64, 8, 5, FACTORS, "adjacent factors")
                    ROPE_KV(1, 1, 1, 1, 0, 1, 0, 0, "none") ROPE_KV(1, 3, 3, 12, 0, 31, 30, 0, "none")
                        ROPE_KV(31, 6, 3, 6, 0, 33, 20, NEOX,
                                "none") ROPE_KV(31, 3, 3, 6, 4, 33, 32, SEQUENCES, "adjacent sequences")
                            DECODE(1, 1, 4, 1, 0) DECODE(4, 2, 12, 33, 1) DECODE(6, 1, 64, 70, 31)
                                DECODE(3, 3, 64, 130, 128) DECODE_SEQS(3, 4, 2, 12, 33, 31)
                                    DECODE_SEQS(31, 6, 1, 64, 70, 0) DECODE_SEQS(2, 3, 3, 64, 130, 128)
                                        DECODE_LARGE(4, 4, 172, 40, 33) DECODE_LARGE(2, 1, 256, 33, 31)
                                            PREFILL(2, 1, 1, 4, 2, 0) PREFILL(5, 4, 2, 12, 31, 3)
                                                PREFILL(33, 6, 1, 64, 70, 31) PREFILL(31, 3, 3, 32, 31, 0)
                                                    DECODE_OF(4, 2, 12, 33, 31, SCALED | CAPPED, "capped ")
                                                        DECODE_OF(3, 3, 64, 130, 128, WINDOWED, "window=16 ")
                                                            DECODE_OF(6, 1, 64, 70, 5, WINDOWED | CAPPED,
                                                                      "capped window=16 ")
                                                                PREFILL_OF(5, 4, 2, 12, 31, 3,
                                                                           SCALED | CAPPED, "capped ")
                                                                    PREFILL_OF(33, 6, 1, 64, 70, 31, WINDOWED,
                                                                               "window=16 ")
                                                                        PREFILL_OF(31, 3, 3, 32, 31, 0,
                                                                                   WINDOWED | CAPPED | SCALED,
                                                                                   "capped window=16 ")
                                                                            DECODE_LARGE(8, 2, 128, 600, 555)
                                                                                PREFILL_LARGE(65, 4, 2, 128,
                                                                                              200, 100)};
const uint32_t pv_n_cases_attention = sizeof pv_cases_attention / sizeof *pv_cases_attention;
