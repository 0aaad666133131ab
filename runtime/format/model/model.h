/* The model description inside the library: hyper-parameters, named tensors, tokenizer. */
#ifndef PV_FORMAT_MODEL_MODEL_H
#define PV_FORMAT_MODEL_MODEL_H

#include "format/gguf/gguf.h"
#include "format/tokenizer/tokenizer.h"
#include "parvin/model.h"

/* Matrices are [n_rows][n_cols] as in the file (n_cols = dims[0]). */
struct pv_model_layer {
    const struct pv_gguf_tensor *attn_norm;       /* [d] */
    const struct pv_gguf_tensor *attn_q;          /* [n_heads*head_dim][d] */
    const struct pv_gguf_tensor *attn_k, *attn_v; /* [n_kv_heads*head_dim][d] */
    const struct pv_gguf_tensor *attn_output;     /* [d][n_heads*head_dim] */
    const struct pv_gguf_tensor *ffn_norm;        /* [d] */
    const struct pv_gguf_tensor *ffn_up;          /* [F][d] */
    const struct pv_gguf_tensor *ffn_gate;        /* [F][d]; NULL if ungated */
    const struct pv_gguf_tensor *ffn_down;        /* [d][F] */
};
struct pv_model {
    struct pv_gguf gguf;
    struct pv_hparams hp;
    struct pv_log log;
    const struct pv_gguf_tensor *token_embd;  /* [n_vocab][d] */
    const struct pv_gguf_tensor *output_norm; /* [d] */
    const struct pv_gguf_tensor *output;      /* [n_vocab][d]; == token_embd when tied */
    struct pv_model_layer *layers;            /* [n_layers], all shapes and types checked */
    struct pv_tokenizer *tokenizer;
};
/* pv_model_open over memory the caller keeps (fuzzing, tests). */
PV_MUST_USE enum pv_status pv_model_parse(const void *data, size_t size_bytes,
                                          const struct pv_model_params *params, struct pv_model **out);

#endif
