/* GGUF's quantised blocks, by the format's public definition. 32 weights share a float16 scale in the older types; a
 * K block is 256 weights with a float16 scale of 16 or 8 small integer scales. Every block becomes chunks of 32
 * weights in element order, in the terms of the device layout that holds them: a type without a minimum whose
 * layout has one gets a minimum that moves its zero (16 d for Q5_0), which is exact. */
#include "format/gguf/chunk.h"

#include <assert.h>
#include <string.h>
#include "base/half.h"

static float half_at(const uint8_t *src)
{
    uint16_t value;
    memcpy(&value, src, sizeof value);
    return pv_half_to_float(value);
}

static void set(struct pv_chunk *c, float d, float dmin, int scale, int min)
{
    c->d = d;
    c->dmin = dmin;
    c->scale[0] = c->scale[1] = (int16_t)scale;
    c->min[0] = c->min[1] = (int16_t)min;
}

/* Byte j holds element j low and element j + 16 high. */
static void nibbles(const uint8_t *src, uint8_t *q)
{
    for (int j = 0; j < PV_CHUNK / 2; j++) {
        q[j] = src[j] & 15;
        q[j + PV_CHUNK / 2] = src[j] >> 4;
    }
}

static void fifth_bits(const uint8_t *src, uint8_t *q)
{
    for (int j = 0; j < PV_CHUNK; j++)
        q[j] = (uint8_t)(q[j] | (src[j / 8] >> (j % 8) & 1) << 4);
}

/* Elements l of chunk c: bits 2 (c % 4) of byte 32 (c / 4) + l. */
static uint8_t two_bits(const uint8_t *src, int c, int l)
{
    return src[c / 4 * 32 + l] >> (c % 4 * 2) & 3;
}

static void decode_q2_k(const uint8_t *src, struct pv_chunk *out)
{
    const uint8_t *scales = src, *quants = src + 16;
    for (int c = 0; c < PV_MAX_CHUNKS; c++) {
        set(&out[c], half_at(src + 80), half_at(src + 82), 0, 0);
        for (int h = 0; h < 2; h++) {
            out[c].scale[h] = scales[2 * c + h] & 15;
            out[c].min[h] = scales[2 * c + h] >> 4;
        }
        for (int l = 0; l < PV_CHUNK; l++)
            out[c].q[l] = two_bits(quants, c, l);
    }
}

/* A set bit of the mask adds 4; zero is 4. The scales have four low bits, then two high ones. */
static void decode_q3_k(const uint8_t *src, struct pv_chunk *out)
{
    const uint8_t *mask = src, *quants = src + 32, *scales = src + 96;
    const float d = half_at(src + 108);
    for (int c = 0; c < PV_MAX_CHUNKS; c++) {
        set(&out[c], d, d, 0, 0);
        for (int h = 0; h < 2; h++) {
            const int i = 2 * c + h;
            const int low = i < 8 ? scales[i] & 15 : scales[i - 8] >> 4;
            out[c].scale[h] = (int16_t)((low | (scales[8 + i % 4] >> (i / 4 * 2) & 3) << 4) - 32);
            out[c].min[h] = (int16_t)(4 * out[c].scale[h]);
        }
        for (int l = 0; l < PV_CHUNK; l++)
            out[c].q[l] = (uint8_t)(two_bits(quants, c, l) | (mask[l] >> c & 1) << 2);
    }
}

/* Six bits of scale and of minimum of chunk c in 12 bytes: the last four chunks' are in the last four bytes, with
 * their high bits above those of the first four. */
static void decode_scales(const uint8_t *src, struct pv_chunk *out)
{
    const float d = half_at(src), dmin = half_at(src + 2);
    const uint8_t *s = src + 4;
    for (int c = 0; c < 4; c++) {
        set(&out[c], d, dmin, s[c] & 63, s[4 + c] & 63);
        set(&out[4 + c], d, dmin, (s[8 + c] & 15) | (s[c] >> 6) << 4, s[8 + c] >> 4 | (s[4 + c] >> 6) << 4);
    }
}

/* Of each 32 bytes the low nibbles are one chunk, the high ones the next. */
static void decode_q4_k(const uint8_t *src, struct pv_chunk *out)
{
    decode_scales(src, out);
    for (int c = 0; c < PV_MAX_CHUNKS; c++)
        for (int l = 0; l < PV_CHUNK; l++)
            out[c].q[l] = src[16 + c / 2 * 32 + l] >> (c % 2 * 4) & 15;
}

static void decode_q5_k(const uint8_t *src, struct pv_chunk *out)
{
    const uint8_t *high = src + 16, *quants = src + 48;
    decode_scales(src, out);
    for (int c = 0; c < PV_MAX_CHUNKS; c++)
        for (int l = 0; l < PV_CHUNK; l++)
            out[c].q[l] = (uint8_t)((quants[c / 2 * 32 + l] >> (c % 2 * 4) & 15) | (high[l] >> c & 1) << 4);
}

/* Of each 64 bytes of low bits the low nibbles are two chunks, the high ones the next two. */
static void decode_q6_k(const uint8_t *src, struct pv_chunk *out)
{
    const uint8_t *low = src, *high = src + 128, *scales = src + 192;
    for (int c = 0; c < PV_MAX_CHUNKS; c++) {
        set(&out[c], half_at(src + 208), 0, 0, 0);
        for (int h = 0; h < 2; h++)
            out[c].scale[h] = (int8_t)scales[2 * c + h];
        for (int l = 0; l < PV_CHUNK; l++) {
            const uint8_t byte = low[c / 4 * 64 + c % 2 * 32 + l];
            out[c].q[l] = (uint8_t)((byte >> (c % 4 / 2 * 4) & 15) | two_bits(high, c, l) << 4);
        }
    }
}

