/* GGUF v2 and v3 files. Reading maps the file and validates everything before it returns: every later access
 * is in bounds. Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md */
#ifndef PV_FORMAT_GGUF_GGUF_H
#define PV_FORMAT_GGUF_GGUF_H

#include "base/file.h"
#include "base/mem.h"
#include "format/gguf/types.h"

enum pv_gguf_type { /* value types, numbered as in the file */
                    PV_GGUF_U8,
                    PV_GGUF_I8,
                    PV_GGUF_U16,
                    PV_GGUF_I16,
                    PV_GGUF_U32,
                    PV_GGUF_I32,
                    PV_GGUF_F32,
                    PV_GGUF_BOOL,
                    PV_GGUF_STRING,
                    PV_GGUF_ARRAY,
                    PV_GGUF_U64,
                    PV_GGUF_I64,
                    PV_GGUF_F64,
};
struct pv_str { /* not NUL-terminated, points into the map */
    const char *data;
    size_t size_bytes;
};
struct pv_gguf_kv {
    char *key;
    enum pv_gguf_type type, item_type; /* item_type: of an array */
    uint64_t n_items;                  /* 1 unless an array */
    const uint8_t *data;               /* raw bytes, in the map; for strings use pv_gguf_str_array */
    struct pv_str *strings;            /* [n_items] for strings and arrays of strings */
};
struct pv_gguf_tensor {
    char *name;
    enum pv_type type;
    uint32_t n_dims;
    uint64_t dims[4];    /* dims[0] is the row length (fastest); missing ones are 1 */
    const uint8_t *data; /* in the map, alignment checked */
    uint64_t size_bytes;
};
struct pv_gguf {
    struct pv_map map;
    uint32_t version;
    size_t n_kv, n_tensors;
    struct pv_gguf_kv *kv;
    struct pv_gguf_tensor *tensors;       /* in file order */
    const struct pv_gguf_kv **kv_by_name; /* the same, sorted for look-ups */
    const struct pv_gguf_tensor **tensors_by_name;
    struct pv_arena arena;
    char *path; /* "GGUF data" when parsed from memory; of several files the first */
    struct pv_gguf
        *parts; /* [n_parts] the other files of a model that lies in several; tensors are joined here */
    uint32_t n_parts;
};
/* Opens a model of one file or of several (NAME-00001-of-00003.gguf; `path` is any of them, and all must be in one
 * folder). On failure `*g` is left empty and the log says what is wrong and at which byte or key. Duplicate keys or
 * tensor names, dimensions that overflow, data past the end, overlapping tensors: PV_ERR_FORMAT. Unknown
 * tensor type, GGUF v1, big-endian, arrays of arrays: PV_ERR_UNSUPPORTED. Host memory stays within a small
 * multiple of the file's size, whatever the file claims. */
PV_MUST_USE enum pv_status pv_gguf_open(struct pv_gguf *g, const char *path, const struct pv_log *log);
/* The same over memory the caller keeps, 8-byte aligned (fuzzing, tests). */
PV_MUST_USE enum pv_status pv_gguf_parse(struct pv_gguf *g, const void *data, size_t size_bytes,
                                         const struct pv_log *log);
void pv_gguf_close(struct pv_gguf *g);

const struct pv_gguf_kv *pv_gguf_find(const struct pv_gguf *g, const char *key);
const struct pv_gguf_tensor *pv_gguf_tensor(const struct pv_gguf *g, const char *name);
/* Typed look-ups: false if the key is missing or of another kind (any integer type converts if it fits). */
bool pv_gguf_u64(const struct pv_gguf *g, const char *key, uint64_t *out);
bool pv_gguf_f64(const struct pv_gguf *g, const char *key, double *out); /* any float or integer type */
bool pv_gguf_bool(const struct pv_gguf *g, const char *key, bool *out);
bool pv_gguf_str(const struct pv_gguf *g, const char *key, struct pv_str *out);
/* Item i of a numeric array as double / int64. */
double pv_gguf_item_f64(const struct pv_gguf_kv *kv, uint64_t i);
int64_t pv_gguf_item_i64(const struct pv_gguf_kv *kv, uint64_t i);

/* Writing: add keys and tensors (data is referenced, not copied, until write), then write atomically. */
struct pv_gguf_writer;
PV_MUST_USE enum pv_status pv_gguf_writer_create(struct pv_gguf_writer **out);
void pv_gguf_writer_destroy(struct pv_gguf_writer *w);
/* Adders report no memory at write. Strings and scalars are copied. */
void pv_gguf_add_u32(struct pv_gguf_writer *w, const char *key, uint32_t v);
void pv_gguf_add_u64(struct pv_gguf_writer *w, const char *key, uint64_t v);
void pv_gguf_add_f32(struct pv_gguf_writer *w, const char *key, float v);
void pv_gguf_add_f64(struct pv_gguf_writer *w, const char *key, double v);
void pv_gguf_add_bool(struct pv_gguf_writer *w, const char *key, bool v);
void pv_gguf_add_str(struct pv_gguf_writer *w, const char *key, const char *v);
void pv_gguf_add_array(struct pv_gguf_writer *w, const char *key, enum pv_gguf_type item_type,
                       const void *items, uint64_t n); /* numeric types; items referenced until write */
void pv_gguf_add_str_array(struct pv_gguf_writer *w, const char *key, const char *const *items, uint64_t n);
void pv_gguf_add_tensor(struct pv_gguf_writer *w, const char *name, enum pv_type type, uint32_t n_dims,
                        const uint64_t *dims, const void *data); /* data referenced until write */
PV_MUST_USE enum pv_status pv_gguf_write(struct pv_gguf_writer *w, const char *path,
                                         const struct pv_log *log);

#endif
