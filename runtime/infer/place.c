/* Sizes first, from the model's description alone, in the same terms as the code that makes the buffers; from
 * them and each device's free memory the layers there is room for; then the split by speed within that room.
 */
#include "infer/place.h"

#include <string.h>

#include "base/bits.h"
#include "base/log.h"
#include "iface.h"
#include "infer/split.h"

/* Logits of a scored batch are made a block of rows at a time, at most this many bytes. */
static const uint64_t max_logit_bytes = 32u << 20;

static uint64_t matrix_bytes(enum pv_type type, uint64_t n_rows, uint32_t n_cols)
{
    struct pv_packed_size size = {0};
    (void)pv_packed_size(type, n_cols, &size); /* what no kernel takes is refused on loading */
    return n_rows * ((uint64_t)size.row_words * 16 + (uint64_t)size.scale_words * 4);
}

static uint64_t tensor_bytes(const struct pv_gguf_tensor *t)
{
    return t ? matrix_bytes(t->type, t->dims[1], (uint32_t)t->dims[0]) : 0;
}

static uint64_t list_bytes(uint32_t n_clusters, uint32_t d_ffn, uint64_t n_neurons)
{
    const uint64_t bits = n_clusters * pv_bit_words(d_ffn) * sizeof(uint32_t);
    return n_clusters * sizeof(struct pv_cluster_entry) + n_neurons * sizeof(uint32_t) + bits;
}

static uint64_t mask_bytes(const struct pv_clusters *clusters, uint32_t index)
{
    const struct pv_clusters_info *info = &clusters->info;
    const struct pv_cluster_layer *c = &clusters->layers[index];
    uint64_t n_neurons = 0;
    for (uint32_t k = 0; k < info->n_clusters; k++)
        n_neurons += pv_row_stride(c->offset[k + 1] - c->offset[k]);
    return list_bytes(info->n_clusters, info->d_ffn, n_neurons) +
           list_bytes(1, info->d_ffn, pv_row_stride(c->n_hot)) +
           matrix_bytes(PV_F16, info->n_clusters, pv_cluster_router_width(clusters, index)) +
           matrix_bytes(PV_F16, c->rank, info->d_model) + pv_rows_bytes(1, info->n_clusters);
}

uint64_t pv_layer_bytes(const struct pv_engine *e, uint32_t index)
{
    const struct pv_model_layer *l = &e->model->layers[index];
    const uint32_t d = e->hp.d_model, n_ffn = e->hp.d_ffn;
    return 2 * pv_rows_bytes(1, d) + pv_rows_bytes(1, n_ffn) + tensor_bytes(l->attn_q) +
           tensor_bytes(l->attn_k) + tensor_bytes(l->attn_v) + tensor_bytes(l->attn_output) +
           tensor_bytes(l->ffn_up) + tensor_bytes(l->ffn_gate) +
           matrix_bytes(pv_transposed_type(l->ffn_down->type, d), n_ffn, d) +
           (e->clusters ? mask_bytes(e->clusters, index) : 0);
}

uint64_t pv_stage_other_bytes(const struct pv_engine *e, bool has_embed, bool has_output)
{
    const bool tied = e->model->output == e->model->token_embd;
    uint64_t bytes = has_output ? pv_rows_bytes(1, e->hp.d_model) : 0;
    if (has_embed || (has_output && tied))
        bytes += tensor_bytes(e->model->token_embd);
    if (has_output && !tied)
        bytes += tensor_bytes(e->model->output);
    return bytes;
}

uint64_t pv_layer_kv_bytes(const struct pv_engine *e, const struct pv_plan *plan)
{
    return 2 * pv_kv_cache_bytes(plan, e->n_ctx, e->hp.n_kv_heads, e->hp.head_dim);
}

uint32_t pv_logit_rows(const struct pv_engine *e)
{
    const uint64_t rows = max_logit_bytes / pv_rows_bytes(1, e->hp.n_vocab);
    return rows < 1 ? 1 : rows > e->n_batch ? e->n_batch : (uint32_t)rows;
}

uint64_t pv_stage_scratch_bytes(const struct pv_engine *e, const struct pv_plan *plan, bool has_output)
{
    const struct pv_hparams *hp = &e->hp;
    const uint32_t n = e->n_batch, rows = pv_logit_rows(e);
    uint64_t bytes = 2 * pv_rows_bytes(n, hp->d_model) + 2 * pv_rows_bytes(n, hp->n_heads * hp->head_dim) +
                     2 * pv_rows_bytes(n, hp->n_kv_heads * hp->head_dim) +
                     (hp->gated ? 2u : 1u) * pv_rows_bytes(n, hp->d_ffn) +
                     pv_ffn_partial_bytes(plan, hp->d_model);
    if (e->clusters)
        bytes += pv_rows_bytes(n, e->clusters->info.n_clusters) +
                 pv_rows_bytes(n, e->clusters->info.max_rank) + 2 * pv_rows_bytes(1, n);
    if (e->clusters && e->n_best > 1)
        bytes += n * pv_bit_words(hp->d_ffn) * sizeof(uint32_t) + pv_rows_bytes(1, hp->d_ffn) +
                 pv_rows_bytes(1, n);
    if (has_output)
        bytes += pv_rows_bytes(rows + 1, hp->n_vocab) + pv_rows_bytes(rows + 1, hp->d_model) +
                 2 * pv_rows_bytes(1, rows);
    return bytes;
}

/* ---- room ---- */

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

static void find_room(const struct pv_engine *e, const struct pv_placement *p, uint32_t i,
                      struct pv_placement_device *out)
{
    const struct pv_stage *stage = &e->stages[i];
    const struct pv_plan *plan = &stage->device->plan;
    const uint64_t each = p->layer_bytes + pv_layer_kv_bytes(e, plan);
    out->device = stage->device_index;
    out->other_bytes = pv_stage_other_bytes(e, stage->has_embed, stage->has_output);
    out->scratch_bytes = pv_stage_scratch_bytes(e, plan, stage->has_output);
    out->free_bytes = pv_device_free_bytes(stage->device, &out->free_is_budget) / n_sharing(e, stage);
    if (out->free_is_budget || stage->device->caps.device_type == VK_PHYSICAL_DEVICE_TYPE_CPU)
        out->free_bytes +=
            pv_device_bytes_in_use(stage->device); /* layers it has already are counted again */
    const uint64_t limit = (uint64_t)plan->memory_mib << 20;
    if (limit > 0 && limit < out->free_bytes)
        out->free_bytes = limit;
    const uint64_t usable = out->free_bytes / 10 * 9, fixed = out->other_bytes + out->scratch_bytes;
    const uint64_t room = usable > fixed ? (usable - fixed) / each : 0;
    out->room = room < e->hp.n_layers ? (uint32_t)room : e->hp.n_layers;
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
    out->fits = pv_split_layers(e->hp.n_layers, e->n_stages, speed, room, begin);
    if (out->fits)
        apply(e, begin, out);
    return PV_OK;
}