static void decode_iq4_xs(const uint8_t *src, struct pv_chunk *out)
{
    const unsigned high = src[2] | (unsigned)src[3] << 8;
    for (int c = 0; c < PV_MAX_CHUNKS; c++) {
        const unsigned low = src[4 + c / 2] >> (c % 2 * 4) & 15u;
        set(&out[c], half_at(src), 0, (int)(low | (high >> (2 * c) & 3) << 4) - 32, 0);
        nibbles(src + 8 + c * 16, out[c].q);
    }
}

/* A byte is a fraction of 256 whose digits to the base of three are the weights, first digit first. */
static uint8_t digit(uint8_t byte, int at)
{
    static const uint8_t power[] = {1, 3, 9, 27, 81};
    return (uint8_t)((uint8_t)(byte * power[at]) * 3u >> 8);
}

/* Digits -1, 0, 1 are 7, 8, 9 in the layout q4_0. */
static void decode_tq1_0(const uint8_t *src, struct pv_chunk *out)
{
    for (int e = 0; e < PV_CHUNK * PV_MAX_CHUNKS; e++) {
        const int at = e < 160 ? e / 32 : e < 240 ? (e - 160) / 16 : (e - 240) / 4;
        const int byte = e < 160 ? e % 32 : e < 240 ? 32 + e % 16 : 48 + e % 4;
        out[e / PV_CHUNK].q[e % PV_CHUNK] = (uint8_t)(7 + digit(src[byte], at));
    }
    for (int c = 0; c < PV_MAX_CHUNKS; c++)
        set(&out[c], half_at(src + 52), 0, 1, 0);
}

static void decode_tq2_0(const uint8_t *src, struct pv_chunk *out)
{
    for (int c = 0; c < PV_MAX_CHUNKS; c++) {
        set(&out[c], half_at(src + 64), 0, 1, 0);
        for (int l = 0; l < PV_CHUNK; l++)
            out[c].q[l] = (uint8_t)(7 + two_bits(src, c, l));
    }
}

/* The exponent of half the scale; 0 and 1 are below the normal floats. */
static float exponent_scale(uint8_t e)
{
    const uint32_t bits = e < 2 ? 0x200000u << e : (uint32_t)(e - 1) << 23;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

void pv_block_decode(enum pv_type type, const uint8_t *src, struct pv_chunk *out)
{
    switch (type) {
    case PV_Q4_0:
    case PV_IQ4_NL:
        set(out, half_at(src), 0, 1, 0);
        nibbles(src + 2, out->q);
        return;
    case PV_Q4_1:
        set(out, half_at(src), half_at(src + 2), 1, -1);
        nibbles(src + 4, out->q);
        return;
    case PV_Q5_0:
        set(out, half_at(src), -16.0f * half_at(src), 1, -1);
        nibbles(src + 6, out->q);
        fifth_bits(src + 2, out->q);
        return;
    case PV_Q5_1:
        set(out, half_at(src), half_at(src + 2), 1, -1);
        nibbles(src + 8, out->q);
        fifth_bits(src + 4, out->q);
        return;
    case PV_MXFP4:
        set(out, exponent_scale(src[0]), 0, 1, 0);
        nibbles(src + 1, out->q);
        return;
    case PV_Q2_K:
        decode_q2_k(src, out);
        return;
    case PV_Q3_K:
        decode_q3_k(src, out);
        return;
    case PV_Q4_K:
        decode_q4_k(src, out);
        return;
    case PV_Q5_K:
        decode_q5_k(src, out);
        return;
    case PV_Q6_K:
        decode_q6_k(src, out);
        return;
    case PV_IQ4_XS:
        decode_iq4_xs(src, out);
        return;
    case PV_TQ1_0:
        decode_tq1_0(src, out);
        return;
    case PV_TQ2_0:
        decode_tq2_0(src, out);
        return;
    default:
        assert(!"a type without chunks");
    }
}

const int8_t *pv_chunk_table(enum pv_type layout)
{
    static const int8_t iq4[] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
    static const int8_t mxfp4[] = {0, 1,  2,  3,  4,  6,  8,  12,
                                   0, -1, -2, -3, -4, -6, -8, -12}; /* twice the value */
    return layout == PV_IQ4_NL ? iq4 : layout == PV_MXFP4 ? mxfp4 : NULL;
}

int pv_chunk_zero(enum pv_type layout)
{
    return layout == PV_Q4_0 ? 8 : layout == PV_Q6_K ? 32 : 0;
}

void pv_chunk_floats(enum pv_type layout, const struct pv_chunk *chunk, float *dst)
{
    const int8_t *table = pv_chunk_table(layout);
    const int zero = pv_chunk_zero(layout);
    for (int h = 0; h < 2; h++) {
        const float scale = chunk->d * (float)chunk->scale[h], min = chunk->dmin * (float)chunk->min[h];
        for (int i = h * PV_CHUNK / 2; i < (h + 1) * PV_CHUNK / 2; i++)
            dst[i] = scale * (float)(table ? table[chunk->q[i] & 15] : chunk->q[i] - zero) - min;
    }
}
