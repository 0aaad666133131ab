/* The tensors of a model, by one table: a row says a tensor's field, name, shape and when it is there. */
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "format/model/model_impl.h"

static const int max_vocab = 1 << 24; /* far above any published model */

enum size { VECTOR, WIDTH, QUERIES, KEYS, HEAD, NEURONS, EXPERT_COUNT, Q_NORM, K_NORM };
/* GATED, GATED_EXPERTS: with a gate */
enum need { ALWAYS, PRE_NORMS, LAYER_NORM, POST_NORMS, QK_NORM, DENSE, GATED, EXPERTS, GATED_EXPERTS };

static const struct row {
    size_t field; /* offset in struct pv_model_layer */
    const char *name;
    enum size n_rows, n_cols;
    enum need need;
    bool optional; /* may be missing where it is allowed */
} table[] = {
#define TENSOR(field_, ...)                                                                                  \
    {                                                                                                        \
        offsetof(struct pv_model_layer, field_), __VA_ARGS__                                                 \
    }
    TENSOR(attn_norm, "attn_norm.weight", VECTOR, WIDTH, PRE_NORMS, false),
    TENSOR(attn_norm_bias, "attn_norm.bias", VECTOR, WIDTH, LAYER_NORM, true),
    TENSOR(attn_q, "attn_q.weight", QUERIES, WIDTH, ALWAYS, false),
    TENSOR(attn_q_bias, "attn_q.bias", VECTOR, QUERIES, ALWAYS, true),
    TENSOR(attn_k, "attn_k.weight", KEYS, WIDTH, ALWAYS, false),
    TENSOR(attn_k_bias, "attn_k.bias", VECTOR, KEYS, ALWAYS, true),
    TENSOR(attn_v, "attn_v.weight", KEYS, WIDTH, ALWAYS, false),
    TENSOR(attn_v_bias, "attn_v.bias", VECTOR, KEYS, ALWAYS, true),
    TENSOR(q_norm, "attn_q_norm.weight", VECTOR, Q_NORM, QK_NORM, false),
    TENSOR(k_norm, "attn_k_norm.weight", VECTOR, K_NORM, QK_NORM, false),
    TENSOR(attn_output, "attn_output.weight", WIDTH, QUERIES, ALWAYS, false),
    TENSOR(attn_output_bias, "attn_output.bias", VECTOR, WIDTH, ALWAYS, true),
    TENSOR(attn_post_norm, "post_attention_norm.weight", VECTOR, WIDTH, POST_NORMS, false),
    TENSOR(ffn_norm, "ffn_norm.weight", VECTOR, WIDTH, PRE_NORMS, false),
    TENSOR(ffn_norm_bias, "ffn_norm.bias", VECTOR, WIDTH, LAYER_NORM, true),
    TENSOR(ffn_router, "ffn_gate_inp.weight", EXPERT_COUNT, WIDTH, EXPERTS, false),
    TENSOR(ffn_up, "ffn_up_exps.weight", NEURONS, WIDTH, EXPERTS, false),
    TENSOR(ffn_gate, "ffn_gate_exps.weight", NEURONS, WIDTH, GATED_EXPERTS, false),
    TENSOR(ffn_down, "ffn_down_exps.weight", WIDTH, NEURONS, EXPERTS, false),
    TENSOR(ffn_up, "ffn_up.weight", NEURONS, WIDTH, DENSE, false),
    TENSOR(ffn_up_bias, "ffn_up.bias", VECTOR, NEURONS, DENSE, true),
    TENSOR(ffn_gate, "ffn_gate.weight", NEURONS, WIDTH, GATED, false),
    TENSOR(ffn_gate_bias, "ffn_gate.bias", VECTOR, NEURONS, GATED, true),
    TENSOR(ffn_down, "ffn_down.weight", WIDTH, NEURONS, DENSE, false),
    TENSOR(ffn_down_bias, "ffn_down.bias", VECTOR, WIDTH, DENSE, true),
    TENSOR(ffn_post_norm, "post_ffw_norm.weight", VECTOR, WIDTH, POST_NORMS, false),
#undef TENSOR
};
enum { N_ROWS = sizeof table / sizeof *table };

static uint32_t size_of(const struct pv_hparams *hp, enum size size)
{
    const uint32_t q = hp->n_heads * hp->head_dim, kv = hp->n_kv_heads * hp->head_dim;
    const bool whole = hp->qk_norm == PV_QK_NORM_ROW;
    const uint32_t sizes[] = {[VECTOR] = 0,
                              [WIDTH] = hp->d_model,
                              [QUERIES] = q,
                              [KEYS] = kv,
                              [HEAD] = hp->head_dim,
                              [NEURONS] = hp->n_experts ? hp->d_ffn / hp->n_experts : hp->d_ffn,
                              [EXPERT_COUNT] = hp->n_experts,
                              [Q_NORM] = whole ? q : hp->head_dim,
                              [K_NORM] = whole ? kv : hp->head_dim};
    return sizes[size];
}

