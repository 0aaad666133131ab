/* Device layouts (types.h): weights in whole words of 16 bytes, scales beside them. What differs between layouts of
 * chunks is where a chunk's scales lie in its group; a table has the groups, put_scales and get_scales the rest. */
#include <assert.h>
#include <string.h>
#include "base/half.h"
#include "format/gguf/chunk.h"

enum { WORD_BYTES = 16, HALF_CHUNK = PV_CHUNK / 2 };

bool pv_type_in_chunks(enum pv_type type)
{
    return pv_type_block(type) != 1 && type != PV_Q8_0;
}

/* Chunks in a group and uint32 words of scales that they share. */
struct group {
    uint32_t chunks, words;
};

static struct group group_of(enum pv_type layout)
{
    switch (layout) {
    case PV_Q8_0:
    case PV_Q4_0:
        return (struct group){2, 1};
    case PV_Q4_1:
    case PV_IQ4_NL:
    case PV_MXFP4:
        return (struct group){4, 4};
    case PV_Q5_1:
    case PV_Q2_K:
        return (struct group){2, 4};
    case PV_Q4_K:
        return (struct group){8, 4};
    case PV_Q5_K:
        return (struct group){8, 12};
    case PV_Q6_K:
        return (struct group){4, 12};
    default:
        return (struct group){1, 0};
    }
}

uint32_t pv_layout_word_elements(enum pv_type layout)
{
    if (layout == PV_Q8_0)
        return PV_CHUNK / 2;
    return pv_type_in_chunks(layout) ? PV_CHUNK : WORD_BYTES / pv_type_block_bytes(layout);
}

uint32_t pv_layout_scale_stride(enum pv_type layout, uint32_t scale_words)
{
    return layout == PV_Q8_0 || layout == PV_Q4_0 ? scale_words * 2 : scale_words / 4;
}

bool pv_packed_size(enum pv_type type, uint32_t n_cols, struct pv_packed_size *out)
{
    const enum pv_type layout = pv_type_layout(type);
    if (!pv_type_is_weight(type) || (pv_type_block(type) != 1 && n_cols % PV_CHUNK != 0))
        return false;
    const uint32_t per_word = pv_layout_word_elements(layout);
    const struct group group = group_of(layout);
    const uint32_t n_chunks = n_cols / PV_CHUNK;
    out->row_words = n_cols / per_word + (n_cols % per_word != 0);
    out->scale_words = (n_chunks / group.chunks + (n_chunks % group.chunks != 0)) * group.words;
    return true;
}

static uint32_t half_pair(float low, float high)
{
    return pv_float_to_half(low) | (uint32_t)pv_float_to_half(high) << 16;
}

static uint32_t byte_of(int value, int at)
{
    return (uint32_t)(uint8_t)value << (8 * at);
}

static int signed_byte(uint32_t word, int at)
{
    return (int8_t)(uint8_t)(word >> (8 * at));
}

/* Bit 8k + i of the word is bit 4 of element 4i + k. */
static uint32_t fifth_bits(const uint8_t *q)
{
    uint32_t word = 0;
    for (uint32_t e = 0; e < PV_CHUNK; e++)
        word |= (q[e] >> 4 & 1u) << (e % 4 * 8 + e / 4);
    return word;
}

static void add_fifth_bits(uint32_t word, uint8_t *q)
{
    for (uint32_t e = 0; e < PV_CHUNK; e++)
        q[e] = (uint8_t)(q[e] | (word >> (e % 4 * 8 + e / 4) & 1) << 4);
}

/* Bits 8k + 2i of the word are bits 4 and 5 of element 4i + k of 16. */
static uint32_t high_pairs(const uint8_t *q)
{
    uint32_t word = 0;
    for (uint32_t e = 0; e < HALF_CHUNK; e++)
        word |= (q[e] >> 4 & 3u) << (e % 4 * 8 + e / 4 * 2);
    return word;
}

static void add_high_pairs(uint32_t word, uint8_t *q)
{
    for (uint32_t e = 0; e < HALF_CHUNK; e++)
        q[e] = (uint8_t)(q[e] | (word >> (e % 4 * 8 + e / 4 * 2) & 3) << 4);
}

/* Twelve bits of chunk i of eight, and of each pair's word the top byte: one of the four of d and dmin. */
static void put_k_scales(const struct pv_chunk *c, uint32_t i, uint32_t *w)
{
    const uint32_t halves = half_pair(c->d, c->dmin);
    w[i / 2] |= ((uint32_t)c->scale[0] | (uint32_t)c->min[0] << 6) << (i % 2 * 12);
    w[i / 2] |= (halves >> (i / 2 * 8) & 255) << 24;
}

