/* Quantised blocks as chunks of 32 weights in the terms of a device layout (types.h): what decoding a GGUF
 * block gives, and what both dequantising and packing start from. Private to format/gguf. */
#ifndef PV_FORMAT_GGUF_CHUNK_H
#define PV_FORMAT_GGUF_CHUNK_H

#include "format/gguf/types.h"

enum { PV_CHUNK = 32, PV_MAX_CHUNKS = 8 };

/* weight i = d * scale[i / 16] * value(q[i]) - dmin * min[i / 16] */
struct pv_chunk {
    float d, dmin;
    int16_t scale[2], min[2];
    uint8_t q[PV_CHUNK];
};
bool pv_type_in_chunks(enum pv_type type); /* any block type but Q8_0 */
const int8_t *
pv_chunk_table(enum pv_type layout); /* [16]: value(q); NULL where it is q less the layout's zero */
int pv_chunk_zero(enum pv_type layout);
void pv_chunk_floats(enum pv_type layout, const struct pv_chunk *chunk, float *dst);

/* One GGUF block to pv_type_block(type) / 32 chunks, and floats to one GGUF block. */
void pv_block_decode(enum pv_type type, const uint8_t *src, struct pv_chunk *out);
void pv_block_quantize(enum pv_type type, const float *src, uint8_t *dst);
/* 32 floats to a chunk of the layout q6_k with a d of its own. */
void pv_chunk_quantize_q6(const float *src, struct pv_chunk *out);

#endif
