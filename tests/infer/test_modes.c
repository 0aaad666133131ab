/* FFN modes against each other, token statistics, capture, and the calls that must fail. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "rig.h"

static const struct pv_tiny_params tiny = {.arch = "arcee"};

START_TEST(masks_of_all_neurons_give_the_dense_logits)
{
    struct rig rig;
    rig_open(&rig, &tiny, 5, 1.0, NULL);
    const uint32_t n_vocab = pv_model_hparams(rig.model)->n_vocab;
    uint32_t tokens[12];
    float *dense = calloc(n_vocab, sizeof *dense);
    ck_assert_ptr_nonnull(dense);
    rig_random_tokens(1, n_vocab, tokens, 12);
    for (int mode = 0; mode < 2; mode++) {
        pv_session_reset(rig.session);
        ck_assert_int_eq(pv_session_set_ffn(rig.session, mode == 0 ? PV_FFN_DENSE : PV_FFN_ROUTED), PV_OK);
        for (uint32_t t = 0; t < 12; t++)
            ck_assert_int_eq(pv_session_decode(rig.session, tokens[t]), PV_OK);
        if (mode == 0)
            memcpy(dense, pv_session_logits(rig.session), n_vocab * sizeof *dense);
    }
    ck_assert_mem_eq(dense, pv_session_logits(rig.session), n_vocab * sizeof *dense);
    free(dense);
    rig_close(&rig);
}
END_TEST

START_TEST(token_statistics_name_the_mask)
{
    struct rig rig;
    struct pv_token_stats stats;
    rig_open(&rig, &tiny, 6, 0.3, NULL);
    ck_assert_int_eq(pv_session_set_ffn(rig.session, PV_FFN_ROUTED), PV_OK);
    ck_assert_int_eq(pv_session_token_stats(rig.session, &stats), PV_ERR_ARG); /* nothing decoded yet */
    double sum = 0.0;
    ck_assert_int_eq(pv_session_decode(rig.session, 3), PV_OK);
    ck_assert_int_eq(pv_session_token_stats(rig.session, &stats), PV_OK);
    for (uint32_t l = 0; l < stats.n_layers; l++) {
        ck_assert_uint_lt(stats.cluster[l], 6);
        ck_assert_uint_eq(stats.n_neurons[l], pv_clusters_mask_size(rig.clusters, l, stats.cluster[l]));
        ck_assert(stats.margin[l] >= 0.0f);
        sum += stats.n_neurons[l];
    }
    ck_assert_double_eq_tol(stats.density, sum / (stats.n_layers * 100.0), 1e-9);
    rig_close(&rig);
}
END_TEST

/* The union of the best two: what is computed is what the statistics, the captures and the evaluation say. */
static enum pv_status on_union(void *user, const struct pv_capture *c)
{
    const struct pv_clusters *clusters = user;
    const size_t words = pv_bit_words(100);
    ck_assert_ptr_nonnull(c->mask);
    for (uint32_t t = 0; t < c->n_tokens; t++) {
        uint32_t n, n_missing = 0;
        const uint32_t *bits = c->mask + t * words;
        const uint16_t *own = pv_clusters_mask(clusters, c->layer, c->cluster[t], &n);
        for (uint32_t i = 0; i < n; i++)
            n_missing += !pv_bit_get(bits, own[i]);
        ck_assert_uint_eq(n_missing, 0);
        ck_assert_uint_gt(pv_bit_count(bits, words),
                          n); /* random masks of 100 neurons: never one in another */
    }
    return PV_OK;
}

