/* The model description inside the library: hyper-parameters, named tensors, tokenizer. */
#ifndef PV_FORMAT_MODEL_MODEL_H
#define PV_FORMAT_MODEL_MODEL_H

#include "format/gguf/gguf.h"
#include "format/tokenizer/tokenizer.h"
#include "parvin/model.h"

/* Matrices are [n_rows][n_cols] as in the file (n_cols = dims[0]). What is optional is NULL where the file or
 * the architecture has none. tensors.c has the table of names and shapes. */
struct pv_model_layer {
    const struct pv_gguf_tensor *attn_norm, *attn_norm_bias; /* [d]; none if norms_after */
    const struct pv_gguf_tensor *attn_q, *attn_q_bias;       /* [n_heads*head_dim][d], [n_heads*head_dim] */
    const struct pv_gguf_tensor *attn_k, *attn_k_bias;       /* [n_kv_heads*head_dim][d] and its bias */
    const struct pv_gguf_tensor *attn_v, *attn_v_bias;
    const struct pv_gguf_tensor *q_norm, *k_norm; /* [head_dim] or of the whole row, by qk_norm */
    const struct pv_gguf_tensor *attn_output, *attn_output_bias; /* [d][n_heads*head_dim], [d] */
    const struct pv_gguf_tensor *attn_post_norm;                 /* [d], if post_norms */
    const struct pv_gguf_tensor *ffn_norm, *ffn_norm_bias;       /* [d]; none if norms_after */
    const struct pv_gguf_tensor *ffn_router;                     /* [n_experts][d]; NULL without experts */
    /* Of experts F is all of them: up and gate lie expert after expert, down is [n_experts][d][F / n_experts]. */
    const struct pv_gguf_tensor *ffn_up, *ffn_up_bias;     /* [F][d], [F] */
    const struct pv_gguf_tensor *ffn_gate, *ffn_gate_bias; /* [F][d], [F]; NULL if ungated */
    const struct pv_gguf_tensor *ffn_down, *ffn_down_bias; /* [d][F], [d] */
    const struct pv_gguf_tensor *ffn_post_norm;            /* [d], if post_norms */
};
struct pv_model {
    struct pv_gguf gguf;
    struct pv_hparams hp;
    struct pv_log log;
    const struct pv_gguf_tensor *token_embd;                     /* [n_vocab][d] */
    const struct pv_gguf_tensor *output_norm, *output_norm_bias; /* [d]; the bias may be NULL */
    const struct pv_gguf_tensor *output;                         /* [n_vocab][d]; == token_embd when tied */
    /* [rope_dim / 2] what frequencies are divided by, or NULL: of any context, of one that is longer than
     * rope_scaling.original_ctx, of others */
    const struct pv_gguf_tensor *rope_freqs, *rope_long, *rope_short;
    struct pv_model_layer *layers; /* [n_layers], all shapes and types checked */
    struct pv_tokenizer *tokenizer;
};
/* The tensors that a layer has: row `index` of the table. False: not under these hyper-parameters. */
struct pv_layer_tensor_shape {
    const char *name;        /* "attn_q.weight" */
    uint32_t n_rows, n_cols; /* n_rows 0: a vector */
    uint32_t n_experts;      /* so many of them in one tensor; 0: of all experts, or there are none */
    bool optional;           /* may be missing */
};
uint32_t pv_layer_tensor_count(void);
bool pv_layer_tensor_shape(const struct pv_hparams *hp, uint32_t index, struct pv_layer_tensor_shape *out);
/* Neurons of a layer that a token computes without masks. */
static inline uint32_t pv_dense_neurons(const struct pv_hparams *hp)
{
    return hp->n_experts > 0 ? hp->d_ffn / hp->n_experts * hp->n_experts_used : hp->d_ffn;
}
/* What differs from layer to layer. */
struct pv_layer_traits {
    uint32_t window; /* 0: sees everything */
    bool rope;
    bool windowed_rope; /* with hp->windowed_rope_freq_base */
};
struct pv_layer_traits pv_layer_traits(const struct pv_hparams *hp, uint32_t layer);
/* Fills factors [rope_dim / 2], what a context of n_ctx tokens divides the frequencies of layers without
 * windowed_rope by, and the amplitude. False: both are 1 throughout. */
bool pv_model_rope_factors(const struct pv_model *model, uint32_t n_ctx, float *factors, float *amplitude);
/* pv_model_open over memory the caller keeps (fuzzing, tests). */
PV_MUST_USE enum pv_status pv_model_parse(const void *data, size_t size_bytes,
                                          const struct pv_model_params *params, struct pv_model **out);

#endif
