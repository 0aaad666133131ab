/* Hyper-parameters, each checked against a limit before anything is multiplied. Every key of the architecture
 * must be one that is read here, or one that is known to change nothing: what the engine would silently
 * compute wrongly is refused by name. */
#include "format/model/model_impl.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "base/utf8.h"

/* Far above any published model. */
enum {
    MAX_CTX = 1 << 26,
    MAX_WIDTH = 1 << 18, /* d, F, n_heads * head_dim */
    MAX_LAYERS = 1 << 10,
    MAX_HEADS = 1 << 12,
    MAX_HEAD_DIM = 1 << 12,
    MAX_EXPERTS = 1 << 12,
    MAX_EXPERTS_USED = 64, /* what the kernel that chooses has room for */
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
        return pv_fail(&m->log, PV_ERR_FORMAT, "%s: %s is not a number", m->gguf.path, key);
    if (!(value >= low && value <= high))
        return pv_fail(&m->log, PV_ERR_FORMAT, "%s: %s is %g, not within %g to %g", m->gguf.path, key, value,
                       low, high);
    *out = (float)value;
    return PV_OK;
}

static void copy_str(struct pv_str s, char *out, size_t room)
{
    const size_t n = s.size_bytes < room - 1 ? s.size_bytes : room - 1;

    memcpy(out, s.data, n);
    out[n] = '\0';
    pv_utf8_clean(out);
}

static enum pv_status read_arch(struct pv_model *m)
{
    struct pv_str arch, name;

    if (!pv_gguf_str(&m->gguf, "general.architecture", &arch))
        return pv_fail(&m->log, PV_ERR_FORMAT, "%s: key general.architecture is missing: this is not a model",
                       m->gguf.path);
    copy_str(arch, m->hp.arch, sizeof m->hp.arch);
    if (pv_gguf_str(&m->gguf, "general.name", &name))
        copy_str(name, m->hp.name, sizeof m->hp.name);
    if (str_is(arch, "parvin-clusters"))
        return pv_fail(&m->log, PV_ERR_UNSUPPORTED,
                       "%s: this is a cluster file, not a model: give the model it was made for",
                       m->gguf.path);
    const struct pv_arch *row = pv_arch_find(m->hp.arch);
    if (!row)
        return pv_fail(&m->log, PV_ERR_UNSUPPORTED,
                       "%s: architecture \"%s\" is not supported; the nearest that is: %s", m->gguf.path,
                       m->hp.arch, pv_arch_nearest(m->hp.arch)->name);
    pv_arch_apply(row, &m->hp);
    return PV_OK;
}

/* The first five are for callers, all are names that files use. */
enum { N_OWN_ACTS = 5 };
static const struct act_name {
    const char *name;
    enum pv_act act;
} act_names[] = {
    {"relu", PV_ACT_RELU},      {"relu2", PV_ACT_RELU2},
    {"silu", PV_ACT_SILU},      {"gelu", PV_ACT_GELU},
    {"drelu", PV_ACT_DRELU},    {"relu_squared", PV_ACT_RELU2},
    {"swish", PV_ACT_SILU},     {"gelu_new", PV_ACT_GELU},
    {"gelu_fast", PV_ACT_GELU}, {"gelu_pytorch_tanh", PV_ACT_GELU},
};

/* Families of models that were trained with ReLU, whose files say nothing of it and whose architecture takes SiLU
 * otherwise: what their names have in them, in small letters without anything between. */
static const struct relu_family {
    const char *name;
    enum pv_act act;
} relu_families[] = {{"prosparse", PV_ACT_RELU},   {"relullama", PV_ACT_RELU}, {"sparsellm", PV_ACT_RELU},
                     {"sparsellama", PV_ACT_RELU}, {"bamboo", PV_ACT_DRELU},   {"turbosparse", PV_ACT_DRELU}};

static const struct relu_family *relu_family_of(const char *name)
{
    char plain[128] = "";
    size_t n = 0;

    for (; *name != '\0' && n < sizeof plain - 1; name++) {
        if (isalnum((unsigned char)*name))
            plain[n++] = (char)tolower((unsigned char)*name);
    }
    for (size_t i = 0; i < sizeof relu_families / sizeof relu_families[0]; i++) {
        if (strstr(plain, relu_families[i].name))
            return &relu_families[i];
    }
    return NULL;
}

