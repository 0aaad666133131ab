/* Rows of GGUF to floats and back, per type; those of quantised blocks but Q8_0 are in block_decode.c and
 * block_quantize.c. Q8_0 and Q4_0 are written as by ggml's reference: 32 elements share a float16 scale d; Q8_0
 * stores round(x / d) with d = max|x| / 127, Q4_0 stores x / d + 8 in four bits with d chosen so that the element
 * of largest magnitude becomes -8. */
#include "format/gguf/types.h"

#include <assert.h>
#include <math.h>
#include <string.h>
#include "base/half.h"
#include "format/gguf/chunk.h"

enum { BLOCK = 32, Q4_BYTES = 18, Q8_BYTES = 34 };

static uint16_t load_u16(const void *src)
{
    uint16_t value;

    memcpy(&value, src, sizeof value);
    return value;
}

static void store_u16(void *dst, uint16_t value)
{
    memcpy(dst, &value, sizeof value);
}

static void dequantize_q8_0(const uint8_t *src, float *dst, size_t n)
{
    for (size_t i = 0; i < n; i += BLOCK, src += Q8_BYTES) {
        const float d = pv_half_to_float(load_u16(src));

        for (size_t j = 0; j < BLOCK; j++)
            dst[i + j] = d * (float)(int8_t)src[2 + j];
    }
}

static float load_int(enum pv_type type, const uint8_t *src, size_t i)
{
    int16_t i16;
    int32_t i32;
    int64_t i64;

    switch (type) {
    case PV_I8:
        return (float)(int8_t)src[i];
    case PV_I16:
        memcpy(&i16, src + 2 * i, sizeof i16);
        return (float)i16;
    case PV_I32:
        memcpy(&i32, src + 4 * i, sizeof i32);
        return (float)i32;
    default:
        memcpy(&i64, src + 8 * i, sizeof i64);
        return (float)i64;
    }
}

static void dequantize_chunks(enum pv_type type, const uint8_t *src, float *dst, size_t n)
{
    const enum pv_type layout = pv_type_layout(type);
    const size_t block = pv_type_block(type), block_bytes = pv_type_block_bytes(type);
    for (size_t b = 0; b < n / block; b++) {
        struct pv_chunk chunks[PV_MAX_CHUNKS];
        pv_block_decode(type, src + b * block_bytes, chunks);
        for (size_t c = 0; c < block / PV_CHUNK; c++)
            pv_chunk_floats(layout, &chunks[c], dst + b * block + c * PV_CHUNK);
    }
}

void pv_dequantize(enum pv_type type, const void *src, float *dst, size_t n)
{
    const uint8_t *bytes = src;

    assert(n % pv_type_block(type) == 0);
    switch (type) {
    case PV_F32:
        if (n != 0)
            memcpy(dst, src, n * sizeof(float));
        break;
    case PV_F16:
        for (size_t i = 0; i < n; i++)
            dst[i] = pv_half_to_float(load_u16(bytes + 2 * i));
        break;
    case PV_BF16:
        for (size_t i = 0; i < n; i++)
            dst[i] = pv_bf16_to_float(load_u16(bytes + 2 * i));
        break;
    case PV_Q8_0:
        dequantize_q8_0(src, dst, n);
        break;
    case PV_I8:
    case PV_I16:
    case PV_I32:
    case PV_I64:
        for (size_t i = 0; i < n; i++)
            dst[i] = load_int(type, bytes, i);
        break;
    default:
        dequantize_chunks(type, src, dst, n);
        break;
    }
}

/* Truncation towards zero within [lo, hi]; NaN becomes lo, so that no float makes the conversion undefined.
 */
static int to_int(float x, int lo, int hi)
{
    if (!(x > (float)lo))
        return lo;
    return x < (float)hi ? (int)x : hi;
}

static void quantize_q8_0(const float *src, uint8_t *dst, size_t n)
{
    for (size_t i = 0; i < n; i += BLOCK, dst += Q8_BYTES) {
        float largest = 0, d, inverse;

        for (size_t j = 0; j < BLOCK; j++)
            if (fabsf(src[i + j]) > largest)
                largest = fabsf(src[i + j]);
        d = largest / 127.0f;
        inverse = d != 0 ? 1.0f / d : 0;
        store_u16(dst, pv_float_to_half(d));
        for (size_t j = 0; j < BLOCK; j++)
            dst[2 + j] = (uint8_t)(int8_t)to_int(roundf(src[i + j] * inverse), -127, 127);
    }
}

static void quantize_q4_0(const float *src, uint8_t *dst, size_t n)
{
    for (size_t i = 0; i < n; i += BLOCK, dst += Q4_BYTES) {
        float largest = 0, d, inverse;

        for (size_t j = 0; j < BLOCK; j++)
            if (fabsf(src[i + j]) > fabsf(largest))
                largest = src[i + j];
        d = largest / -8.0f;
        inverse = d != 0 ? 1.0f / d : 0;
        store_u16(dst, pv_float_to_half(d));
        for (size_t j = 0; j < BLOCK / 2; j++) {
            const int low = to_int(src[i + j] * inverse + 8.5f, 0, 15);
            const int high = to_int(src[i + j + BLOCK / 2] * inverse + 8.5f, 0, 15);

            dst[2 + j] = (uint8_t)(low | high << 4);
        }
    }
}

void pv_quantize(enum pv_type type, const float *src, void *dst, size_t n)
{
    uint8_t *bytes = dst;

    assert(n % pv_type_block(type) == 0 && pv_type_is_weight(type));
    switch (type) {
    case PV_F32:
        if (n != 0)
            memcpy(dst, src, n * sizeof(float));
        break;
    case PV_F16:
        for (size_t i = 0; i < n; i++)
            store_u16(bytes + 2 * i, pv_float_to_half(src[i]));
        break;
    case PV_BF16:
        for (size_t i = 0; i < n; i++)
            store_u16(bytes + 2 * i, pv_float_to_bf16(src[i]));
        break;
    case PV_Q8_0:
        quantize_q8_0(src, dst, n);
        break;
    case PV_Q4_0:
        quantize_q4_0(src, dst, n);
        break;
    case PV_I8:
    case PV_I16:
    case PV_I32:
    case PV_I64:
        break;
    default:
        for (size_t i = 0; i < n; i += pv_type_block(type), bytes += pv_type_block_bytes(type))
            pv_block_quantize(type, src + i, bytes);
        break;
    }
}
