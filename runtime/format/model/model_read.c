/* Hyper-parameters first, each checked against a limit before anything is multiplied; then the tensors, each
 * against the shape the hyper-parameters ask for. What the engine would silently compute wrongly (biases,
 * scaled rotary positions, experts) is refused here, by name. */
#include "format/model/model_impl.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"

/* Far above any published model. */
enum {
    MAX_VOCAB = 1 << 24,
    MAX_CTX = 1 << 26,
    MAX_WIDTH = 1 << 18, /* d, F, n_heads * head_dim */
    MAX_LAYERS = 1 << 10,
    MAX_HEADS = 1 << 12,
    MAX_HEAD_DIM = 1 << 12,
};

static const struct arch {
    const char *name;
    enum pv_act act;
    bool gated;
} archs[] = {
    {"arcee", PV_ACT_RELU2, false},
    {"llama", PV_ACT_SILU, true},
};

static bool str_is(struct pv_str s, const char *text)
{
    return s.size_bytes == strlen(text) && memcmp(s.data, text, s.size_bytes) == 0;
}

/* "llama" and "block_count" to "llama.block_count". */
static const char *make_key(const struct pv_model *m, const char *name, char key[96])
{
    snprintf(key, 96, "%.31s.%.60s", m->hp.arch, name);
    return key;
}

/* An integer key in [low, high]; `missing` stands in for a missing key unless it is 0. */
static enum pv_status read_u32(const struct pv_model *m, const char *name, uint32_t low, uint32_t high,
                               uint32_t missing, uint32_t *out)
{
    char key[96];
    uint64_t value;

    make_key(m, name, key);
    if (!pv_gguf_find(&m->gguf, key) && missing != 0) {
        *out = missing;
        return PV_OK;
    }
    if (!pv_gguf_u64(&m->gguf, key, &value)) {
        const struct pv_gguf_kv *kv = pv_gguf_find(&m->gguf, key);

        if (kv && kv->type == PV_GGUF_ARRAY)
            return pv_fail(&m->log, PV_ERR_UNSUPPORTED,
                           "%s: %s differs from layer to layer, which is not supported", m->gguf.path, key);
        return pv_fail(&m->log, PV_ERR_FORMAT, "%s: key %s is missing or no positive integer", m->gguf.path,
                       key);
    }
    if (value < low || value > high)
        return pv_fail(&m->log, PV_ERR_FORMAT, "%s: %s is %" PRIu64 ", not within %" PRIu32 " to %" PRIu32,
                       m->gguf.path, key, value, low, high);
    *out = (uint32_t)value;
    return PV_OK;
}

static enum pv_status read_float(const struct pv_model *m, const char *name, double low, double high,
                                 double missing, float *out)
{
    char key[96];
    double value = missing;

    make_key(m, name, key);
    if (pv_gguf_find(&m->gguf, key) && !pv_gguf_f64(&m->gguf, key, &value))
        return pv_fail(&m->log, PV_ERR_FORMAT, "%s: %s is no number", m->gguf.path, key);
    if (!(value >= low && value <= high))
        return pv_fail(&m->log, PV_ERR_FORMAT, "%s: %s is %g, not within %g to %g", m->gguf.path, key, value,
                       low, high);
    *out = (float)value;
    return PV_OK;
}

static void copy_str(struct pv_str s, char *out, size_t room)
{
    const size_t n = s.size_bytes < room - 1 ? s.size_bytes : room - 1;

    for (size_t i = 0; i < n; i++)
        out[i] = (unsigned char)s.data[i] < 0x20 || s.data[i] == 0x7f ? '?' : s.data[i];
    out[n] = '\0';
}

static enum pv_status read_arch(struct pv_model *m)
{
    struct pv_str arch, name;

    if (!pv_gguf_str(&m->gguf, "general.architecture", &arch))
        return pv_fail(&m->log, PV_ERR_FORMAT, "%s: key general.architecture is missing: this is no model",
                       m->gguf.path);
    copy_str(arch, m->hp.arch, sizeof m->hp.arch);
    if (pv_gguf_str(&m->gguf, "general.name", &name))
        copy_str(name, m->hp.name, sizeof m->hp.name);
    for (size_t i = 0; i < sizeof archs / sizeof archs[0]; i++) {
        if (!str_is(arch, archs[i].name))
            continue;
        m->hp.act = archs[i].act;
        m->hp.gated = archs[i].gated;
        m->hp.rope = PV_ROPE_ADJACENT;
        return PV_OK;
    }
    if (str_is(arch, "parvin-clusters"))
        return pv_fail(&m->log, PV_ERR_UNSUPPORTED,
                       "%s: this is a cluster file, not a model: give it with -c", m->gguf.path);
    return pv_fail(&m->log, PV_ERR_UNSUPPORTED,
                   "%s: architecture \"%s\" is not supported; arcee and llama are", m->gguf.path, m->hp.arch);
}