/* The caller's word on the activation, else the file's own, else what the model's name says. */
static enum pv_status read_act(struct pv_model *m, const char *ffn_act)
{
    char key[96];
    struct pv_str name = {.data = ffn_act, .size_bytes = ffn_act ? strlen(ffn_act) : 0};
    if (!ffn_act && !pv_gguf_str(&m->gguf, make_key(m, "hidden_activation", key), &name)) {
        const struct relu_family *family = relu_family_of(m->hp.name);
        if (m->hp.act == PV_ACT_SILU && family) {
            m->hp.act = family->act;
            pv_warn(
                &m->log,
                "%s: the file does not say its activation; \"%s\" is known for %s, which is used (ffn_act overrides it)",
                m->gguf.path, m->hp.name,
                family->act == PV_ACT_RELU ? "ReLU" : "ReLU of gate and up (drelu)");
        }
        return PV_OK;
    }
    for (size_t i = 0; i < (ffn_act ? N_OWN_ACTS : sizeof act_names / sizeof act_names[0]); i++) {
        if (str_is(name, act_names[i].name)) {
            m->hp.act = act_names[i].act;
            return PV_OK;
        }
    }
    return pv_fail(&m->log, ffn_act ? PV_ERR_ARG : PV_ERR_UNSUPPORTED,
                   "activation \"%.*s\" is not known: choose relu, relu2, drelu, silu or gelu",
                   name.size_bytes < 32 ? (int)name.size_bytes : 32, name.data);
}

/* Keys that change the result, the feature that reads them and the value that changes nothing. */
static const struct feature_key {
    const char *name;
    uint32_t feature; /* 0: none does */
    double neutral;
} feature_keys[] = {
    {"attention.causal", 0, 1.0},
    {"attn_logit_softcapping", PV_ARCH_SOFTCAP, 0.0},
    {"final_logit_softcapping", PV_ARCH_FINAL_CAP, 0.0},
    {"attention.scale", PV_ARCH_SCALES, 0.0},
    {"embedding_scale", PV_ARCH_SCALES, 1.0},
    {"residual_scale", PV_ARCH_SCALES, 1.0},
    {"logit_scale", PV_ARCH_SCALES, 1.0},
    {"attention.sliding_window", PV_ARCH_WINDOW, 0.0},
    {"attention.sliding_window_pattern", PV_ARCH_WINDOW, 0.0},
    {"rope.freq_base_swa", PV_ARCH_WINDOW, 0.0},
    {"attention.clamp_kqv", 0, 0.0},
    {"attention.max_alibi_bias", 0, 0.0},
    {"attention.temperature_scale", 0, 0.0},
    {"rope.scaling.yarn_log_multiplier", 0, 0.0},
    {"use_parallel_residual", 0, 0.0},
    {"expert_count", PV_ARCH_EXPERTS, 0.0},
    {"expert_weights_norm", 0, 1.0},
    {"expert_weights_scale", 0, 1.0},
    {"expert_shared_count", 0, 0.0},
    {"expert_shared_feed_forward_length", 0, 0.0},
    {"leading_dense_block_count", 0, 0.0},
    {"nextn_predict_layers", 0, 0.0},
};

/* Keys that are read elsewhere or say nothing about the result. */
static const char *const plain_keys[] = {
    "context_length",
    "embedding_length",
    "block_count",
    "feed_forward_length",
    "vocab_size",
    "hidden_activation",
    "tensor_data_layout",
    "pooling_type",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.layer_norm_epsilon",
    "attention.layer_norm_rms_epsilon",
    "expert_used_count",
    "expert_feed_forward_length",
    "expert_gating_func",
    "rope.dimension_count",
    "rope.freq_base",
    "rope.scale_linear",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scaling.original_context_length",
    "rope.scaling.finetuned",
    "rope.scaling.attn_factor",
    "rope.scaling.yarn_ext_factor",
    "rope.scaling.yarn_attn_factor",
    "rope.scaling.yarn_beta_fast",
    "rope.scaling.yarn_beta_slow",
};

static enum pv_status check_key(const struct pv_model *m, const struct pv_gguf_kv *kv, const char *name)
{
    const uint32_t features = pv_arch_find(m->hp.arch)->features;
    double value = NAN;
    bool truth = false;
    for (size_t i = 0; i < sizeof plain_keys / sizeof plain_keys[0]; i++)
        if (strcmp(name, plain_keys[i]) == 0)
            return PV_OK;
    for (size_t i = 0; i < sizeof feature_keys / sizeof feature_keys[0]; i++) {
        const struct feature_key *f = &feature_keys[i];
        if (strcmp(name, f->name) != 0)
            continue;
        if (f->feature & features)
            return PV_OK;
        if (pv_gguf_bool(&m->gguf, kv->key, &truth))
            value = truth ? 1.0 : 0.0;
        else
            (void)pv_gguf_f64(&m->gguf, kv->key, &value);
        if (value == f->neutral)
            return PV_OK;
        return pv_fail(&m->log, PV_ERR_UNSUPPORTED,
                       "%s: %s is %g, which changes the result and is not supported in architecture %s",
                       m->gguf.path, kv->key, value, m->hp.arch);
    }
    return pv_fail(&m->log, PV_ERR_UNSUPPORTED,
                   "%s: key %.80s is not known; it may change the result, so the model is not run",
                   m->gguf.path, kv->key);
}

