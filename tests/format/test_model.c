#include "format/model/model.h"

#include <stdlib.h>
#include <string.h>
#include "harness.h"
#include "tiny_model.h"

/* Opens a tiny model whose file is already gone (the map stays). */
static enum pv_status open_tiny(const struct pv_tiny_params *tiny, const struct pv_model_params *params,
                                struct pv_model **out)
{
    char path[PV_TEST_PATH_ROOM];
    enum pv_status status;

    pv_test_temp("model.gguf", path);
    ck_assert_int_eq(pv_tiny_model_write(path, tiny), PV_OK);
    status = pv_model_open(path, params, out);
    remove(path);
    return status;
}

START_TEST(an_ungated_model_opens)
{
    struct pv_model *m;
    const struct pv_hparams *hp;

    ck_assert_int_eq(open_tiny(&(struct pv_tiny_params){0}, NULL, &m), PV_OK);
    hp = pv_model_hparams(m);
    ck_assert_str_eq(hp->arch, "arcee");
    ck_assert_str_eq(hp->name, "Tiny");
    ck_assert(hp->d_model == 48 && hp->d_ffn == 100 && hp->n_layers == 2 && hp->n_ctx == 64);
    ck_assert(hp->n_heads == 4 && hp->n_kv_heads == 2 && hp->head_dim == 12 && hp->rope_dim == 12);
    ck_assert(!hp->gated && hp->act == PV_ACT_RELU2 && hp->tied_output && hp->rope == PV_ROPE_ADJACENT);
    ck_assert_float_eq(hp->rope_freq_base, 10000.0f);
    ck_assert_float_eq(hp->norm_eps, 1e-5f);
    ck_assert_ptr_eq(m->output, m->token_embd);
    ck_assert_ptr_null(m->layers[1].ffn_gate);
    ck_assert_uint_eq(m->layers[1].ffn_down->dims[0], 100);
    ck_assert_uint_eq(pv_model_n_params(m), (uint64_t)hp->n_vocab * 48 + 48 +
                                                2 * (2 * 48 + 2 * 48 * 48 + 2 * 24 * 48 + 2 * 100 * 48));
    ck_assert_uint_eq(pv_model_weight_bytes(m), pv_model_n_params(m) * 4);
    ck_assert(pv_model_wants_bos(m) && pv_token_bos(m) == 0 && pv_token_eos(m) == 0);
    pv_model_close(m);
    pv_model_close(NULL);
}
END_TEST

START_TEST(a_gated_model_opens)
{
    struct pv_model *m;
    const struct pv_hparams *hp;

    ck_assert_int_eq(
        open_tiny(&(struct pv_tiny_params){.arch = "llama", .tokenizer = "spm", .untied = true}, NULL, &m),
        PV_OK);
    hp = pv_model_hparams(m);
    ck_assert(hp->gated && hp->act == PV_ACT_SILU && !hp->tied_output);
    ck_assert_ptr_ne(m->output, m->token_embd);
    ck_assert_ptr_nonnull(m->layers[0].ffn_gate);
    pv_model_close(m);
}
END_TEST

START_TEST(every_weight_type_opens)
{
    static const enum pv_type types[] = {PV_F32, PV_F16, PV_BF16, PV_Q8_0, PV_Q4_0};

    for (int i = 0; i < 5; i++) {
        struct pv_model *m;

        ck_assert_int_eq(
            open_tiny(&(struct pv_tiny_params){.type = types[i], .d_model = 64, .d_ffn = 96}, NULL, &m),
            PV_OK);
        ck_assert_int_eq(m->layers[0].ffn_up->type, types[i]);
        pv_model_close(m);
    }
}
END_TEST

