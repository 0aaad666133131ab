/* Everything is checked while parsing, so that the accessors need no checks. Counts in the file are believed
 * only as far as the bytes left could hold that many records, which bounds what a hostile file makes us
 * allocate. */
#include "format/gguf/gguf.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "base/reader.h"
#include "format/gguf/gguf_split.h"

enum {
    MAGIC = 0x46554747, /* "GGUF" */
    DEFAULT_ALIGNMENT = 32,
    MIN_ALIGNMENT = 8,
    MAX_ALIGNMENT = 1 << 20,
    MAX_NAME_BYTES = 65535,
    MIN_KV_BYTES = 8 + 1 + 4 + 1,             /* key length, key, type, value */
    MIN_TENSOR_BYTES = 8 + 1 + 4 + 8 + 4 + 8, /* name length, name, n_dims, one dimension, type, offset */
    MIN_STRING_BYTES = 8,
};

/* Sizes of fixed-size values by type; 0: of variable size. */
static const uint8_t value_bytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

struct parse {
    struct pv_gguf *g;
    struct pv_reader r;
    const struct pv_log *log;
    const char *what; /* path, or "GGUF data" */
};

static enum pv_status truncated(const struct parse *p, const char *where)
{
    return pv_fail(p->log, PV_ERR_FORMAT,
                   "%s: ends or is damaged at byte %zu of %zu, in %s: download or convert it again", p->what,
                   p->r.pos, p->r.size_bytes, where);
}

static enum pv_status no_memory(const struct parse *p)
{
    return pv_fail(p->log, PV_ERR_NOMEM, "%s: no memory to read it", p->what);
}

static enum pv_status read_name(struct parse *p, const char *where, char **out)
{
    const uint64_t n = pv_read_u64(&p->r);
    const uint8_t *bytes;

    if (p->r.failed)
        return truncated(p, where);
    if (n == 0 || n > MAX_NAME_BYTES)
        return pv_fail(p->log, PV_ERR_FORMAT, "%s: a name of %llu bytes at byte %zu, in %s", p->what,
                       (unsigned long long)n, p->r.pos, where);
    bytes = pv_read_bytes(&p->r, n);
    if (!bytes)
        return truncated(p, where);
    for (size_t i = 0; i < n; i++)
        if (bytes[i] < 0x20 || bytes[i] == 0x7f)
            return pv_fail(p->log, PV_ERR_FORMAT, "%s: a control character in a name at byte %zu, in %s",
                           p->what, p->r.pos - (size_t)n + i, where);
    *out = pv_arena_strndup(&p->g->arena, (const char *)bytes, (size_t)n);
    return *out ? PV_OK : no_memory(p);
}

static enum pv_status read_strings(struct parse *p, struct pv_gguf_kv *kv)
{
    if (kv->n_items > pv_reader_left(&p->r) / MIN_STRING_BYTES)
        return truncated(p, kv->key);
    kv->strings = pv_arena_alloc(&p->g->arena, (size_t)kv->n_items, sizeof kv->strings[0]);
    if (!kv->strings)
        return no_memory(p);
    for (uint64_t i = 0; i < kv->n_items; i++) {
        const uint64_t n = pv_read_u64(&p->r);
        const uint8_t *bytes = pv_read_bytes(&p->r, n);

        if (!bytes)
            return truncated(p, kv->key);
        kv->strings[i] = (struct pv_str){.data = (const char *)bytes, .size_bytes = (size_t)n};
    }
    return PV_OK;
}

static enum pv_status read_value(struct parse *p, struct pv_gguf_kv *kv)
{
    uint32_t type = pv_read_u32(&p->r), item_type = type;
    uint64_t n_bytes;

