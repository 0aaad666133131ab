/* Tiny models of every tensor type against the CPU reference, ffn_down kept exact. */
#include <stdlib.h>

#include "infer/eval/reference.h"
#include "rig.h"

static const enum pv_type types[] = {PV_F32,  PV_F16,   PV_BF16,  PV_Q8_0,  PV_Q4_0,   PV_Q4_1,
                                     PV_Q5_0, PV_Q5_1,  PV_Q2_K,  PV_Q3_K,  PV_Q4_K,   PV_Q5_K,
                                     PV_Q6_K, PV_TQ1_0, PV_TQ2_0, PV_MXFP4, PV_IQ4_NL, PV_IQ4_XS};
enum { N_TYPES = sizeof types / sizeof *types, N_TEXT = 9 };

/* Scored as a batch and decoded token by token. */
START_TEST(every_type_agrees_with_the_reference)
{
    const bool wide = pv_type_block(types[_i]) == 256;
    const struct pv_tiny_params tiny = {.arch = "llama",
                                        .type = types[_i],
                                        .d_model = wide ? 256 : 96,
                                        .d_ffn = wide ? 512 : 160,
                                        .n_layers = 1,
                                        .untied = true,
                                        .small_vocab = true};
    struct rig rig;
    uint32_t tokens[N_TEXT + 1];
    float nll[N_TEXT];
    rig_open(&rig, &tiny, 0, 0, NULL);
    const size_t n_vocab = pv_model_hparams(rig.model)->n_vocab;
    float *expected = calloc(N_TEXT * n_vocab, sizeof *expected),
          *got = calloc(N_TEXT * n_vocab, sizeof *got);
    ck_assert(expected && got);
    rig_random_tokens(3, (uint32_t)n_vocab, tokens, N_TEXT + 1);
    ck_assert_int_eq(pv_reference_forward(rig.model, NULL, 1, tokens, N_TEXT, expected), PV_OK);
    ck_assert_int_eq(pv_session_score(rig.session, tokens, tokens + 1, N_TEXT, nll, got), PV_OK);
    const double scored = rig_nmse(got, expected, N_TEXT * n_vocab);
    pv_session_reset(rig.session);
    for (uint32_t i = 0; i < N_TEXT; i++)
        ck_assert_int_eq(pv_session_decode(rig.session, tokens[i]), PV_OK);
    const double decoded =
        rig_nmse(pv_session_logits(rig.session), expected + (N_TEXT - 1) * n_vocab, n_vocab);
    ck_assert_msg(scored <= 1e-9 && decoded <= 1e-9, "%s: nmse %g scored, %g decoded",
                  pv_type_name(types[_i]), scored, decoded);
    free(expected);
    free(got);
    rig_close(&rig);
}
END_TEST

/* The kernels read up and gate in one layout: where the file has two, both are rounded to the wider kind. */
START_TEST(up_and_gate_may_differ)
{
    static const struct {
        enum pv_type up, gate;
        double tolerance;
    } pairs[] = {{PV_Q4_K, PV_Q5_K, 1e-2}, {PV_Q8_0, PV_Q4_0, 1e-4}, {PV_BF16, PV_F16, 1e-9}};
    for (size_t p = 0; p < sizeof pairs / sizeof *pairs; p++) {
        const struct pv_tiny_params tiny = {.arch = "llama",
                                            .type = pairs[p].up,
                                            .gate_type = pairs[p].gate,
                                            .d_model = 256,
                                            .d_ffn = 256,
                                            .n_layers = 1,
                                            .small_vocab = true};
        struct rig rig;
        uint32_t tokens[N_TEXT + 1];
        float nll[N_TEXT];
        rig_open(&rig, &tiny, 0, 0, NULL);
        const size_t n = pv_model_hparams(rig.model)->n_vocab * (size_t)N_TEXT;
        float *expected = calloc(n, sizeof *expected), *got = calloc(n, sizeof *got);
        ck_assert(expected && got);
        rig_random_tokens(3, pv_model_hparams(rig.model)->n_vocab, tokens, N_TEXT + 1);
        ck_assert_int_eq(pv_reference_forward(rig.model, NULL, 1, tokens, N_TEXT, expected), PV_OK);
        ck_assert_int_eq(pv_session_score(rig.session, tokens, tokens + 1, N_TEXT, nll, got), PV_OK);
        ck_assert_msg(rig_nmse(got, expected, n) <= pairs[p].tolerance, "%s and %s: nmse %g",
                      pv_type_name(pairs[p].up), pv_type_name(pairs[p].gate), rig_nmse(got, expected, n));
        free(expected);
        free(got);
        rig_close(&rig);
    }
}
END_TEST

int main(void)
{
    if (!rig_start_plan("ffn_down_type=f32"))
        return pv_test_skip("no usable Vulkan device");
    Suite *suite = suite_create("infer/types");
    TCase *tcase = tcase_create("types");
    tcase_add_loop_test(tcase, every_type_agrees_with_the_reference, 0, N_TYPES);
    tcase_add_test(tcase, up_and_gate_may_differ);
    tcase_add_unchecked_fixture(tcase, NULL, rig_stop);
    suite_add_tcase(suite, tcase);
    return pv_test_main(suite);
}
