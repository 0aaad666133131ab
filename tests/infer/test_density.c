/* label: gpu
 * How sparse a model is: the counts against those of a capture, thresholds by their order, and what is refused. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "rig.h"

enum { N_TOKENS = 3 * 24 + 1, N_CTX = 24, D_FFN = 100, N_LAYERS = 8 };

struct counts { /* of one layer, in plain loops */
    double active, in_8;
    uint32_t n_tokens, n_runs, run[(D_FFN + 31) / 32], seen[(D_FFN + 31) / 32];
};

static enum pv_status on_capture(void *user, const struct pv_capture *c)
{
    struct counts *n = (struct counts *)user + c->layer;
    const size_t words = pv_bit_words(D_FFN);

    for (uint32_t t = 0; t < c->n_tokens; t++) {
        if ((c->first_pos + t) % 8 == 0)
            memset(n->run, 0, sizeof n->run);
        for (uint32_t j = 0; j < D_FFN; j++) {
            if (c->contribution[t * D_FFN + j] != 0.0f) {
                n->active++;
                pv_bit_set(n->run, j);
                pv_bit_set(n->seen, j);
            }
        }
        n->n_tokens++;
        if ((c->first_pos + t) % 8 == 7) {
            n->n_runs++;
            n->in_8 += (double)pv_bit_count(n->run, words);
        }
    }
    return PV_OK;
}

START_TEST(counts_are_those_of_a_capture)
{
    static const struct pv_tiny_params tiny = {.arch = "arcee"};
    const struct pv_density_params params = {.n_ctx = N_CTX};
    struct counts counts[N_LAYERS] = {0};
    const struct pv_session_params capture = {.capture = on_capture, .capture_user = counts};
    struct pv_density_result r;
    struct pv_session *session;
    uint32_t tokens[N_TOKENS];
    double mean = 0.0;
    struct rig rig;

    rig_open(&rig, &tiny, 0, 0.0, NULL);
    ck_assert_uint_eq(pv_model_hparams(rig.model)->d_ffn, D_FFN);
    rig_random_tokens(3, pv_model_hparams(rig.model)->n_vocab, tokens, N_TOKENS);
    ck_assert_int_eq(pv_density(rig.engine, tokens, N_TOKENS, &params, &r), PV_OK);
    ck_assert_uint_eq(r.n_tokens, N_TOKENS - 1);
    ck_assert_uint_eq(r.n_windows, 3);
    ck_assert_uint_le(r.n_layers, N_LAYERS);
    ck_assert_int_eq(pv_session_create(rig.engine, &capture, &session), PV_OK);
    for (uint32_t w = 0; w < 3; w++) {
        pv_session_reset(session);
        ck_assert_int_eq(pv_session_prefill(session, tokens + w * N_CTX, N_CTX), PV_OK);
    }
    pv_session_destroy(session);
    for (uint32_t l = 0; l < r.n_layers; l++) {
        const struct counts *n = &counts[l];
        const struct pv_density_layer *d = &r.layers[l];

        ck_assert_uint_eq(n->n_tokens, N_TOKENS - 1);
        ck_assert_double_eq_tol(d->active, n->active / (n->n_tokens * (double)D_FFN), 1e-12);
        ck_assert_double_eq_tol(d->in_8, n->in_8 / (n->n_runs * (double)D_FFN), 1e-12);
        ck_assert_double_eq_tol(d->unused, 1.0 - (double)pv_bit_count(n->seen, 4) / D_FFN, 1e-12);
        ck_assert(d->low <= d->high && d->active > 0.1 && d->active < 0.9);
        ck_assert(d->low <= d->active + 1e-3 && d->active <= d->high + 1e-3);
        ck_assert(0.0 < d->half_energy && d->half_energy < d->most_energy && d->most_energy <= d->active);
        mean += d->active / r.n_layers;
    }
    ck_assert_double_eq_tol(r.mean.active, mean, 1e-12);
    ck_assert(0.0 < r.down_bytes && r.down_bytes < r.ffn_bytes && r.ffn_bytes < r.token_bytes);
    ck_assert_ptr_null(rig.clusters);
    pv_density_result_free(&r);
    rig_close(&rig);
}
END_TEST