/* A key of the architecture that nobody reads must change nothing. */
static enum pv_status check_keys(const struct pv_model *m)
{
    const size_t n = strlen(m->hp.arch);
    for (size_t i = 0; i < m->gguf.n_kv; i++) {
        const struct pv_gguf_kv *kv = &m->gguf.kv[i];
        if (strncmp(kv->key, m->hp.arch, n) == 0 && kv->key[n] == '.')
            PV_TRY(check_key(m, kv, kv->key + n + 1));
    }
    return PV_OK;
}

/* Rotary positions of a context longer than the first. */
static enum pv_status read_rope_scaling(struct pv_model *m)
{
    struct pv_rope_scaling *s = &m->hp.rope_scaling;
    char key[96];
    struct pv_str type = {.data = "linear", .size_bytes = 6};
    float linear = 0.0f, attn_factor = 1.0f;

    (void)pv_gguf_str(&m->gguf, make_key(m, "rope.scaling.type", key), &type);
    PV_TRY(read_float(m, "rope.scale_linear", 0.0, 1e6, 0.0, &linear));
    PV_TRY(read_float(m, "rope.scaling.factor", 0.0, 1e6, (double)linear, &s->factor));
    PV_TRY(read_u32(m, "rope.scaling.original_context_length", 1, MAX_CTX, m->hp.n_ctx, &s->original_ctx));
    PV_TRY(read_float(m, "rope.scaling.attn_factor", 1e-3, 1e3, 1.0, &s->amplitude));
    PV_TRY(read_float(m, "rope.scaling.yarn_attn_factor", 1e-3, 1e3, 1.0, &attn_factor));
    PV_TRY(read_float(m, "rope.scaling.yarn_beta_fast", 1e-3, 1e6, 32.0, &s->fast));
    PV_TRY(read_float(m, "rope.scaling.yarn_beta_slow", 1e-3, 1e6, 1.0, &s->slow));
    PV_TRY(read_float(m, "rope.scaling.yarn_ext_factor", -1.0, 1.0, -1.0, &s->yarn));
    s->amplitude *= attn_factor;
    if (str_is(type, "none") || str_is(type, "longrope") || s->factor == 0.0f)
        s->factor = 1.0f;
    if (!str_is(type, "yarn"))
        s->yarn = 0.0f;
    else if (s->yarn < 0.0f)
        s->yarn = 1.0f;
    if (str_is(type, "none") || str_is(type, "linear") || str_is(type, "longrope") || str_is(type, "yarn"))
        return PV_OK;
    return pv_fail(&m->log, PV_ERR_UNSUPPORTED, "%s: rotary positions scaled by \"%.*s\" are not supported",
                   m->gguf.path, type.size_bytes < 32 ? (int)type.size_bytes : 32, type.data);
}

/* Scales and caps of the architectures that have them. */
static enum pv_status read_scales(struct pv_model *m)
{
    struct pv_hparams *hp = &m->hp;
    const uint32_t features = pv_arch_find(hp->arch)->features;
    const double sqrt_d = sqrt((double)hp->d_model), head = 1.0 / sqrt((double)hp->head_dim);

    hp->embed_scale = features & PV_ARCH_EMBED_SQRT ? (float)sqrt_d : 1.0f;
    hp->residual_scale = hp->logit_scale = 1.0f;
    hp->attn_scale = (float)head;
    if (features & PV_ARCH_SCALES) {
        float divisor = 1.0f;
        PV_TRY(read_float(m, "embedding_scale", 1e-6, 1e6, 1.0, &hp->embed_scale));
        PV_TRY(read_float(m, "residual_scale", 1e-6, 1e6, 1.0, &hp->residual_scale));
        PV_TRY(read_float(m, "logit_scale", 1e-6, 1e6, 1.0, &divisor));
        PV_TRY(read_float(m, "attention.scale", 1e-6, 1e6, head, &hp->attn_scale));
        hp->logit_scale = 1.0f / divisor;
    }
    if (features & PV_ARCH_SOFTCAP)
        PV_TRY(read_float(m, "attn_logit_softcapping", 0.0, 1e6, 50.0, &hp->attn_softcap));
    if (features & PV_ARCH_FINAL_CAP)
        PV_TRY(read_float(m, "final_logit_softcapping", 0.0, 1e6, features & PV_ARCH_SOFTCAP ? 30.0 : 0.0,
                          &hp->logit_softcap));
    return PV_OK;
}

