/* Sizes first, from the model's description alone, in the same terms as the code that makes the buffers; from
 * them and each device's free memory the layers there is room for; then the split by speed within that room.
 */
#include "infer/load/place.h"

#include <string.h>

#include "base/log.h"
#include "infer/load/split.h"
#include "infer/load/weights.h"
#include "infer/forward/work.h"

uint64_t pv_layer_kv_bytes(const struct pv_engine *e, const struct pv_plan *plan)
{
    return 2 * pv_kv_cache_bytes(plan, e->n_ctx, e->hp.n_kv_heads, e->hp.head_dim);
}

/* Software devices all live in the host's memory. */
static uint32_t n_sharing(const struct pv_engine *e, const struct pv_stage *stage)
{
    const bool cpu = stage->device->caps.device_type == VK_PHYSICAL_DEVICE_TYPE_CPU;
    uint32_t n = 0;
    for (uint32_t i = 0; i < e->n_stages; i++)
        n += e->stages[i].device_index == stage->device_index ||
             (cpu && e->stages[i].device->caps.device_type == VK_PHYSICAL_DEVICE_TYPE_CPU);
    return n;
}

/* The cache of a layer's keys, or of its values, is one buffer and one binding. */
static bool cache_is_possible(const struct pv_engine *e, const struct pv_device *device, uint32_t n_ctx)
{
    const uint64_t bytes = pv_kv_cache_bytes(&device->plan, n_ctx, e->hp.n_kv_heads, e->hp.head_dim);
    const uint64_t most = device->caps.max_allocation;
    return bytes <= device->caps.max_storage_range && (most == 0 || bytes <= most);
}

/* Layers that a stage has room for at a context of n_ctx, beside what it holds anyway. */
static uint32_t room_at(const struct pv_engine *e, const struct pv_placement *p, uint32_t i, uint32_t n_ctx)
{
    const struct pv_placement_device *d = &p->devices[i];
    const struct pv_device *device = e->stages[i].device;
    const uint64_t usable = d->free_bytes / 10 * 9, fixed = d->other_bytes + d->scratch_bytes;
    const uint64_t cache = pv_kv_cache_bytes(&device->plan, n_ctx, e->hp.n_kv_heads, e->hp.head_dim);
    const uint64_t room = usable > fixed ? (usable - fixed) / (p->layer_bytes + 2 * cache) : 0;
    if (!cache_is_possible(e, device, n_ctx))
        return 0;
    return room < e->hp.n_layers ? (uint32_t)room : e->hp.n_layers;
}

static bool ctx_fits(const struct pv_engine *e, const struct pv_placement *p, uint32_t n_ctx)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < e->n_stages; i++) {
        const uint32_t room = room_at(e, p, i, n_ctx);
        if (room == 0)
            return false;
        sum += room;
    }
    return sum >= e->hp.n_layers;
}

/* Longer contexts have less room, so it is found by halving. */
static uint32_t longest_ctx(const struct pv_engine *e, const struct pv_placement *p)
{
    uint32_t fits = 0, too_long = PV_MAX_CTX + 1;
    while (too_long - fits > 1) {
        const uint32_t middle = fits + (too_long - fits) / 2;
        if (ctx_fits(e, p, middle))
            fits = middle;
        else
            too_long = middle;
    }
    return fits;
}

static void find_room(const struct pv_engine *e, const struct pv_placement *p, uint32_t i,
                      struct pv_placement_device *out)
{
    const struct pv_stage *stage = &e->stages[i];
    const struct pv_plan *plan = &stage->device->plan;
    out->device = stage->device_index;
    out->other_bytes = pv_stage_other_bytes(e, stage->has_embed, stage->has_output);
    out->scratch_bytes = pv_work_bytes(e, plan, pv_work_conditions(e, stage->has_output));
    out->free_bytes = pv_device_free_bytes(stage->device, &out->free_is_budget) / n_sharing(e, stage);
    if (out->free_is_budget || stage->device->caps.device_type == VK_PHYSICAL_DEVICE_TYPE_CPU)
        out->free_bytes +=
            pv_device_bytes_in_use(stage->device); /* layers it has already are counted again */
    const uint64_t limit = (uint64_t)plan->memory_mib << 20;
    if (limit > 0 && limit < out->free_bytes)
        out->free_bytes = limit;
    out->room = room_at(e, p, i, e->n_ctx);
}

