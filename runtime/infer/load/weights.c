/* Uploads weights. Matrices keep the file's values, in a device layout; ffn_down is transposed on the way
 * (weights_down.c). */
#include "infer/load/weights.h"

#include <stddef.h>
#include <stdlib.h>

#include "base/bits.h"
#include "base/log.h"
#include "iface.h"
#include "infer/load/weights_down.h"
#include "infer/load/weights_qkv.h"

/* n values, n a whole number of vec4. */
static enum pv_status upload_floats(struct pv_device *device, const float *values, uint32_t n,
                                    const char *name, struct pv_buffer **out)
{
    PV_TRY(pv_buffer_create(device, pv_rows_bytes(1, n), PV_MEM_DEVICE, name, out));
    const enum pv_status status = pv_buffer_write(*out, 0, values, pv_rows_bytes(1, n));
    if (status != PV_OK) {
        pv_buffer_destroy(*out);
        *out = NULL;
    }
    return status;
}

/* A vector of the file, times `scale`, as float32 on the device. */
static enum pv_status upload_vector(struct pv_device *device, const struct pv_gguf_tensor *t, float scale,
                                    const char *name, struct pv_buffer **out)
{
    const uint32_t n = (uint32_t)t->dims[0];
    float *values = pv_calloc(pv_row_stride(n), sizeof *values);
    if (!values)
        return pv_fail(device->log, PV_ERR_NOMEM, "no memory for %u values of '%s'", n, t->name);
    pv_dequantize(t->type, t->data, values, n);
    for (uint32_t i = 0; i < n; i++)
        values[i] *= scale;
    const enum pv_status status = upload_floats(device, values, pv_row_stride(n), name, out);
    free(values);
    return status;
}

static void dequantize_rows(void *user, size_t first, size_t n, float *rows)
{
    const struct pv_gguf_tensor *t = user;
    const size_t n_cols = (size_t)t->dims[0], row_bytes = (size_t)pv_type_row_bytes(t->type, n_cols);
    for (size_t i = 0; i < n; i++)
        pv_dequantize(t->type, t->data + (first + i) * row_bytes, rows + i * n_cols, n_cols);
}

/* As `type`: the file's, or one that its values are rounded to. */
static enum pv_status upload_matrix_as(struct pv_device *device, const struct pv_gguf_tensor *t,
                                       enum pv_type type, struct pv_tensor *out)
{
    struct pv_gguf_tensor source = *t;
    PV_TRY(pv_tensor_create(device, type, (uint32_t)t->dims[1], (uint32_t)t->dims[0], t->name, out));
    const enum pv_status status = type == t->type ? pv_tensor_upload(out, t->data)
                                                  : pv_tensor_upload_rows(out, dequantize_rows, &source);
    if (status != PV_OK)
        pv_tensor_destroy(out);
    return status;
}

static enum pv_status upload_matrix(struct pv_device *device, const struct pv_gguf_tensor *t,
                                    struct pv_tensor *out)
{
    return upload_matrix_as(device, t, t->type, out);
}

static bool is_plain(enum pv_type type)
{
    return pv_type_block(type) == 1;
}

/* The type of ffn_up or ffn_gate, `own`, on a device beside the other: a kernel reads both in one layout. Where the
 * file's differ, that of the wider kind holds both: q6_k, q8_0, float16 or float32. */
static enum pv_type paired_type(enum pv_type own, enum pv_type other)
{
    if (pv_type_layout(own) == pv_type_layout(other))
        return own;
    if (is_plain(own) || is_plain(other)) {
        const bool halves = (own == PV_F16 || !is_plain(own)) && (other == PV_F16 || !is_plain(other));
        return halves ? PV_F16 : PV_F32;
    }
    return own == PV_Q8_0 || other == PV_Q8_0 ? PV_Q8_0 : PV_Q6_K;
}

/* The cluster file's lists and router of one layer, and its static hot set as a table of one mask. */
static enum pv_status upload_masks(struct pv_stage *stage, const struct pv_clusters *clusters, uint32_t index,
                                   struct pv_layer *layer)
{
    const struct pv_clusters_info *info = &clusters->info;
    const struct pv_cluster_layer *c = &clusters->layers[index];
    enum pv_status status = PV_OK;
    const uint16_t **lists = pv_calloc(info->n_clusters, sizeof *lists);
    uint32_t *counts = pv_calloc(info->n_clusters, sizeof *counts);
    if (!lists || !counts) {
        status = pv_fail(stage->device->log, PV_ERR_NOMEM, "no memory for the masks of layer %u", index);
        goto fail;
    }
    for (uint32_t k = 0; k < info->n_clusters; k++) {
        lists[k] = c->neurons + c->offset[k];
        counts[k] = c->offset[k + 1] - c->offset[k];
    }
    PV_TRY_GOTO(
        pv_masks_create_lists(stage->device, info->n_clusters, info->d_ffn, lists, counts, &layer->masks));
    const struct pv_router_weights router = {.weight = c->router,
                                             .down_projection = c->down_projection,
                                             .bias = c->router_bias,
                                             .d_model = info->d_model,
                                             .rank = c->rank};
    PV_TRY_GOTO(pv_masks_create_router(stage->device, &router, &layer->masks));
    PV_TRY_GOTO(pv_masks_create_lists(stage->device, 1, info->d_ffn, &c->hot, &c->n_hot, &layer->hot));
fail:
    free(lists);
    free(counts);
    return status;
}