static enum pv_status read_window(struct pv_model *m)
{
    const struct pv_arch *row = pv_arch_find(m->hp.arch);
    struct pv_hparams *hp = &m->hp;
    char key[96];
    const bool fixed = row->features & PV_ARCH_FIXED_WINDOW;
    uint64_t window = fixed ? 0 : row->default_window;

    if (!(row->features & PV_ARCH_WINDOW))
        return PV_OK;
    if (pv_gguf_find(&m->gguf, make_key(m, "attention.sliding_window", key)) &&
        !pv_gguf_u64(&m->gguf, key, &window))
        return pv_fail(&m->log, PV_ERR_UNSUPPORTED, "%s: %s is not a single number", m->gguf.path, key);
    if (fixed && window > 0)
        window = row->default_window;
    hp->window = window < MAX_CTX ? (uint32_t)window : 0; /* a window that large shows everything */
    if (pv_gguf_find(&m->gguf, make_key(m, "attention.sliding_window_pattern", key)))
        PV_TRY(read_u32(m, "attention.sliding_window_pattern", 1, MAX_LAYERS, 0, &hp->window_period));
    /* Layers without rotary positions are those without a window among others. The runtime that the golden logits come from
     * rotates all layers where a model has just as many as a period. */
    if (hp->window == 0 || hp->rope_period == hp->n_layers)
        hp->rope_period = 0;
    if (hp->windowed_rope_freq_base > 0.0f)
        PV_TRY(read_float(m, "rope.freq_base_swa", 1.0, 1e12, (double)hp->windowed_rope_freq_base,
                          &hp->windowed_rope_freq_base));
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

/* Experts, whose neurons are counted together. */
static enum pv_status read_experts(struct pv_model *m)
{
    struct pv_hparams *hp = &m->hp;
    char key[96];
    uint64_t n = 0;
    uint32_t n_neurons, gating;

    if (!(pv_arch_find(hp->arch)->features & PV_ARCH_EXPERTS) ||
        (pv_gguf_u64(&m->gguf, make_key(m, "expert_count", key), &n) && n == 0) ||
        !pv_gguf_find(&m->gguf, key))
        return PV_OK;
    PV_TRY(read_u32(m, "expert_count", 1, MAX_EXPERTS, 0, &hp->n_experts));
    PV_TRY(read_u32(m, "expert_used_count", 1,
                    hp->n_experts < MAX_EXPERTS_USED ? hp->n_experts : MAX_EXPERTS_USED, 0,
                    &hp->n_experts_used));
    PV_TRY(read_u32(m, "expert_feed_forward_length", 1, MAX_WIDTH, hp->d_ffn, &n_neurons));
    PV_TRY(
        read_u32(m, "expert_gating_func", 1, 3, 1, &gating)); /* 1, 3: softmax of all, of the chosen ones */
    hp->gating = gating == 2 ? PV_GATING_SIGMOID : PV_GATING_SOFTMAX;
    if (n_neurons > MAX_WIDTH / hp->n_experts)
        return pv_fail(&m->log, PV_ERR_UNSUPPORTED,
                       "%s: %u experts of %u neurons are more than the %d neurons that a layer may have",
                       m->gguf.path, hp->n_experts, n_neurons, (int)MAX_WIDTH);
    hp->d_ffn = hp->n_experts * n_neurons;
    return PV_OK;
}

enum pv_status pv_model_read_hparams(struct pv_model *m, const char *ffn_act)
{
    struct pv_hparams *hp = &m->hp;

    PV_TRY(read_arch(m));
    PV_TRY(read_act(m, ffn_act));
    PV_TRY(read_u32(m, "block_count", 1, MAX_LAYERS, 0, &hp->n_layers));
    PV_TRY(read_u32(m, "context_length", 1, MAX_CTX, 0, &hp->n_ctx));
    PV_TRY(read_u32(m, "embedding_length", 1, MAX_WIDTH, 0, &hp->d_model));
    PV_TRY(read_u32(m, "feed_forward_length", 1, MAX_WIDTH, 0, &hp->d_ffn));
    PV_TRY(read_experts(m));
    PV_TRY(read_heads(m));
    PV_TRY(read_float(m, "rope.freq_base", 1.0, 1e12, 10000.0, &hp->rope_freq_base));
    PV_TRY(read_float(m, hp->layer_norm ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon",
                      1e-30, 1.0, 1e-5, &hp->norm_eps));
    PV_TRY(read_rope_scaling(m));
    PV_TRY(read_window(m));
    PV_TRY(read_scales(m));
    return check_keys(m);
}