START_TEST(the_activation_can_be_overridden)
{
    static const struct {
        const char *name;
        enum pv_act act;
    } acts[] = {{"relu", PV_ACT_RELU},
                {"relu2", PV_ACT_RELU2},
                {"silu", PV_ACT_SILU},
                {"gelu", PV_ACT_GELU},
                {"drelu", PV_ACT_DRELU}};
    struct pv_test_log captured;
    struct pv_model_params params = {.ffn_act = "swish", .log = pv_test_log(&captured)};
    struct pv_model *m;

    for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++) {
        ck_assert_int_eq(open_tiny(&(struct pv_tiny_params){.arch = "llama"},
                                   &(struct pv_model_params){.ffn_act = acts[i].name}, &m),
                         PV_OK);
        ck_assert_int_eq(pv_model_hparams(m)->act, acts[i].act);
        ck_assert(pv_model_hparams(m)->gated);
        pv_model_close(m);
    }
    ck_assert_int_eq(open_tiny(&(struct pv_tiny_params){0}, &params, &m), PV_ERR_ARG);
    ck_assert(pv_test_logged(&captured, "\"swish\" is not known: choose relu"));
    ck_assert_ptr_null(m);
}
END_TEST

static void add_activation(struct pv_gguf_writer *w)
{
    pv_gguf_add_str(w, "llama.hidden_activation", "silu");
}

/* Where a file says nothing, a name that is known for ReLU is heard, aloud. */
START_TEST(relu_models_are_known_by_name)
{
    static const struct {
        const char *arch, *name, *ffn_act;
        bool says;
        enum pv_act act;
    } rows[] = {{"llama", "ProSparse-LLaMA-2-7B", NULL, false, PV_ACT_RELU},
                {"llama", "Prosparse llama 2 13b", NULL, false, PV_ACT_RELU},
                {"llama", "ReluLLaMA 70B", NULL, false, PV_ACT_RELU},
                {"llama", "Bamboo-base-v0.1", NULL, false, PV_ACT_DRELU},
                {"llama", "TurboSparse-Mistral-Instruct", NULL, false, PV_ACT_DRELU},
                {"llama", "Prosperous llama", NULL, false, PV_ACT_SILU},
                {"llama", "ProSparse", "silu", false, PV_ACT_SILU},
                {"llama", "ProSparse", NULL, true, PV_ACT_SILU},
                {"arcee", "ProSparse", NULL, false, PV_ACT_RELU2}};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct pv_test_log captured;
        const struct pv_model_params params = {.ffn_act = rows[i].ffn_act, .log = pv_test_log(&captured)};
        struct pv_model *m;

        ck_assert_int_eq(open_tiny(&(struct pv_tiny_params){.arch = rows[i].arch,
                                                            .name = rows[i].name,
                                                            .extend = rows[i].says ? add_activation : NULL},
                                   &params, &m),
                         PV_OK);
        ck_assert_msg(pv_model_hparams(m)->act == rows[i].act, "%s", rows[i].name);
        ck_assert_int_eq(pv_test_logged(&captured, "does not say its activation"),
                         rows[i].act == PV_ACT_RELU || rows[i].act == PV_ACT_DRELU);
        pv_model_close(m);
    }
}
END_TEST

static uint64_t fingerprint_of(const struct pv_tiny_params *tiny)
{
    struct pv_model *m;
    uint64_t fingerprint;

    ck_assert_int_eq(open_tiny(tiny, NULL, &m), PV_OK);
    fingerprint = pv_model_fingerprint(m);
    pv_model_close(m);
    return fingerprint;
}

START_TEST(the_fingerprint_follows_the_weights)
{
    const uint64_t first = fingerprint_of(&(struct pv_tiny_params){0});

    ck_assert_uint_eq(fingerprint_of(&(struct pv_tiny_params){.n_ctx = 32}), first);
    ck_assert_uint_ne(fingerprint_of(&(struct pv_tiny_params){.seed = 2}), first);
    ck_assert_uint_ne(fingerprint_of(&(struct pv_tiny_params){.type = PV_F16}), first);
    ck_assert_uint_ne(fingerprint_of(&(struct pv_tiny_params){.arch = "llama"}), first);
}
END_TEST

