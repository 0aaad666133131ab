/* From facts to decisions, without a device. Three steps: access and reduction (from quirks and subgroup
 * support, or forced), sizes that follow from them, forced sizes. Then everything is checked against the caps
 * once, so a forced value is held to the same limits as a chosen one. */
#include "vk/plan/plan.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <jansson.h>
#include "base/log.h"
#include "vk/plan/quirks.h"

enum { TYPE_DISCRETE = 2, TYPE_CPU = 4 }; /* VkPhysicalDeviceType */
enum { SUBGROUP_ARITHMETIC = 4 };         /* VkSubgroupFeatureFlagBits */
enum {
    TEXEL_BYTES = 16,
    MIN_TEXEL_BYTES = 64 << 20
};                          /* R32G32B32A32; a smaller reach is useless for weights */
enum { SHARED_BYTES = 32 }; /* shared memory an invocation takes at most (attn_decode: 20) */
enum {
    MAX_BATCH = 4096,
    MAX_SPLITS = 1024,
    MAX_TILE = 16,
    MAX_GROUPS = 64,
    MAX_HEAD = 256,
    MAX_WORKGROUP = 1024
};

enum key_kind { ACCESS, REDUCE, DOWN, COUNT, LIMIT, WORKGROUP, FLAG, BYTES };
struct plan_key {
    const char *name;
    enum key_kind kind;
    size_t offset;
    uint32_t max; /* COUNT, and LIMIT where 0 means none: largest value that makes sense */
};
#define KEY(kind, name, max)                                                                                 \
    {                                                                                                        \
#name, kind, offsetof(struct pv_plan, name), max                                                     \
    }
static const struct plan_key keys[] = {
    KEY(ACCESS, access, 0),
    KEY(REDUCE, reduce, 0),
    KEY(COUNT, subgroup_size, 128),
    KEY(WORKGROUP, matvec_workgroup, 0),
    KEY(COUNT, matvec_rows, MAX_TILE),
    KEY(WORKGROUP, ffn_down_workgroup, 0),
    KEY(COUNT, ffn_down_words, MAX_TILE),
    KEY(LIMIT, ffn_down_groups, MAX_GROUPS),
    KEY(COUNT, ffn_down_splits, MAX_SPLITS),
    KEY(DOWN, ffn_down_type, 0),
    KEY(WORKGROUP, matmul_workgroup, 0),
    KEY(WORKGROUP, matmul_lanes, 0),
    KEY(COUNT, matmul_tile_rows, MAX_TILE),
    KEY(COUNT, matmul_tile_cols, MAX_TILE),
    KEY(WORKGROUP, attn_workgroup, 0),
    KEY(COUNT, attn_tokens, MAX_TILE),
    KEY(COUNT, attn_values, MAX_HEAD),
    KEY(WORKGROUP, elementwise_workgroup, 0),
    KEY(COUNT, n_batch, MAX_BATCH),
    KEY(FLAG, kv_f16, 0),
    KEY(LIMIT, submit_ms, 3600000),
    KEY(LIMIT, memory_mib, 1u << 30),
    KEY(FLAG, learn_clusters, 0),
    KEY(FLAG, learn_router, 0),
    KEY(BYTES, max_binding_bytes, 0),
};
enum { N_KEYS = sizeof keys / sizeof keys[0] };
static const char *const access_names[] = {"storage", "texel"};
static const char *const reduce_names[] = {"invocation", "subgroup", "workgroup"};
static const char *const down_names[] = {"auto", "f32", "f16", "bf16", "q8_0", "q6_k", "q4_0"};

struct overrides {
    bool set[N_KEYS];
    uint64_t value[N_KEYS];
};

/* ---- parsing ---- */

static bool same(const char *text, size_t n, const char *word)
{
    return strlen(word) == n && memcmp(text, word, n) == 0;
}

static bool parse_word(const char *text, size_t n, const char *const *words, size_t n_words, uint64_t *out)
{
    for (size_t i = 0; i < n_words; i++) {
        if (same(text, n, words[i])) {
            *out = i;
            return true;
        }
    }
    return false;
}

