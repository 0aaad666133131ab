/* Caps to JSON and back, both driven by one table of fields, so that a field added to the struct is one line
 * here. */
#include "vk/plan/caps.h"

#include <jansson.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"

enum field_kind { TEXT, U32, U32X3, U64, FLOAT, BOOL };
struct field {
    const char *key;
    enum field_kind kind;
    size_t offset, size_bytes;
};
#define FIELD(kind, name)                                                                                    \
    {                                                                                                        \
#name, kind, offsetof(struct pv_caps, name), sizeof((struct pv_caps *)0)->name                       \
    }
static const struct field fields[] = {
    FIELD(TEXT, name),
    FIELD(TEXT, driver_name),
    FIELD(TEXT, driver_info),
    FIELD(TEXT, uuid),
    FIELD(U32, vendor_id),
    FIELD(U32, device_id),
    FIELD(U32, driver_id),
    FIELD(U32, driver_version),
    FIELD(U32, api_version),
    FIELD(U32, device_type),
    FIELD(U64, max_storage_range),
    FIELD(U64, max_uniform_range),
    FIELD(U64, max_texel_elements),
    FIELD(U64, max_allocation),
    FIELD(U64, min_storage_align),
    FIELD(U64, min_texel_align),
    FIELD(U64, min_uniform_align),
    FIELD(U64, non_coherent_atom),
    FIELD(U32, max_push_constants),
    FIELD(U32, max_shared_bytes),
    FIELD(U32, max_invocations),
    FIELD(U32X3, max_workgroup_size),
    FIELD(U32X3, max_workgroup_count),
    FIELD(FLOAT, timestamp_period_ns),
    FIELD(U32, subgroup_size),
    FIELD(U32, min_subgroup_size),
    FIELD(U32, max_subgroup_size),
    FIELD(U32, subgroup_ops),
    FIELD(BOOL, subgroup_size_control),
    FIELD(BOOL, float16),
    FIELD(BOOL, int8),
    FIELD(BOOL, int16),
    FIELD(BOOL, int64),
    FIELD(BOOL, float64),
    FIELD(BOOL, storage_8bit),
    FIELD(BOOL, storage_16bit),
    FIELD(BOOL, int_dot_product),
    FIELD(BOOL, int_dot_accelerated),
    FIELD(BOOL, timeline),
    FIELD(BOOL, sync2),
    FIELD(BOOL, buffer_address),
    FIELD(BOOL, scalar_layout),
    FIELD(BOOL, host_query_reset),
    FIELD(BOOL, memory_budget),
    FIELD(BOOL, push_descriptor),
    FIELD(BOOL, external_host_memory),
    FIELD(BOOL, cooperative_matrix),
    FIELD(BOOL, executable_properties),
    FIELD(U64, device_heap_bytes),
    FIELD(U64, host_visible_device_bytes),
    FIELD(BOOL, unified),
    FIELD(BOOL, has_compute_queue),
};
enum { N_FIELDS = sizeof fields / sizeof fields[0] };

/* Drivers may put any bytes into a name; what is not UTF-8 is shown as '?'. */
static json_t *text_to_json(const char *text)
{
    json_t *value = json_string(text);
    char *copy = value ? NULL : pv_strndup(text, strlen(text));
    if (!copy)
        return value;
    for (char *c = copy; *c; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    value = json_string(copy);
    free(copy);
    return value;
}

static json_t *field_to_json(const struct field *f, const char *at)
{
    uint32_t u[3];
    uint64_t u64;
    float real;
    bool flag;
    switch (f->kind) {
    case TEXT:
        return text_to_json(at);
    case U32:
        memcpy(u, at, sizeof u[0]);
        return json_integer(u[0]);
    case U32X3:
        memcpy(u, at, sizeof u);
        return json_pack("[III]", (json_int_t)u[0], (json_int_t)u[1], (json_int_t)u[2]);
    case U64:
        memcpy(&u64, at, sizeof u64);
        return json_integer(u64 > INT64_MAX ? INT64_MAX : (json_int_t)u64);
    case FLOAT:
        memcpy(&real, at, sizeof real);
        return json_real(isfinite(real) ? (double)real : 0.0);
    case BOOL:
        memcpy(&flag, at, sizeof flag);
        return json_boolean(flag);
    }
    return NULL;
}

char *pv_caps_to_json(const struct pv_caps *caps)
{
    json_t *root = json_object();
    for (size_t i = 0; root && i < N_FIELDS; i++) {
        if (json_object_set_new(root, fields[i].key,
                                field_to_json(&fields[i], (const char *)caps + fields[i].offset))) {
            json_decref(root);
            root = NULL;
        }
    }
    char *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
    json_decref(root);
    return text;
}

static bool read_u32(const json_t *value, uint32_t *out)
{
    json_int_t v = json_integer_value(value);
    if (!json_is_integer(value) || v < 0 || v > UINT32_MAX)
        return false;
    *out = (uint32_t)v;
    return true;
}

static bool field_from_json(const struct field *f, const json_t *value, char *at)
{
    uint32_t u[3] = {0};
    uint64_t u64;
    float real;
    bool flag;
    switch (f->kind) {
    case TEXT:
        if (!json_is_string(value) || json_string_length(value) >= f->size_bytes)
            return false;
        memcpy(at, json_string_value(value), json_string_length(value) + 1);
        return true;
    case U32:
        if (!read_u32(value, &u[0]))
            return false;
        memcpy(at, u, sizeof u[0]);
        return true;
    case U32X3:
        if (!json_is_array(value) || json_array_size(value) != 3)
            return false;
        for (size_t i = 0; i < 3; i++)
            if (!read_u32(json_array_get(value, i), &u[i]))
                return false;
        memcpy(at, u, sizeof u);
        return true;
    case U64:
        if (!json_is_integer(value) || json_integer_value(value) < 0)
            return false;
        u64 = (uint64_t)json_integer_value(value);
        memcpy(at, &u64, sizeof u64);
        return true;
    case FLOAT:
        real = (float)json_number_value(value);
        if (!json_is_number(value) || !isfinite(real) || real < 0.0f)
            return false;
        memcpy(at, &real, sizeof real);
        return true;
    case BOOL:
        if (!json_is_boolean(value))
            return false;
        flag = json_is_true(value);
        memcpy(at, &flag, sizeof flag);
        return true;
    }
    return false;
}

enum pv_status pv_caps_from_json(const char *text, const struct pv_log *log, struct pv_caps *out)
{
    struct pv_caps caps = {0};
    json_error_t error;
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        return pv_fail(log, PV_ERR_FORMAT, "caps: line %d: %s", error.line, error.text);
    enum pv_status status = PV_OK;
    if (!json_is_object(root))
        status = pv_fail(log, PV_ERR_FORMAT, "caps: the file is not a JSON object");
    for (size_t i = 0; status == PV_OK && i < N_FIELDS; i++) {
        const json_t *value = json_object_get(root, fields[i].key);
        if (value && !field_from_json(&fields[i], value, (char *)&caps + fields[i].offset))
            status = pv_fail(log, PV_ERR_FORMAT, "caps: \"%s\" has the wrong type, or is out of range",
                             fields[i].key);
    }
    json_decref(root);
    if (status == PV_OK)
        *out = caps;
    return status;
}
