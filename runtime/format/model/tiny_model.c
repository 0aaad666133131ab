/* Matrices are normal with variance 1 / columns, which keeps activations of order one through the layers. */
#include "format/model/tiny_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/half.h"
#include "base/rng.h"
#include "format/model/arch.h"
#include "format/model/model.h"

enum { MAX_TOKENS = 400, TOKEN_ROOM = 16 };

struct vocab {
    char text[MAX_TOKENS][TOKEN_ROOM];
    const char *texts[MAX_TOKENS];
    int32_t types[MAX_TOKENS];
    float scores[MAX_TOKENS];
    uint32_t n;
};

static void add_token(struct vocab *v, const char *text, int32_t type, float score)
{
    snprintf(v->text[v->n], TOKEN_ROOM, "%s", text);
    v->texts[v->n] = v->text[v->n];
    v->types[v->n] = type;
    v->scores[v->n] = score;
    v->n++;
}

/* Merges in the alphabet's spelling, U+0120 being a space; each makes the token of its two halves. */
static const char *const merges[] = {
    "\u0120 t", "h e", "\u0120 a", "i n",  "\u0120t he",    "r e", "o n",
    "\u0120 w", "a t", "e r",      "n d",  "\u0120a nd",    "o u", "\u0120 s",
    "in g",     "l l", "1 2",      "12 3", "\u00c3 \u00a9", "' s",
};
enum { N_MERGES = sizeof merges / sizeof merges[0] };

/* GPT-2's printable stand-in for a byte, as UTF-8. */
static void byte_text(uint32_t byte, char out[TOKEN_ROOM])
{
    uint32_t c = byte;

    if (byte <= 0x20)
        c = 0x100 + byte;
    else if (byte >= 0x7f && byte <= 0xa0)
        c = 0x121 + byte - 0x7f;
    else if (byte == 0xad)
        c = 0x143;
    if (c < 0x80)
        snprintf(out, TOKEN_ROOM, "%c", (char)c);
    else
        snprintf(out, TOKEN_ROOM, "%c%c", (char)(0xc0 | c >> 6), (char)(0x80 | (c & 0x3f)));
}

static void make_bpe(struct vocab *v, bool small)
{
    char text[TOKEN_ROOM];

    add_token(v, "<|endoftext|>", 3, 0);
    for (uint32_t byte = 0; byte < 256; byte++) {
        if (small &&
            !(byte == ' ' || byte == '\'' || (byte >= '1' && byte <= '3') || (byte >= 'a' && byte <= 'z')))
            continue;
        byte_text(byte, text);
        add_token(v, text, 1, 0);
    }
    for (size_t i = 0; i < N_MERGES; i++) {
        const char *space = strchr(merges[i], ' ');

        snprintf(text, sizeof text, "%.*s%s", (int)(space - merges[i]), merges[i], space + 1);
        add_token(v, text, 1, 0);
    }
    add_token(v, "<|user|>", 4, 0);
}

static void make_spm(struct vocab *v, bool small)
{
    static const char *const pieces[] = {"\u2581t", "he",        "\u2581a", "in",           "\u2581the",
                                         "re",      "on",        "\u2581w", "at",           "er",
                                         "nd",      "\u2581and", "ing",     "\u2581\u2581", "ll"};
    char text[TOKEN_ROOM];

    add_token(v, "<unk>", 2, 0);
    add_token(v, "<s>", 3, 0);
    add_token(v, "</s>", 3, 0);
    for (uint32_t byte = 0; byte < 256 && !small; byte++) {
        snprintf(text, sizeof text, "<0x%02X>", byte);
        add_token(v, text, 6, 0);
    }
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++)
        add_token(v, pieces[i], 1, -(float)i);
    add_token(v, "\u2581", 1, -100.0f);
    for (int c = 'a'; c <= 'z'; c++) {
        snprintf(text, sizeof text, "%c", c);
        add_token(v, text, 1, -100.0f - (float)(c - 'a'));
    }
    add_token(v, "\u00e9", 1, -200.0f);
    add_token(v, "<|user|>", 4, 0);
}

