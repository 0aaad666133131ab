/* Records collect in arrays; strings and scalars are copied into an arena. The first failure (no memory) is
 * kept and reported by pv_gguf_write, so that the adders can be called without a check each. Writes GGUF v3.
 */
#include "format/gguf/gguf.h"

#include <stdlib.h>
#include <string.h>
#include "base/log.h"

enum { ALIGNMENT = 32, VERSION = 3 };

struct out_kv {
    const char *key;
    enum pv_gguf_type type, item_type;
    uint64_t n_items;
    const void *data;             /* numbers */
    const struct pv_str *strings; /* strings */
};
struct out_tensor {
    const char *name;
    enum pv_type type;
    uint32_t n_dims;
    uint64_t dims[4];
    const void *data;
    uint64_t size_bytes;
};
struct pv_gguf_writer {
    struct pv_arena arena;
    struct out_kv *kv;
    struct out_tensor *tensors;
    size_t n_kv, kv_room, n_tensors, tensor_room;
    bool no_memory;
    const char *bad_tensor; /* the first one with an impossible shape */
};

enum pv_status pv_gguf_writer_create(struct pv_gguf_writer **out)
{
    *out = pv_calloc(1, sizeof **out);
    return *out ? PV_OK : PV_ERR_NOMEM;
}

void pv_gguf_writer_destroy(struct pv_gguf_writer *w)
{
    if (!w)
        return;
    pv_arena_free(&w->arena);
    free(w->kv);
    free(w->tensors);
    free(w);
}

/* Room for one more record; false with no_memory set. */
static bool make_room(struct pv_gguf_writer *w, void **records, size_t n, size_t *room, size_t size)
{
    const size_t wanted = *room != 0 ? *room * 2 : 16;

    if (n < *room)
        return true;
    if (!pv_grow(records, wanted, size)) {
        w->no_memory = true;
        return false;
    }
    *room = wanted;
    return true;
}

static void add_kv(struct pv_gguf_writer *w, const char *key, struct out_kv kv)
{
    void *records = w->kv;
    const bool fits = make_room(w, &records, w->n_kv, &w->kv_room, sizeof kv);

    w->kv = records;
    kv.key = pv_arena_strndup(&w->arena, key, strlen(key));
    if (!kv.key)
        w->no_memory = true;
    if (fits && kv.key)
        w->kv[w->n_kv++] = kv;
}

static void add_scalar(struct pv_gguf_writer *w, const char *key, enum pv_gguf_type type, const void *value,
                       size_t size_bytes)
{
    void *copy = pv_arena_alloc(&w->arena, size_bytes, 1);

    if (!copy) {
        w->no_memory = true;
        return;
    }
    memcpy(copy, value, size_bytes);
    add_kv(w, key, (struct out_kv){.type = type, .item_type = type, .n_items = 1, .data = copy});
}

void pv_gguf_add_u32(struct pv_gguf_writer *w, const char *key, uint32_t v)
{
    add_scalar(w, key, PV_GGUF_U32, &v, sizeof v);
}

void pv_gguf_add_u64(struct pv_gguf_writer *w, const char *key, uint64_t v)
{
    add_scalar(w, key, PV_GGUF_U64, &v, sizeof v);
}

void pv_gguf_add_f32(struct pv_gguf_writer *w, const char *key, float v)
{
    add_scalar(w, key, PV_GGUF_F32, &v, sizeof v);
}

void pv_gguf_add_f64(struct pv_gguf_writer *w, const char *key, double v)
{
    add_scalar(w, key, PV_GGUF_F64, &v, sizeof v);
}

void pv_gguf_add_bool(struct pv_gguf_writer *w, const char *key, bool v)
{
    uint8_t byte = v ? 1 : 0;

    add_scalar(w, key, PV_GGUF_BOOL, &byte, sizeof byte);
}

static void add_strings(struct pv_gguf_writer *w, const char *key, enum pv_gguf_type type,
                        const char *const *items, uint64_t n)
{
    struct pv_str *strings = n > SIZE_MAX ? NULL : pv_arena_alloc(&w->arena, (size_t)n, sizeof strings[0]);

    for (size_t i = 0; strings && i < n; i++) {
        strings[i].size_bytes = strlen(items[i]);
        strings[i].data = pv_arena_strndup(&w->arena, items[i], strings[i].size_bytes);
        if (!strings[i].data)
            strings = NULL;
    }
    if (!strings) {
        w->no_memory = true;
        return;
    }
    add_kv(w, key,
           (struct out_kv){.type = type, .item_type = PV_GGUF_STRING, .n_items = n, .strings = strings});
}

void pv_gguf_add_str(struct pv_gguf_writer *w, const char *key, const char *v)
{
    add_strings(w, key, PV_GGUF_STRING, &v, 1);
}

void pv_gguf_add_str_array(struct pv_gguf_writer *w, const char *key, const char *const *items, uint64_t n)
{
    add_strings(w, key, PV_GGUF_ARRAY, items, n);
}

