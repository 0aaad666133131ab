/* Architectures: one row each. A row says how a network differs from llama's; the forward pass reads the
 * switches that it sets in pv_hparams and knows no names. */
#ifndef PV_FORMAT_MODEL_ARCH_H
#define PV_FORMAT_MODEL_ARCH_H

#include "parvin/model.h"

/* What a row may have; the keys and tensors that belong to a feature are read where it is set, and an error
 * where it is not (unless they change nothing). */
enum {
    PV_ARCH_LAYER_NORM = 1,         /* layer norms with bias instead of root-mean-square norms */
    PV_ARCH_NORMS_AFTER = 2,        /* no norm before attention and feed-forward */
    PV_ARCH_POST_NORMS = 4,         /* a norm after each of them, before the residual */
    PV_ARCH_QK_NORM = 8,            /* of each head of q and k */
    PV_ARCH_QK_NORM_ROW = 16,       /* of q and k whole */
    PV_ARCH_SCALES = 32,            /* of embedding, attention, residual and logits, by keys */
    PV_ARCH_SOFTCAP = 64,           /* of attention scores */
    PV_ARCH_FINAL_CAP = 128,        /* of logits */
    PV_ARCH_WINDOW = 256,           /* sliding-window attention */
    PV_ARCH_FUSED = 512,            /* q, k, v in one matrix, gate and up in another */
    PV_ARCH_EMBED_SQRT = 1024,      /* the embedding times sqrt(d) */
    PV_ARCH_EXPERTS = 2048,         /* a mixture of experts, if there are any */
    PV_ARCH_ROUTES_INPUT = 4096,    /* its router sees the layer's input */
    PV_ARCH_FIRST_OF_PERIOD = 8192, /* the layer of each period that differs is its first, not its last */
    /* the window's key says only whether there is one: it is default_window, as in all files published */
    PV_ARCH_FIXED_WINDOW = 16384
};

struct pv_arch {
    const char *name;
    enum pv_act act;
    bool gated;
    enum pv_rope rope;
    uint32_t features;
    /* With a window: every how many layers one sees everything (0: none does), one of each period. */
    uint32_t window_period;
    uint32_t rope_period;          /* one layer of so many has no rotary positions; 0: all have them */
    float windowed_rope_freq_base; /* of layers with a window, where it differs; else 0 */
    uint32_t default_window;       /* where the key is missing */
};
const struct pv_arch *pv_arch_find(const char *name); /* NULL: not known */
/* Sets the switches of the network that need no key. */
void pv_arch_apply(const struct pv_arch *row, struct pv_hparams *hp);
/* The row whose name is most like this one, for a message. */
const struct pv_arch *pv_arch_nearest(const char *name);
uint32_t pv_arch_count(void);
const struct pv_arch *pv_arch_at(uint32_t index); /* index < pv_arch_count() */

#endif