static void add_vocab(struct pv_gguf_writer *w, const struct vocab *v, bool spm, const char *pre)
{
    pv_gguf_add_str(w, "tokenizer.ggml.model", spm ? "llama" : "gpt2");
    pv_gguf_add_str_array(w, "tokenizer.ggml.tokens", v->texts, v->n);
    pv_gguf_add_array(w, "tokenizer.ggml.token_type", PV_GGUF_I32, v->types, v->n);
    if (spm) {
        pv_gguf_add_array(w, "tokenizer.ggml.scores", PV_GGUF_F32, v->scores, v->n);
        pv_gguf_add_u32(w, "tokenizer.ggml.unknown_token_id", 0);
    } else {
        pv_gguf_add_str(w, "tokenizer.ggml.pre", pre);
        pv_gguf_add_str_array(w, "tokenizer.ggml.merges", merges, N_MERGES);
    }
    pv_gguf_add_u32(w, "tokenizer.ggml.bos_token_id", spm ? 1 : 0);
    pv_gguf_add_u32(w, "tokenizer.ggml.eos_token_id", spm ? 2 : 0);
    pv_gguf_add_bool(w, "tokenizer.ggml.add_bos_token", true);
}

/* Everything that lives until the file is written. */
struct tiny {
    struct pv_gguf_writer *w;
    struct pv_tiny_params p;
    const struct pv_arch *arch;
    struct pv_hparams hp; /* as the file will say */
    struct pv_rng rng;
    struct pv_arena arena;
    bool failed;
};

static void add_u32(struct tiny *t, const char *name, uint32_t value)
{
    char key[96];

    snprintf(key, sizeof key, "%s.%s", t->p.arch, name);
    pv_gguf_add_u32(t->w, key, value);
}

static void add_f32(struct tiny *t, const char *name, float value)
{
    char key[96];

    snprintf(key, sizeof key, "%s.%s", t->p.arch, name);
    pv_gguf_add_f32(t->w, key, value);
}

/* Values that show in the logits of so small a model. */
static void add_features(struct tiny *t)
{
    const uint32_t features = t->arch->features;
    char key[96];

    if (features & PV_ARCH_SCALES) {
        add_f32(t, "embedding_scale", 3.0f);
        add_f32(t, "residual_scale", 0.4f);
        add_f32(t, "logit_scale", 2.0f);
        add_f32(t, "attention.scale", 0.2f);
    }
    if (features & PV_ARCH_SOFTCAP)
        add_f32(t, "attn_logit_softcapping", 2.0f);
    if (features & PV_ARCH_FINAL_CAP)
        add_f32(t, "final_logit_softcapping", 1.5f);
    if (features & PV_ARCH_WINDOW)
        add_u32(t, "attention.sliding_window", 5);
    if (t->hp.n_experts > 0) {
        add_u32(t, "expert_count", t->hp.n_experts);
        add_u32(t, "expert_used_count", t->hp.n_experts < 2 ? 1 : 2);
        add_u32(t, "expert_feed_forward_length", t->p.d_ffn);
        add_u32(t, "expert_gating_func", t->p.sigmoid ? 2 : 1);
    }
    if (t->p.rope_scaling) {
        snprintf(key, sizeof key, "%s.rope.scaling.type", t->p.arch);
        pv_gguf_add_str(t->w, key, t->p.rope_scaling);
        add_f32(t, "rope.scaling.factor", 4.0f);
        add_u32(t, "rope.scaling.original_context_length", 16);
    }
}

