/* Masks of one layer on the device, twice: as neuron lists for decode (read in order, no bit tests) and as
 * bit rows for batches. */
#include <stdlib.h>

#include "base/bits.h"
#include "base/log.h"
#include "base/mem.h"
#include "kernel/call.h"

/* Host images of the three tables. */
struct tables {
    struct pv_cluster_entry *entries; /* [K] */
    uint32_t *neurons, *bits;         /* [n_words], [K][ceil(F/32)] */
    size_t n_words, bit_words;
};

static enum pv_status fill(const struct pv_log *log, uint32_t n_clusters, uint32_t d_ffn,
                           const uint16_t *const *lists, const uint32_t *counts, struct tables *t)
{
    size_t at = 0;
    for (uint32_t k = 0; k < n_clusters; k++) {
        t->entries[k] = (struct pv_cluster_entry){.n_neurons = counts[k], .list_offset = (uint32_t)at};
        for (uint32_t i = 0; i < counts[k]; i++) {
            const uint32_t j = lists[k][i];
            if (j >= d_ffn)
                return pv_fail(log, PV_ERR_ARG, "masks: neuron %u in cluster %u of a layer of %u", j, k,
                               d_ffn);
            t->neurons[at + i] = j;
            pv_bit_set(t->bits + k * t->bit_words, j);
        }
        at += pv_row_stride(counts[k]);
    }
    return PV_OK;
}

static enum pv_status upload(struct pv_device *device, const void *data, size_t n, size_t size,
                             const char *name, struct pv_buffer **out)
{
    PV_TRY(pv_buffer_create(device, n * size, PV_MEM_DEVICE, name, out));
    return pv_buffer_write(*out, 0, data, n * size);
}

enum pv_status pv_masks_create_lists(struct pv_device *device, uint32_t n_clusters, uint32_t d_ffn,
                                     const uint16_t *const *lists, const uint32_t *counts,
                                     struct pv_masks *out)
{
    enum pv_status status = PV_OK;
    struct tables t = {.bit_words = pv_bit_words(d_ffn)};
    *out = (struct pv_masks){.n_clusters = n_clusters};
    if (n_clusters == 0 || d_ffn == 0)
        return pv_fail(device->log, PV_ERR_ARG, "masks: %u clusters of %u neurons", n_clusters, d_ffn);
    for (uint32_t k = 0; k < n_clusters; k++) {
        if (counts[k] > d_ffn)
            return pv_fail(device->log, PV_ERR_ARG, "masks: cluster %u lists %u of %u neurons", k, counts[k],
                           d_ffn);
        t.n_words += pv_row_stride(counts[k]);
        out->max_neurons = counts[k] > out->max_neurons ? counts[k] : out->max_neurons;
    }
    if (t.n_words > UINT32_MAX)
        return pv_fail(device->log, PV_ERR_UNSUPPORTED, "masks: %zu neurons in all lists", t.n_words);
    t.n_words = t.n_words ? t.n_words : 4; /* empty lists still need something to bind */
    t.entries = pv_calloc(n_clusters, sizeof *t.entries);
    t.neurons = pv_calloc(t.n_words, sizeof *t.neurons);
    t.bits = pv_calloc(n_clusters * t.bit_words, sizeof *t.bits);
    if (!t.entries || !t.neurons || !t.bits) {
        status = pv_fail(device->log, PV_ERR_NOMEM, "no memory for %u masks", n_clusters);
        goto fail;
    }
    PV_TRY_GOTO(fill(device->log, n_clusters, d_ffn, lists, counts, &t));
    PV_TRY_GOTO(upload(device, t.entries, n_clusters, sizeof *t.entries, "mask entries", &out->entries));
    PV_TRY_GOTO(upload(device, t.neurons, t.n_words, sizeof *t.neurons, "mask neurons", &out->neurons));
    PV_TRY_GOTO(upload(device, t.bits, n_clusters * t.bit_words, sizeof *t.bits, "mask bits", &out->bits));
fail:
    free(t.entries);
    free(t.neurons);
    free(t.bits);
    if (status != PV_OK)
        pv_masks_destroy(out);
    return status;
}

enum pv_status pv_masks_create_router(struct pv_device *device, const struct pv_router_weights *weights,
                                      struct pv_masks *masks)
{
    const uint32_t d = weights->d_model, width = weights->down_projection ? weights->rank : d;
    if (weights->down_projection) {
        PV_TRY(pv_tensor_create(device, PV_F16, width, d, "router's first matrix", &masks->down_projection));
        PV_TRY(pv_tensor_upload(&masks->down_projection, weights->down_projection));
    }
    PV_TRY(pv_tensor_create(device, PV_F16, masks->n_clusters, width, "router", &masks->router));
    PV_TRY(pv_tensor_upload(&masks->router, weights->weight));
    return upload(device, weights->bias, masks->n_clusters, sizeof *weights->bias, "router bias",
                  &masks->router_bias);
}

void pv_masks_destroy(struct pv_masks *masks)
{
    pv_tensor_destroy(&masks->router);
    pv_tensor_destroy(&masks->down_projection);
    pv_buffer_destroy(masks->router_bias);
    pv_buffer_destroy(masks->entries);
    pv_buffer_destroy(masks->neurons);
    pv_buffer_destroy(masks->bits);
    *masks = (struct pv_masks){0};
}