static bool is_allowed(const struct pv_hparams *hp, enum need need)
{
    const bool experts = hp->n_experts > 0;
    const bool allowed[] = {[ALWAYS] = true,
                            [DENSE] = !experts,
                            [GATED] = hp->gated && !experts,
                            [EXPERTS] = experts,
                            [GATED_EXPERTS] = hp->gated && experts,
                            [PRE_NORMS] = !hp->norms_after,
                            [LAYER_NORM] = hp->layer_norm,
                            [POST_NORMS] = hp->post_norms,
                            [QK_NORM] = hp->qk_norm != PV_QK_NORM_NONE};
    return allowed[need];
}

uint32_t pv_layer_tensor_count(void)
{
    return N_ROWS;
}

bool pv_layer_tensor_shape(const struct pv_hparams *hp, uint32_t index, struct pv_layer_tensor_shape *out)
{
    const struct row *row = &table[index];
    *out = (struct pv_layer_tensor_shape){
        .name = row->name,
        .n_rows = size_of(hp, row->n_rows),
        .n_cols = size_of(hp, row->n_cols),
        .n_experts = row->n_rows == NEURONS || row->n_cols == NEURONS ? hp->n_experts : 0,
        .optional = row->optional};
    return is_allowed(hp, row->need);
}

/* ---- binding ---- */

/* Tensors found so far; what is left over at the end is refused. */
struct binder {
    struct pv_model *m;
    bool *used; /* [n_tensors] of the file */
};

static const struct pv_gguf_tensor *take(struct binder *b, const char *name)
{
    const struct pv_gguf_tensor *t = pv_gguf_tensor(&b->m->gguf, name);
    if (t)
        b->used[t - b->m->gguf.tensors] = true;
    return t;
}

/* A matrix [n_rows][n_cols], or n_experts of them, or with n_rows 0 a vector [n_cols] of a plain float type. */
static enum pv_status check_shape(const struct pv_model *m, const struct pv_gguf_tensor *t, const char *name,
                                  const struct pv_layer_tensor_shape *shape)
{
    const uint32_t n_rows = shape->n_rows, n_cols = shape->n_cols, n_experts = shape->n_experts;
    char expected[48];
    if (n_rows == 0)
        snprintf(expected, sizeof expected, "[%" PRIu32 "]", n_cols);
    else if (n_experts)
        snprintf(expected, sizeof expected, "[%" PRIu32 "][%" PRIu32 "][%" PRIu32 "]", n_experts, n_rows,
                 n_cols);
    else
        snprintf(expected, sizeof expected, "[%" PRIu32 "][%" PRIu32 "]", n_rows, n_cols);
    if (!t)
        return pv_fail(&m->log, PV_ERR_FORMAT, "%s: tensor %s is missing (expected %s)", m->gguf.path, name,
                       expected);
    if (!pv_type_is_weight(t->type) || (n_rows == 0 && pv_type_block(t->type) != 1))
        return pv_fail(&m->log, PV_ERR_UNSUPPORTED, "%s: tensor %s is of type %s (expected %s of a %s type)",
                       m->gguf.path, name, pv_type_name(t->type), expected, n_rows == 0 ? "float" : "weight");
    if (t->dims[0] != n_cols || t->dims[1] != (n_rows != 0 ? n_rows : 1) ||
        t->dims[2] != (n_experts != 0 ? n_experts : 1) || t->dims[3] != 1)
        return pv_fail(&m->log, PV_ERR_FORMAT,
                       "%s: tensor %s is [%" PRIu64 "][%" PRIu64 "][%" PRIu64 "][%" PRIu64 "] (expected %s)",
                       m->gguf.path, name, t->dims[3], t->dims[2], t->dims[1], t->dims[0], expected);
    return PV_OK;
}

static enum pv_status bind(struct binder *b, const char *name, uint32_t n_rows, uint32_t n_cols,
                           const struct pv_gguf_tensor **out)
{
    const struct pv_layer_tensor_shape shape = {.n_rows = n_rows, .n_cols = n_cols};
    *out = take(b, name);
    return check_shape(b->m, *out, name, &shape);
}

static enum pv_status bind_optional(struct binder *b, const char *name, uint32_t n_cols,
                                    const struct pv_gguf_tensor **out)
{
    *out = NULL;
    return pv_gguf_tensor(&b->m->gguf, name) ? bind(b, name, 0, n_cols, out) : PV_OK;
}