    kv->n_items = 1;
    if (type == PV_GGUF_ARRAY) {
        item_type = pv_read_u32(&p->r);
        kv->n_items = pv_read_u64(&p->r);
    }
    if (p->r.failed)
        return truncated(p, kv->key);
    if (type > PV_GGUF_F64 || item_type > PV_GGUF_F64)
        return pv_fail(p->log, PV_ERR_FORMAT, "%s: key %.200s has unknown value type %u", p->what, kv->key,
                       type > PV_GGUF_F64 ? type : item_type);
    if (item_type == PV_GGUF_ARRAY)
        return pv_fail(p->log, PV_ERR_UNSUPPORTED, "%s: key %.200s is an array of arrays", p->what, kv->key);
    kv->type = (enum pv_gguf_type)type;
    kv->item_type = (enum pv_gguf_type)item_type;
    if (item_type == PV_GGUF_STRING)
        return read_strings(p, kv);
    if (kv->n_items > pv_reader_left(&p->r) / value_bytes[item_type])
        return truncated(p, kv->key);
    n_bytes = kv->n_items * value_bytes[item_type];
    kv->data = pv_read_bytes(&p->r, n_bytes);
    if (type == PV_GGUF_BOOL && kv->data[0] > 1)
        return pv_fail(p->log, PV_ERR_FORMAT, "%s: key %.200s is a truth value of %u", p->what, kv->key,
                       kv->data[0]);
    return PV_OK;
}

/* Names of the ggml types that are well-formed but not read here. */
static const char *foreign_type(uint32_t type)
{
    static const char *const names[] = {
        [9] = "q8_1",   [15] = "q8_k",  [16] = "iq2_xxs", [17] = "iq2_xs", [18] = "iq3_xxs",
        [19] = "iq1_s", [21] = "iq3_s", [22] = "iq2_s",   [28] = "f64",    [29] = "iq1_m",
    };

    return type < sizeof names / sizeof names[0] && names[type] ? names[type] : "unknown";
}

static enum pv_status check_tensor(struct parse *p, struct pv_gguf_tensor *t, uint32_t type)
{
    uint64_t n_rows = 1, row_bytes;

    if (!pv_type_known(type))
        return pv_fail(
            p->log, PV_ERR_UNSUPPORTED,
            "%s: tensor %.200s has type %u (%s); Parvin reads %s: convert the model to one of these", p->what,
            t->name, type, foreign_type(type), pv_type_weight_names());
    t->type = (enum pv_type)type;
    for (uint32_t i = 0; i < 4; i++)
        if (t->dims[i] == 0)
            return pv_fail(p->log, PV_ERR_FORMAT, "%s: tensor %.200s is empty", p->what, t->name);
    for (uint32_t i = 1; i < 4; i++) {
        if (n_rows > UINT64_MAX / t->dims[i])
            return truncated(p, t->name);
        n_rows *= t->dims[i];
    }
    row_bytes = pv_type_row_bytes(t->type, t->dims[0]);
    if (row_bytes == 0)
        return pv_fail(p->log, PV_ERR_FORMAT,
                       "%s: tensor %.200s has rows of %llu elements, not whole blocks of %s", p->what,
                       t->name, (unsigned long long)t->dims[0], pv_type_name(t->type));
    if (n_rows > p->r.size_bytes / row_bytes)
        return pv_fail(p->log, PV_ERR_FORMAT, "%s: tensor %.200s is larger than the whole file", p->what,
                       t->name);
    t->size_bytes = n_rows * row_bytes;
    return PV_OK;
}

/* Leaves the offset in `offset`: where the data section starts is known only after the last tensor. */
static enum pv_status read_tensor(struct parse *p, struct pv_gguf_tensor *t, uint64_t *offset)
{
    uint32_t type;

    PV_TRY(read_name(p, "the list of tensors", &t->name));
    t->n_dims = pv_read_u32(&p->r);
    if (p->r.failed)
        return truncated(p, t->name);
    if (t->n_dims < 1 || t->n_dims > 4)
        return pv_fail(p->log, PV_ERR_FORMAT, "%s: tensor %.200s has %u dimensions (1 to 4 are possible)",
                       p->what, t->name, t->n_dims);
    for (uint32_t i = 0; i < 4; i++)
        t->dims[i] = i < t->n_dims ? pv_read_u64(&p->r) : 1;
    type = pv_read_u32(&p->r);
    *offset = pv_read_u64(&p->r);
    if (p->r.failed)
        return truncated(p, t->name);
    return check_tensor(p, t, type);
}

static int compare_kv(const void *a, const void *b)
{
    return strcmp((*(const struct pv_gguf_kv *const *)a)->key, (*(const struct pv_gguf_kv *const *)b)->key);
}

