/* Every row of the table of architectures, and what rows may have: tiny random models against the host reference, which
 * shares nothing with the forward pass but the switches. Prompts, scored batches and decode, on one stage and on two. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/model/arch.h"
#include "infer/eval/reference.h"
#include "rig.h"

enum { N_TEXT = 21, N_PROMPT = 11 };

static void add_llama3_factors(struct pv_gguf_writer *w)
{
    static const float factors[6] = {1.0f, 1.0f, 1.5f, 3.0f, 8.0f, 8.0f};
    pv_gguf_add_tensor(w, "rope_freqs.weight", PV_F32, 1, (const uint64_t[]){6}, factors);
}

static void add_phi3_factors(struct pv_gguf_writer *w)
{
    static const float longer[6] = {1.0f, 2.0f, 4.0f, 8.0f, 16.0f, 32.0f},
                       shorter[6] = {1.0f, 1.1f, 1.2f, 1.3f, 1.4f, 1.5f};
    pv_gguf_add_tensor(w, "rope_factors_long.weight", PV_F32, 1, (const uint64_t[]){6}, longer);
    pv_gguf_add_tensor(w, "rope_factors_short.weight", PV_F32, 1, (const uint64_t[]){6}, shorter);
}

/* Beside the rows as they are. */
static const struct pv_tiny_params others[] = {
    {.arch = "llama", .n_experts = 5},
    {.arch = "llama", .n_experts = 3, .type = PV_F16, .d_ffn = 33, .untied = true},
    {.arch = "llama", .n_experts = 1},
    {.arch = "llama", .rope_scaling = "linear"},
    {.arch = "llama", .rope_scaling = "yarn"},
    {.arch = "arcee", .rope_scaling = "yarn", .d_model = 128, .n_heads = 2},
    {.arch = "llama", .extend = add_llama3_factors},
    {.arch = "phi3", .extend = add_phi3_factors},
    {.arch = "nemotron", .rope_dim = 6},
    {.arch = "stablelm", .rope_dim = 4, .biases = true},
    {.arch = "smallthinker", .n_experts = 5, .n_layers = 5, .sigmoid = true},
};
enum { N_OTHERS = sizeof others / sizeof *others };

static struct pv_tiny_params form_of(int index)
{
    if (index < N_OTHERS)
        return others[index];
    const struct pv_arch *arch = pv_arch_at((uint32_t)(index - N_OTHERS));
    const bool mixture = arch->features & PV_ARCH_EXPERTS && strcmp(arch->name, "llama") != 0;
    return (struct pv_tiny_params){.arch = arch->name,
                                   .n_layers = arch->window_period > 2 ? arch->window_period + 1 : 4,
                                   .n_experts = mixture ? 7 : 0,
                                   .biases = true};
}

static void check(const struct rig *rig, const char *what, const float *got, const float *expected)
{
    const struct pv_hparams *hp = pv_model_hparams(rig->model);
    const double error = rig_nmse(got, expected, hp->n_vocab);
    ck_assert_msg(error <= 1e-7, "%s, %u experts, %s: nmse %g", hp->arch, hp->n_experts, what, error);
}

static void compare(const struct pv_tiny_params *tiny, uint32_t n_stages)
{
    uint32_t device, tokens[N_TEXT + 1];
    rig_devices(&device, 1);
    const uint32_t devices[] = {device, device};
    const struct pv_engine_params params = {.devices = devices, .n_devices = n_stages, .n_batch = 8};
    float nll[N_TEXT];
    struct rig rig;
    rig_open(&rig, tiny, 0, 0.0, &params);
    const size_t n_vocab = pv_model_hparams(rig.model)->n_vocab;
    float *expected = calloc(N_TEXT * n_vocab, sizeof *expected),
          *got = calloc(N_TEXT * n_vocab, sizeof *got);
    ck_assert(expected && got);
    rig_random_tokens(3, (uint32_t)n_vocab, tokens, N_TEXT + 1);
    ck_assert_int_eq(pv_reference_forward(rig.model, NULL, 1, tokens, N_TEXT, expected), PV_OK);
    ck_assert_int_eq(pv_session_score(rig.session, tokens, tokens + 1, N_TEXT, nll, got), PV_OK);
    for (size_t t = 0; t < N_TEXT; t++)
        check(&rig, "scored batch", got + t * n_vocab, expected + t * n_vocab);
    pv_session_reset(rig.session);
    ck_assert_int_eq(pv_session_prefill(rig.session, tokens, N_PROMPT), PV_OK);
    for (uint32_t t = N_PROMPT; t < N_TEXT; t++) {
        ck_assert_int_eq(pv_session_decode(rig.session, tokens[t]), PV_OK);
        check(&rig, "decode", pv_session_logits(rig.session), expected + t * n_vocab);
    }
    free(expected);
    free(got);
    rig_close(&rig);
}

START_TEST(each_architecture_is_the_reference)
{
    const struct pv_tiny_params tiny = form_of(_i);
    compare(&tiny, 1 + (uint32_t)_i % 2);
}
END_TEST

/* What a token computes of a mixture is what its statistics say. */
START_TEST(a_token_computes_its_experts_alone)
{
    const struct pv_tiny_params tiny = {.arch = "qwen3moe", .n_experts = 7, .d_ffn = 31};
    struct pv_token_stats stats;
    struct rig rig;
    rig_open(&rig, &tiny, 0, 0.0, NULL);
    ck_assert_uint_eq(pv_model_hparams(rig.model)->d_ffn, 7 * 31);
    ck_assert_int_eq(pv_session_decode(rig.session, 1), PV_OK);
    ck_assert_int_eq(pv_session_token_stats(rig.session, &stats), PV_OK);
    ck_assert_uint_eq(stats.n_neurons[0], 2 * 31);
    ck_assert(stats.density > 0.2857 && stats.density < 0.2858);
    rig_close(&rig);
}
END_TEST

/* Clusters within experts are not there yet, and are refused in words. */
START_TEST(clusters_of_a_mixture_are_refused)
{
    const struct pv_tiny_params tiny = {.arch = "llama", .n_experts = 4};
    char path[PV_TEST_PATH_ROOM];
    const struct pv_tiny_clusters clusters = {.seed = 5};
    struct pv_engine_params params = {0};
    struct pv_clusters *c = NULL;
    struct pv_engine *engine;
    struct rig rig;
    rig_open(&rig, &tiny, 0, 0.0, NULL);
    pv_test_temp("mixture.clusters.gguf", path);
    ck_assert_int_eq(pv_tiny_clusters_write(path, rig.model, &clusters), PV_OK);
    ck_assert_int_eq(pv_clusters_open(path, NULL, &c), PV_OK);
    remove(path);
    params.clusters = c;
    ck_assert_int_eq(pv_engine_create(rig_context(), rig.model, &params, &engine), PV_ERR_UNSUPPORTED);
    ck_assert(pv_test_logged(rig_log(), "clusters are not used with a mixture of experts"));
    pv_clusters_close(c);
    rig_close(&rig);
}
END_TEST

int main(void)
{
    if (!rig_start())
        return pv_test_skip("no usable Vulkan device");
    Suite *suite = suite_create("infer/table");
    TCase *tcase = tcase_create("table");
    tcase_add_loop_test(tcase, each_architecture_is_the_reference, 0, N_OTHERS + (int)pv_arch_count());
    tcase_add_test(tcase, a_token_computes_its_experts_alone);
    tcase_add_test(tcase, clusters_of_a_mixture_are_refused);
    tcase_add_unchecked_fixture(tcase, NULL, rig_stop);
    suite_add_tcase(suite, tcase);
    return pv_test_main(suite);
}
