/* The matrices of queries, keys and values are multiplied with the same rows. Those that follow each other in one type
 * lie in one matrix, so that one product makes them all. In Q4_K_M files values often have a type of their own. */
#include "infer/load/weights_qkv.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"

enum { N_MATRICES = 3 };

struct sources {
    const struct pv_gguf_tensor *matrix[N_MATRICES], *bias[N_MATRICES]; /* a bias may be NULL */
};

static struct sources sources_of(const struct pv_model_layer *m)
{
    return (struct sources){{m->attn_q, m->attn_k, m->attn_v},
                            {m->attn_q_bias, m->attn_k_bias, m->attn_v_bias}};
}

static uint32_t n_outputs(const struct sources *s)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < N_MATRICES; i++)
        n += (uint32_t)s->matrix[i]->dims[1];
    return n;
}

static bool has_bias(const struct sources *s)
{
    return s->bias[0] || s->bias[1] || s->bias[2];
}

uint64_t pv_qkv_bias_bytes(const struct pv_model_layer *model)
{
    const struct sources s = sources_of(model);
    return has_bias(&s) ? pv_rows_bytes(1, n_outputs(&s)) : 0;
}

/* Matrices first to end - 1 as one. */
static enum pv_status upload_joined(struct pv_device *device, const struct sources *s, uint32_t first,
                                    uint32_t end, struct pv_tensor *out)
{
    const struct pv_gguf_tensor *t = s->matrix[first];
    struct pv_gguf_rows pieces[N_MATRICES];
    uint32_t n_rows = 0;
    for (uint32_t i = first; i < end; i++) {
        pieces[i - first] = (struct pv_gguf_rows){s->matrix[i]->data, (uint32_t)s->matrix[i]->dims[1]};
        n_rows += pieces[i - first].n_rows;
    }
    PV_TRY(pv_tensor_create(device, t->type, n_rows, (uint32_t)t->dims[0], t->name, out));
    return pv_tensor_upload_joined(out, pieces, end - first);
}

static enum pv_status upload_bias(struct pv_device *device, const struct sources *s, struct pv_buffer **out)
{
    const uint32_t n = n_outputs(s);
    float *values = pv_calloc(pv_row_stride(n), sizeof *values);
    if (!values)
        return pv_fail(device->log, PV_ERR_NOMEM, "no memory for %u values of '%s'", n, s->matrix[0]->name);
    for (uint32_t i = 0, at = 0; i < N_MATRICES; at += (uint32_t)s->matrix[i++]->dims[1])
        if (s->bias[i])
            pv_dequantize(s->bias[i]->type, s->bias[i]->data, values + at, (size_t)s->bias[i]->dims[0]);
    enum pv_status status = pv_buffer_create(device, pv_rows_bytes(1, n), PV_MEM_DEVICE, "qkv bias", out);
    if (status == PV_OK)
        status = pv_buffer_write(*out, 0, values, pv_rows_bytes(1, n));
    free(values);
    return status;
}

enum pv_status pv_qkv_upload(struct pv_device *device, const struct pv_model_layer *model,
                             struct pv_layer *layer)
{
    const struct sources s = sources_of(model);
    uint32_t end;
    for (uint32_t first = 0; first < N_MATRICES; first = end) {
        end = first + 1;
        while (end < N_MATRICES && s.matrix[end]->type == s.matrix[first]->type)
            end++;
        PV_TRY(upload_joined(device, &s, first, end, &layer->qkv[first]));
    }
    return has_bias(&s) ? upload_bias(device, &s, &layer->qkv_bias) : PV_OK;
}

void pv_qkv_destroy(struct pv_layer *layer)
{
    for (uint32_t i = 0; i < N_MATRICES; i++)
        pv_tensor_destroy(&layer->qkv[i]);
    pv_buffer_destroy(layer->qkv_bias);
    layer->qkv_bias = NULL;
}