static int compare_tensor(const void *a, const void *b)
{
    return strcmp((*(const struct pv_gguf_tensor *const *)a)->name,
                  (*(const struct pv_gguf_tensor *const *)b)->name);
}

static int compare_data(const void *a, const void *b)
{
    const uint8_t *x = (*(const struct pv_gguf_tensor *const *)a)->data;
    const uint8_t *y = (*(const struct pv_gguf_tensor *const *)b)->data;

    return (x > y) - (x < y);
}

static enum pv_status read_header(struct parse *p)
{
    struct pv_gguf *g = p->g;
    uint64_t n_tensors, n_kv;

    if (pv_read_u32(&p->r) != MAGIC)
        return pv_fail(p->log, PV_ERR_FORMAT, "%s: not a GGUF file", p->what);
    g->version = pv_read_u32(&p->r);
    n_tensors = pv_read_u64(&p->r);
    n_kv = pv_read_u64(&p->r);
    if (p->r.failed)
        return truncated(p, "the header");
    if (g->version == 0x02000000 || g->version == 0x03000000)
        return pv_fail(p->log, PV_ERR_UNSUPPORTED, "%s: a big-endian GGUF file; convert it to little-endian",
                       p->what);
    if (g->version != 2 && g->version != 3)
        return pv_fail(p->log, g->version == 0 ? PV_ERR_FORMAT : PV_ERR_UNSUPPORTED,
                       "%s: GGUF version %u; versions 2 and 3 are read: convert the model again", p->what,
                       g->version);
    if (n_kv > pv_reader_left(&p->r) / MIN_KV_BYTES || n_tensors > pv_reader_left(&p->r) / MIN_TENSOR_BYTES)
        return pv_fail(p->log, PV_ERR_FORMAT,
                       "%s: claims %llu keys and %llu tensors, more than its %zu bytes can hold", p->what,
                       (unsigned long long)n_kv, (unsigned long long)n_tensors, p->r.size_bytes);
    g->n_kv = (size_t)n_kv;
    g->n_tensors = (size_t)n_tensors;
    g->kv = pv_arena_alloc(&g->arena, g->n_kv, sizeof g->kv[0]);
    g->kv_by_name = pv_arena_alloc(&g->arena, g->n_kv, sizeof g->kv_by_name[0]);
    g->tensors = pv_arena_alloc(&g->arena, g->n_tensors, sizeof g->tensors[0]);
    g->tensors_by_name = pv_arena_alloc(&g->arena, g->n_tensors, sizeof g->tensors_by_name[0]);
    if (!g->kv || !g->kv_by_name || !g->tensors || !g->tensors_by_name)
        return no_memory(p);
    return PV_OK;
}

static enum pv_status read_kvs(struct parse *p)
{
    struct pv_gguf *g = p->g;

    for (size_t i = 0; i < g->n_kv; i++) {
        PV_TRY(read_name(p, "the list of keys", &g->kv[i].key));
        PV_TRY(read_value(p, &g->kv[i]));
        g->kv_by_name[i] = &g->kv[i];
    }
    if (g->n_kv != 0)
        qsort(g->kv_by_name, g->n_kv, sizeof g->kv_by_name[0], compare_kv);
    for (size_t i = 1; i < g->n_kv; i++)
        if (strcmp(g->kv_by_name[i - 1]->key, g->kv_by_name[i]->key) == 0)
            return pv_fail(p->log, PV_ERR_FORMAT, "%s: key %.200s occurs twice", p->what,
                           g->kv_by_name[i]->key);
    return PV_OK;
}

static enum pv_status place_tensors(struct parse *p, const uint64_t *offsets)
{
    struct pv_gguf *g = p->g;
    uint64_t alignment = DEFAULT_ALIGNMENT, start;