static void add_hparams(struct tiny *t, uint32_t n_vocab)
{
    pv_gguf_add_str(t->w, "general.architecture", t->p.arch);
    pv_gguf_add_str(t->w, "general.name", t->p.name ? t->p.name : "Tiny");
    add_u32(t, "vocab_size", n_vocab);
    add_u32(t, "context_length", t->p.n_ctx);
    add_u32(t, "embedding_length", t->p.d_model);
    add_u32(t, "block_count", t->p.n_layers);
    add_u32(t, "feed_forward_length", t->p.d_ffn);
    add_u32(t, "attention.head_count", t->p.n_heads);
    add_u32(t, "attention.head_count_kv", t->p.n_kv_heads);
    add_u32(t, "rope.dimension_count", t->p.rope_dim);
    add_f32(t, "rope.freq_base", 10000.0f);
    add_f32(t, t->hp.layer_norm ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon", 1e-5f);
    add_features(t);
}

static enum pv_type type_of(const struct tiny *t, const struct pv_layer_tensor_shape *shape)
{
    if (shape->n_rows == 0)
        return PV_F32;
    return strncmp(shape->name, "ffn_gate.", 9) == 0 && t->p.gate_type != PV_F32 ? t->p.gate_type : t->p.type;
}

/* A random matrix or so many of them; or a random vector in float32, around 1, biases around 0. */
static void add_random(struct tiny *t, int layer, const struct pv_layer_tensor_shape *shape)
{
    const uint32_t n_rows = shape->n_rows, n_cols = shape->n_cols;
    const uint64_t dims[3] = {n_cols, n_rows, shape->n_experts};
    const uint64_t n_all_rows =
        (n_rows != 0 ? n_rows : 1) * (uint64_t)(shape->n_experts ? shape->n_experts : 1);
    const enum pv_type type = type_of(t, shape);
    const uint64_t row_bytes = pv_type_row_bytes(type, n_cols);
    const float center = strstr(shape->name, ".bias") ? 0.0f : 1.0f;
    char full_name[64], *data = pv_arena_alloc(&t->arena, (size_t)n_all_rows, (size_t)row_bytes);
    float *row = pv_arena_alloc(&t->arena, n_cols, sizeof row[0]);

    if (!data || !row || row_bytes == 0) {
        t->failed = true;
        return;
    }
    for (uint64_t i = 0; i < n_all_rows; i++) {
        for (uint32_t j = 0; j < n_cols; j++)
            row[j] = n_rows != 0 ? pv_rng_normal(&t->rng) / sqrtf((float)n_cols)
                                 : center + 0.1f * pv_rng_normal(&t->rng);
        pv_quantize(type, row, data + i * row_bytes, n_cols);
    }
    if (layer < 0)
        snprintf(full_name, sizeof full_name, "%s", shape->name);
    else
        snprintf(full_name, sizeof full_name, "blk.%d.%s", layer, shape->name);
    pv_gguf_add_tensor(t->w, full_name, type, shape->n_experts ? 3 : n_rows != 0 ? 2 : 1, dims, data);
}

static bool is_named(const struct pv_layer_tensor_shape *shape, const char *name)
{
    return strcmp(shape->name, name) == 0;
}

/* What a file with fused matrices has instead of a tensor. False: nothing. */
static bool fuse(const struct tiny *t, struct pv_layer_tensor_shape *shape)
{
    const uint32_t kv = t->hp.n_kv_heads * t->hp.head_dim;

    if (is_named(shape, "attn_q.weight")) {
        shape->name = "attn_qkv.weight";
        shape->n_rows += 2 * kv;
    } else if (is_named(shape, "ffn_up.weight")) {
        shape->n_rows *= 2;
    }
    return !is_named(shape, "attn_k.weight") && !is_named(shape, "attn_v.weight") &&
           !is_named(shape, "ffn_gate.weight");
}

static void add_tensors(struct tiny *t, uint32_t n_vocab)
{
    const uint32_t d = t->p.d_model;
    const struct pv_layer_tensor_shape embedding = {"token_embd.weight", n_vocab, d, 0, false},
                                       norm = {"output_norm.weight", 0, d, 0, false},
                                       norm_bias = {"output_norm.bias", 0, d, 0, true},
                                       output = {"output.weight", n_vocab, d, 0, false};

    add_random(t, -1, &embedding);
    add_random(t, -1, &norm);
    if (t->p.biases && t->hp.layer_norm)
        add_random(t, -1, &norm_bias);
    if (t->p.untied)
        add_random(t, -1, &output);
    for (int i = 0; i < (int)t->p.n_layers; i++)
        for (uint32_t k = 0; k < pv_layer_tensor_count(); k++) {
            struct pv_layer_tensor_shape shape;

            if (!pv_layer_tensor_shape(&t->hp, k, &shape) || (shape.optional && !t->p.biases) ||
                (t->arch->features & PV_ARCH_FUSED && !fuse(t, &shape)))
                continue;
            add_random(t, i, &shape);
        }
}

static uint32_t or_default(uint32_t value, uint32_t fallback)
{
    return value != 0 ? value : fallback;
}

enum pv_status pv_tiny_model_write(const char *path, const struct pv_tiny_params *params)
{
    struct tiny t = {.p = *params};
    struct vocab *vocab = pv_calloc(1, sizeof *vocab);
    const bool spm = params->tokenizer && strcmp(params->tokenizer, "spm") == 0;
    enum pv_status status = PV_ERR_NOMEM;

    t.p.arch = params->arch ? params->arch : "arcee";
    t.p.d_model = or_default(params->d_model, 48);
    t.p.d_ffn = or_default(params->d_ffn, 100);
    t.p.n_layers = or_default(params->n_layers, 2);
    t.p.n_heads = or_default(params->n_heads, 4);
    t.p.n_kv_heads = or_default(params->n_kv_heads, 2);
    t.p.n_ctx = or_default(params->n_ctx, 64);
    t.p.rope_dim = or_default(params->rope_dim, t.p.d_model / t.p.n_heads);
    t.arch = pv_arch_find(t.p.arch);
    if (!t.arch)
        goto fail;
    pv_arch_apply(t.arch, &t.hp);
    t.hp.d_model = t.p.d_model;
    t.hp.n_heads = t.p.n_heads;
    t.hp.n_kv_heads = t.p.n_kv_heads;
    t.hp.head_dim = t.p.d_model / t.p.n_heads;
    t.hp.n_experts = params->n_experts;
    t.hp.d_ffn = t.p.d_ffn * or_default(params->n_experts, 1);
    pv_rng_seed(&t.rng, params->seed != 0 ? params->seed : 1);
    if (!vocab || pv_gguf_writer_create(&t.w) != PV_OK)
        goto fail;
    if (spm)
        make_spm(vocab, params->small_vocab);
    else
        make_bpe(vocab, params->small_vocab);
    add_hparams(&t, vocab->n);
    add_vocab(t.w, vocab, spm, params->pre ? params->pre : "gpt-2");
    add_tensors(&t, vocab->n);
    if (params->extend)
        params->extend(t.w);
    status = t.failed ? PV_ERR_ARG : pv_gguf_write(t.w, path, NULL);
fail:
    pv_gguf_writer_destroy(t.w);
    pv_arena_free(&t.arena);
    free(vocab);
    return status;
}

/* Neurons chosen with probability `density`, ascending; at least one. */
static uint32_t random_list(struct pv_rng *rng, uint32_t d_ffn, double density, uint16_t *out)
{
    uint32_t n = 0;

    for (uint32_t j = 0; j < d_ffn; j++)
        if (pv_rng_double(rng) < density)
            out[n++] = (uint16_t)j;
    if (n == 0)
        out[n++] = (uint16_t)pv_rng_below(rng, d_ffn);
    return n;
}

static void random_rows(struct pv_rng *rng, uint32_t n_rows, uint32_t n_cols, bool positive, uint16_t *out)
{
    for (uint32_t i = 0; i < n_rows; i++)
        for (uint32_t j = 0; j < n_cols; j++) {
            const float x = pv_rng_normal(rng) / sqrtf((float)n_cols);

            out[(size_t)i * n_cols + j] = pv_float_to_half(positive ? fabsf(x) : x);
        }
}

static bool make_layer(struct pv_clusters *c, struct pv_rng *rng, const struct pv_tiny_clusters *params,
                       struct pv_cluster_layer *layer)
{
    const double density = c->info.density;
    const bool centroids = params->centroids;
    const uint32_t n_clusters = c->info.n_clusters, d = c->info.d_model, d_ffn = c->info.d_ffn;
    const uint32_t width = params->rank != 0 ? params->rank : d;
    uint32_t *offset = pv_arena_alloc(&c->arena, n_clusters + 1, sizeof *offset);
    uint16_t *neurons = pv_arena_alloc(&c->arena, (size_t)n_clusters * d_ffn, sizeof *neurons);
    uint16_t *router = pv_arena_alloc(&c->arena, (size_t)n_clusters * width, sizeof *router);
    uint16_t *down_projection =
        params->rank != 0 ? pv_arena_alloc(&c->arena, (size_t)params->rank * d, sizeof *down_projection)
                          : NULL;
    float *bias = pv_arena_alloc(&c->arena, n_clusters, sizeof *bias);
    uint16_t *centers =
        centroids ? pv_arena_alloc(&c->arena, (size_t)n_clusters * d_ffn, sizeof *centers) : NULL;
    uint16_t *hot = pv_arena_alloc(&c->arena, d_ffn, sizeof *hot);

    if (!offset || !neurons || !router || !bias || !hot || (params->rank != 0 && !down_projection) ||
        (centroids && !centers))
        return false;
    for (uint32_t k = 0; k < n_clusters; k++) {
        offset[k + 1] = offset[k] + random_list(rng, d_ffn, density, neurons + offset[k]);
        bias[k] = 0.1f * pv_rng_normal(rng);
    }
    random_rows(rng, n_clusters, width, false, router);
    if (down_projection)
        random_rows(rng, params->rank, d, false, down_projection);
    if (centers)
        random_rows(rng, n_clusters, d_ffn, true, centers);
    *layer = (struct pv_cluster_layer){.offset = offset,
                                       .neurons = neurons,
                                       .router = router,
                                       .router_bias = bias,
                                       .down_projection = down_projection,
                                       .rank = params->rank,
                                       .centroids = centers,
                                       .hot = hot,
                                       .n_hot = random_list(rng, d_ffn, density, hot),
                                       .density = (float)density};
    return true;
}

enum pv_status pv_tiny_clusters_write(const char *path, const struct pv_model *model,
                                      const struct pv_tiny_clusters *params)
{
    const struct pv_hparams *hp = pv_model_hparams(model);
    const double density = params->density > 0 ? params->density : 0.25;
    struct pv_clusters c = {.info = {.n_layers = hp->n_layers,
                                     .n_clusters = params->n_clusters != 0 ? params->n_clusters : 7,
                                     .d_model = hp->d_model,
                                     .d_ffn = hp->d_ffn,
                                     .fingerprint = pv_model_fingerprint(model),
                                     .density = density,
                                     .density_target = density,
                                     .router_accuracy = 0.5,
                                     .n_tokens = 1000,
                                     .seed = params->seed,
                                     .method = "random"}};
    enum pv_status status = PV_OK;
    struct pv_rng rng;

    pv_rng_seed(&rng, params->seed);
    c.layers = pv_arena_alloc(&c.arena, hp->n_layers, sizeof c.layers[0]);
    for (uint32_t i = 0; c.layers && status == PV_OK && i < hp->n_layers; i++)
        if (!make_layer(&c, &rng, params, &c.layers[i]))
            status = PV_ERR_NOMEM;
    if (!c.layers)
        status = PV_ERR_NOMEM;
    if (status == PV_OK)
        status = pv_clusters_write(&c, path, NULL);
    pv_arena_free(&c.arena);
    return status;
}