static void apply(struct pv_engine *e, const uint32_t *begin, struct pv_placement *out)
{
    for (uint32_t i = 0; i < e->n_stages; i++) {
        struct pv_stage *stage = &e->stages[i];
        struct pv_placement_device *d = &out->devices[i];
        stage->first_layer = d->first_layer = begin[i];
        stage->n_layers = d->n_layers = begin[i + 1] - begin[i];
        for (uint32_t l = begin[i]; l < begin[i + 1]; l++)
            d->layer_bytes += pv_layer_bytes(e, l);
        d->kv_bytes = d->n_layers * pv_layer_kv_bytes(e, &stage->device->plan);
        if (e->n_stages > 1)
            pv_info(e->log, "layers %u to %u on %s", begin[i], begin[i + 1] - 1, stage->device->caps.name);
    }
}

enum pv_status pv_place_stages(struct pv_engine *e, struct pv_placement *out)
{
    uint32_t begin[PV_PLACEMENT_MAX + 1], room[PV_PLACEMENT_MAX];
    double speed[PV_PLACEMENT_MAX];
    memset(out, 0, sizeof *out);
    out->n_layers = e->hp.n_layers;
    out->n_ctx = e->n_ctx;
    out->n_batch = e->n_batch;
    out->n_devices = e->n_stages;
    out->kv_layer_bytes = pv_layer_kv_bytes(e, &e->stages[0].device->plan);
    for (uint32_t l = 0; l < e->hp.n_layers; l++) {
        const uint64_t bytes = pv_layer_bytes(e, l);
        out->layer_bytes = bytes > out->layer_bytes ? bytes : out->layer_bytes;
    }
    for (uint32_t i = 0; i < e->n_stages; i++) {
        struct pv_placement_device *d = &out->devices[i];
        find_room(e, out, i, d);
        room[i] = d->room;
        if (e->n_stages > 1)
            PV_TRY(pv_measure_matvec(e->stages[i].device, &d->bytes_per_s));
        speed[i] = e->has_split ? e->split[i] : e->n_stages > 1 ? d->bytes_per_s : 1.0;
    }
    out->max_ctx = longest_ctx(e, out);
    out->fits = pv_split_layers(e->hp.n_layers, e->n_stages, speed, room, begin);
    if (out->fits)
        apply(e, begin, out);
    return PV_OK;
}

static enum pv_status fail_room(const struct pv_engine *e, const struct pv_placement *p)
{
    uint32_t room = 0;
    if (p->max_ctx > 0 && p->max_ctx < p->n_ctx)
        return pv_fail(
            e->log, PV_ERR_DEVICE_MEMORY,
            "a context of %u tokens does not fit: the chosen devices have room for at most %u; lower n_ctx; "
            "see what takes the memory",
            p->n_ctx, p->max_ctx);
    for (uint32_t i = 0; i < p->n_devices; i++)
        room += p->devices[i].room;
    return pv_fail(
        e->log, PV_ERR_DEVICE_MEMORY,
        "the chosen devices have room for %u layers of %.1f MB, each one for at least one; the model "
        "has %u: add a device, lower n_ctx, or use a model quantised to fewer bits; see what takes the memory",
        room, (double)(p->layer_bytes + p->kv_layer_bytes) * 1e-6, p->n_layers);
}

enum pv_status pv_engine_place(struct pv_engine *e, struct pv_placement *placement)
{
    e->placed = false;
    PV_TRY(pv_place_stages(e, placement));
    if (!placement->fits)
        return fail_room(e, placement);
    for (uint32_t i = 0; i < e->n_stages; i++)
        PV_TRY(pv_stage_trim(&e->stages[i], e));
    for (uint32_t i = 0; i < e->n_stages; i++)
        PV_TRY(pv_stage_load(&e->stages[i], e));
    e->placed = true;
    return PV_OK;
}