static void get_k_scales(const uint32_t *w, uint32_t i, struct pv_chunk *c)
{
    const uint32_t halves = w[0] >> 24 | w[1] >> 24 << 8 | w[2] >> 24 << 16 | w[3] >> 24 << 24;
    const uint32_t bits = w[i / 2] >> (i % 2 * 12);
    c->d = pv_half_to_float((uint16_t)halves);
    c->dmin = pv_half_to_float((uint16_t)(halves >> 16));
    c->scale[0] = c->scale[1] = bits & 63;
    c->min[0] = c->min[1] = bits >> 6 & 63;
}

/* Chunk i of its group, whose words are w and start as zeros. */
static void put_scales(enum pv_type layout, const struct pv_chunk *c, uint32_t i, uint32_t *w)
{
    const float scale = c->d * (float)c->scale[0];
    switch (layout) {
    case PV_Q4_0:
        w[0] |= (uint32_t)pv_float_to_half(scale) << (16 * i);
        return;
    case PV_Q4_1:
        w[i] = half_pair(scale, -c->dmin * (float)c->min[0]);
        return;
    case PV_IQ4_NL:
    case PV_MXFP4:
        memcpy(&w[i], &scale, sizeof scale);
        return;
    case PV_Q5_1:
        w[2 * i] = fifth_bits(c->q);
        w[2 * i + 1] = half_pair(scale, -c->dmin * (float)c->min[0]);
        return;
    case PV_Q2_K:
        w[2 * i] = half_pair(c->d, c->dmin);
        w[2 * i + 1] =
            byte_of(c->scale[0], 0) | byte_of(c->scale[1], 1) | byte_of(c->min[0], 2) | byte_of(c->min[1], 3);
        return;
    case PV_Q5_K:
        w[4 + i] = fifth_bits(c->q);
        put_k_scales(c, i, w);
        return;
    case PV_Q4_K:
        put_k_scales(c, i, w);
        return;
    default: /* Q6_K */
        w[2 * i] = high_pairs(c->q);
        w[2 * i + 1] = high_pairs(c->q + HALF_CHUNK);
        w[8 + i] = pv_float_to_half(c->d) | byte_of(c->scale[0], 2) | byte_of(c->scale[1], 3);
        return;
    }
}

/* All of a chunk but the low bits of q, which are there already. */
static void get_scales(enum pv_type layout, const uint32_t *w, uint32_t i, struct pv_chunk *c)
{
    const uint32_t pair = layout == PV_Q5_1 || layout == PV_Q2_K ? w[2 * i + 1] : w[i];
    c->scale[0] = c->scale[1] = 1;
    c->min[0] = c->min[1] = -1;
    c->dmin = 0;
    switch (layout) {
    case PV_Q4_0:
        c->d = pv_half_to_float((uint16_t)(w[0] >> (16 * i)));
        return;
    case PV_IQ4_NL:
    case PV_MXFP4:
        memcpy(&c->d, &pair, sizeof pair);
        return;
    case PV_Q5_1:
        add_fifth_bits(w[2 * i], c->q);
        c->d = pv_half_to_float((uint16_t)pair);
        c->dmin = pv_half_to_float((uint16_t)(pair >> 16));
        return;
    case PV_Q4_1:
        c->d = pv_half_to_float((uint16_t)pair);
        c->dmin = pv_half_to_float((uint16_t)(pair >> 16));
        return;
    case PV_Q2_K:
        c->d = pv_half_to_float((uint16_t)w[2 * i]);
        c->dmin = pv_half_to_float((uint16_t)(w[2 * i] >> 16));
        for (int h = 0; h < 2; h++) {
            c->scale[h] = (int16_t)signed_byte(pair, h);
            c->min[h] = (int16_t)signed_byte(pair, 2 + h);
        }
        return;
    case PV_Q5_K:
        add_fifth_bits(w[4 + i], c->q);
        get_k_scales(w, i, c);
        return;
    case PV_Q4_K:
        get_k_scales(w, i, c);
        return;
    default: /* Q6_K */
        add_high_pairs(w[2 * i], c->q);
        add_high_pairs(w[2 * i + 1], c->q + HALF_CHUNK);
        c->d = pv_half_to_float((uint16_t)w[8 + i]);
        for (int h = 0; h < 2; h++)
            c->scale[h] = (int16_t)signed_byte(w[8 + i], 2 + h);
        return;
    }
}

static void put_chunk(enum pv_type layout, const struct pv_chunk *chunk, uint32_t index, uint8_t *dst,
                      uint32_t *scales)
{
    const struct group group = group_of(layout);
    uint8_t *to = dst + (size_t)index * WORD_BYTES;
    for (int j = 0; j < HALF_CHUNK; j++)
        to[j] = (uint8_t)((chunk->q[j] & 15) | (chunk->q[j + HALF_CHUNK] & 15) << 4);
    put_scales(layout, chunk, index % group.chunks, scales + (size_t)(index / group.chunks) * group.words);
}

