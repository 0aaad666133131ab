/* Floats to GGUF's blocks, for models made here (tests, benchmarks, conformance) and for ffn_down: the plain way, no
 * search for better scales. Q8_0 and Q4_0 follow ggml's reference to the bit (convert.c). A group of 16 or 32
 * weights gets a scale, and a minimum where the type has one, from its largest and least; a K block rounds those
 * to small integers of a common float16 scale. */
#include "format/gguf/chunk.h"

#include <assert.h>
#include <math.h>
#include <string.h>
#include "base/half.h"

/* What a type's groups can say: q in [0, levels), the scale an integer of at most `codes` times the block's d (0: d
 * alone). */
struct grain {
    int levels, zero, group, codes;
    bool has_min;
};

static struct grain grain_of(enum pv_type type)
{
    switch (type) {
    case PV_Q4_1:
        return (struct grain){16, 0, 32, 0, true};
    case PV_Q5_0:
        return (struct grain){32, 16, 32, 0, false};
    case PV_Q5_1:
        return (struct grain){32, 0, 32, 0, true};
    case PV_Q2_K:
        return (struct grain){4, 0, 16, 15, true};
    case PV_Q3_K:
        return (struct grain){8, 4, 16, 31, false};
    case PV_Q4_K:
        return (struct grain){16, 0, 32, 63, true};
    case PV_Q5_K:
        return (struct grain){32, 0, 32, 63, true};
    case PV_Q6_K:
        return (struct grain){64, 32, 16, 127, false};
    case PV_IQ4_XS:
        return (struct grain){16, 0, 32, 31, false};
    case PV_TQ1_0:
    case PV_TQ2_0:
        return (struct grain){3, 1, 256, 0, false};
    default: /* IQ4_NL, MXFP4 */
        return (struct grain){16, 0, 32, 0, false};
    }
}

static int clamp(float x, int lo, int hi)
{
    if (!(x > (float)lo)) /* NaN too */
        return lo;
    return x < (float)hi ? (int)x : hi;
}

static float rounded_half(float x)
{
    return pv_half_to_float(pv_float_to_half(x));
}

/* A power of two that brings the largest within 12, twice MXFP4's greatest value. */
static float power_scale(float largest)
{
    int exponent = 127;
    if (isfinite(largest))
        (void)frexpf(largest / 12.0f, &exponent);
    return ldexpf(1.0f, exponent < -126 ? -126 : exponent);
}

/* What the largest of a group's magnitudes is at scale 1. */
static float reach(const struct grain *g, enum pv_type type)
{
    if (pv_chunk_table(pv_type_layout(type)))
        return type == PV_MXFP4 ? 12.0f : 113.0f;
    return (float)(g->has_min ? g->levels - 1 : g->levels - 1 - g->zero);
}

/* The wished scale and minimum of a group of n. */
static void measure(const struct grain *g, enum pv_type type, const float *x, int n, float *scale, float *min)
{
    float least = 0, most = 0;
    for (int i = 0; i < n; i++) {
        least = fminf(least, x[i]);
        most = fmaxf(most, x[i]);
    }
    *min = g->has_min ? -least : 0;
    *scale = (g->has_min ? most - least : fmaxf(most, -least)) / reach(g, type);
    if (type == PV_MXFP4)
        *scale = power_scale(*scale * 12.0f);
}

static uint8_t nearest(const struct grain *g, const int8_t *table, float x)
{
    if (!table)
        return (uint8_t)clamp(floorf(x + 0.5f) + (float)g->zero, 0, g->levels - 1);
    int best = 0;
    for (int i = 1; i < 16; i++)
        if (fabsf((float)table[i] - x) < fabsf((float)table[best] - x))
            best = i;
    return (uint8_t)best;
}

/* Chunks in the type's own terms: q from 0 whatever the layout's zero is. */
static void to_chunks(enum pv_type type, const float *src, int n_chunks, struct pv_chunk *out)
{
    const struct grain g = grain_of(type);
    const int8_t *table = pv_chunk_table(pv_type_layout(type));
    const int n_groups = n_chunks * PV_CHUNK / g.group;
    float scale[16] = {0}, min[16] = {0}, d = 0, dmin = 0;
    for (int i = 0; i < n_groups; i++) {
        measure(&g, type, src + i * g.group, g.group, &scale[i], &min[i]);
        d = fmaxf(d, scale[i]);
        dmin = fmaxf(dmin, min[i]);
    }
    d = type == PV_MXFP4 ? d : rounded_half(g.codes ? d / (float)g.codes : d);
    dmin = rounded_half(g.codes ? dmin / (float)g.codes : dmin);
    for (int e = 0; e < n_chunks * PV_CHUNK; e++) {
        struct pv_chunk *c = &out[e / PV_CHUNK];
        const int h = e % PV_CHUNK / 16, at = e / g.group;
        c->d = d;
        c->dmin = dmin;
        c->scale[h] = (int16_t)(g.codes == 0 ? 1 : d > 0 ? clamp(scale[at] / d + 0.5f, 0, g.codes) : 0);
        c->min[h] = (int16_t)(g.codes == 0 ? 1 : dmin > 0 ? clamp(min[at] / dmin + 0.5f, 0, g.codes) : 0);
        const float step = d * (float)c->scale[h];
        const float above = src[e] + (g.has_min ? dmin * (float)c->min[h] : 0);
        c->q[e % PV_CHUNK] = nearest(&g, table, step > 0 ? above / step : 0);
    }
}

