/* One table says what a type is. What its rows hold: convert.c. */
#include "format/gguf/types.h"

#include <assert.h>
#include <string.h>

enum { BLOCK = 32, K_BLOCK = 256, Q4_BYTES = 18, Q8_BYTES = 34 };

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
    {PV_Q4_1, BLOCK, 20, true, "q4_1"},
    {PV_Q5_0, BLOCK, 22, true, "q5_0"},
    {PV_Q5_1, BLOCK, 24, true, "q5_1"},
    {PV_Q2_K, K_BLOCK, 84, true, "q2_k"},
    {PV_Q3_K, K_BLOCK, 110, true, "q3_k"},
    {PV_Q4_K, K_BLOCK, 144, true, "q4_k"},
    {PV_Q5_K, K_BLOCK, 176, true, "q5_k"},
    {PV_Q6_K, K_BLOCK, 210, true, "q6_k"},
    {PV_IQ4_NL, BLOCK, 18, true, "iq4_nl"},
    {PV_IQ4_XS, K_BLOCK, 136, true, "iq4_xs"},
    {PV_TQ1_0, K_BLOCK, 54, true, "tq1_0"},
    {PV_TQ2_0, K_BLOCK, 66, true, "tq2_0"},
    {PV_MXFP4, BLOCK, 17, true, "mxfp4"},
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

const char *pv_type_weight_names(void)
{
    return "f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1, q2_k, q3_k, q4_k, q5_k, q6_k, iq4_nl, iq4_xs, tq1_0, "
           "tq2_0, mxfp4";
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

enum pv_type pv_type_layout(enum pv_type type)
{
    switch (type) {
    case PV_TQ1_0:
    case PV_TQ2_0:
        return PV_Q4_0;
    case PV_Q5_0:
        return PV_Q5_1;
    case PV_Q3_K:
        return PV_Q2_K;
    case PV_IQ4_XS:
        return PV_IQ4_NL;
    default:
        return type;
    }
}