static enum pv_status set_act(struct pv_model *m, const char *name)
{
    static const struct {
        const char *name;
        enum pv_act act;
    } acts[] = {{"relu", PV_ACT_RELU}, {"relu2", PV_ACT_RELU2}, {"silu", PV_ACT_SILU}, {"gelu", PV_ACT_GELU}};

    if (!name)
        return PV_OK;
    for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++) {
        if (strcmp(acts[i].name, name) == 0) {
            m->hp.act = acts[i].act;
            return PV_OK;
        }
    }
    return pv_fail(&m->log, PV_ERR_ARG, "activation \"%s\" is not known: choose relu, relu2, silu or gelu",
                   name);
}

/* Refuses what these keys would change in the network. */
static enum pv_status check_features(const struct pv_model *m)
{
    static const char *const factors[] = {"rope.scaling.factor", "rope.scale_linear"};
    char key[96];
    struct pv_str scaling;
    double factor;
    uint64_t n_experts, window;

    if (pv_gguf_str(&m->gguf, make_key(m, "rope.scaling.type", key), &scaling) && !str_is(scaling, "none") &&
        !str_is(scaling, "linear"))
        return pv_fail(&m->log, PV_ERR_UNSUPPORTED,
                       "%s: rotary positions scaled by \"%.*s\" are not supported", m->gguf.path,
                       scaling.size_bytes < 32 ? (int)scaling.size_bytes : 32, scaling.data);
    for (size_t i = 0; i < 2; i++)
        if (pv_gguf_f64(&m->gguf, make_key(m, factors[i], key), &factor) && factor != 1.0 && factor != 0.0)
            return pv_fail(&m->log, PV_ERR_UNSUPPORTED,
                           "%s: %s is %g: scaled rotary positions are not supported", m->gguf.path, key,
                           factor);
    if (pv_gguf_u64(&m->gguf, make_key(m, "expert_count", key), &n_experts) && n_experts != 0)
        return pv_fail(&m->log, PV_ERR_UNSUPPORTED,
                       "%s: models with experts (%" PRIu64 " here) are not supported", m->gguf.path,
                       n_experts);
    if (pv_gguf_u64(&m->gguf, make_key(m, "attention.sliding_window", key), &window) && window != 0)
        return pv_fail(&m->log, PV_ERR_UNSUPPORTED, "%s: sliding-window attention is not supported",
                       m->gguf.path);
    return PV_OK;
}

static enum pv_status read_heads(struct pv_model *m)
{
    struct pv_hparams *hp = &m->hp;
    uint32_t value_dim;

    PV_TRY(read_u32(m, "attention.head_count", 1, MAX_HEADS, 0, &hp->n_heads));
    PV_TRY(read_u32(m, "attention.head_count_kv", 1, MAX_HEADS, hp->n_heads, &hp->n_kv_heads));
    if (hp->n_heads % hp->n_kv_heads != 0)
        return pv_fail(&m->log, PV_ERR_FORMAT, "%s: %u heads do not divide into %u key-value heads",
                       m->gguf.path, hp->n_heads, hp->n_kv_heads);
    PV_TRY(read_u32(m, "attention.key_length", 1, MAX_HEAD_DIM,
                    hp->d_model / hp->n_heads != 0 ? hp->d_model / hp->n_heads : MAX_HEAD_DIM + 1,
                    &hp->head_dim));
    PV_TRY(read_u32(m, "attention.value_length", 1, MAX_HEAD_DIM, hp->head_dim, &value_dim));
    if (hp->head_dim > MAX_HEAD_DIM || hp->n_heads * hp->head_dim > MAX_WIDTH)
        return pv_fail(&m->log, PV_ERR_FORMAT,
                       "%s: %u heads of %u elements are not possible with a width of %u", m->gguf.path,
                       hp->n_heads, hp->head_dim, hp->d_model);
    if (value_dim != hp->head_dim)
        return pv_fail(&m->log, PV_ERR_UNSUPPORTED,
                       "%s: values of %u elements beside keys of %u are not supported", m->gguf.path,
                       value_dim, hp->head_dim);
    PV_TRY(read_u32(m, "rope.dimension_count", 1, hp->head_dim, hp->head_dim, &hp->rope_dim));
    if (hp->rope_dim % 2 != 0)
        return pv_fail(&m->log, PV_ERR_FORMAT, "%s: rotary positions over %u elements, an odd number",
                       m->gguf.path, hp->rope_dim);
    return PV_OK;
}

