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
    struct pv_sequences *sequences;
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
    ck_assert_int_eq(pv_sequences_create(rig.engine, n_seqs, N_STEPS, &sequences), PV_OK);
    for (int round = 0; round < 2; round++) {
        for (uint32_t t = 0; t < N_STEPS; t++) {
            for (uint32_t i = 0; i < n_seqs; i++)
                now[i] = tokens[i][t];
            ck_assert_int_eq(pv_sequences_lockstep(sequences, t, now, got), PV_OK);
            for (uint32_t i = 0; i < n_seqs; i++) {
                const float *row = expected + ((size_t)i * N_STEPS + t) * n_vocab;
                const double error = rig_nmse(got + (size_t)i * n_vocab, row, n_vocab);
                ck_assert_msg(error <= 1e-7, "sequence %u of %u, step %u: nmse %g", i, n_seqs, t, error);
            }
        }
    }
    ck_assert_int_eq(pv_sequences_lockstep(sequences, N_STEPS, now, got),
                     PV_ERR_ARG); /* the context is full */
    now[0] = n_vocab;
    ck_assert_int_eq(pv_sequences_lockstep(sequences, 0, now, got), PV_ERR_ARG);
    pv_sequences_destroy(sequences);
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

/* Texts that begin and end as they like: a step is a list of {sequence, position, how many rows, of which text}. A prompt in one
 * piece beside single tokens, a sequence that goes back, and one that is given another text. */
static const struct piece {
    uint32_t step, seq, pos, n, text;
} pieces[] = {
    {0, 2, 0, 5, 0}, {0, 0, 0, 1, 1}, {1, 0, 1, 1, 1},  {2, 2, 5, 1, 0},  {2, 0, 2, 1, 1},
    {2, 1, 0, 4, 2}, {3, 1, 4, 6, 2}, {3, 2, 6, 1, 0},  {4, 2, 3, 2, 0},  {4, 0, 0, 3, 3},
    {5, 0, 3, 1, 3}, {5, 2, 5, 1, 0}, {5, 1, 10, 1, 2}, {6, 1, 11, 1, 2},
};
enum { N_PIECES = sizeof pieces / sizeof pieces[0], N_PIECE_STEPS = 7 };

static uint32_t lay_out(uint32_t step, uint32_t tokens[N_SEQS][N_STEPS], struct pv_sequence_row *rows,
                        const struct piece **of)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < N_PIECES; i++)
        for (uint32_t k = 0; pieces[i].step == step && k < pieces[i].n; k++) {
            const uint32_t pos = pieces[i].pos + k;
            of[n] = &pieces[i];
            rows[n++] = (struct pv_sequence_row){.seq = pieces[i].seq,
                                                 .pos = pos,
                                                 .token = tokens[pieces[i].text][pos],
                                                 .logits = k + 1 == pieces[i].n};
        }
    return n;
}

START_TEST(each_row_in_its_own_place)
{
    const uint32_t devices[] = {0, 0};
    for (uint32_t n_stages = 1; n_stages <= 2; n_stages++) {
        const struct pv_engine_params params = {.devices = devices, .n_devices = n_stages, .n_batch = 8};
        struct pv_sequences *sequences;
        struct rig rig;
        rig_open(&rig, &forms[_i], 0, 0.0, &params);
        const uint32_t n_vocab = pv_model_hparams(rig.model)->n_vocab;
        uint32_t tokens[N_SEQS][N_STEPS];
        float *expected = calloc((size_t)N_SEQS * N_STEPS * n_vocab, sizeof *expected);
        ck_assert_ptr_nonnull(expected);
        rig_random_tokens(11, n_vocab, tokens[0], N_SEQS * N_STEPS);
        for (uint32_t i = 0; i < N_SEQS; i++)
            ck_assert_int_eq(pv_reference_forward(rig.model, NULL, 1, tokens[i], N_STEPS,
                                                  expected + (size_t)i * N_STEPS * n_vocab),
                             PV_OK);
        ck_assert_int_eq(pv_sequences_create(rig.engine, 3, N_STEPS, &sequences), PV_OK);
        for (uint32_t step = 0; step < N_PIECE_STEPS; step++) {
            struct pv_sequence_row rows[8];
            const struct piece *of[8];
            const uint32_t n = lay_out(step, tokens, rows, of);
            ck_assert_int_eq(pv_sequences_step(sequences, rows, n, PV_FFN_DENSE), PV_OK);
            for (uint32_t i = 0; i < n; i++) {
                const float *got;
                if (!rows[i].logits) {
                    ck_assert_int_eq(pv_sequences_logits(sequences, i, &got), PV_ERR_ARG);
                    continue;
                }
                ck_assert_int_eq(pv_sequences_logits(sequences, i, &got), PV_OK);
                const double error = rig_nmse(
                    got, expected + ((size_t)of[i]->text * N_STEPS + rows[i].pos) * n_vocab, n_vocab);
                ck_assert_msg(error <= 1e-7, "step %u, row %u: nmse %g", step, i, error);
            }
        }
        pv_sequences_destroy(sequences);
        free(expected);
        rig_close(&rig);
    }
}
END_TEST