static bool parse_number(const char *text, size_t n, uint64_t max, uint64_t *out)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++) {
        const uint64_t digit = (uint64_t)(unsigned char)text[i] - '0';
        if (digit > 9 || v > (max - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *out = v;
    return n > 0;
}

static bool parse_flag(const char *text, size_t n, uint64_t *out)
{
    static const char *const words[] = {"0", "1", "false", "true", "off", "on"};
    if (!parse_word(text, n, words, 6, out))
        return false;
    *out &= 1;
    return true;
}

static bool parse_value(enum key_kind kind, const char *text, size_t n, uint64_t *out)
{
    switch (kind) {
    case ACCESS:
        return parse_word(text, n, access_names, 2, out);
    case REDUCE:
        return parse_word(text, n, reduce_names, 3, out);
    case DOWN:
        return parse_word(text, n, down_names, sizeof down_names / sizeof *down_names, out);
    case COUNT:
    case LIMIT:
    case WORKGROUP:
        return parse_number(text, n, UINT32_MAX, out);
    case BYTES:
        return parse_number(text, n, INT64_MAX, out);
    case FLAG:
        return parse_flag(text, n, out);
    }
    return false;
}

static enum pv_status parse_item(const char *item, size_t n, const struct pv_log *log, struct overrides *out)
{
    const char *equals = memchr(item, '=', n);
    const size_t n_name = equals ? (size_t)(equals - item) : n;
    size_t k = 0;
    while (k < N_KEYS && !same(item, n_name, keys[k].name))
        k++;
    if (!equals || k == N_KEYS)
        return pv_fail(log, PV_ERR_ARG, "plan override \"%.*s\": %s", (int)(n > 80 ? 80 : n), item,
                       equals ? "no such key" : "expected key=value");
    if (out->set[k])
        return pv_fail(log, PV_ERR_ARG, "plan override: %s is given twice", keys[k].name);
    const size_t n_value = n - n_name - 1;
    if (!parse_value(keys[k].kind, equals + 1, n_value, &out->value[k]))
        return pv_fail(log, PV_ERR_ARG, "plan override: %s cannot be \"%.*s\"", keys[k].name,
                       (int)(n_value > 80 ? 80 : n_value), equals + 1);
    out->set[k] = true;
    return PV_OK;
}

static enum pv_status parse(const char *text, const struct pv_log *log, struct overrides *out)
{
    *out = (struct overrides){0};
    if (!text || !*text)
        return PV_OK;
    for (;;) {
        const size_t n = strcspn(text, ",");
        PV_TRY(parse_item(text, n, log, out));
        if (text[n] == '\0')
            return PV_OK;
        text += n + 1;
    }
}

static void store(struct pv_plan *plan, const struct plan_key *key, uint64_t value)
{
    char *at = (char *)plan + key->offset;
    switch (key->kind) {
    case ACCESS:
        plan->access = (enum pv_access)value;
        break;
    case REDUCE:
        plan->reduce = (enum pv_reduce)value;
        break;
    case DOWN:
        plan->ffn_down_type = (enum pv_down)value;
        break;
    case COUNT:
    case LIMIT:
    case WORKGROUP:
        memcpy(at, &(uint32_t){(uint32_t)value}, sizeof(uint32_t));
        break;
    case FLAG:
        memcpy(at, &(bool){value != 0}, sizeof(bool));
        break;
    case BYTES:
        plan->max_binding_bytes = value;
        break;
    }
}

static void apply(const struct overrides *overrides, bool strategy, struct pv_plan *plan)
{
    for (size_t k = 0; k < N_KEYS; k++) {
        const bool is_strategy =
            keys[k].offset < offsetof(struct pv_plan, matvec_workgroup); /* sizes follow from it */
        if (overrides->set[k] && is_strategy == strategy)
            store(plan, &keys[k], overrides->value[k]);
    }
}

static bool is_forced(const struct overrides *overrides, size_t offset)
{
    for (size_t k = 0; k < N_KEYS; k++)
        if (keys[k].offset == offset)
            return overrides->set[k];
    return false;
}

/* ---- deciding ---- */

static bool power_of_two(uint32_t v)
{
    return v != 0 && (v & (v - 1)) == 0;
}

static uint32_t workgroup_limit(const struct pv_caps *caps)
{
    uint32_t max = caps->max_invocations < caps->max_workgroup_size[0] ? caps->max_invocations
                                                                       : caps->max_workgroup_size[0];
    if (max > caps->max_shared_bytes / SHARED_BYTES)
        max = caps->max_shared_bytes / SHARED_BYTES;
    if (max > MAX_WORKGROUP)
        max = MAX_WORKGROUP;
    return max > 0 ? max : 1;
}

static uint32_t workgroup(const struct pv_caps *caps, uint32_t wish)
{
    while (wish > workgroup_limit(caps))
        wish /= 2;
    return wish > 0 ? wish : 1;
}

static uint64_t binding_limit(const struct pv_caps *caps, enum pv_access access)
{
    uint64_t bytes = access == PV_ACCESS_TEXEL ? caps->max_texel_elements : caps->max_storage_range;
    if (access == PV_ACCESS_TEXEL)
        bytes = bytes > INT64_MAX / TEXEL_BYTES ? INT64_MAX : bytes * TEXEL_BYTES;
    if (caps->max_allocation > 0 && bytes > caps->max_allocation)
        bytes = caps->max_allocation;
    return bytes / TEXEL_BYTES * TEXEL_BYTES;
}

static bool subgroups_usable(const struct pv_caps *caps, uint32_t size)
{
    return (caps->subgroup_ops & SUBGROUP_ARITHMETIC) && power_of_two(size) && size > 1 &&
           size <= workgroup_limit(caps);
}

static void decide_strategy(const struct pv_caps *caps, uint32_t quirks, struct pv_plan *plan)
{
    const bool texel_reach = caps->max_texel_elements >= MIN_TEXEL_BYTES / TEXEL_BYTES;
    plan->access =
        (quirks & PV_QUIRK_SLOW_STORAGE_READS) && texel_reach ? PV_ACCESS_TEXEL : PV_ACCESS_STORAGE;
    plan->subgroup_size = caps->subgroup_size > 0 ? caps->subgroup_size : 1;
    /* Xe2 has registers twice as wide, and no subgroups of 8. */
    if ((quirks & PV_QUIRK_WIDE_SUBGROUPS_SPILL) && caps->subgroup_size_control &&
        caps->min_subgroup_size <= 8 && plan->subgroup_size == 32)
        plan->subgroup_size = 16;
    if (quirks & (PV_QUIRK_SLOW_BARRIERS | PV_QUIRK_NO_SUBGROUP_SPEEDUP))
        plan->reduce = PV_REDUCE_INVOCATION;
    else if (subgroups_usable(caps, plan->subgroup_size))
        plan->reduce = PV_REDUCE_SUBGROUP;
    else
        plan->reduce = PV_REDUCE_WORKGROUP;
}

/* A GPU hides latency with several subgroups a workgroup and wants thousands of invocations. */
static void decide_sizes_gpu(const struct pv_caps *caps, struct pv_plan *plan)
{
    uint32_t matvec = 64;
    if (plan->reduce == PV_REDUCE_SUBGROUP)
        matvec = plan->subgroup_size >= 64 ? 4 * 64 : 4 * 32;
    plan->matvec_workgroup = workgroup(caps, matvec);
    plan->matvec_rows = 1;
    plan->ffn_down_workgroup = workgroup(caps, 64);
    plan->ffn_down_words = 1;
    plan->ffn_down_groups = 2;
    plan->ffn_down_splits = caps->device_type == TYPE_DISCRETE ? 32 : 16;
    plan->matmul_workgroup = workgroup(caps, 64);
    plan->matmul_lanes = plan->matmul_workgroup < 8 ? plan->matmul_workgroup : 8;
    plan->matmul_tile_rows = 4;
    plan->matmul_tile_cols = 4;
    plan->attn_workgroup = workgroup(caps, 128);
    plan->attn_tokens = 1;
    plan->attn_values = 32; /* twice that, and AMD's compiler spills: docs/devices.md has the registers */
    plan->elementwise_workgroup = workgroup(caps, 256);
}

/* A CPU driver runs a workgroup on one thread, each subgroup a vector register: it wants small workgroups,
 * and much work in each invocation (register tiles, several rows that share the read of x), since there is no
 * latency to hide. Numbers: the fastest of those tried; `parvin bench --plan` shows others. */
static void decide_sizes_cpu(const struct pv_caps *caps, struct pv_plan *plan)
{
    const bool texel = plan->access == PV_ACCESS_TEXEL;
    plan->matvec_workgroup = workgroup(caps, texel ? 32 : 64);
    plan->matvec_rows = plan->reduce != PV_REDUCE_INVOCATION ? 1 : texel ? 4 : 8;
    plan->ffn_down_workgroup = workgroup(caps, 8);
    plan->ffn_down_words = 8;
    plan->ffn_down_groups = 16;
    plan->ffn_down_splits = 8;
    plan->matmul_workgroup = workgroup(caps, texel ? 32 : 8);
    plan->matmul_lanes = plan->matmul_workgroup < 4             ? plan->matmul_workgroup
                         : texel && plan->matmul_workgroup >= 8 ? 8
                                                                : 4;
    plan->matmul_tile_rows = texel ? 8 : 16;
    plan->matmul_tile_cols = 8;
    plan->attn_workgroup = workgroup(caps, texel ? 8 : 16);
    plan->attn_tokens = 4;
    plan->attn_values = 256;
    plan->elementwise_workgroup = workgroup(caps, 64);
}

/* A packed neuron is a row number and its activation; each invocation counts its own. */
static bool packing_fits(const struct pv_caps *caps, const struct pv_plan *plan)
{
    return plan->ffn_down_groups == 0 ||
           (uint64_t)plan->ffn_down_workgroup * (plan->ffn_down_groups * 4 * 8 + 4) <= caps->max_shared_bytes;
}

static void decide_sizes(const struct pv_caps *caps, struct pv_plan *plan)
{
    const bool cpu = caps->device_type == TYPE_CPU;
    if (cpu)
        decide_sizes_cpu(caps, plan);
    else
        decide_sizes_gpu(caps, plan);
    if (plan->reduce == PV_REDUCE_SUBGROUP && plan->matvec_workgroup < plan->subgroup_size)
        plan->matvec_workgroup = plan->subgroup_size;
    plan->ffn_down_type = PV_DOWN_AUTO;
    plan->n_batch = 256;
    plan->kv_f16 = !cpu;
    plan->submit_ms = cpu ? 0 : 200; /* desktops reset a device after 2 s (Windows) or more */
    /* The host multiplies as fast as a software driver and skips inactive neurons: docs/scale.md has the
     * seconds. */
    plan->learn_clusters = !cpu;
    plan->learn_router = !cpu;
    plan->max_binding_bytes = binding_limit(caps, plan->access);
}

/* ---- checking what was forced ---- */

static enum pv_status check_key(const struct pv_caps *caps, const struct pv_plan *plan,
                                const struct plan_key *key, uint64_t value, const struct pv_log *log)
{
    uint64_t limit = UINT64_MAX;
    switch (key->kind) {
    case ACCESS:
        if (plan->access == PV_ACCESS_TEXEL && caps->max_texel_elements == 0)
            return pv_fail(log, PV_ERR_ARG,
                           "plan override: access=texel, but the device has no texel buffers");
        return PV_OK;
    case REDUCE:
        if (plan->reduce == PV_REDUCE_SUBGROUP && !subgroups_usable(caps, plan->subgroup_size))
            return pv_fail(
                log, PV_ERR_ARG,
                "plan override: reduce=subgroup, but the device has no subgroup arithmetic of size %u",
                plan->subgroup_size);
        return PV_OK;
    case DOWN:
    case FLAG:
        return PV_OK;
    case LIMIT:
    case COUNT:
        limit = key->max;
        break;
    case WORKGROUP:
        limit = workgroup_limit(caps);
        if (!power_of_two((uint32_t)value))
            return pv_fail(log, PV_ERR_ARG, "plan override: %s must be a power of two", key->name);
        break;
    case BYTES:
        limit = binding_limit(caps, plan->access);
        break;
    }
    if ((value == 0 && key->kind != LIMIT) || value > limit)
        return pv_fail(log, PV_ERR_ARG, "plan override: %s=%llu, but it must be from %d to %llu here",
                       key->name, (unsigned long long)value, key->kind != LIMIT, (unsigned long long)limit);
    return PV_OK;
}

static enum pv_status check(const struct pv_caps *caps, const struct overrides *overrides,
                            const struct pv_plan *plan, const struct pv_log *log)
{
    for (size_t k = 0; k < N_KEYS; k++)
        if (overrides->set[k])
            PV_TRY(check_key(caps, plan, &keys[k], overrides->value[k], log));
    const bool in_range = caps->subgroup_size_control && plan->subgroup_size >= caps->min_subgroup_size &&
                          plan->subgroup_size <= caps->max_subgroup_size && power_of_two(plan->subgroup_size);
    if (plan->reduce == PV_REDUCE_SUBGROUP && plan->subgroup_size != caps->subgroup_size && !in_range)
        return pv_fail(log, PV_ERR_ARG,
                       "plan override: subgroup_size=%u, but the device has subgroups of %u to %u",
                       plan->subgroup_size, caps->min_subgroup_size, caps->max_subgroup_size);
    if (plan->matmul_workgroup % plan->matmul_lanes != 0)
        return pv_fail(log, PV_ERR_ARG, "plan override: matmul_lanes=%u does not divide matmul_workgroup=%u",
                       plan->matmul_lanes, plan->matmul_workgroup);
    if (!packing_fits(caps, plan))
        return pv_fail(
            log, PV_ERR_ARG,
            "plan override: ffn_down_groups=%u and ffn_down_workgroup=%u need more than the device's "
            "%u bytes of shared memory",
            plan->ffn_down_groups, plan->ffn_down_workgroup, caps->max_shared_bytes);
    if (plan->reduce == PV_REDUCE_SUBGROUP && plan->matvec_workgroup % plan->subgroup_size != 0)
        return pv_fail(log, PV_ERR_ARG,
                       "plan override: matvec_workgroup=%u is not a multiple of the subgroup size %u",
                       plan->matvec_workgroup, plan->subgroup_size);
    return PV_OK;
}

enum pv_status pv_plan_make(const struct pv_caps *caps, uint32_t quirks, const char *overrides,
                            const struct pv_log *log, struct pv_plan *out)
{
    struct overrides forced;
    PV_TRY(parse(overrides, log, &forced));
    struct pv_plan plan = {0};
    decide_strategy(caps, quirks, &plan);
    apply(&forced, true, &plan);
    decide_sizes(caps, &plan);
    apply(&forced, false, &plan);
    if (!is_forced(&forced, offsetof(struct pv_plan, matmul_lanes)) && plan.matmul_workgroup > 0 &&
        plan.matmul_lanes > plan.matmul_workgroup)
        plan.matmul_lanes = plan.matmul_workgroup;
    while (!is_forced(&forced, offsetof(struct pv_plan, ffn_down_groups)) && !packing_fits(caps, &plan))
        plan.ffn_down_groups /= 2;
    PV_TRY(check(caps, &forced, &plan, log));
    *out = plan;
    return PV_OK;
}

static uint64_t load(const struct pv_plan *plan, const struct plan_key *key)
{
    const char *at = (const char *)plan + key->offset;
    uint32_t u;
    bool flag;
    switch (key->kind) {
    case ACCESS:
        return plan->access;
    case REDUCE:
        return plan->reduce;
    case DOWN:
        return plan->ffn_down_type;
    case COUNT:
    case LIMIT:
    case WORKGROUP:
        memcpy(&u, at, sizeof u);
        return u;
    case FLAG:
        memcpy(&flag, at, sizeof flag);
        return flag;
    case BYTES:
        break;
    }
    return plan->max_binding_bytes;
}

bool pv_plan_same(const struct pv_plan *a, const struct pv_plan *b)
{
    for (size_t k = 0; k < N_KEYS; k++)
        if (load(a, &keys[k]) != load(b, &keys[k]))
            return false;
    return true;
}

char *pv_plan_to_json(const struct pv_plan *plan)
{
    json_t *root = json_object();
    for (size_t k = 0; root && k < N_KEYS; k++) {
        const uint64_t v = load(plan, &keys[k]);
        json_t *value = NULL;
        switch (keys[k].kind) {
        case ACCESS:
            value = json_string(access_names[v]);
            break;
        case REDUCE:
            value = json_string(reduce_names[v]);
            break;
        case DOWN:
            value = json_string(down_names[v]);
            break;
        case FLAG:
            value = json_boolean(v);
            break;
        case COUNT:
        case LIMIT:
        case WORKGROUP:
        case BYTES:
            value = json_integer((json_int_t)v);
            break;
        }
        if (json_object_set_new(root, keys[k].name, value)) {
            json_decref(root);
            root = NULL;
        }
    }
    char *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
    json_decref(root);
    return text;
}