void pv_gguf_add_array(struct pv_gguf_writer *w, const char *key, enum pv_gguf_type item_type,
                       const void *items, uint64_t n)
{
    add_kv(w, key,
           (struct out_kv){.type = PV_GGUF_ARRAY, .item_type = item_type, .n_items = n, .data = items});
}

void pv_gguf_add_tensor(struct pv_gguf_writer *w, const char *name, enum pv_type type, uint32_t n_dims,
                        const uint64_t *dims, const void *data)
{
    struct out_tensor t = {.type = type, .n_dims = n_dims, .dims = {1, 1, 1, 1}, .data = data};
    void *records = w->tensors;
    const bool fits = make_room(w, &records, w->n_tensors, &w->tensor_room, sizeof t);

    w->tensors = records;
    t.name = pv_arena_strndup(&w->arena, name, strlen(name));
    if (!t.name)
        w->no_memory = true;
    if (!fits || !t.name)
        return;
    for (uint32_t i = 0; i < n_dims && i < 4; i++)
        t.dims[i] = dims[i];
    t.size_bytes = pv_type_row_bytes(type, t.dims[0]);
    for (uint32_t i = 1; i < 4; i++)
        t.size_bytes = t.dims[i] != 0 && t.size_bytes <= SIZE_MAX / t.dims[i] ? t.size_bytes * t.dims[i] : 0;
    if ((t.size_bytes == 0 || n_dims < 1 || n_dims > 4) && !w->bad_tensor)
        w->bad_tensor = t.name;
    w->tensors[w->n_tensors++] = t;
}

static void put_uint(struct pv_writer *f, uint64_t value, unsigned n_bytes)
{
    uint8_t bytes[8];

    for (unsigned i = 0; i < n_bytes; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    pv_writer_put(f, bytes, n_bytes);
}

static void put_str(struct pv_writer *f, const char *s, size_t n)
{
    put_uint(f, n, 8);
    pv_writer_put(f, s, n);
}

static size_t item_bytes(enum pv_gguf_type type)
{
    switch (type) {
    case PV_GGUF_U8:
    case PV_GGUF_I8:
    case PV_GGUF_BOOL:
        return 1;
    case PV_GGUF_U16:
    case PV_GGUF_I16:
        return 2;
    case PV_GGUF_U32:
    case PV_GGUF_I32:
    case PV_GGUF_F32:
        return 4;
    default:
        return 8;
    }
}

static void put_kv(struct pv_writer *f, const struct out_kv *kv)
{
    put_str(f, kv->key, strlen(kv->key));
    put_uint(f, kv->type, 4);
    if (kv->type == PV_GGUF_ARRAY) {
        put_uint(f, kv->item_type, 4);
        put_uint(f, kv->n_items, 8);
    }
    if (kv->item_type == PV_GGUF_STRING) {
        for (uint64_t i = 0; i < kv->n_items; i++)
            put_str(f, kv->strings[i].data, kv->strings[i].size_bytes);
    } else {
        pv_writer_put(f, kv->data, (size_t)kv->n_items * item_bytes(kv->item_type));
    }
}

static void put_tensor(struct pv_writer *f, const struct out_tensor *t, uint64_t offset)
{
    put_str(f, t->name, strlen(t->name));
    put_uint(f, t->n_dims, 4);
    for (uint32_t i = 0; i < t->n_dims; i++)
        put_uint(f, t->dims[i], 8);
    put_uint(f, t->type, 4);
    put_uint(f, offset, 8);
}

enum pv_status pv_gguf_write(struct pv_gguf_writer *w, const char *path, const struct pv_log *log)
{
    struct pv_writer f;
    uint64_t offset = 0;

    if (w->no_memory)
        return pv_fail(log, PV_ERR_NOMEM, "%s: no memory to write it", path);
    if (w->bad_tensor)
        return pv_fail(log, PV_ERR_ARG, "%s: tensor %s has a shape its type cannot hold", path,
                       w->bad_tensor);
    PV_TRY(pv_writer_open(&f, path, log));
    pv_writer_put(&f, "GGUF", 4);
    put_uint(&f, VERSION, 4);
    put_uint(&f, w->n_tensors, 8);
    put_uint(&f, w->n_kv, 8);
    for (size_t i = 0; i < w->n_kv; i++)
        put_kv(&f, &w->kv[i]);
    for (size_t i = 0; i < w->n_tensors; i++) {
        put_tensor(&f, &w->tensors[i], offset);
        offset += (w->tensors[i].size_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
    pv_writer_pad(&f, ALIGNMENT);
    for (size_t i = 0; i < w->n_tensors; i++) {
        pv_writer_put(&f, w->tensors[i].data, (size_t)w->tensors[i].size_bytes);
        pv_writer_pad(&f, ALIGNMENT);
    }
    return pv_writer_commit(&f);
}
