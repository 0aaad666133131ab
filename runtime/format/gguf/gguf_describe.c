/* A GGUF file as text. Everything from the file is shown with control and non-ASCII bytes escaped: a terminal
 * must not obey a file. */
#include "format/model/model_impl.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { SHOWN_BYTES = 60, SHOWN_ITEMS = 4, VALUE_ROOM = 512 };

void pv_lines_add(const struct pv_lines *lines, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    if (vsnprintf(text, sizeof text, format, args) >= 0)
        lines->line(lines->user, text);
    va_end(args);
}

static const char *value_type_name(enum pv_gguf_type type)
{
    static const char *const names[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                        "bool", "string", "array", "u64", "i64", "f64"};

    return names[type];
}

/* Appends to a NUL-terminated text of VALUE_ROOM bytes, cutting what does not fit. */
static PV_PRINTF(2, 3) void append(char *out, const char *format, ...)
{
    const size_t used = strlen(out);
    va_list args;

    va_start(args, format);
    (void)vsnprintf(out + used, VALUE_ROOM - used, format, args);
    va_end(args);
}

static void append_str(char *out, struct pv_str s)
{
    append(out, "\"");
    for (size_t i = 0; i < s.size_bytes && i < SHOWN_BYTES; i++) {
        unsigned char c = (unsigned char)s.data[i];

        if (c < 0x20 || c >= 0x7f)
            append(out, "\\x%02x", c);
        else
            append(out, c == '"' || c == '\\' ? "\\%c" : "%c", c);
    }
    append(out, s.size_bytes > SHOWN_BYTES ? "...\"" : "\"");
}

static void append_item(char *out, const struct pv_gguf_kv *kv, uint64_t i)
{
    if (kv->item_type == PV_GGUF_STRING)
        append_str(out, kv->strings[i]);
    else if (kv->item_type == PV_GGUF_F32 || kv->item_type == PV_GGUF_F64)
        append(out, "%g", pv_gguf_item_f64(kv, i));
    else if (kv->item_type == PV_GGUF_BOOL)
        append(out, "%s", pv_gguf_item_i64(kv, i) != 0 ? "true" : "false");
    else if (kv->item_type == PV_GGUF_U64)
        append(out, "%" PRIu64, (uint64_t)pv_gguf_item_i64(kv, i));
    else
        append(out, "%" PRId64, pv_gguf_item_i64(kv, i));
}

static void describe_kv(const struct pv_gguf_kv *kv, const struct pv_lines *lines)
{
    char value[VALUE_ROOM] = "";

    if (kv->type != PV_GGUF_ARRAY) {
        append_item(value, kv, 0);
        pv_lines_add(lines, "  %.200s = %s", kv->key, value);
        return;
    }
    for (uint64_t i = 0; i < kv->n_items && i < SHOWN_ITEMS; i++) {
        append(value, i > 0 ? ", " : "");
        append_item(value, kv, i);
    }
    pv_lines_add(lines, "  %.200s = %s[%" PRIu64 "] {%s%s}", kv->key, value_type_name(kv->item_type),
                 kv->n_items, value, kv->n_items > SHOWN_ITEMS ? ", ..." : "");
}

void pv_gguf_describe(const struct pv_gguf *g, const struct pv_lines *lines)
{
    pv_lines_add(lines, "keys          %zu", g->n_kv);
    for (size_t i = 0; i < g->n_kv; i++)
        describe_kv(&g->kv[i], lines);
    pv_lines_add(lines, "tensors       %zu", g->n_tensors);
    for (size_t i = 0; i < g->n_tensors; i++) {
        const struct pv_gguf_tensor *t = &g->tensors[i];
        char shape[VALUE_ROOM] = "";

        for (uint32_t j = t->n_dims; j-- > 0;)
            append(shape, "[%" PRIu64 "]", t->dims[j]);
        pv_lines_add(lines, "  %-28.200s %-5s %s", t->name, pv_type_name(t->type), shape);
    }
}