void pv_chunk_quantize_q6(const float *src, struct pv_chunk *out)
{
    to_chunks(PV_Q6_K, src, 1, out);
}

static void put_half(uint8_t *dst, float value)
{
    const uint16_t h = pv_float_to_half(value);
    memcpy(dst, &h, sizeof h);
}

static void put_nibbles(const uint8_t *q, uint8_t *dst)
{
    for (int j = 0; j < PV_CHUNK / 2; j++)
        dst[j] = (uint8_t)((q[j] & 15) | (q[j + PV_CHUNK / 2] & 15) << 4);
}

static void put_fifth_bits(const uint8_t *q, uint8_t *dst)
{
    for (int j = 0; j < PV_CHUNK; j++)
        dst[j / 8] = (uint8_t)(dst[j / 8] | (q[j] >> 4 & 1) << (j % 8));
}

static void put_two_bits(uint8_t *dst, int c, int l, int bits)
{
    uint8_t *byte = &dst[c / 4 * 32 + l];
    *byte = (uint8_t)(*byte | (bits & 3) << (c % 4 * 2));
}

static void put_scales(const struct pv_chunk *c, uint8_t *dst)
{
    put_half(dst, c->d);
    put_half(dst + 2, c->dmin);
    for (int i = 0; i < 4; i++) {
        dst[4 + i] = (uint8_t)(c[i].scale[0] | c[4 + i].scale[0] >> 4 << 6);
        dst[8 + i] = (uint8_t)(c[i].min[0] | c[4 + i].min[0] >> 4 << 6);
        dst[12 + i] = (uint8_t)((c[4 + i].scale[0] & 15) | (c[4 + i].min[0] & 15) << 4);
    }
}

static void encode_q2_k(const struct pv_chunk *c, uint8_t *dst)
{
    for (int i = 0; i < 16; i++)
        dst[i] = (uint8_t)(c[i / 2].scale[i % 2] | c[i / 2].min[i % 2] << 4);
    put_half(dst + 80, c->d);
    put_half(dst + 82, c->dmin);
    for (int e = 0; e < 256; e++)
        put_two_bits(dst + 16, e / PV_CHUNK, e % PV_CHUNK, c[e / PV_CHUNK].q[e % PV_CHUNK]);
}

static void encode_q3_k(const struct pv_chunk *c, uint8_t *dst)
{
    put_half(dst + 108, c->d);
    for (int i = 0; i < 16; i++) {
        const int code = c[i / 2].scale[i % 2] + 32;
        uint8_t *low = &dst[96 + i % 8], *high = &dst[96 + 8 + i % 4];
        *low = (uint8_t)(*low | (code & 15) << (i / 8 * 4));
        *high = (uint8_t)(*high | code >> 4 << (i / 4 * 2));
    }
    for (int e = 0; e < 256; e++) {
        const uint8_t q = c[e / PV_CHUNK].q[e % PV_CHUNK];
        dst[e % PV_CHUNK] = (uint8_t)(dst[e % PV_CHUNK] | q >> 2 << (e / PV_CHUNK));
        put_two_bits(dst + 32, e / PV_CHUNK, e % PV_CHUNK, q);
    }
}

static void encode_q4_k(const struct pv_chunk *c, uint8_t *dst, uint8_t *quants)
{
    put_scales(c, dst);
    for (int e = 0; e < 256; e++) {
        uint8_t *byte = &quants[e / 64 * 32 + e % PV_CHUNK];
        *byte = (uint8_t)(*byte | (c[e / PV_CHUNK].q[e % PV_CHUNK] & 15) << (e / PV_CHUNK % 2 * 4));
    }
}

