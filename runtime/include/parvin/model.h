/* A GGUF language model on the host: hyper-parameters, tensors (memory-mapped, read-only) and tokenizer.
 *
 * Thread-safety: a model is immutable after pv_model_open and may be shared between threads. The file must
 * not be changed while the model is open (it is mapped, not copied). */
#ifndef PARVIN_MODEL_H
#define PARVIN_MODEL_H

#include <stddef.h>
#include <stdint.h>
#include "parvin/status.h"

PV_API_BEGIN

struct pv_model;

/* DRELU: gated, with a ReLU of the gate and of up. */
enum pv_act { PV_ACT_RELU2, PV_ACT_RELU, PV_ACT_SILU, PV_ACT_GELU, PV_ACT_DRELU };
/* True if the activation of a negative number is exactly zero, so that leaving the neuron out loses nothing. */
bool pv_act_makes_zeros(enum pv_act act);
enum pv_rope { PV_ROPE_ADJACENT, PV_ROPE_NEOX };
/* How a mixture's router weighs the experts it has chosen: the softmax of their scores, or their sigmoids by the sum. */
enum pv_gating { PV_GATING_SOFTMAX, PV_GATING_SIGMOID };
/* Norms of q and k: none, of each head, of the whole row. */
enum pv_qk_norm { PV_QK_NORM_NONE, PV_QK_NORM_HEAD, PV_QK_NORM_ROW };

/* Rotary positions beyond the context a model was first trained with. */
struct pv_rope_scaling {
    /* frequencies are divided by it; 1: none */
    float factor;
    /* 1: only the low frequencies are (YaRN), 0: all */
    float yarn;
    /* YaRN: turns within the original context, above and below which all or none is */
    float fast, slow;
    /* factor on what is rotated, without YaRN's own; 1: none */
    float amplitude;
    /* the original context, tokens */
    uint32_t original_ctx;
};

struct pv_model_params {
    struct pv_log log;
    /* NULL: as the architecture says; "relu", "relu2", "silu", "gelu" override it */
    const char *ffn_act;
    /* How BPE vocabularies cut text into words; NULL: as the file says. Names as in tokenizer.ggml.pre: "gpt-2",
     * "llama-bpe", "qwen2", ... Needed for a file that names one Parvin does not know. */
    const char *pre;
    /* Tokenizer alone: of tensors and hyper-parameters only n_vocab is read. For vocabulary-only files, and to
     * encode text without loading a model. */
    bool vocab_only;
};

/* The numbers that define the network. All sizes in elements. */
struct pv_hparams {
    char arch[32];
    char name[128];
    uint32_t n_vocab;
    /* trained context length, tokens */
    uint32_t n_ctx;
    /* d */
    uint32_t d_model;
    /* L */
    uint32_t n_layers;
    uint32_t n_heads, n_kv_heads, head_dim;
    /* F, neurons a layer, of all its experts */
    uint32_t d_ffn;
    /* Mixtures: a layer's neurons lie expert after expert, and a token computes those of n_experts_used; 0: no experts */
    uint32_t n_experts, n_experts_used;
    enum pv_gating gating;
    /* experts are chosen by the layer's input, before attention, not by the feed-forward input */
    bool routes_input;
    uint32_t rope_dim;
    float rope_freq_base;
    float norm_eps;
    enum pv_rope rope;
    enum pv_act act;
    /* a = phi(W_gate z) * (W_up z) instead of phi(W_up z) */
    bool gated;
    /* the output matrix is token_embd */
    bool tied_output;
    /* norms are layer norms, not root-mean-square norms */
    bool layer_norm;
    /* no norm before attention and feed-forward */
    bool norms_after;
    /* a norm after each of them, before the residual */
    bool post_norms;
    enum pv_qk_norm qk_norm;
    /* 1: none */
    float embed_scale, residual_scale, logit_scale;
    /* of q k */
    float attn_scale;
    /* 0: none */
    float attn_softcap, logit_softcap;
    /* positions that windowed layers see; 0: no layer has one */
    uint32_t window;
    /* one layer of so many sees everything; 0: none does */
    uint32_t window_period;
    /* one layer of so many has no rotary positions; 0: all have them */
    uint32_t rope_period;
    /* that layer is the first of them, not the last */
    bool first_of_period;
    /* rope_freq_base of windowed layers, unscaled; 0: as the others */
    float windowed_rope_freq_base;
    struct pv_rope_scaling rope_scaling;
};

PV_MUST_USE enum pv_status pv_model_open(const char *path, const struct pv_model_params *params,
                                         struct pv_model **out);
void pv_model_close(struct pv_model *model);

/* The path of the open model or cluster file whose mapped bytes hold `address`, or NULL. For a SIGBUS handler:
 * reading a file that was cut short after it was opened raises that signal. Async-signal-safe. */
const char *pv_mapped_file(const void *address);

const struct pv_hparams *pv_model_hparams(const struct pv_model *model);
const char *pv_model_path(const struct pv_model *model);
/* Total bytes of tensor data in the file. */
uint64_t pv_model_weight_bytes(const struct pv_model *model);
uint64_t pv_model_n_params(const struct pv_model *model);
/* Hash of the feed-forward weights; ties a cluster file to them. Every call reads all of these weights:
 * keep the result. */
uint64_t pv_model_fingerprint(const struct pv_model *model);
/* Number of tensors and key-values, and a text dump of them through `line` (used by `parvin info`). */
void pv_model_describe(const struct pv_model *model, void (*line)(void *user, const char *text), void *user);

/* Tokenizer. Token ids are in [0, n_vocab). */
struct pv_encode_params {
    /* prepend the BOS token if the model has one; not where the text begins with it */
    bool add_bos;
    /* treat text such as <|endoftext|> as the special token */
    bool parse_special;
};
/* Encodes `n_bytes` of UTF-8 (invalid bytes are encoded byte by byte: every input has an encoding). `*out` is
 * malloc'ed, owned by the caller (free). An empty text gives no tokens (or BOS alone). */
PV_MUST_USE enum pv_status pv_encode(const struct pv_model *model, const char *text, size_t n_bytes,
                                     const struct pv_encode_params *params, uint32_t **out, size_t *n_out);
/* The bytes of one token as they appear in running text (not NUL-terminated by contract, but *out is valid as
 * long as the model). Special tokens give their name if `special`, else nothing. Returns the number of
 * bytes. */
size_t pv_token_bytes(const struct pv_model *model, uint32_t token, bool special, const char **out);
/* Decodes tokens to malloc'ed bytes, NUL-terminated for convenience; the caller frees. Exact inverse of
 * pv_encode without BOS and special tokens, except that SentencePiece vocabularies use U+2581 for a space and
 * give back a space for it. `*n_out` may be NULL. */
PV_MUST_USE enum pv_status pv_decode(const struct pv_model *model, const uint32_t *tokens, size_t n,
                                     char **out, size_t *n_out);
/* Special ids; UINT32_MAX where the model has none. */
uint32_t pv_token_bos(const struct pv_model *model);
uint32_t pv_token_eos(const struct pv_model *model);
/* True if the token ends a text or a turn: the end of sequence, turn or message by the file's own keys, or a
 * special token with a name that models use for one (<|eot_id|>, <|im_end|>, <end_of_turn>, <|end|>, </s>,
 * ...). Generation stops there. */
bool pv_token_is_end(const struct pv_model *model, uint32_t token);
/* True if the model asks for BOS at the start of a prompt. */
bool pv_model_wants_bos(const struct pv_model *model);

PV_API_END

#endif