START_TEST(two_clusters_are_computed_and_counted)
{
    static const enum pv_ffn_mode modes[] = {PV_FFN_DENSE, PV_FFN_ROUTED};
    const struct pv_eval_params params = {.n_ctx = 16, .modes = modes, .n_modes = 2};
    double density[2], recall[2];
    uint32_t tokens[40];
    for (uint32_t n_best = 1; n_best <= 2; n_best++) {
        struct pv_eval_result result;
        struct pv_token_stats stats;
        struct pv_session *s;
        struct rig rig;
        rig_open(&rig, &tiny, 6, 0.3, &(struct pv_engine_params){.n_best = n_best});
        rig_random_tokens(4, pv_model_hparams(rig.model)->n_vocab, tokens, 40);
        ck_assert_int_eq(pv_eval(rig.engine, tokens, 40, &params, &result), PV_OK);
        density[n_best - 1] = result.modes[1].density;
        recall[n_best - 1] = result.mean.recall;
        pv_eval_result_free(&result);
        const struct pv_session_params looking = {
            .ffn = PV_FFN_ROUTED, .capture = n_best > 1 ? on_union : NULL, .capture_user = rig.clusters};
        ck_assert_int_eq(pv_session_create(rig.engine, &looking, &s), PV_OK);
        ck_assert_int_eq(pv_session_prefill(s, tokens, 20), PV_OK);
        ck_assert_int_eq(pv_session_decode(s, tokens[20]), PV_OK);
        ck_assert_int_eq(pv_session_token_stats(s, &stats), PV_OK);
        for (uint32_t l = 0; l < stats.n_layers; l++) {
            const uint32_t own = pv_clusters_mask_size(rig.clusters, l, stats.cluster[l]);
            ck_assert(n_best > 1 ? stats.n_neurons[l] > own : stats.n_neurons[l] == own);
        }
        pv_session_destroy(s);
        rig_close(&rig);
    }
    /* two random masks of 0.3 hold 0.51 */
    ck_assert_double_eq_tol(density[0], 0.3, 0.08);
    ck_assert_double_eq_tol(density[1], 0.51, 0.08);
    ck_assert_double_gt(recall[1], recall[0]);
}
END_TEST

/* What a layer takes, and a token besides: its embedding, the first norm, the logits, their argmax. */
START_TEST(dispatches_are_few)
{
    static const struct {
        struct pv_tiny_params model;
        uint32_t rank, dense, masked;
    } rows[] = {
        {{.arch = "arcee"}, 0, 7, 8},
        {{.arch = "llama"}, 0, 7, 8}, /* gated */
        {{.arch = "arcee"}, 5, 7, 9}, /* a router of two products */
    };
    enum { A_TOKEN = 4 };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rig rig;
        struct pv_token_stats stats;
        const struct pv_tiny_clusters clusters = {.n_clusters = 6, .density = 0.3, .rank = rows[i].rank};
        rig_open_clusters(&rig, &rows[i].model, &clusters, NULL);
        for (uint32_t masked = 0; masked < 2; masked++) {
            const uint32_t each = masked ? rows[i].masked : rows[i].dense;
            ck_assert_int_eq(pv_session_set_ffn(rig.session, masked ? PV_FFN_ROUTED : PV_FFN_DENSE), PV_OK);
            ck_assert_int_eq(pv_session_decode(rig.session, 3), PV_OK);
            ck_assert_int_eq(pv_session_token_stats(rig.session, &stats), PV_OK);
            ck_assert_uint_eq(stats.n_dispatches, each * stats.n_layers + A_TOKEN);
        }
        rig_close(&rig);
    }
}
END_TEST

/* Times follow each other within the token's device time, the way of the token names them, and nothing is
 * timed unasked. */
START_TEST(dispatches_are_timed)
{
    struct rig rig;
    struct pv_token_stats stats;
    struct pv_dispatch_time times[512];
    struct pv_session *timed;
    const struct pv_session_params params = {.ffn = PV_FFN_ROUTED, .time_dispatches = true};
    rig_open(&rig, &tiny, 6, 0.3, NULL);
    ck_assert_int_eq(pv_session_decode(rig.session, 3), PV_OK);
    ck_assert_uint_eq(pv_session_dispatches(rig.session, times, 512), 0);
    ck_assert_int_eq(pv_session_create(rig.engine, &params, &timed), PV_OK);
    ck_assert_uint_eq(pv_session_dispatches(timed, times, 512), 0); /* nothing decoded yet */
    for (int round = 0; round < 3; round++) {
        double end = 0.0;
        bool routed = false;
        ck_assert_int_eq(pv_session_decode(timed, 3), PV_OK);
        ck_assert_int_eq(pv_session_token_stats(timed, &stats), PV_OK);
        const uint32_t n = pv_session_dispatches(timed, times, 512);
        if (stats.device_ms == 0.0) /* no timestamps here */
            break;
        ck_assert_uint_ge(n, 8 * stats.n_layers);
        ck_assert_uint_eq(pv_session_dispatches(timed, times, 3), n);
        for (uint32_t i = 0; i < n; i++) {
            ck_assert(times[i].start_us >= end - 1e-6 && times[i].duration_us >= 0.0);
            end = times[i].start_us + times[i].duration_us;
            ck_assert_uint_eq(times[i].stage, 0);
            routed = routed || strncmp(times[i].shader, "ffn_up.", 7) == 0;
        }
        ck_assert(routed);
        ck_assert_double_le(end, 1e3 * stats.device_ms * 1.001 + 1.0);
    }
    pv_session_destroy(timed);
    rig_close(&rig);
}
END_TEST