static void encode_q5_k(const struct pv_chunk *c, uint8_t *dst)
{
    encode_q4_k(c, dst, dst + 48);
    for (int e = 0; e < 256; e++) {
        uint8_t *byte = &dst[16 + e % PV_CHUNK];
        *byte = (uint8_t)(*byte | c[e / PV_CHUNK].q[e % PV_CHUNK] >> 4 << (e / PV_CHUNK));
    }
}

static void encode_q6_k(const struct pv_chunk *c, uint8_t *dst)
{
    put_half(dst + 208, c->d);
    for (int i = 0; i < 16; i++)
        dst[192 + i] = (uint8_t)(int8_t)c[i / 2].scale[i % 2];
    for (int e = 0; e < 256; e++) {
        const uint8_t q = c[e / PV_CHUNK].q[e % PV_CHUNK];
        uint8_t *low = &dst[e / 128 * 64 + e % 64];
        *low = (uint8_t)(*low | (q & 15) << (e % 128 / 64 * 4));
        put_two_bits(dst + 128, e / PV_CHUNK, e % PV_CHUNK, q >> 4);
    }
}

static void encode_iq4_xs(const struct pv_chunk *c, uint8_t *dst)
{
    put_half(dst, c->d);
    for (int i = 0; i < PV_MAX_CHUNKS; i++) {
        const int code = c[i].scale[0] + 32;
        dst[2 + i / 4] = (uint8_t)(dst[2 + i / 4] | code >> 4 << (i % 4 * 2));
        dst[4 + i / 2] = (uint8_t)(dst[4 + i / 2] | (code & 15) << (i % 2 * 4));
        put_nibbles(c[i].q, dst + 8 + i * 16);
    }
}

/* Five digits (in the last four bytes four) to the base of three, as a fraction of 256, rounded up. */
static void encode_tq1_0(const struct pv_chunk *c, uint8_t *dst)
{
    static const unsigned power[] = {81, 27, 9, 3, 1};
    unsigned sum[52] = {0};
    for (int e = 0; e < 256; e++) {
        const int at = e < 160 ? e / 32 : e < 240 ? (e - 160) / 16 : (e - 240) / 4;
        const int byte = e < 160 ? e % 32 : e < 240 ? 32 + e % 16 : 48 + e % 4;
        sum[byte] += c[e / PV_CHUNK].q[e % PV_CHUNK] * power[at];
    }
    for (int i = 0; i < 52; i++)
        dst[i] = (uint8_t)((sum[i] * 256 + 242) / 243);
    put_half(dst + 52, c->d);
}

static void encode_tq2_0(const struct pv_chunk *c, uint8_t *dst)
{
    for (int e = 0; e < 256; e++)
        put_two_bits(dst, e / PV_CHUNK, e % PV_CHUNK, c[e / PV_CHUNK].q[e % PV_CHUNK]);
    put_half(dst + 64, c->d);
}

void pv_block_quantize(enum pv_type type, const float *src, uint8_t *dst)
{
    struct pv_chunk c[PV_MAX_CHUNKS] = {0};
    to_chunks(type, src, (int)pv_type_block(type) / PV_CHUNK, c);
    memset(dst, 0, pv_type_block_bytes(type));
    switch (type) {
    case PV_Q4_1:
    case PV_Q5_1:
        put_half(dst, c->d);
        put_half(dst + 2, -c->dmin);
        put_nibbles(c->q, dst + (type == PV_Q4_1 ? 4 : 8));
        if (type == PV_Q5_1)
            put_fifth_bits(c->q, dst + 4);
        return;
    case PV_Q5_0:
        put_half(dst, c->d);
        put_fifth_bits(c->q, dst + 2);
        put_nibbles(c->q, dst + 6);
        return;
    case PV_IQ4_NL:
        put_half(dst, c->d);
        put_nibbles(c->q, dst + 2);
        return;
    case PV_MXFP4:
        dst[0] = (uint8_t)(128 + ilogbf(c->d));
        put_nibbles(c->q, dst + 1);
        return;
    case PV_Q2_K:
        encode_q2_k(c, dst);
        return;
    case PV_Q3_K:
        encode_q3_k(c, dst);
        return;
    case PV_Q4_K:
        encode_q4_k(c, dst, dst + 16);
        return;
    case PV_Q5_K:
        encode_q5_k(c, dst);
        return;
    case PV_Q6_K:
        encode_q6_k(c, dst);
        return;
    case PV_IQ4_XS:
        encode_iq4_xs(c, dst);
        return;
    case PV_TQ1_0:
        encode_tq1_0(c, dst);
        return;
    case PV_TQ2_0:
        encode_tq2_0(c, dst);
        return;
    default:
        assert(!"a type that types.c quantises");
    }
}