/* The dense perplexity is that of pv_eval, a threshold that keeps nearly everything changes it by nearly nothing, and
 * what keeps less computes less. */
START_TEST(thresholds_leave_out_the_weak)
{
    static const struct pv_tiny_params tiny = {.arch = "llama"};
    static const double kept[] = {0.999999, 0.9, 0.5};
    static const enum pv_ffn_mode dense[] = {PV_FFN_DENSE};
    const struct pv_density_params params = {.n_ctx = N_CTX, .n_windows = 2, .kept = kept, .n_kept = 3};
    const struct pv_eval_params eval = {.n_ctx = N_CTX, .n_windows = 2, .modes = dense, .n_modes = 1};
    struct pv_density_result r;
    struct pv_eval_result e;
    uint32_t tokens[N_TOKENS];
    struct rig rig;

    rig_open(&rig, &tiny, 0, 0.0, NULL);
    rig_random_tokens(4, pv_model_hparams(rig.model)->n_vocab, tokens, N_TOKENS);
    ck_assert_int_eq(pv_density(rig.engine, tokens, N_TOKENS, &params, &r), PV_OK);
    ck_assert_int_eq(pv_eval(rig.engine, tokens, N_TOKENS, &eval, &e), PV_OK);
    ck_assert_double_gt(r.mean.active, 0.99); /* SiLU makes no zeros */
    ck_assert_double_eq_tol(r.ppl, e.modes[0].ppl, 1e-5 * r.ppl);
    ck_assert_double_eq_tol(r.thresholds[0].ppl, r.ppl, 1e-3 * r.ppl);
    ck_assert_double_lt(r.thresholds[0].density, 1.0);
    ck_assert_double_lt(r.thresholds[1].density, r.thresholds[0].density);
    ck_assert_double_lt(r.thresholds[2].density, r.thresholds[1].density);
    ck_assert_double_gt(r.thresholds[2].density, 0.0);
    ck_assert_double_gt(fabs(r.thresholds[2].ppl - r.ppl), 1e-3 * r.ppl);
    pv_density_result_free(&r);
    pv_eval_result_free(&e);
    rig_close(&rig);
}
END_TEST

START_TEST(wrong_parameters_are_refused)
{
    static const struct pv_tiny_params tiny = {.arch = "arcee"};
    static const double kept[] = {0.5, 1.0};
    uint32_t tokens[N_TOKENS] = {0};
    struct pv_density_result r;
    struct rig rig;

    rig_open(&rig, &tiny, 0, 0.0, NULL);
    ck_assert_int_eq(pv_density(rig.engine, tokens, N_TOKENS,
                                &(struct pv_density_params){.n_ctx = N_CTX, .kept = kept, .n_kept = 2}, &r),
                     PV_ERR_ARG);
    ck_assert_int_eq(pv_density(rig.engine, tokens, N_TOKENS,
                                &(struct pv_density_params){.n_ctx = N_CTX, .kept = kept, .n_kept = 9}, &r),
                     PV_ERR_ARG);
    ck_assert_int_eq(pv_density(rig.engine, tokens, N_CTX, &(struct pv_density_params){.n_ctx = N_CTX}, &r),
                     PV_ERR_ARG);
    ck_assert_ptr_null(r.layers);
    rig_close(&rig);
}
END_TEST

int main(void)
{
    if (!rig_start())
        return pv_test_skip("no usable Vulkan device");
    Suite *suite = suite_create("infer/density");
    TCase *tcase = tcase_create("density");
    tcase_add_test(tcase, counts_are_those_of_a_capture);
    tcase_add_test(tcase, thresholds_leave_out_the_weak);
    tcase_add_test(tcase, wrong_parameters_are_refused);
    tcase_add_unchecked_fixture(tcase, NULL, rig_stop);
    suite_add_tcase(suite, tcase);
    return pv_test_main(suite);
}