/* What a file adds to a llama model, and the refusal it should meet. */
static void add_scaling(struct pv_gguf_writer *w)
{
    pv_gguf_add_str(w, "llama.rope.scaling.type", "dynamic");
}
static void add_both_ways(struct pv_gguf_writer *w)
{
    pv_gguf_add_bool(w, "llama.attention.causal", false);
}
static void add_softcap(struct pv_gguf_writer *w)
{
    pv_gguf_add_f32(w, "llama.attn_logit_softcapping", 50.0f);
}
static void add_scale(struct pv_gguf_writer *w)
{
    pv_gguf_add_f32(w, "llama.residual_scale", 0.22f);
}
static void add_window(struct pv_gguf_writer *w)
{
    pv_gguf_add_u32(w, "llama.attention.sliding_window", 4096);
}
static void add_unknown_key(struct pv_gguf_writer *w)
{
    pv_gguf_add_u32(w, "llama.spoon", 1);
}
static void add_twice(struct pv_gguf_writer *w)
{
    pv_gguf_add_u32(w, "llama.rope.dimension_count", 12);
}
static void add_experts(struct pv_gguf_writer *w)
{
    pv_gguf_add_u32(w, "llama.expert_count", 8);
}
static const float numbers[256];
static void add_bias(struct pv_gguf_writer *w)
{
    pv_gguf_add_tensor(w, "blk.0.attn_q.bias", PV_F32, 1, (const uint64_t[]){48}, numbers);
}
static void add_norm_bias(struct pv_gguf_writer *w)
{
    pv_gguf_add_tensor(w, "blk.0.attn_norm.bias", PV_F32, 1, (const uint64_t[]){48}, numbers);
}
static void add_long_alone(struct pv_gguf_writer *w)
{
    static const float ones[6] = {1, 1, 1, 1, 1, 1};
    pv_gguf_add_tensor(w, "rope_factors_long.weight", PV_F32, 1, (const uint64_t[]){6}, ones);
}
static void add_rope_factors(struct pv_gguf_writer *w)
{
    pv_gguf_add_tensor(w, "rope_freqs.weight", PV_F32, 1, (const uint64_t[]){6}, numbers);
}
static void add_stranger(struct pv_gguf_writer *w)
{
    pv_gguf_add_tensor(w, "blk.0.attn_q_norm.weight", PV_F32, 1, (const uint64_t[]){12}, numbers);
}
static void add_value_length(struct pv_gguf_writer *w)
{
    pv_gguf_add_u32(w, "llama.attention.value_length", 16);
}
static void add_key_length(struct pv_gguf_writer *w)
{
    pv_gguf_add_u32(w, "llama.attention.key_length", 14);
}
static void add_nothing(struct pv_gguf_writer *w)
{
    pv_gguf_add_str(w, "llama.rope.scaling.type", "none");
    pv_gguf_add_f32(w, "llama.rope.scaling.factor", 1.0f);
    pv_gguf_add_u32(w, "llama.expert_count", 0);
    pv_gguf_add_bool(w, "llama.attention.causal", true);
    pv_gguf_add_f32(w, "llama.residual_scale", 1.0f);
    pv_gguf_add_str(w, "llama.tensor_data_layout", "Meta AI original pth");
}