/* The tensors of a layer that go to the device as they are; those of weights_qkv.c and weights_down.c do not. */
static const struct upload {
    const char *name;
    size_t from, to; /* offsets in struct pv_model_layer and struct pv_layer */
    bool matrix;     /* to a struct pv_tensor, else to a buffer */
} uploads[] = {
#define UPLOAD(from, to, matrix)                                                                             \
    {                                                                                                        \
#from, offsetof(struct pv_model_layer, from), offsetof(struct pv_layer, to), matrix                  \
    }
    UPLOAD(attn_norm, attn_norm, false),
    UPLOAD(attn_norm_bias, attn_norm_bias, false),
    UPLOAD(q_norm, q_norm, false),
    UPLOAD(k_norm, k_norm, false),
    UPLOAD(attn_output, o, true),
    UPLOAD(attn_output_bias, o_bias, false),
    UPLOAD(attn_post_norm, attn_post_norm, false),
    UPLOAD(ffn_norm, ffn_norm, false),
    UPLOAD(ffn_norm_bias, ffn_norm_bias, false),
    UPLOAD(ffn_router, router, true),
    UPLOAD(ffn_up, up, true),
    UPLOAD(ffn_up_bias, up_bias, false),
    UPLOAD(ffn_gate, gate, true),
    UPLOAD(ffn_gate_bias, gate_bias, false),
    UPLOAD(ffn_down_bias, down_bias, false),
    UPLOAD(ffn_post_norm, ffn_post_norm, false),
#undef UPLOAD
};
enum { N_UPLOADS = sizeof uploads / sizeof *uploads };

static const struct pv_gguf_tensor *source(const struct pv_model_layer *layer, const struct upload *u)
{
    return *(const struct pv_gguf_tensor *const *)((const char *)layer + u->from);
}

static struct pv_tensor *matrix_of(struct pv_layer *layer, const struct upload *u)
{
    return (struct pv_tensor *)(void *)((char *)layer + u->to);
}

static struct pv_buffer **vector_of(struct pv_layer *layer, const struct upload *u)
{
    return (struct pv_buffer **)(void *)((char *)layer + u->to);
}

/* One kernel reads up and gate, so they are of one type. */
static enum pv_type device_type(const struct pv_model_layer *l, const struct pv_gguf_tensor *t)
{
    if (t == l->ffn_up && l->ffn_gate)
        return paired_type(t->type, l->ffn_gate->type);
    return t == l->ffn_gate ? paired_type(t->type, l->ffn_up->type) : t->type;
}

static enum pv_status load_layer(struct pv_stage *stage, const struct pv_engine *engine, uint32_t index)
{
    const struct pv_model_layer *m = &engine->model->layers[index];
    struct pv_layer *layer = &stage->layers[index - stage->first_layer];
    for (size_t i = 0; i < N_UPLOADS; i++) {
        const struct upload *u = &uploads[i];
        const struct pv_gguf_tensor *t = source(m, u);
        if (t && u->matrix)
            PV_TRY(upload_matrix_as(stage->device, t, device_type(m, t), matrix_of(layer, u)));
        else if (t)
            PV_TRY(upload_vector(stage->device, t, 1.0f, u->name, vector_of(layer, u)));
    }
    PV_TRY(pv_qkv_upload(stage->device, m, layer));
    PV_TRY(pv_down_upload(stage->device, m->ffn_down, &layer->down_t, &layer->down_norm));
    if (engine->clusters)
        PV_TRY(upload_masks(stage, engine->clusters, index, layer));
    return PV_OK;
}

