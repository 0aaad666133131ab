/* One table says what a type is; conversions are per type. Q8_0 and Q4_0 follow ggml's reference: 32 elements
 * share a float16 scale d; Q8_0 stores round(x / d) with d = max|x| / 127, Q4_0 stores x / d + 8 in four bits
 * with d chosen so that the element of largest magnitude becomes -8. */
#include "format/gguf/types.h"

#include <assert.h>
#include <math.h>
#include <string.h>
#include "base/half.h"

enum { BLOCK = 32, Q4_BYTES = 18, Q8_BYTES = 34, WORD_BYTES = 16 };

struct type_info {
    uint32_t type, block, block_bytes;
    bool is_weight;
    const char *name;
};

static const struct type_info types[] = {
    {PV_F32, 1, 4, true, "f32"},
    {PV_F16, 1, 2, true, "f16"},
    {PV_BF16, 1, 2, true, "bf16"},
    {PV_Q8_0, BLOCK, Q8_BYTES, true, "q8_0"},
    {PV_Q4_0, BLOCK, Q4_BYTES, true, "q4_0"},
    {PV_I8, 1, 1, false, "i8"},
    {PV_I16, 1, 2, false, "i16"},
    {PV_I32, 1, 4, false, "i32"},
    {PV_I64, 1, 8, false, "i64"},
};

static const struct type_info *find(uint32_t type)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (types[i].type == type)
            return &types[i];
    return NULL;
}

bool pv_type_known(uint32_t type)
{
    return find(type) != NULL;
}

bool pv_type_is_weight(enum pv_type type)
{
    const struct type_info *info = find(type);

    return info && info->is_weight;
}

const char *pv_type_name(enum pv_type type)
{
    const struct type_info *info = find(type);

    return info ? info->name : "unknown";
}

bool pv_type_from_name(const char *name, enum pv_type *out)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(types[i].name, name) == 0) {
            *out = (enum pv_type)types[i].type;
            return true;
        }
    }
    return false;
}

uint32_t pv_type_block(enum pv_type type)
{
    const struct type_info *info = find(type);

    return info ? info->block : 1;
}

uint32_t pv_type_block_bytes(enum pv_type type)
{
    const struct type_info *info = find(type);

    return info ? info->block_bytes : 0;
}

uint64_t pv_type_row_bytes(enum pv_type type, uint64_t n)
{
    const struct type_info *info = find(type);

    if (!info || n % info->block != 0 || n / info->block > UINT64_MAX / info->block_bytes)
        return 0;
    return n / info->block * info->block_bytes;
}

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

static void dequantize_q4_0(const uint8_t *src, float *dst, size_t n)
{
    for (size_t i = 0; i < n; i += BLOCK, src += Q4_BYTES) {
        const float d = pv_half_to_float(load_u16(src));

        for (size_t j = 0; j < BLOCK / 2; j++) {
            dst[i + j] = d * (float)((src[2 + j] & 0xf) - 8);
            dst[i + j + BLOCK / 2] = d * (float)((src[2 + j] >> 4) - 8);
        }
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
    case PV_Q4_0:
        dequantize_q4_0(src, dst, n);
        break;
    case PV_I8:
    case PV_I16:
    case PV_I32:
    case PV_I64:
        for (size_t i = 0; i < n; i++)
            dst[i] = load_int(type, bytes, i);
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
    }
}

static bool has_scales(enum pv_type type)
{
    return type == PV_Q8_0 || type == PV_Q4_0;
}

bool pv_packed_size(enum pv_type type, uint32_t n_cols, struct pv_packed_size *out)
{
    uint64_t data_bytes = pv_type_row_bytes(type, n_cols);

    if (!pv_type_is_weight(type) || n_cols % pv_type_block(type) != 0)
        return false;
    out->scale_words = 0;
    if (has_scales(type)) {
        const uint32_t n_blocks = n_cols / BLOCK;

        data_bytes -= (uint64_t)n_blocks * sizeof(uint16_t);
        out->scale_words = (n_blocks + 1) / 2;
    }
    out->row_words = (uint32_t)((data_bytes + WORD_BYTES - 1) / WORD_BYTES);
    return true;
}

void pv_pack_row(enum pv_type type, const void *src, uint32_t n_cols, void *dst, uint32_t *scales)
{
    struct pv_packed_size size = {0};
    const uint32_t block_bytes = pv_type_block_bytes(type);
    const uint32_t data_bytes = block_bytes - (uint32_t)sizeof(uint16_t);
    const uint8_t *from = src;
    uint8_t *to = dst;
    const bool fits = pv_packed_size(type, n_cols, &size);

    assert(fits);
    (void)fits;
    memset(dst, 0, (size_t)size.row_words * WORD_BYTES);
    if (!has_scales(type)) {
        memcpy(dst, src, (size_t)pv_type_row_bytes(type, n_cols));
        return;
    }
    for (uint32_t b = 0; b < n_cols / BLOCK; b++)
        memcpy(to + (size_t)b * data_bytes, from + (size_t)b * block_bytes + 2, data_bytes);
    if (!scales)
        return;
    memset(scales, 0, (size_t)size.scale_words * sizeof(uint32_t));
    for (uint32_t b = 0; b < n_cols / BLOCK; b++)
        scales[b / 2] |= (uint32_t)load_u16(from + (size_t)b * block_bytes) << (16 * (b % 2));
}

void pv_unpack_row(enum pv_type type, const void *row, const uint32_t *scales, uint32_t n_cols, float *dst)
{
    const uint32_t block_bytes = pv_type_block_bytes(type);
    const uint8_t *from = row;
    uint8_t block[Q8_BYTES];

    if (!has_scales(type)) {
        pv_dequantize(type, row, dst, n_cols);
        return;
    }
    assert(scales && n_cols % BLOCK == 0);
    for (uint32_t b = 0; b < n_cols / BLOCK; b++) {
        store_u16(block, (uint16_t)(scales[b / 2] >> (16 * (b % 2))));
        memcpy(block + 2, from + (size_t)b * (block_bytes - 2), block_bytes - 2);
        pv_dequantize(type, block, dst + (size_t)b * BLOCK, BLOCK);
    }
}