/* Rows [first, first + n_rows) of a tensor as one of its own. */
static enum pv_status cut_rows(struct pv_model *m, const struct pv_gguf_tensor *t, uint32_t first,
                               uint32_t n_rows, const struct pv_gguf_tensor **out)
{
    struct pv_gguf_tensor *view = pv_arena_alloc(&m->gguf.arena, 1, sizeof *view);
    if (!view)
        return pv_fail(&m->log, PV_ERR_NOMEM, "%s: no memory for the parts of tensor %s", m->gguf.path,
                       t->name);
    const uint64_t row_bytes = pv_type_row_bytes(t->type, t->dims[0]);
    *view = *t;
    view->dims[1] = n_rows;
    view->dims[2] = 1;
    view->data += first * row_bytes;
    view->size_bytes = n_rows * row_bytes;
    *out = view;
    return PV_OK;
}

/* The matrices of all experts. Where rows are neurons they become those of one matrix; ffn_down's columns are. */
static enum pv_status bind_experts(struct binder *b, const char *name,
                                   const struct pv_layer_tensor_shape *shape, bool by_row,
                                   const struct pv_gguf_tensor **out)
{
    const struct pv_gguf_tensor *t = take(b, name);
    PV_TRY(check_shape(b->m, t, name, shape));
    *out = t;
    return by_row ? cut_rows(b->m, t, 0, shape->n_rows * shape->n_experts, out) : PV_OK;
}

/* q, k and v in one matrix; gate and up in another. */
static enum pv_status bind_fused(struct binder *b, uint32_t layer)
{
    const struct pv_hparams *hp = &b->m->hp;
    struct pv_model_layer *l = &b->m->layers[layer];
    const uint32_t q = hp->n_heads * hp->head_dim, kv = hp->n_kv_heads * hp->head_dim;
    const struct pv_gguf_tensor *t = NULL;
    char name[64];
    snprintf(name, sizeof name, "blk.%" PRIu32 ".attn_qkv.weight", layer);
    if (pv_gguf_tensor(&b->m->gguf, name)) {
        PV_TRY(bind(b, name, q + 2 * kv, hp->d_model, &t));
        PV_TRY(cut_rows(b->m, t, 0, q, &l->attn_q));
        PV_TRY(cut_rows(b->m, t, q, kv, &l->attn_k));
        PV_TRY(cut_rows(b->m, t, q + kv, kv, &l->attn_v));
    }
    snprintf(name, sizeof name, "blk.%" PRIu32 ".ffn_gate.weight", layer);
    if (!pv_gguf_tensor(&b->m->gguf, name)) {
        snprintf(name, sizeof name, "blk.%" PRIu32 ".ffn_up.weight", layer);
        PV_TRY(bind(b, name, 2 * hp->d_ffn, hp->d_model, &t));
        PV_TRY(cut_rows(b->m, t, 0, hp->d_ffn, &l->ffn_gate));
        PV_TRY(cut_rows(b->m, t, hp->d_ffn, hp->d_ffn, &l->ffn_up));
    }
    return PV_OK;
}

static enum pv_status bind_layer(struct binder *b, uint32_t layer)
{
    for (uint32_t i = 0; i < N_ROWS; i++) {
        const struct pv_gguf_tensor **field =
            (const struct pv_gguf_tensor **)((char *)&b->m->layers[layer] + table[i].field);
        struct pv_layer_tensor_shape shape;
        char name[64];
        if (!pv_layer_tensor_shape(&b->m->hp, i, &shape) || *field)
            continue;
        snprintf(name, sizeof name, "blk.%" PRIu32 ".%s", layer, shape.name);
        PV_TRY(shape.n_experts  ? bind_experts(b, name, &shape, table[i].n_rows == NEURONS, field)
               : shape.optional ? bind_optional(b, name, shape.n_cols, field)
                                : bind(b, name, shape.n_rows, shape.n_cols, field));
    }
    return PV_OK;
}

/* A tensor that the forward pass would leave out means a network other than the one it computes. */
static enum pv_status refuse_unused(const struct binder *b)
{
    const struct pv_model *m = b->m;
    for (size_t i = 0; i < m->gguf.n_tensors; i++)
        if (!b->used[i])
            return pv_fail(&m->log, PV_ERR_UNSUPPORTED,
                           "%s: tensor %.200s is not part of architecture %s as Parvin runs it", m->gguf.path,
                           m->gguf.tensors[i].name, m->hp.arch);
    return PV_OK;
}

