/* Look-ups in a parsed GGUF file: binary search by name, then conversion that refuses what does not fit. */
#include "format/gguf/gguf.h"

#include <string.h>
#include "base/reader.h"

const struct pv_gguf_kv *pv_gguf_find(const struct pv_gguf *g, const char *key)
{
    size_t low = 0, high = g->n_kv;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = strcmp(g->kv_by_name[middle]->key, key);

        if (order == 0)
            return g->kv_by_name[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

const struct pv_gguf_tensor *pv_gguf_tensor(const struct pv_gguf *g, const char *name)
{
    size_t low = 0, high = g->n_tensors;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = strcmp(g->tensors_by_name[middle]->name, name);

        if (order == 0)
            return g->tensors_by_name[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static bool is_int(enum pv_gguf_type type)
{
    return type != PV_GGUF_F32 && type != PV_GGUF_F64 && type != PV_GGUF_BOOL && type != PV_GGUF_STRING &&
           type != PV_GGUF_ARRAY;
}

/* The bits of item i, sign-extended for signed types. */
static uint64_t item_bits(const struct pv_gguf_kv *kv, uint64_t i)
{
    struct pv_reader r = {.data = kv->data, .size_bytes = SIZE_MAX}; /* bounds were checked at parsing */

    switch (kv->item_type) {
    case PV_GGUF_U8:
    case PV_GGUF_BOOL:
        return kv->data[i];
    case PV_GGUF_I8:
        return (uint64_t)(int64_t)(int8_t)kv->data[i];
    case PV_GGUF_U16:
        r.pos = (size_t)i * 2;
        return pv_read_u16(&r);
    case PV_GGUF_I16:
        r.pos = (size_t)i * 2;
        return (uint64_t)(int64_t)(int16_t)pv_read_u16(&r);
    case PV_GGUF_U32:
    case PV_GGUF_F32:
        r.pos = (size_t)i * 4;
        return pv_read_u32(&r);
    case PV_GGUF_I32:
        r.pos = (size_t)i * 4;
        return (uint64_t)(int64_t)(int32_t)pv_read_u32(&r);
    case PV_GGUF_U64:
    case PV_GGUF_I64:
    case PV_GGUF_F64:
        r.pos = (size_t)i * 8;
        return pv_read_u64(&r);
    case PV_GGUF_STRING:
    case PV_GGUF_ARRAY:
        break;
    }
    return 0;
}

double pv_gguf_item_f64(const struct pv_gguf_kv *kv, uint64_t i)
{
    uint64_t bits = item_bits(kv, i);
    uint32_t low = (uint32_t)bits;
    float f32;
    double f64;

    switch (kv->item_type) {
    case PV_GGUF_F32:
        memcpy(&f32, &low, sizeof f32);
        return (double)f32;
    case PV_GGUF_F64:
        memcpy(&f64, &bits, sizeof f64);
        return f64;
    case PV_GGUF_U64:
        return (double)bits;
    default:
        return (double)(int64_t)bits;
    }
}

int64_t pv_gguf_item_i64(const struct pv_gguf_kv *kv, uint64_t i)
{
    double value;

    if (kv->item_type != PV_GGUF_F32 && kv->item_type != PV_GGUF_F64)
        return (int64_t)item_bits(kv, i);
    value = pv_gguf_item_f64(kv, i);
    if (!(value > -0x1p63))
        return INT64_MIN;
    return value < 0x1p63 ? (int64_t)value : INT64_MAX;
}

bool pv_gguf_u64(const struct pv_gguf *g, const char *key, uint64_t *out)
{
    const struct pv_gguf_kv *kv = pv_gguf_find(g, key);

    if (!kv || !is_int(kv->type))
        return false;
    if (kv->type != PV_GGUF_U64 && pv_gguf_item_i64(kv, 0) < 0)
        return false;
    *out = item_bits(kv, 0);
    return true;
}

bool pv_gguf_f64(const struct pv_gguf *g, const char *key, double *out)
{
    const struct pv_gguf_kv *kv = pv_gguf_find(g, key);

    if (!kv || (!is_int(kv->type) && kv->type != PV_GGUF_F32 && kv->type != PV_GGUF_F64))
        return false;
    *out = pv_gguf_item_f64(kv, 0);
    return true;
}

bool pv_gguf_bool(const struct pv_gguf *g, const char *key, bool *out)
{
    const struct pv_gguf_kv *kv = pv_gguf_find(g, key);

    if (!kv || kv->type != PV_GGUF_BOOL)
        return false;
    *out = kv->data[0] != 0;
    return true;
}

bool pv_gguf_str(const struct pv_gguf *g, const char *key, struct pv_str *out)
{
    const struct pv_gguf_kv *kv = pv_gguf_find(g, key);

    if (!kv || kv->type != PV_GGUF_STRING)
        return false;
    *out = kv->strings[0];
    return true;
}
