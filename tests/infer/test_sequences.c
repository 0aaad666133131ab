/* label: model
 * Texts written side by side are the texts written one after the other: every step's logits against the host
 * reference, for one and two stages and on every device. */
#include <stdlib.h>
#include <string.h>

#include "infer/eval/reference.h"
#include "infer/sequences.h"
#include "rig.h"

enum { N_SEQS = 5, N_STEPS = 12 };

static const struct pv_tiny_params forms[] = {
    {.arch = "arcee", .type = PV_F32},
    {.arch = "llama", .type = PV_F32, .untied = true},
};

static void compare(const struct pv_tiny_params *tiny, uint32_t device, uint32_t n_stages, uint32_t n_seqs)
{
    const uint32_t devices[] = {device, device};
    const struct pv_engine_params params = {.devices = devices, .n_devices = n_stages, .n_batch = 8};
    struct pv_session *session;
    struct rig rig;
    rig_open(&rig, tiny, 0, 0.0, &params);
    const uint32_t n_vocab = pv_model_hparams(rig.model)->n_vocab;
    uint32_t tokens[N_SEQS][N_STEPS], now[N_SEQS];
    float *expected = calloc((size_t)N_SEQS * N_STEPS * n_vocab, sizeof *expected);
    float *got = calloc((size_t)N_SEQS * n_vocab, sizeof *got);
    ck_assert(expected && got);
    rig_random_tokens(5, n_vocab, tokens[0], N_SEQS * N_STEPS);
    for (uint32_t i = 0; i < n_seqs; i++)
        ck_assert_int_eq(pv_reference_forward(rig.model, NULL, 1, tokens[i], N_STEPS,
                                              expected + (size_t)i * N_STEPS * n_vocab),
                         PV_OK);
    ck_assert_int_eq(pv_sequences_create(rig.engine, n_seqs, N_STEPS, &session), PV_OK);
    for (int round = 0; round < 2; round++) {
        pv_session_reset(session);
        for (uint32_t t = 0; t < N_STEPS; t++) {
            for (uint32_t i = 0; i < n_seqs; i++)
                now[i] = tokens[i][t];
            ck_assert_int_eq(pv_sequences_step(session, now, got), PV_OK);
            for (uint32_t i = 0; i < n_seqs; i++) {
                const float *row = expected + ((size_t)i * N_STEPS + t) * n_vocab;
                const double error = rig_nmse(got + (size_t)i * n_vocab, row, n_vocab);
                ck_assert_msg(error <= 1e-7, "sequence %u of %u, step %u: nmse %g", i, n_seqs, t, error);
            }
        }
    }
    ck_assert_int_eq(pv_sequences_step(session, now, got), PV_ERR_ARG); /* the context is full */
    pv_session_reset(session);
    now[0] = n_vocab;
    ck_assert_int_eq(pv_sequences_step(session, now, got), PV_ERR_ARG);
    pv_session_destroy(session);
    free(expected);
    free(got);
    rig_close(&rig);
}

START_TEST(each_text_as_if_alone)
{
    uint32_t devices[8];
    const uint32_t n = rig_devices(devices, 8);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t stages = 1; stages <= 2; stages++) {
            compare(&forms[_i], devices[i], stages, N_SEQS);
            compare(&forms[_i], devices[i], stages, 1);
        }
}
END_TEST

START_TEST(refuses_what_does_not_fit)
{
    const struct pv_engine_params params = {.n_batch = 8, .n_ctx = 32};
    struct pv_session *session;
    struct rig rig;
    rig_open(&rig, &forms[0], 0, 0.0, &params);
    ck_assert_int_eq(pv_sequences_create(rig.engine, 9, 8, &session), PV_ERR_ARG);
    ck_assert_int_eq(pv_sequences_create(rig.engine, 0, 8, &session), PV_ERR_ARG);
    ck_assert_int_eq(pv_sequences_create(rig.engine, 8, 33, &session), PV_ERR_ARG);
    ck_assert_int_eq(pv_sequences_create(rig.engine, 8, 0, &session), PV_ERR_ARG);
    ck_assert_uint_eq(pv_sequences_best(rig.engine, 32), 8);
    rig_close(&rig);
}
END_TEST

int main(void)
{
    if (!rig_start())
        return pv_test_skip("no usable device");
    Suite *suite = suite_create("sequences");
    TCase *tests = tcase_create("sequences");
    tcase_add_loop_test(tests, each_text_as_if_alone, 0, sizeof forms / sizeof *forms);
    tcase_add_test(tests, refuses_what_does_not_fit);
    tcase_add_unchecked_fixture(tests, NULL, rig_stop);
    suite_add_tcase(suite, tests);
    return pv_test_main(suite);
}
