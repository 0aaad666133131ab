/* A variant is a row of a table: which facts of the device to deny, and which decisions to force on the plan
 * that follows. Denied facts are planned for without quirks, so that a software driver takes the path of the
 * device it stands in for. The subgroup sizes that the device lets one choose follow as rows of their own. */
#include "check/variants.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "check/cases.h"

enum deny {
    NOTHING,
    SUBGROUPS,
    F16_STORAGE,
    F16_ARITHMETIC,
    INT_DOT,
    SHARED_MEMORY,  /* half a KiB left, less than Vulkan allows, so that it binds everywhere */
    BEYOND_MINIMUM, /* everything that Vulkan 1.2 does not promise */
    BEING_A_CPU,    /* sized like a discrete GPU */
};
struct row {
    const char *name, *about;
    enum deny deny;
    const char *overrides;
    uint32_t axes;
};

/* Tiles are small but for the device's own plan: drivers compile large ones slowly. */
#define SMALL "matmul_tile_rows=2,matmul_tile_cols=4,attn_tokens=1,"
#define BASE  "kv_f16=0,access="
static const struct row rows[] = {
    {"storage-invocation", "storage buffers, a row of weights for each invocation", NOTHING,
     SMALL BASE "storage,reduce=invocation", 0},
    {"texel-invocation", "texel buffers, a row for each invocation", NOTHING,
     SMALL BASE "texel,reduce=invocation", PV_AXIS_ACCESS},
    {"storage-subgroup", "storage buffers, a row for each subgroup", NOTHING,
     SMALL BASE "storage,reduce=subgroup", PV_AXIS_REDUCE},
    {"texel-subgroup", "texel buffers, two rows for each subgroup", NOTHING,
     SMALL BASE "texel,reduce=subgroup,matvec_rows=2", PV_AXIS_ACCESS | PV_AXIS_REDUCE},
    {"storage-workgroup", "storage buffers, three rows for each workgroup, summed in shared memory", NOTHING,
     SMALL BASE "storage,reduce=workgroup,matvec_rows=3", PV_AXIS_REDUCE},
    {"texel-workgroup", "texel buffers, a row for each workgroup, summed in shared memory", NOTHING,
     SMALL BASE "texel,reduce=workgroup", PV_AXIS_ACCESS | PV_AXIS_REDUCE},
    {"storage-kv-f16", "storage buffers, KV cache in float16", NOTHING,
     SMALL "kv_f16=1,access=storage,reduce=invocation", PV_AXIS_KV},
    {"texel-kv-f16", "texel buffers, KV cache in float16, few values of a head in registers", NOTHING,
     SMALL "kv_f16=1,access=texel,reduce=invocation,attn_values=16", PV_AXIS_KV | PV_AXIS_ACCESS},
    {"storage-small", "storage buffers, workgroups of 16, the smallest tiles", NOTHING,
     BASE
     "storage,reduce=invocation,matvec_workgroup=16,matvec_rows=1,ffn_down_workgroup=16,"
     "ffn_down_words=1,ffn_down_groups=1,ffn_down_splits=3,matmul_workgroup=16,matmul_lanes=16,matmul_tile_rows=1,matmul_"
     "tile_cols=2,"
     "attn_workgroup=16,attn_tokens=1,elementwise_workgroup=16",
     PV_AXIS_TILES},
    {"texel-odd", "texel buffers, tiles and slices that divide nothing evenly", NOTHING,
     BASE
     "texel,reduce=invocation,matvec_workgroup=128,matvec_rows=3,ffn_down_workgroup=8,"
     "ffn_down_words=3,ffn_down_groups=3,ffn_down_splits=7,matmul_workgroup=32,matmul_lanes=2,matmul_tile_rows=3,matmul_"
     "tile_cols=1,"
     "attn_workgroup=4,attn_tokens=3,elementwise_workgroup=128",
     PV_AXIS_TILES | PV_AXIS_ACCESS},
    {"storage-parts", "storage buffers of at most 8 KiB: weights lie in several", NOTHING,
     SMALL BASE "storage,reduce=invocation,max_binding_bytes=8192", PV_AXIS_PARTS},
    {"texel-parts", "texel buffers of at most 8 KiB, a row for each workgroup", NOTHING,
     SMALL BASE "texel,reduce=workgroup,max_binding_bytes=8192", PV_AXIS_PARTS | PV_AXIS_ACCESS},
    {"no-subgroups", "the plan of a device without subgroup arithmetic", SUBGROUPS, NULL, PV_AXIS_REDUCE},
    {"no-fp16-storage", "the plan of a device without 16-bit storage", F16_STORAGE, NULL, 0},
    {"no-fp16-arithmetic", "the plan of a device without float16 arithmetic", F16_ARITHMETIC, NULL, 0},
    {"no-int8-dot", "the plan of a device without integer dot products", INT_DOT, NULL, 0},
    {"small-shared", "the plan of a device with 512 bytes of shared memory", SHARED_MEMORY, NULL,
     PV_AXIS_TILES},
    {"minimum", "the plan of a device with nothing beyond what Vulkan 1.2 promises", BEYOND_MINIMUM, NULL,
     PV_AXIS_TILES},
    {"gpu-sizes", "workgroups and tiles of a discrete GPU", BEING_A_CPU, NULL, PV_AXIS_TILES},
};
enum { N_ROWS = sizeof rows / sizeof rows[0] };