/* n_vocab is what the embedding has rows for; the tokenizer and the key must agree with it. */
static enum pv_status read_vocab_size(struct pv_model *m)
{
    const struct pv_gguf_tensor *embd = pv_gguf_tensor(&m->gguf, "token_embd.weight");
    char key[96];
    uint64_t claimed;
    if (!embd)
        return pv_fail(&m->log, PV_ERR_FORMAT, "%s: tensor token_embd.weight is missing", m->gguf.path);
    if (embd->dims[1] > (uint64_t)max_vocab)
        return pv_fail(&m->log, PV_ERR_FORMAT,
                       "%s: a vocabulary of %" PRIu64 " tokens is over the limit of %d", m->gguf.path,
                       embd->dims[1], max_vocab);
    m->hp.n_vocab = (uint32_t)embd->dims[1];
    snprintf(key, sizeof key, "%.31s.vocab_size", m->hp.arch);
    if (pv_gguf_u64(&m->gguf, key, &claimed) && claimed != m->hp.n_vocab)
        return pv_fail(&m->log, PV_ERR_FORMAT,
                       "%s: vocab_size is %" PRIu64 ", but token_embd.weight has %u rows", m->gguf.path,
                       claimed, m->hp.n_vocab);
    return PV_OK;
}

/* A list that rotary frequencies are divided by. */
static enum pv_status bind_factors(struct binder *b, const char *name, const struct pv_gguf_tensor **out)
{
    const struct pv_model *m = b->m;
    const uint32_t n = m->hp.rope_dim / 2;
    PV_TRY(bind_optional(b, name, n, out));
    for (uint32_t i = 0; *out && i < n; i++) {
        float factor;
        pv_dequantize((*out)->type, (*out)->data + i * pv_type_block_bytes((*out)->type), &factor, 1);
        if (!(factor > 0.0f && factor < INFINITY))
            return pv_fail(&m->log, PV_ERR_FORMAT, "%s: tensor %s: factor %" PRIu32 " is %g, not above 0",
                           m->gguf.path, name, i, (double)factor);
    }
    return PV_OK;
}

static enum pv_status bind_all(struct binder *b)
{
    struct pv_model *m = b->m;
    struct pv_hparams *hp = &m->hp;
    PV_TRY(bind(b, "token_embd.weight", hp->n_vocab, hp->d_model, &m->token_embd));
    PV_TRY(bind(b, "output_norm.weight", 0, hp->d_model, &m->output_norm));
    if (hp->layer_norm)
        PV_TRY(bind_optional(b, "output_norm.bias", hp->d_model, &m->output_norm_bias));
    m->output = m->token_embd;
    hp->tied_output = !pv_gguf_tensor(&m->gguf, "output.weight");
    if (!hp->tied_output)
        PV_TRY(bind(b, "output.weight", hp->n_vocab, hp->d_model, &m->output));
    PV_TRY(bind_factors(b, "rope_freqs.weight", &m->rope_freqs));
    PV_TRY(bind_factors(b, "rope_factors_long.weight", &m->rope_long));
    PV_TRY(bind_factors(b, "rope_factors_short.weight", &m->rope_short));
    if ((m->rope_long != NULL) != (m->rope_short != NULL))
        return pv_fail(&m->log, PV_ERR_FORMAT,
                       "%s: of rope_factors_long and rope_factors_short one is missing", m->gguf.path);
    if ((m->gguf.n_tensors - 2) / 6 < hp->n_layers) /* before allocating for them */
        return pv_fail(&m->log, PV_ERR_FORMAT, "%s: %zu tensors are too few for %u layers", m->gguf.path,
                       m->gguf.n_tensors, hp->n_layers);
    m->layers = pv_calloc(hp->n_layers, sizeof m->layers[0]);
    if (!m->layers)
        return pv_fail(&m->log, PV_ERR_NOMEM, "%s: no memory for %u layers", m->gguf.path, hp->n_layers);
    for (uint32_t i = 0; i < hp->n_layers; i++) {
        if (pv_arch_find(hp->arch)->features & PV_ARCH_FUSED)
            PV_TRY(bind_fused(b, i));
        PV_TRY(bind_layer(b, i));
    }
    return refuse_unused(b);
}

enum pv_status pv_model_bind_tensors(struct pv_model *m)
{
    PV_TRY(read_vocab_size(m));
    struct binder b = {.m = m, .used = pv_calloc(m->gguf.n_tensors + 1, sizeof *b.used)};
    if (!b.used)
        return pv_fail(&m->log, PV_ERR_NOMEM, "%s: no memory for %zu tensors", m->gguf.path,
                       m->gguf.n_tensors);
    const enum pv_status status = bind_all(&b);
    free(b.used);
    return status;
}