enum pv_status pv_model_read_hparams(struct pv_model *m, const char *ffn_act)
{
    struct pv_hparams *hp = &m->hp;

    PV_TRY(read_arch(m));
    PV_TRY(set_act(m, ffn_act));
    PV_TRY(check_features(m));
    PV_TRY(read_u32(m, "block_count", 1, MAX_LAYERS, 0, &hp->n_layers));
    PV_TRY(read_u32(m, "context_length", 1, MAX_CTX, 0, &hp->n_ctx));
    PV_TRY(read_u32(m, "embedding_length", 1, MAX_WIDTH, 0, &hp->d_model));
    PV_TRY(read_u32(m, "feed_forward_length", 1, MAX_WIDTH, 0, &hp->d_ffn));
    PV_TRY(read_heads(m));
    PV_TRY(read_float(m, "rope.freq_base", 1.0, 1e12, 10000.0, &hp->rope_freq_base));
    PV_TRY(read_float(m, "attention.layer_norm_rms_epsilon", 1e-30, 1.0, 1e-5, &hp->norm_eps));
    return PV_OK;
}

static const struct pv_gguf_tensor *find_tensor(const struct pv_model *m, int32_t layer, const char *name,
                                                char full_name[64])
{
    if (layer < 0)
        snprintf(full_name, 64, "%.48s.weight", name);
    else
        snprintf(full_name, 64, "blk.%d.%.32s.weight", (int)layer, name);
    return pv_gguf_tensor(&m->gguf, full_name);
}

/* A matrix [n_rows][n_cols], or with n_rows 0 a vector [n_cols] of a plain float type. layer -1: of no layer.
 */
static enum pv_status bind(const struct pv_model *m, int32_t layer, const char *name, uint32_t n_rows,
                           uint32_t n_cols, const struct pv_gguf_tensor **out)
{
    char full_name[64], expected[48];
    const struct pv_gguf_tensor *t = find_tensor(m, layer, name, full_name);

    if (n_rows == 0)
        snprintf(expected, sizeof expected, "[%" PRIu32 "]", n_cols);
    else
        snprintf(expected, sizeof expected, "[%" PRIu32 "][%" PRIu32 "]", n_rows, n_cols);
    if (!t)
        return pv_fail(&m->log, PV_ERR_FORMAT, "%s: tensor %s is missing (expected %s)", m->gguf.path,
                       full_name, expected);
    if (!pv_type_is_weight(t->type) || (n_rows == 0 && pv_type_block(t->type) != 1))
        return pv_fail(&m->log, PV_ERR_UNSUPPORTED, "%s: tensor %s is of type %s (expected %s of a %s type)",
                       m->gguf.path, full_name, pv_type_name(t->type), expected,
                       n_rows == 0 ? "float" : "weight");
    if (t->dims[0] != n_cols || t->dims[1] != (n_rows != 0 ? n_rows : 1) || t->dims[2] != 1 ||
        t->dims[3] != 1)
        return pv_fail(&m->log, PV_ERR_FORMAT,
                       "%s: tensor %s is [%" PRIu64 "][%" PRIu64 "][%" PRIu64 "][%" PRIu64 "] (expected %s)",
                       m->gguf.path, full_name, t->dims[3], t->dims[2], t->dims[1], t->dims[0], expected);
    *out = t;
    return PV_OK;
}

static enum pv_status bind_layer(struct pv_model *m, int32_t layer, size_t *n_bound)
{
    const struct pv_hparams *hp = &m->hp;
    struct pv_model_layer *l = &m->layers[layer];
    const uint32_t d = hp->d_model, d_q = hp->n_heads * hp->head_dim, d_kv = hp->n_kv_heads * hp->head_dim;

    PV_TRY(bind(m, layer, "attn_norm", 0, d, &l->attn_norm));
    PV_TRY(bind(m, layer, "attn_q", d_q, d, &l->attn_q));
    PV_TRY(bind(m, layer, "attn_k", d_kv, d, &l->attn_k));
    PV_TRY(bind(m, layer, "attn_v", d_kv, d, &l->attn_v));
    PV_TRY(bind(m, layer, "attn_output", d, d_q, &l->attn_output));
    PV_TRY(bind(m, layer, "ffn_norm", 0, d, &l->ffn_norm));
    PV_TRY(bind(m, layer, "ffn_up", hp->d_ffn, d, &l->ffn_up));
    PV_TRY(bind(m, layer, "ffn_down", d, hp->d_ffn, &l->ffn_down));
    *n_bound += 8;
    if (hp->gated) {
        PV_TRY(bind(m, layer, "ffn_gate", hp->d_ffn, d, &l->ffn_gate));
        ++*n_bound;
    }
    return PV_OK;
}