START_TEST(what_would_come_out_wrong_is_refused)
{
    static const struct {
        void (*extend)(struct pv_gguf_writer *w);
        enum pv_status expected;
        const char *part;
    } cases[] = {
        {add_nothing, PV_OK, ""},
        {add_bias, PV_OK, ""},
        {add_scaling, PV_ERR_UNSUPPORTED, "scaled by \"dynamic\""},
        {add_both_ways, PV_ERR_UNSUPPORTED, "llama.attention.causal is 0, which changes the result"},
        {add_softcap, PV_ERR_UNSUPPORTED, "llama.attn_logit_softcapping is 50"},
        {add_scale, PV_ERR_UNSUPPORTED, "llama.residual_scale is 0.22"},
        {add_window, PV_ERR_UNSUPPORTED, "llama.attention.sliding_window is 4096"},
        {add_experts, PV_ERR_FORMAT, "key llama.expert_used_count is missing"},
        {add_unknown_key, PV_ERR_UNSUPPORTED, "key llama.spoon is not known"},
        {add_twice, PV_ERR_FORMAT, "llama.rope.dimension_count"},
        {add_norm_bias, PV_ERR_UNSUPPORTED, "blk.0.attn_norm.bias is not part of architecture llama"},
        {add_rope_factors, PV_ERR_FORMAT, "rope_freqs.weight: factor 0 is 0"},
        {add_long_alone, PV_ERR_FORMAT, "rope_factors_short one is missing"},
        {add_stranger, PV_ERR_UNSUPPORTED, "blk.0.attn_q_norm.weight is not part of architecture llama"},
        {add_value_length, PV_ERR_UNSUPPORTED, "values of 16 elements beside keys of 12"},
        {add_key_length, PV_ERR_FORMAT, "blk.0.attn_q.weight is [1][1][48][48] (expected [56][48])"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pv_test_log captured;
        struct pv_model_params params = {.log = pv_test_log(&captured)};
        struct pv_model *m;

        ck_assert_int_eq(
            open_tiny(&(struct pv_tiny_params){.arch = "llama", .extend = cases[i].extend}, &params, &m),
            cases[i].expected);
        ck_assert_msg(pv_test_logged(&captured, cases[i].part), "\"%s\" is not in \"%s\"", cases[i].part,
                      captured.text);
        pv_model_close(m);
    }
}
END_TEST

static char *find_bytes(char *data, size_t n, const char *what)
{
    const size_t n_what = strlen(what);

    for (size_t i = 0; i + n_what <= n; i++)
        if (memcmp(data + i, what, n_what) == 0)
            return data + i;
    return NULL;
}

/* Parses a copy of a tiny model after replacing text `from` by `to` (of equal length), or, with `to` NULL,
 * the number behind key `from`. */
static void check_patched(const char *from, const char *to, uint32_t number, enum pv_status expected,
                          const char *part)
{
    struct pv_test_log captured;
    struct pv_model_params params = {.log = pv_test_log(&captured)};
    char path[PV_TEST_PATH_ROOM], *data, *at;
    struct pv_model *m = NULL;
    size_t n;

    pv_test_temp("patched.gguf", path);
    ck_assert_int_eq(pv_tiny_model_write(path, &(struct pv_tiny_params){0}), PV_OK);
    ck_assert_int_eq(pv_file_read(path, NULL, &data, &n), PV_OK);
    remove(path);
    at = find_bytes(data, n, from);
    ck_assert_ptr_nonnull(at);
    if (to)
        memcpy(at, to, strlen(to));
    else
        memcpy(at + strlen(from) + 4, &number, 4);
    ck_assert_int_eq(pv_model_parse(data, n, &params, &m), expected);
    ck_assert_msg(pv_test_logged(&captured, part), "\"%s\" is not in \"%s\"", part, captured.text);
    pv_model_close(m);
    free(data);
}

START_TEST(missing_and_misshapen_tensors_are_named)
{
    check_patched("blk.1.ffn_up.weight", "blk.1.ffn_uq.weight", 0, PV_ERR_FORMAT,
                  "tensor blk.1.ffn_up.weight is missing (expected [100][48])");
    check_patched("token_embd.weight", "token_emby.weight", 0, PV_ERR_FORMAT, "token_embd.weight is missing");
    check_patched("output_norm.weight", "output_nork.weight", 0, PV_ERR_FORMAT,
                  "output_norm.weight is missing (expected [48])");
    check_patched("arcee.feed_forward_length", NULL, 99, PV_ERR_FORMAT,
                  "blk.0.ffn_up.weight is [1][1][100][48] (expected [99][48])");
    check_patched("arcee.block_count", NULL, 1, PV_ERR_UNSUPPORTED, "blk.1.");
    check_patched("arcee.block_count", NULL, 3, PV_ERR_FORMAT, "too few for 3 layers");
    check_patched("arcee.vocab_size", NULL, 5, PV_ERR_FORMAT, "vocab_size is 5");
}
END_TEST

START_TEST(absurd_hyper_parameters_are_refused)
{
    check_patched("arcee.block_count", NULL, UINT32_MAX, PV_ERR_FORMAT,
                  "arcee.block_count is 4294967295, not within");
    check_patched("arcee.block_count", NULL, 0, PV_ERR_FORMAT, "not within 1 to");
    check_patched("arcee.embedding_length", NULL, UINT32_MAX, PV_ERR_FORMAT, "not within");
    check_patched("arcee.embedding_length", NULL, 3, PV_ERR_FORMAT, "4 heads");
    check_patched("arcee.context_length", NULL, UINT32_MAX, PV_ERR_FORMAT, "not within");
    check_patched("arcee.attention.head_count_kv", NULL, 3, PV_ERR_FORMAT, "4 heads do not divide into 3");
    check_patched("arcee.attention.head_count", NULL, 0, PV_ERR_FORMAT, "not within");
    check_patched("arcee.rope.dimension_count", NULL, 11, PV_ERR_FORMAT, "odd number");
    check_patched("arcee.rope.dimension_count", NULL, 14, PV_ERR_FORMAT, "not within 1 to 12");
    check_patched("arcee.rope.freq_base", NULL, 0x7fc00000u, PV_ERR_FORMAT, "rope.freq_base is"); /* NaN */
    check_patched("arcee.attention.layer_norm_rms_epsilon", NULL, 0, PV_ERR_FORMAT, "epsilon is 0");
    check_patched("arcee.block_count", "arcee.block_kount", 0, PV_ERR_FORMAT, "arcee.block_count is missing");
    check_patched("arcee", "spoon", 0, PV_ERR_UNSUPPORTED,
                  "architecture \"spoon\" is not supported; the nearest that is: ");
    check_patched("arcee", "quen2", 0, PV_ERR_UNSUPPORTED, "the nearest that is: qwen2");
    check_patched("general.architecture", "general.architektur!", 0, PV_ERR_FORMAT, "this is not a model");
}
END_TEST

struct described {
    size_t n_lines;
    bool clean;
};

static void take_line(void *user, const char *text)
{
    struct described *d = user;

    d->n_lines++;
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || (unsigned char)*text >= 0x7f)
            d->clean = false;
}