struct seen {
    uint32_t n_calls, n_rows;
    uint32_t d_ffn;
};
static enum pv_status on_capture(void *user, const struct pv_capture *c)
{
    struct seen *seen = user;
    seen->n_calls++;
    seen->n_rows += c->n_tokens;
    const size_t words = pv_bit_words(seen->d_ffn);
    for (uint32_t t = 0; t < c->n_tokens; t++)
        for (uint32_t j = 0; j < seen->d_ffn; j++) {
            const float value = c->contribution[(size_t)t * seen->d_ffn + j];
            ck_assert(value >= 0.0f && isfinite(value));
            ck_assert_int_eq(pv_bit_get(c->bits + t * words, j), value > 0.0f);
        }
    return PV_OK;
}

START_TEST(capture_sees_every_row_of_every_layer_once)
{
    struct rig rig;
    rig_open(&rig, &tiny, 0, 0.0, &(struct pv_engine_params){.n_batch = 8});
    struct seen seen = {.d_ffn = pv_model_hparams(rig.model)->d_ffn};
    struct pv_session *s = NULL;
    uint32_t tokens[19];
    rig_random_tokens(2, pv_model_hparams(rig.model)->n_vocab, tokens, 19);
    ck_assert_int_eq(
        pv_session_create(rig.engine,
                          &(struct pv_session_params){.capture = on_capture, .capture_user = &seen}, &s),
        PV_OK);
    ck_assert_int_eq(pv_session_prefill(s, tokens, 19), PV_OK);
    ck_assert_uint_eq(seen.n_rows, 19 * pv_model_hparams(rig.model)->n_layers);
    ck_assert_uint_eq(seen.n_calls, 3 * pv_model_hparams(rig.model)->n_layers);
    pv_session_destroy(s);
    rig_close(&rig);
}
END_TEST

START_TEST(evaluation_orders_the_modes)
{
    static const enum pv_ffn_mode modes[] = {PV_FFN_DENSE, PV_FFN_ROUTED, PV_FFN_ORACLE_CLUSTER,
                                             PV_FFN_STATIC, PV_FFN_ORACLE_MASK};
    const struct pv_eval_params params = {.n_ctx = 16, .modes = modes, .n_modes = 5};
    struct pv_eval_result result;
    struct rig rig;
    uint32_t tokens[70];
    rig_open(&rig, &tiny, 6, 0.3, NULL);
    rig_random_tokens(4, pv_model_hparams(rig.model)->n_vocab, tokens, 70);
    ck_assert_int_eq(pv_eval(rig.engine, tokens, 70, &params, &result), PV_OK);
    ck_assert_uint_eq(result.n_windows, 4);
    ck_assert_uint_eq(result.n_tokens, 64);
    ck_assert(isfinite(result.modes[0].ppl) && result.modes[0].ppl > 1.0);
    ck_assert_double_eq_tol(result.modes[0].density, 1.0, 1e-12);
    ck_assert_double_eq_tol(result.modes[1].density, result.mean.density, 1e-9);
    ck_assert(result.modes[1].density > 0.1 && result.modes[1].density < 0.6);
    /* a token's own top neurons lose less than random masks: perplexities stay nearer to dense */
    ck_assert_double_lt(fabs(log(result.modes[4].ppl / result.modes[0].ppl)),
                        fabs(log(result.modes[1].ppl / result.modes[0].ppl)) + 1e-3);
    ck_assert(result.mean.recall >= 0.0 && result.mean.recall <= 1.0);
    ck_assert(result.mean.router_accuracy >= 0.0 && result.mean.router_accuracy <= 1.0);
    pv_eval_result_free(&result);
    rig_close(&rig);
}
END_TEST

/* Keeps the neurons below *user. */
static enum pv_status keep_first(void *user, const struct pv_capture *c, uint32_t *bits)
{
    const uint32_t n_keep = *(const uint32_t *)user;
    for (uint32_t t = 0; t < c->n_tokens; t++)
        for (uint32_t j = 0; j < n_keep; j++)
            pv_bit_set(bits + t * pv_bit_words(100), j);
    return PV_OK;
}