    if (pv_gguf_find(g, "general.alignment") && !pv_gguf_u64(g, "general.alignment", &alignment))
        alignment = 0;
    if (alignment < MIN_ALIGNMENT || alignment > MAX_ALIGNMENT || (alignment & (alignment - 1)) != 0)
        return pv_fail(p->log, PV_ERR_FORMAT, "%s: general.alignment is not a power of two from %d to %d",
                       p->what, MIN_ALIGNMENT, MAX_ALIGNMENT);
    start = (p->r.pos + alignment - 1) / alignment * alignment;
    for (size_t i = 0; i < g->n_tensors; i++) {
        struct pv_gguf_tensor *t = &g->tensors[i];

        if (offsets[i] % alignment != 0)
            return pv_fail(p->log, PV_ERR_FORMAT, "%s: tensor %.200s is not aligned to %llu bytes", p->what,
                           t->name, (unsigned long long)alignment);
        if (start > p->r.size_bytes || offsets[i] > p->r.size_bytes - start ||
            t->size_bytes > p->r.size_bytes - start - offsets[i])
            return pv_fail(p->log, PV_ERR_FORMAT,
                           "%s: the data of tensor %.200s lies past the end of the file: download it again",
                           p->what, t->name);
        t->data = p->r.data + start + offsets[i];
    }
    return PV_OK;
}

static enum pv_status read_tensors(struct parse *p)
{
    struct pv_gguf *g = p->g;
    const struct pv_gguf_tensor **sorted = g->tensors_by_name;
    uint64_t *offsets = pv_calloc(g->n_tensors, sizeof offsets[0]);
    enum pv_status status = PV_OK;

    if (!offsets)
        return no_memory(p);
    for (size_t i = 0; i < g->n_tensors; i++) {
        PV_TRY_GOTO(read_tensor(p, &g->tensors[i], &offsets[i]));
        sorted[i] = &g->tensors[i];
    }
    PV_TRY_GOTO(place_tensors(p, offsets));
    if (g->n_tensors != 0)
        qsort(sorted, g->n_tensors, sizeof sorted[0], compare_data);
    for (size_t i = 1; i < g->n_tensors; i++) {
        if (sorted[i]->data < sorted[i - 1]->data + sorted[i - 1]->size_bytes) {
            status = pv_fail(p->log, PV_ERR_FORMAT, "%s: tensors %.200s and %.200s overlap", p->what,
                             sorted[i - 1]->name, sorted[i]->name);
            goto fail;
        }
    }
    if (g->n_tensors != 0)
        qsort(sorted, g->n_tensors, sizeof sorted[0], compare_tensor);
    for (size_t i = 1; i < g->n_tensors; i++) {
        if (strcmp(sorted[i - 1]->name, sorted[i]->name) == 0) {
            status =
                pv_fail(p->log, PV_ERR_FORMAT, "%s: tensor %.200s occurs twice", p->what, sorted[i]->name);
            goto fail;
        }
    }
fail:
    free(offsets);
    return status;
}

static enum pv_status parse_all(struct pv_gguf *g, const void *data, size_t size_bytes, const char *what,
                                const struct pv_log *log)
{
    struct parse p = {.g = g, .r = {.data = data, .size_bytes = size_bytes}, .log = log, .what = what};
    enum pv_status status;

    g->path = pv_arena_strndup(&g->arena, what, strlen(what));
    if (!g->path)
        status = no_memory(&p);
    else if ((uintptr_t)data % MIN_ALIGNMENT != 0)
        status = pv_fail(log, PV_ERR_ARG, "%s: is not %d-byte aligned in memory", what, MIN_ALIGNMENT);
    else
        status = read_header(&p);
    if (status == PV_OK)
        status = read_kvs(&p);
    if (status == PV_OK)
        status = read_tensors(&p);
    if (status != PV_OK)
        pv_gguf_close(g);
    return status;
}

enum pv_status pv_gguf_parse(struct pv_gguf *g, const void *data, size_t size_bytes, const struct pv_log *log)
{
    *g = (struct pv_gguf){0};
    return parse_all(g, data, size_bytes, "GGUF data", log);
}

enum pv_status pv_gguf_open_one(struct pv_gguf *g, const char *path, const struct pv_log *log)
{
    *g = (struct pv_gguf){0};
    PV_TRY(pv_map_open(&g->map, path, log));
    return parse_all(g, g->map.data, g->map.size_bytes, path, log);
}

void pv_gguf_close(struct pv_gguf *g)
{
    for (uint32_t i = 0; i < g->n_parts; i++)
        pv_gguf_close(&g->parts[i]);
    free(g->parts);
    pv_arena_free(&g->arena);
    pv_map_close(&g->map);
    *g = (struct pv_gguf){0};
}