static uint32_t at_most(uint32_t value, uint32_t limit)
{
    return value < limit ? value : limit;
}

static uint64_t at_most_64(uint64_t value, uint64_t limit)
{
    return value < limit ? value : limit;
}

/* The required limits of the Vulkan 1.2 specification ("Required Limits"). */
static void keep_minimum(struct pv_caps *c)
{
    c->max_shared_bytes = at_most(c->max_shared_bytes, 16384);
    c->max_invocations = at_most(c->max_invocations, 128);
    c->max_workgroup_size[0] = at_most(c->max_workgroup_size[0], 128);
    c->max_workgroup_size[1] = at_most(c->max_workgroup_size[1], 128);
    c->max_workgroup_size[2] = at_most(c->max_workgroup_size[2], 64);
    c->max_push_constants = at_most(c->max_push_constants, 128);
    c->max_storage_range = at_most_64(c->max_storage_range, 1u << 27);
    c->max_uniform_range = at_most_64(c->max_uniform_range, 16384);
    c->max_texel_elements = at_most_64(c->max_texel_elements, 65536);
    c->subgroup_ops = 0;
    c->subgroup_size_control = false;
    c->float16 = c->int8 = c->int16 = c->int64 = c->float64 = c->storage_8bit = c->storage_16bit = false;
    c->int_dot_product = c->int_dot_accelerated = c->cooperative_matrix = false;
}

static void apply(enum deny deny, struct pv_caps *c, uint32_t *quirks)
{
    switch (deny) {
    case NOTHING:
        return;
    case SUBGROUPS:
        c->subgroup_ops = 0;
        c->subgroup_size_control = false;
        *quirks = 0;
        return;
    case F16_STORAGE:
        c->storage_16bit = false;
        return;
    case F16_ARITHMETIC:
        c->float16 = false;
        return;
    case INT_DOT:
        c->int_dot_product = c->int_dot_accelerated = false;
        return;
    case SHARED_MEMORY:
        c->max_shared_bytes = at_most(c->max_shared_bytes, 512);
        return;
    case BEYOND_MINIMUM:
        keep_minimum(c);
        *quirks = 0;
        return;
    case BEING_A_CPU:
        c->device_type = 2; /* VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU */
        *quirks = 0;
        return;
    }
}

static void make(const struct row *row, const struct pv_caps *caps, uint32_t quirks,
                 const struct pv_plan *own, struct pv_variant *out)
{
    const struct pv_log silent = {0};
    *out = (struct pv_variant){.about = row->about, .axes = row->axes, .caps = *caps};
    snprintf(out->name, sizeof out->name, "%s", row->name);
    apply(row->deny, &out->caps, &quirks);
    if (pv_plan_make(&out->caps, quirks, row->overrides, &silent, &out->plan) != PV_OK) {
        out->state = PV_VARIANT_IMPOSSIBLE;
        snprintf(out->detail, sizeof out->detail, "the device has no %s",
                 strstr(row->overrides, "subgroup") ? "subgroup arithmetic" : "texel buffers that large");
    } else if (row->deny != NOTHING && pv_plan_same(&out->plan, own)) {
        out->state = PV_VARIANT_SAME;
        snprintf(out->detail, sizeof out->detail, "the plan stays as it is");
    }
}

/* One for each size that the device offers beside that of its own plan. */
static uint32_t make_subgroup_sizes(const struct pv_caps *caps, uint32_t quirks, const struct pv_plan *own,
                                    uint32_t room, struct pv_variant *out)
{
    uint32_t n = 0;
    if (!caps->subgroup_size_control)
        return 0;
    for (uint32_t size = 2; size <= 128 && n < room; size *= 2) {
        char overrides[160];
        if (size < caps->min_subgroup_size || size > caps->max_subgroup_size || size == own->subgroup_size)
            continue;
        snprintf(overrides, sizeof overrides, SMALL BASE "storage,reduce=subgroup,subgroup_size=%u", size);
        const struct row row = {"", "subgroups of a size other than that of the plan", NOTHING, overrides,
                                PV_AXIS_REDUCE};
        make(&row, caps, quirks, own, &out[n]);
        snprintf(out[n].name, sizeof out[n].name, "subgroup-%u", size);
        n++;
    }
    return n;
}

uint32_t pv_variants_make(const struct pv_caps *caps, uint32_t quirks, const struct pv_plan *own,
                          struct pv_variant out[PV_VARIANTS_MAX])
{
    uint32_t n = 0;
    out[n++] = (struct pv_variant){
        .name = "plan", .about = "what Parvin chose for the device", .caps = *caps, .plan = *own};
    for (size_t i = 0; i < N_ROWS; i++)
        make(&rows[i], caps, quirks, own, &out[n++]);
    return n + make_subgroup_sizes(caps, quirks, own, PV_VARIANTS_MAX - n, out + n);
}
