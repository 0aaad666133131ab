/* Writes tiny random models and cluster files, for conformance on machines without a model and for tests
 * without a download. Deterministic for a seed. */
#ifndef PV_FORMAT_MODEL_TINY_MODEL_H
#define PV_FORMAT_MODEL_TINY_MODEL_H

#include "format/clusters/cluster_file.h"
#include "format/gguf/types.h"

/* Zero in a field means the default. Sizes are odd by default, so that kernels meet remainders. */
struct pv_tiny_params {
    const char *arch;      /* a name of the table of architectures; "arcee" */
    const char *name;      /* general.name; "Tiny" */
    const char *tokenizer; /* "bpe" (default) or "spm" */
    enum pv_type
        type; /* of all matrices; PV_F32 by default; quantised ones need d_model and d_ffn in blocks */
    enum pv_type gate_type;   /* of ffn_gate; PV_F32: as all others */
    uint32_t d_model;         /* 48 */
    uint32_t d_ffn;           /* 100 */
    uint32_t n_layers;        /* 2 */
    uint32_t n_heads;         /* 4 */
    uint32_t n_kv_heads;      /* 2 */
    uint32_t n_ctx;           /* 64 */
    uint32_t rope_dim;        /* d_model / n_heads */
    const char *rope_scaling; /* rope.scaling.type, by 4 beyond 16 tokens; NULL: none */
    uint32_t n_experts;       /* of d_ffn neurons each, two for a token; 0: none */
    bool sigmoid;             /* experts are weighed by sigmoids */
    bool biases;              /* with all tensors that the architecture may have */
    uint64_t seed;            /* 1 */
    bool untied;              /* with an output matrix of its own */
    bool small_vocab;         /* letters and a few pieces instead of all bytes: a file of a few kilobytes */
    const char *pre;          /* tokenizer.ggml.pre; "gpt-2" */
    void (*extend)(struct pv_gguf_writer *w); /* adds further keys and tensors; NULL: none */
};
PV_MUST_USE enum pv_status pv_tiny_model_write(const char *path, const struct pv_tiny_params *params);

struct pv_tiny_clusters {
    uint32_t n_clusters; /* 7 */
    uint32_t rank;       /* of the router; 0: not of low rank */
    double density;      /* of the masks, about; 0.25 */
    bool centroids;      /* of unit length */
    uint64_t seed;
};
/* A valid cluster file for an open model, all random. */
PV_MUST_USE enum pv_status pv_tiny_clusters_write(const char *path, const struct pv_model *model,
                                                  const struct pv_tiny_clusters *params);

#endif