START_TEST(descriptions_are_safe_to_print)
{
    struct described d = {.clean = true};
    struct pv_model *m;

    ck_assert_int_eq(open_tiny(&(struct pv_tiny_params){.tokenizer = "spm"}, NULL, &m), PV_OK);
    pv_model_describe(m, take_line, &d);
    ck_assert(d.clean);
    ck_assert_uint_eq(d.n_lines, 10 + m->gguf.n_kv + m->gguf.n_tensors);
    pv_model_close(m);
}
END_TEST

START_TEST(a_cluster_file_is_no_model)
{
    struct pv_test_log captured;
    struct pv_model_params params = {.log = pv_test_log(&captured)};
    char path[PV_TEST_PATH_ROOM];
    struct pv_model *m, *none;

    ck_assert_int_eq(open_tiny(&(struct pv_tiny_params){0}, NULL, &m), PV_OK);
    pv_test_temp("clusters.gguf", path);
    ck_assert_int_eq(pv_tiny_clusters_write(path, m, &(struct pv_tiny_clusters){.seed = 1}), PV_OK);
    ck_assert_int_eq(pv_model_open(path, &params, &none), PV_ERR_UNSUPPORTED);
    ck_assert(pv_test_logged(&captured, "is a cluster file, not a model"));
    remove(path);
    pv_model_close(m);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("format/model");
    TCase *tcase = tcase_create("model");

    tcase_add_test(tcase, an_ungated_model_opens);
    tcase_add_test(tcase, a_gated_model_opens);
    tcase_add_test(tcase, every_weight_type_opens);
    tcase_add_test(tcase, the_activation_can_be_overridden);
    tcase_add_test(tcase, relu_models_are_known_by_name);
    tcase_add_test(tcase, the_fingerprint_follows_the_weights);
    tcase_add_test(tcase, what_would_come_out_wrong_is_refused);
    tcase_add_test(tcase, missing_and_misshapen_tensors_are_named);
    tcase_add_test(tcase, absurd_hyper_parameters_are_refused);
    tcase_add_test(tcase, descriptions_are_safe_to_print);
    tcase_add_test(tcase, a_cluster_file_is_no_model);
    suite_add_tcase(suite, tcase);
    return pv_test_main(suite);
}