START_TEST(callback_masks_are_applied_and_counted)
{
    static const enum pv_ffn_mode modes[] = {PV_FFN_DENSE, PV_FFN_CALLBACK};
    uint32_t n_keep = 100, tokens[40];
    const struct pv_eval_params params = {
        .n_ctx = 16, .modes = modes, .n_modes = 2, .mask = keep_first, .mask_user = &n_keep};
    struct pv_eval_result result;
    struct rig rig;
    rig_open(&rig, &tiny, 0, 0.0, NULL);
    rig_random_tokens(4, pv_model_hparams(rig.model)->n_vocab, tokens, 40);
    ck_assert_int_eq(pv_eval(rig.engine, tokens, 40, &params, &result), PV_OK);
    ck_assert_double_eq_tol(result.modes[1].ppl, result.modes[0].ppl, 1e-9);
    ck_assert_double_eq_tol(result.modes[1].recall, 1.0, 1e-12);
    pv_eval_result_free(&result);
    n_keep = 25;
    ck_assert_int_eq(pv_eval(rig.engine, tokens, 40, &params, &result), PV_OK);
    ck_assert_double_eq_tol(result.modes[1].density, 0.25, 1e-12);
    ck_assert(result.modes[1].recall > 0.05 && result.modes[1].recall < 0.6);
    ck_assert(fabs(result.modes[1].ppl - result.modes[0].ppl) > 1e-9);
    pv_eval_result_free(&result);
    rig_close(&rig);
}
END_TEST

START_TEST(wrong_calls_are_refused)
{
    struct rig rig;
    uint32_t tokens[80] = {0};
    rig_open(&rig, &tiny, 0, 0.0, NULL);
    const uint32_t n_vocab = pv_model_hparams(rig.model)->n_vocab;
    ck_assert_int_eq(pv_session_prefill(rig.session, tokens, 0), PV_ERR_ARG);
    ck_assert_int_eq(pv_session_prefill(rig.session, tokens, 65), PV_ERR_ARG); /* the context holds 64 */
    ck_assert_int_eq(pv_session_set_ffn(rig.session, PV_FFN_ROUTED), PV_ERR_ARG);
    ck_assert_int_eq(pv_session_decode(rig.session, n_vocab), PV_ERR_ARG);
    ck_assert_int_eq(pv_session_prefill(rig.session, tokens, 64), PV_OK);
    ck_assert_int_eq(pv_session_decode(rig.session, 0), PV_ERR_ARG); /* full */
    pv_session_reset(rig.session);
    ck_assert_int_eq(pv_session_decode(rig.session, 0), PV_OK);
    struct pv_engine *engine = NULL;
    ck_assert_int_eq(
        pv_engine_create(rig_context(), rig.model, &(struct pv_engine_params){.n_best = 3}, &engine),
        PV_ERR_ARG);
    rig_close(&rig);
}
END_TEST

START_TEST(greedy_text_is_reproducible)
{
    uint32_t first[24];
    for (int round = 0; round < 2; round++) {
        struct rig rig;
        rig_open(&rig, &tiny, 6, 0.3, NULL);
        ck_assert_int_eq(pv_session_set_ffn(rig.session, PV_FFN_ROUTED), PV_OK);
        uint32_t token = 5;
        for (int i = 0; i < 24; i++) {
            ck_assert_int_eq(pv_session_decode(rig.session, token), PV_OK);
            token = pv_session_argmax(rig.session);
            if (round == 0)
                first[i] = token;
            ck_assert_uint_eq(token, first[i]);
        }
        rig_close(&rig);
    }
}
END_TEST

int main(void)
{
    if (!rig_start())
        return pv_test_skip("no usable Vulkan device");
    Suite *suite = suite_create("infer/modes");
    TCase *tcase = tcase_create("modes");
    tcase_add_test(tcase, masks_of_all_neurons_give_the_dense_logits);
    tcase_add_test(tcase, token_statistics_name_the_mask);
    tcase_add_test(tcase, two_clusters_are_computed_and_counted);
    tcase_add_test(tcase, dispatches_are_few);
    tcase_add_test(tcase, dispatches_are_timed);
    tcase_add_test(tcase, capture_sees_every_row_of_every_layer_once);
    tcase_add_test(tcase, evaluation_orders_the_modes);
    tcase_add_test(tcase, callback_masks_are_applied_and_counted);
    tcase_add_test(tcase, wrong_calls_are_refused);
    tcase_add_test(tcase, greedy_text_is_reproducible);
    tcase_add_unchecked_fixture(tcase, NULL, rig_stop);
    suite_add_tcase(suite, tcase);
    return pv_test_main(suite);
}