/* Clusters: rows, one row alone and a session choose the same, and compute the same. */
START_TEST(routed_rows_are_a_sessions)
{
    const struct pv_engine_params params = {.n_batch = 8};
    const struct pv_session_params routed = {.ffn = PV_FFN_ROUTED};
    struct pv_sequences *sequences;
    struct pv_session *session;
    struct pv_token_stats alone, row;
    struct rig rig;
    rig_open(&rig, &forms[_i], 4, 0.3, &params);
    const uint32_t n_vocab = pv_model_hparams(rig.model)->n_vocab;
    uint32_t tokens[N_STEPS];
    rig_random_tokens(3, n_vocab, tokens, N_STEPS);
    ck_assert_int_eq(pv_session_create(rig.engine, &routed, &session), PV_OK);
    ck_assert_int_eq(pv_sequences_create(rig.engine, 2, N_STEPS, &sequences), PV_OK);
    for (uint32_t t = 0; t < N_STEPS; t++) {
        const struct pv_sequence_row rows[] = {{.seq = 1, .pos = t, .token = tokens[t], .logits = true},
                                               {.seq = 0, .pos = t, .token = tokens[0], .logits = true}};
        const float *got;
        ck_assert_int_eq(pv_session_decode(session, tokens[t]), PV_OK);
        ck_assert_int_eq(pv_sequences_step(sequences, rows, t % 3 ? 2 : 1, PV_FFN_ROUTED), PV_OK);
        ck_assert_int_eq(pv_sequences_logits(sequences, 0, &got), PV_OK);
        const double error = rig_nmse(got, pv_session_logits(session), n_vocab);
        ck_assert_msg(error <= 1e-7, "token %u: nmse %g", t, error);
        ck_assert_int_eq(pv_session_token_stats(session, &alone), PV_OK);
        ck_assert_int_eq(pv_sequences_stats(sequences, 0, &row), PV_OK);
        for (uint32_t i = 0; i < alone.n_layers; i++) {
            ck_assert_uint_eq(alone.cluster[i], row.cluster[i]);
            ck_assert_uint_eq(alone.n_neurons[i], row.n_neurons[i]);
        }
    }
    ck_assert_int_eq(pv_sequences_stats(sequences, 2, &row), PV_ERR_ARG);
    pv_sequences_destroy(sequences);
    pv_session_destroy(session);
    rig_close(&rig);
}
END_TEST

START_TEST(refuses_what_does_not_fit)
{
    const struct pv_engine_params params = {.n_batch = 8, .n_ctx = 32};
    struct pv_sequences *sequences;
    struct rig rig;
    rig_open(&rig, &forms[0], 0, 0.0, &params);
    ck_assert_int_eq(pv_sequences_create(rig.engine, 9, 8, &sequences), PV_ERR_ARG);
    ck_assert_int_eq(pv_sequences_create(rig.engine, 0, 8, &sequences), PV_ERR_ARG);
    ck_assert_int_eq(pv_sequences_create(rig.engine, 8, 33, &sequences), PV_ERR_ARG);
    ck_assert_int_eq(pv_sequences_create(rig.engine, 8, 0, &sequences), PV_ERR_ARG);
    ck_assert_uint_eq(pv_sequences_best(rig.engine, 32), 8);
    ck_assert_int_eq(pv_sequences_create(rig.engine, 2, 8, &sequences), PV_OK);
    ck_assert_uint_eq(pv_sequences_most_rows(sequences), 8);
    static const struct pv_sequence_row wrong[] = {{.seq = 2}, {.pos = 8}, {.token = UINT32_MAX}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        ck_assert_int_eq(pv_sequences_step(sequences, &wrong[i], 1, PV_FFN_DENSE), PV_ERR_ARG);
    static const struct pv_sequence_row many[9] = {{.logits = true}, {.logits = true}, {.logits = true}};
    ck_assert_int_eq(pv_sequences_step(sequences, many, 9, PV_FFN_DENSE), PV_ERR_ARG);
    ck_assert_int_eq(pv_sequences_step(sequences, many, 3, PV_FFN_DENSE), PV_ERR_ARG); /* logits of three */
    ck_assert_int_eq(pv_sequences_step(sequences, many, 0, PV_FFN_DENSE), PV_ERR_ARG);
    ck_assert_int_eq(pv_sequences_step(sequences, many, 1, PV_FFN_ROUTED), PV_ERR_ARG); /* no clusters */
    pv_sequences_destroy(sequences);
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
    tcase_add_loop_test(tests, each_row_in_its_own_place, 0, sizeof forms / sizeof *forms);
    tcase_add_loop_test(tests, routed_rows_are_a_sessions, 0, sizeof forms / sizeof *forms);
    tcase_add_test(tests, refuses_what_does_not_fit);
    tcase_add_unchecked_fixture(tests, NULL, rig_stop);
    suite_add_tcase(suite, tests);
    return pv_test_main(suite);
}