static void unload_layer(struct pv_layer *layer)
{
    for (size_t i = 0; i < N_UPLOADS; i++) {
        if (uploads[i].matrix)
            pv_tensor_destroy(matrix_of(layer, &uploads[i]));
        else
            pv_buffer_destroy(*vector_of(layer, &uploads[i]));
    }
    pv_qkv_destroy(layer);
    pv_tensor_destroy(&layer->down_t);
    pv_buffer_destroy(layer->down_norm);
    pv_masks_destroy(&layer->masks);
    pv_masks_destroy(&layer->hot);
    *layer = (struct pv_layer){0};
}

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
    uint64_t bytes = pv_rows_bytes(1, n_ffn) +
                     matrix_bytes(pv_down_type(&e->stages[0].device->plan, l->ffn_down->type, d), n_ffn, d) +
                     tensor_bytes(l->attn_q) + tensor_bytes(l->attn_k) + tensor_bytes(l->attn_v) +
                     pv_qkv_bias_bytes(l) + (e->clusters ? mask_bytes(e->clusters, index) : 0);
    for (size_t i = 0; i < N_UPLOADS; i++) {
        const struct pv_gguf_tensor *t = source(l, &uploads[i]);
        if (t)
            bytes += uploads[i].matrix ? matrix_bytes(device_type(l, t), t->dims[1], (uint32_t)t->dims[0])
                                       : pv_rows_bytes(1, (uint32_t)t->dims[0]);
    }
    return bytes;
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

static bool needs_embed(const struct pv_stage *stage, const struct pv_model *model)
{
    return stage->has_embed || (stage->has_output && model->output == model->token_embd);
}

enum pv_status pv_stage_trim(struct pv_stage *stage, const struct pv_engine *engine)
{
    struct pv_layer *layers = pv_calloc(stage->n_layers, sizeof *layers);
    if (!layers)
        return pv_fail(engine->log, PV_ERR_NOMEM, "no memory for %u layers", stage->n_layers);
    for (uint32_t i = 0; i < stage->n_held; i++) {
        const uint32_t at = stage->first_held + i - stage->first_layer; /* wraps below the first */
        if (at < stage->n_layers)
            layers[at] = stage->layers[i];
        else
            unload_layer(&stage->layers[i]);
    }
    free(stage->layers);
    stage->layers = layers;
    stage->first_held = stage->first_layer;
    stage->n_held = stage->n_layers;
    return PV_OK; /* embedding and output stay: a first stage stays the first, a last one the last */
}

static enum pv_status upload_rope_factors(struct pv_stage *stage, const struct pv_engine *e)
{
    const uint32_t n = pv_row_stride(e->hp.rope_dim / 2);
    if (stage->rope_factors)
        return PV_OK;
    float *factors = pv_calloc(n, sizeof *factors);
    if (!factors)
        return pv_fail(e->log, PV_ERR_NOMEM, "no memory for %u rotary factors", n);
    enum pv_status status = PV_OK;
    if (pv_model_rope_factors(e->model, e->n_ctx, factors, &stage->rope_amplitude))
        status = upload_floats(stage->device, factors, n, "rotary factors", &stage->rope_factors);
    free(factors);
    return status;
}

enum pv_status pv_stage_load(struct pv_stage *stage, const struct pv_engine *engine)
{
    const struct pv_model *model = engine->model;
    const bool tied = model->output == model->token_embd;
    if (needs_embed(stage, model) && !stage->token_embd.n_parts)
        PV_TRY(upload_matrix(stage->device, model->token_embd, &stage->token_embd));
    if (stage->has_output && !tied && !stage->output_own.n_parts)
        PV_TRY(upload_matrix(stage->device, model->output, &stage->output_own));
    if (stage->has_output && !stage->output_norm)
        PV_TRY(upload_vector(stage->device, model->output_norm, engine->hp.logit_scale, "output_norm",
                             &stage->output_norm));
    if (stage->has_output && model->output_norm_bias && !stage->output_norm_bias)
        PV_TRY(upload_vector(stage->device, model->output_norm_bias, engine->hp.logit_scale,
                             "output_norm bias", &stage->output_norm_bias));
    PV_TRY(upload_rope_factors(stage, engine));
    stage->output = tied ? &stage->token_embd : &stage->output_own;
    for (uint32_t i = 0; i < stage->n_layers; i++) {
        struct pv_layer *layer = &stage->layers[i];
        if (layer->loaded)
            continue;
        unload_layer(layer); /* what a failure has left of it */
        PV_TRY(load_layer(stage, engine, stage->first_layer + i));
        layer->loaded = true;
    }
    return PV_OK;
}

void pv_stage_unload(struct pv_stage *stage)
{
    for (uint32_t i = 0; i < stage->n_held; i++)
        unload_layer(&stage->layers[i]);
    free(stage->layers);
    stage->layers = NULL;
    stage->n_held = 0;
    pv_tensor_destroy(&stage->token_embd);
    pv_tensor_destroy(&stage->output_own);
    pv_buffer_destroy(stage->output_norm);
    pv_buffer_destroy(stage->output_norm_bias);
    pv_buffer_destroy(stage->rope_factors);
    stage->output_norm = stage->output_norm_bias = stage->rope_factors = NULL;
}
