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
    PV_Q8_0 = 8,
    PV_I8 = 24,
    PV_I16 = 25,
    PV_I32 = 26,
    PV_I64 = 27,
    PV_BF16 = 30,
};
bool pv_type_known(uint32_t type);
bool pv_type_is_weight(enum pv_type type);   /* F32, F16, BF16, Q8_0, Q4_0 */
const char *pv_type_name(enum pv_type type); /* "f16" */
bool pv_type_from_name(const char *name, enum pv_type *out);
uint32_t pv_type_block(enum pv_type type);       /* elements a block: 1, or 32 */
uint32_t pv_type_block_bytes(enum pv_type type); /* 4, 2, 18, 34, ... */
/* Bytes of a row of n elements in GGUF layout; 0 if n is not a multiple of the block. */
uint64_t pv_type_row_bytes(enum pv_type type, uint64_t n);

/* GGUF rows to floats and back. n a multiple of the block. */
void pv_dequantize(enum pv_type type, const void *src, float *dst, size_t n);
void pv_quantize(enum pv_type type, const float *src, void *dst, size_t n);

/* Device layout of one matrix: every row is whole 16-byte words (uvec4 in the shaders), zero-padded. Q8_0 and
 * Q4_0 keep their block scales (float16) apart, two to a uint32, each row's scales starting on a fresh uint32
 * (the first in the low half). A Q4_0 block keeps GGUF's order: byte j of its 16 holds element j low and
 * element j + 16 high. */
struct pv_packed_size {
    uint32_t row_words;   /* uvec4 a row */
    uint32_t scale_words; /* uint32 a row; 0 for plain types */
};
/* False if the type cannot hold rows of n_cols (Q8_0 and Q4_0 need a multiple of 32). */
bool pv_packed_size(enum pv_type type, uint32_t n_cols, struct pv_packed_size *out);
/* One row from GGUF layout to device layout; dst has row_words * 16 bytes, scales scale_words * 4 (may be
 * NULL). */
void pv_pack_row(enum pv_type type, const void *src, uint32_t n_cols, void *dst, uint32_t *scales);
/* One device-layout row back to floats (CPU references). */
void pv_unpack_row(enum pv_type type, const void *row, const uint32_t *scales, uint32_t n_cols, float *dst);

#endif
