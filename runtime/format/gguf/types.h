/* Tensor element types and their conversion. Numbers are GGUF's (ggml_type). */
#ifndef PV_FORMAT_GGUF_TYPES_H
#define PV_FORMAT_GGUF_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "parvin/status.h"

enum pv_type {
    PV_F32 = 0,
    PV_F16 = 1,
    PV_Q4_0 = 2,
    PV_Q4_1 = 3,
    PV_Q5_0 = 6,
    PV_Q5_1 = 7,
    PV_Q8_0 = 8,
    PV_Q2_K = 10,
    PV_Q3_K = 11,
    PV_Q4_K = 12,
    PV_Q5_K = 13,
    PV_Q6_K = 14,
    PV_IQ4_NL = 20,
    PV_IQ4_XS = 23,
    PV_I8 = 24,
    PV_I16 = 25,
    PV_I32 = 26,
    PV_I64 = 27,
    PV_BF16 = 30,
    PV_TQ1_0 = 34,
    PV_TQ2_0 = 35,
    PV_MXFP4 = 39,
};
bool pv_type_known(uint32_t type);
bool pv_type_is_weight(enum pv_type type);   /* all but the integers */
const char *pv_type_name(enum pv_type type); /* "f16" */
bool pv_type_from_name(const char *name, enum pv_type *out);
const char *pv_type_weight_names(void);          /* "f32, f16, ...": the weight types, for messages */
uint32_t pv_type_block(enum pv_type type);       /* elements a block: 1, 32 or 256 */
uint32_t pv_type_block_bytes(enum pv_type type); /* 4, 2, 18, 34, ... */
/* Bytes of a row of n elements in GGUF layout; 0 if n is not a multiple of the block. */
uint64_t pv_type_row_bytes(enum pv_type type, uint64_t n);

/* GGUF rows to floats and back. n a multiple of the block. */
void pv_dequantize(enum pv_type type, const void *src, float *dst, size_t n);
void pv_quantize(enum pv_type type, const float *src, void *dst, size_t n);

/* Device layouts. A row is whole 16-byte words (uvec4 in the shaders), zero-padded, and beside it lie the row's
 * scales, in uint32 words, so that a kernel reads weights in one run. Plain types keep their numbers and have no
 * scales. The others are cut into chunks of 32 weights in element order:
 *   weight = d * scale[half] * value(q) - dmin * min[half]        half: the first or the last 16 of the chunk
 * A chunk's four low bits of q are one word: byte j holds element j low and element j + 16 high. Q8_0 instead
 * has two words of signed bytes. A layout is named by the type that it keeps as it is; others are repacked into
 * it and equal the dequantised weights bit for bit (but for the sign of zeros):
 *   layout  from             value(q)    scales: bits a weight, contents
 *   q8_0    Q8_0             q           .5  float16 d of each chunk, two to a word (the first in the low half)
 *   q4_0    Q4_0 TQ1_0 TQ2_0 q - 8       .5  the same
 *   q4_1    Q4_1             q           1   4 chunks: word c: float16 d low, -dmin * min high
 *   q5_1    Q5_0 Q5_1        q           2   2 chunks: two words each: fifth bits; d and -dmin * min as in q4_1
 *   q2_k    Q2_K Q3_K        q           2   2 chunks: two words each: float16 d, dmin; bytes scale, scale, min, min
 *   q4_k    Q4_K             q           .5  8 chunks: word c / 2: 12 bits each of chunks c and c + 1 (scale low 6, min
 *                                            high 6), and above bit 24 byte c / 2 of float16 d, dmin
 *   q5_k    Q5_K             q           1.5 8 chunks: 4 words as in q4_k; 8 words of fifth bits
 *   q6_k    Q6_K             q - 32      3   4 chunks: two words each of bits 4 and 5; 4 words: float16 d, scale, scale
 *   iq4_nl  IQ4_NL IQ4_XS    table[q]    1   4 chunks: word c: float32 d * scale
 *   mxfp4   MXFP4            table[q]    1   the same
 * Fifth bits: bit 8k + i of the word is element 4i + k's. Bits 4 and 5: bits 8k + 2i, 8k + 2i + 1 of word h are element
 * 16h + 4i + k's. Both are so that a few word-wide operations give four q in four bytes. Groups of chunks are
 * whole in every row, padded with zeros. Rows of any multiple of 32 fit every layout of blocks. */
struct pv_packed_size {
    uint32_t row_words;   /* uvec4 a row */
    uint32_t scale_words; /* uint32 a row; 0 for plain types */
};
enum pv_type pv_type_layout(enum pv_type type);        /* the layout of a weight type, named as above */
uint32_t pv_layout_word_elements(enum pv_type layout); /* weights in one uvec4: 4, 8, 16 or 32 */
/* What shaders/iface.h calls s_stride: halves a row of q8_0 and q4_0, uvec4 a row of the other layouts. */
uint32_t pv_layout_scale_stride(enum pv_type layout, uint32_t scale_words);
/* False if the type's layout cannot hold rows of n_cols (layouts of blocks need a multiple of 32). */
bool pv_packed_size(enum pv_type type, uint32_t n_cols, struct pv_packed_size *out);
/* One row from GGUF layout to device layout; dst has row_words * 16 bytes, scales scale_words * 4 (NULL for plain
 * types). */
void pv_pack_row(enum pv_type type, const void *src, uint32_t n_cols, void *dst, uint32_t *scales);
/* The same from floats, rounded to `type`: a plain type, Q8_0, Q4_0 or Q6_K, whose d is then each chunk's own, so that
 * rows of 32 and not of 256 alone will do. */
void pv_pack_floats(enum pv_type type, const float *src, uint32_t n_cols, void *dst, uint32_t *scales);
/* One device-layout row back to floats (CPU references); any type of the layout. */
void pv_unpack_row(enum pv_type type, const void *row, const uint32_t *scales, uint32_t n_cols, float *dst);

#endif