static void get_chunk(enum pv_type layout, const uint8_t *row, const uint32_t *scales, uint32_t index,
                      struct pv_chunk *chunk)
{
    const struct group group = group_of(layout);
    const uint8_t *from = row + (size_t)index * WORD_BYTES;
    for (int j = 0; j < HALF_CHUNK; j++) {
        chunk->q[j] = from[j] & 15;
        chunk->q[j + HALF_CHUNK] = from[j] >> 4;
    }
    get_scales(layout, scales + (size_t)(index / group.chunks) * group.words, index % group.chunks, chunk);
}

enum { Q8_BYTES = 2 + PV_CHUNK };

static void put_q8(const uint8_t *block, uint32_t index, uint8_t *dst, uint32_t *scales)
{
    scales[index / 2] |= (block[0] | (uint32_t)block[1] << 8) << (16 * (index % 2));
    memcpy(dst + (size_t)index * PV_CHUNK, block + 2, PV_CHUNK);
}

static void clear_row(enum pv_type type, uint32_t n_cols, void *dst, uint32_t *scales)
{
    struct pv_packed_size size = {0};
    const bool fits = pv_packed_size(type, n_cols, &size);
    assert(fits && (scales || size.scale_words == 0));
    (void)fits;
    memset(dst, 0, (size_t)size.row_words * WORD_BYTES);
    if (scales)
        memset(scales, 0, (size_t)size.scale_words * sizeof *scales);
}

void pv_pack_row(enum pv_type type, const void *src, uint32_t n_cols, void *dst, uint32_t *scales)
{
    const enum pv_type layout = pv_type_layout(type);
    const uint32_t block = pv_type_block(type), block_bytes = pv_type_block_bytes(type);
    const uint8_t *from = src;
    assert(n_cols % block == 0);
    clear_row(type, n_cols, dst, scales);
    if (block == 1) {
        memcpy(dst, src, (size_t)pv_type_row_bytes(type, n_cols));
        return;
    }
    for (uint32_t b = 0; b < n_cols / block; b++, from += block_bytes) {
        struct pv_chunk chunks[PV_MAX_CHUNKS];
        if (type == PV_Q8_0) {
            put_q8(from, b, dst, scales);
            continue;
        }
        pv_block_decode(type, from, chunks);
        for (uint32_t c = 0; c < block / PV_CHUNK; c++)
            put_chunk(layout, &chunks[c], b * (block / PV_CHUNK) + c, dst, scales);
    }
}

void pv_pack_floats(enum pv_type type, const float *src, uint32_t n_cols, void *dst, uint32_t *scales)
{
    assert(type == PV_Q8_0 || type == PV_Q4_0 || type == PV_Q6_K || pv_type_block(type) == 1);
    clear_row(type, n_cols, dst, scales);
    if (pv_type_block(type) == 1) {
        pv_quantize(type, src, dst, n_cols);
        return;
    }
    for (uint32_t c = 0; c < n_cols / PV_CHUNK; c++, src += PV_CHUNK) {
        struct pv_chunk chunk;
        uint8_t block[Q8_BYTES];
        if (type == PV_Q6_K) {
            pv_chunk_quantize_q6(src, &chunk);
            put_chunk(type, &chunk, c, dst, scales);
            continue;
        }
        pv_quantize(type, src, block, PV_CHUNK);
        if (type == PV_Q8_0) {
            put_q8(block, c, dst, scales);
            continue;
        }
        pv_block_decode(type, block, &chunk);
        put_chunk(type, &chunk, c, dst, scales);
    }
}

void pv_unpack_row(enum pv_type type, const void *row, const uint32_t *scales, uint32_t n_cols, float *dst)
{
    const enum pv_type layout = pv_type_layout(type);
    if (pv_type_block(type) == 1) {
        pv_dequantize(type, row, dst, n_cols);
        return;
    }
    assert(scales && n_cols % PV_CHUNK == 0);
    for (uint32_t c = 0; c < n_cols / PV_CHUNK; c++, dst += PV_CHUNK) {
        struct pv_chunk chunk;
        uint8_t block[Q8_BYTES];
        if (layout == PV_Q8_0) {
            const uint32_t half = scales[c / 2] >> (16 * (c % 2));
            block[0] = (uint8_t)half;
            block[1] = (uint8_t)(half >> 8);
            memcpy(block + 2, (const uint8_t *)row + (size_t)c * PV_CHUNK, PV_CHUNK);
            pv_dequantize(PV_Q8_0, block, dst, PV_CHUNK);
            continue;
        }
        get_chunk(layout, row, scales, c, &chunk);
        pv_chunk_floats(layout, &chunk, dst);
    }
}