static bool is_used(const struct pv_model *m, const struct pv_gguf_tensor *t)
{
    if (t == m->token_embd || t == m->output_norm || t == m->output)
        return true;
    for (uint32_t i = 0; i < m->hp.n_layers; i++) {
        const struct pv_model_layer *l = &m->layers[i];

        if (t == l->attn_norm || t == l->attn_q || t == l->attn_k || t == l->attn_v || t == l->attn_output ||
            t == l->ffn_norm || t == l->ffn_up || t == l->ffn_gate || t == l->ffn_down)
            return true;
    }
    return false;
}

/* A tensor that the forward pass would leave out means a network other than the one it computes. */
static enum pv_status refuse_unused(const struct pv_model *m)
{
    for (size_t i = 0; i < m->gguf.n_tensors; i++) {
        const struct pv_gguf_tensor *t = &m->gguf.tensors[i];
        const size_t n = strlen(t->name);

        if (is_used(m, t))
            continue;
        if (n > 5 && strcmp(t->name + n - 5, ".bias") == 0)
            return pv_fail(&m->log, PV_ERR_UNSUPPORTED,
                           "%s: tensor %.200s: models with biases are not supported", m->gguf.path, t->name);
        if (strstr(t->name, "rope_f"))
            return pv_fail(&m->log, PV_ERR_UNSUPPORTED,
                           "%s: tensor %.200s: scaled rotary positions are not supported", m->gguf.path,
                           t->name);
        return pv_fail(&m->log, PV_ERR_UNSUPPORTED,
                       "%s: tensor %.200s is no part of architecture %s as Parvin runs it", m->gguf.path,
                       t->name, m->hp.arch);
    }
    return PV_OK;
}

/* n_vocab is what the embedding has rows for; the tokenizer and the key must agree with it. */
static enum pv_status read_vocab_size(struct pv_model *m)
{
    const struct pv_gguf_tensor *embd = pv_gguf_tensor(&m->gguf, "token_embd.weight");
    uint32_t claimed;

    if (!embd)
        return pv_fail(&m->log, PV_ERR_FORMAT, "%s: tensor token_embd.weight is missing", m->gguf.path);
    if (embd->dims[1] > MAX_VOCAB)
        return pv_fail(&m->log, PV_ERR_FORMAT,
                       "%s: a vocabulary of %" PRIu64 " tokens is over the limit of %d", m->gguf.path,
                       embd->dims[1], MAX_VOCAB);
    m->hp.n_vocab = (uint32_t)embd->dims[1];
    PV_TRY(read_u32(m, "vocab_size", 1, MAX_VOCAB, m->hp.n_vocab, &claimed));
    if (claimed != m->hp.n_vocab)
        return pv_fail(&m->log, PV_ERR_FORMAT, "%s: vocab_size is %u, but token_embd.weight has %u rows",
                       m->gguf.path, claimed, m->hp.n_vocab);
    return PV_OK;
}

enum pv_status pv_model_bind_tensors(struct pv_model *m)
{
    struct pv_hparams *hp = &m->hp;
    size_t n_bound = 2;

    PV_TRY(read_vocab_size(m));
    PV_TRY(bind(m, -1, "token_embd", hp->n_vocab, hp->d_model, &m->token_embd));
    PV_TRY(bind(m, -1, "output_norm", 0, hp->d_model, &m->output_norm));
    m->output = m->token_embd;
    hp->tied_output = !pv_gguf_tensor(&m->gguf, "output.weight");
    if (!hp->tied_output) {
        PV_TRY(bind(m, -1, "output", hp->n_vocab, hp->d_model, &m->output));
        n_bound++;
    }
    if (m->gguf.n_tensors / 8 < hp->n_layers) /* before allocating for them */
        return pv_fail(&m->log, PV_ERR_FORMAT, "%s: %zu tensors are too few for %u layers", m->gguf.path,
                       m->gguf.n_tensors, hp->n_layers);
    m->layers = pv_calloc(hp->n_layers, sizeof m->layers[0]);
    if (!m->layers)
        return pv_fail(&m->log, PV_ERR_NOMEM, "%s: no memory for %u layers", m->gguf.path, hp->n_layers);
    for (uint32_t i = 0; i < hp->n_layers; i++)
        PV_TRY(bind_layer(m, (int32_t)i, &n_bound));
    return n_bound == m->gguf.n_tensors ? PV_OK : refuse_unused(m);
}
