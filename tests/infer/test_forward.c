/* Tiny random models against the host reference: batches, chunks of batches, decode, one or two stages, every
 * weight type, both architectures, on every device present. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "infer/eval/reference.h"
#include "rig.h"
#include "vk/instance.h"

enum { n_text = 21 };

struct form {
    const char *name;
    struct pv_tiny_params tiny;
    double tolerance; /* nmse */
};
/* Q8_0 and Q4_0: ffn_down is rounded again along d when it is transposed, to Q8_0 and to Q6_K, which the reference
 * does not do. */
static const struct form forms[] = {
    {"arcee f32 odd sizes", {.arch = "arcee", .type = PV_F32}, 1e-7},
    {"arcee f16", {.arch = "arcee", .type = PV_F16, .d_model = 64, .d_ffn = 172}, 1e-7},
    {"llama f32 untied", {.arch = "llama", .type = PV_F32, .untied = true}, 1e-7},
    {"llama bf16", {.arch = "llama", .type = PV_BF16, .tokenizer = "spm"}, 1e-7},
    {"llama q8_0", {.arch = "llama", .type = PV_Q8_0, .d_model = 64, .d_ffn = 96}, 2e-4},
    {"arcee q4_0", {.arch = "arcee", .type = PV_Q4_0, .d_model = 64, .d_ffn = 96}, 5e-3},
};
enum { n_forms = sizeof forms / sizeof *forms };

static void check_row(const char *what, const struct form *form, uint32_t device, const float *got,
                      const float *expected, size_t n)
{
    const double error = rig_nmse(got, expected, n);
    ck_assert_msg(error <= form->tolerance, "%s, %s, device %u: nmse %g over %g", what, form->name, device,
                  error, form->tolerance);
}

static void compare(const struct form *form, uint32_t device, uint32_t n_stages, uint32_t n_clusters,
                    uint32_t rank, uint32_t n_best)
{
    const uint32_t devices[] = {device, device};
    const struct pv_engine_params params = {
        .devices = devices, .n_devices = n_stages, .n_batch = 8, .n_best = n_best};
    struct rig rig;
    const struct pv_tiny_clusters clusters = {
        .n_clusters = n_clusters, .rank = rank, .density = 0.4, .centroids = true, .seed = 5};
    rig_open_clusters(&rig, &form->tiny, &clusters, &params);
    const size_t n_vocab = pv_model_hparams(rig.model)->n_vocab;
    uint32_t tokens[n_text + 1];
    float nll[n_text];
    float *expected = calloc(n_text * n_vocab, sizeof *expected),
          *got = calloc(n_text * n_vocab, sizeof *got);
    ck_assert(expected && got);
    rig_random_tokens(3, (uint32_t)n_vocab, tokens, n_text + 1);
    ck_assert_int_eq(pv_reference_forward(rig.model, rig.clusters, n_best, tokens, n_text, expected), PV_OK);
    if (n_clusters > 0)
        ck_assert_int_eq(pv_session_set_ffn(rig.session, PV_FFN_ROUTED), PV_OK);

    ck_assert_int_eq(pv_session_score(rig.session, tokens, tokens + 1, n_text, nll, got), PV_OK);
    for (size_t t = 0; t < n_text; t++)
        check_row("scored batch", form, device, got + t * n_vocab, expected + t * n_vocab, n_vocab);

    pv_session_reset(rig.session); /* prompt of an odd length, then the decode path */
    ck_assert_int_eq(pv_session_prefill(rig.session, tokens, 11), PV_OK);
    check_row("prompt", form, device, pv_session_logits(rig.session), expected + 10 * n_vocab, n_vocab);
    for (uint32_t t = 11; t < n_text; t++) {
        ck_assert_int_eq(pv_session_decode(rig.session, tokens[t]), PV_OK);
        check_row("decode", form, device, pv_session_logits(rig.session), expected + t * n_vocab, n_vocab);
        ck_assert_uint_eq(pv_session_n_past(rig.session), t + 1);
        size_t best = 0;
        for (size_t i = 1; i < n_vocab; i++)
            if (pv_session_logits(rig.session)[i] > pv_session_logits(rig.session)[best])
                best = i;
        ck_assert_uint_eq(pv_session_argmax(rig.session), best);
    }

    for (uint32_t t = 3; t > 0; t--) { /* back, to another text; back once more, to this one */
        ck_assert_int_eq(pv_session_rewind(rig.session, 9), PV_OK);
        ck_assert_uint_eq(pv_session_n_past(rig.session), 9);
        ck_assert_int_eq(pv_session_prefill(rig.session, tokens, t), PV_OK);
    }
    ck_assert_int_eq(pv_session_rewind(rig.session, 11), PV_ERR_ARG);
    ck_assert_int_eq(pv_session_rewind(rig.session, 9), PV_OK);
    ck_assert_int_eq(pv_session_prefill(rig.session, tokens + 9, n_text - 9), PV_OK);
    check_row("after going back", form, device, pv_session_logits(rig.session),
              expected + (n_text - 1) * n_vocab, n_vocab);
    free(expected);
    free(got);
    rig_close(&rig);
}

static void each_device(int form, uint32_t n_stages, uint32_t n_clusters, uint32_t rank, uint32_t n_best)
{
    uint32_t devices[8];
    const uint32_t n = rig_devices(devices, 8);
    for (uint32_t i = 0; i < n; i++)
        compare(&forms[form], devices[i], n_stages, n_clusters, rank, n_best);
}

START_TEST(dense_matches_the_reference)
{
    each_device(_i, 1, 0, 0, 1);
}
END_TEST

START_TEST(routed_matches_the_reference)
{
    each_device(_i, 1, 7, 0, 1);
}
END_TEST

/* Ranks of one, odd, and more than there are clusters. */
START_TEST(low_rank_routers_match_the_reference)
{
    static const uint32_t ranks[] = {1, 5, 12, 31};
    for (size_t i = 0; i < sizeof ranks / sizeof *ranks; i++)
        each_device(_i, 1 + (uint32_t)i % 2, 7, ranks[i], 1);
}
END_TEST

/* Also where there is one cluster only. Not of q4_0, the last form: its errors are large enough to make
 * another cluster the second best. */
START_TEST(best_two_clusters_match_the_reference)
{
    each_device(_i, 1, 7, 0, 2);
    each_device(_i, 2, 1, 5, 2);
}
END_TEST

START_TEST(two_stages_match_the_reference)
{
    each_device(_i, 2, 7, 0, 1);
}
END_TEST

/* What an engine needs of a device beside weights fits into this much for the model below. */
enum { SMALL_BYTES = 16384 };

/* Makes one limit of the device small, and its plan anew; false if the device cannot do without. */
static bool lower(struct pv_physical *p, int limit)
{
    static const char *const overrides[] = {"access=storage", "access=texel", ""};
    struct pv_caps *caps = &p->caps;
    if (limit == 0)
        caps->max_storage_range = SMALL_BYTES;
    else if (limit == 1)
        caps->max_texel_elements = SMALL_BYTES / 16;
    else
        caps->max_allocation = SMALL_BYTES;
    const bool good = pv_plan_make(caps, p->quirks, overrides[limit], NULL, &p->plan) == PV_OK;
    ck_assert(!good || p->plan.max_binding_bytes == SMALL_BYTES);
    return good;
}

/* With limits far below its matrices the model is the same: storage range, texel elements, allocation. */
START_TEST(matrices_beyond_a_limit_are_split)
{
    static const struct form form = {
        "arcee f32 split",
        {.arch = "arcee", .type = PV_F32, .d_model = 64, .d_ffn = 300, .untied = true},
        1e-7};
    uint32_t devices[8];
    const uint32_t n = rig_devices(devices, 8);
    for (uint32_t i = 0; i < n; i++) {
        struct pv_physical *p = &rig_context()->physical[devices[i]];
        const struct pv_physical own = *p;
        if (lower(p, _i)) {
            compare(&form, devices[i], 1, 0, 0, 1);
            compare(&form, devices[i], 2, 7, 9, 2);
        }
        p->caps = own.caps;
        p->plan = own.plan;
    }
}
END_TEST

enum { COUNTED = 12 };

/* Logits [COUNTED][n_vocab] of a text in decode; of its last token what was read, and its share of all rows of
 * ffn_down. */
static float *decode_counted(const struct pv_tiny_params *tiny, uint32_t device, enum pv_ffn_mode ffn,
                             struct pv_token_stats *stats, double *share, size_t *n_floats)
{
    const struct pv_engine_params params = {.devices = &device, .n_devices = 1};
    const struct pv_session_params counting = {.ffn = ffn, .count_rows = true};
    struct pv_session *session;
    struct rig rig;
    uint32_t tokens[COUNTED], n_rows = 0;
    rig_open(&rig, tiny, ffn == PV_FFN_ROUTED ? 7 : 0, 0.5, &params);
    const struct pv_hparams *hp = pv_model_hparams(rig.model);
    float *logits = calloc((size_t)COUNTED * hp->n_vocab, sizeof *logits);
    ck_assert_ptr_nonnull(logits);
    rig_random_tokens(3, hp->n_vocab, tokens, COUNTED);
    ck_assert_int_eq(pv_session_create(rig.engine, &counting, &session), PV_OK);
    for (uint32_t i = 0; i < COUNTED; i++) {
        ck_assert_int_eq(pv_session_decode(session, tokens[i]), PV_OK);
        memcpy(logits + (size_t)i * hp->n_vocab, pv_session_logits(session), hp->n_vocab * sizeof *logits);
    }
    ck_assert_int_eq(pv_session_token_stats(session, stats), PV_OK);
    for (uint32_t i = 0; i < hp->n_layers; i++) {
        ck_assert_uint_le(stats->n_rows[i], stats->n_neurons[i]);
        n_rows += stats->n_rows[i];
    }
    *share = (double)n_rows / ((double)hp->n_layers * hp->d_ffn);
    *n_floats = (size_t)COUNTED * hp->n_vocab;
    pv_session_destroy(session);
    rig_close(&rig);
    return logits;
}

/* Rows of zeros left out and not: the same bits, and fewer bytes. */
START_TEST(rows_of_zeros_are_not_read)
{
    static const struct pv_tiny_params relu = {.arch = "arcee", .type = PV_F32, .d_ffn = 300};
    static const struct pv_tiny_params gated = {
        .arch = "llama", .name = "ProSparse", .type = PV_F32, .d_ffn = 300};
    static const struct pv_tiny_params silu = {.arch = "llama", .type = PV_F32};
    const enum pv_ffn_mode mode = _i ? PV_FFN_ROUTED : PV_FFN_DENSE;
    uint32_t devices[8];
    const uint32_t n = rig_devices(devices, 8);
    for (uint32_t i = 0; i < n; i++) {
        struct pv_plan *plan = &rig_context()->physical[devices[i]].plan;
        const uint32_t groups = plan->ffn_down_groups;
        struct pv_token_stats skipped, all;
        double density, listed;
        size_t n_floats;
        float *with = decode_counted(&relu, devices[i], mode, &skipped, &density, &n_floats);
        plan->ffn_down_groups = 0;
        float *without = decode_counted(&relu, devices[i], mode, &all, &listed, &n_floats);
        plan->ffn_down_groups = groups;
        ck_assert_mem_eq(with, without, n_floats * sizeof *with);
        ck_assert_double_eq(all.ffn_bytes, all.ffn_bytes_all);
        ck_assert_double_eq(skipped.ffn_bytes_all, all.ffn_bytes_all);
        ck_assert_double_lt(density, 0.9 * listed); /* a random model: about half are zero */
        if (mode == PV_FFN_DENSE)
            ck_assert_double_le(skipped.ffn_bytes, (1.0 + density) / 2.0 * all.ffn_bytes + 1.0);
        free(with);
        free(without);
        free(decode_counted(&gated, devices[i], mode, &skipped, &density, &n_floats));
        if (mode == PV_FFN_DENSE) /* of three matrices, rows of up and down are left out */
            ck_assert_double_le(skipped.ffn_bytes, (1.0 + 2.0 * density) / 3.0 * skipped.ffn_bytes_all + 1.0);
        free(decode_counted(&silu, devices[i], mode, &all, &listed, &n_floats));
        ck_assert_double_eq(all.ffn_bytes, all.ffn_bytes_all);
    }
}
END_TEST

int main(void)
{
    if (!rig_start())
        return pv_test_skip("no usable Vulkan device");
    Suite *suite = suite_create("infer/forward");
    TCase *tcase = tcase_create("forward");
    tcase_add_loop_test(tcase, dense_matches_the_reference, 0, n_forms);
    tcase_add_loop_test(tcase, routed_matches_the_reference, 0, n_forms);
    tcase_add_loop_test(tcase, low_rank_routers_match_the_reference, 0, 2);
    tcase_add_loop_test(tcase, best_two_clusters_match_the_reference, 0, n_forms - 1);
    tcase_add_loop_test(tcase, two_stages_match_the_reference, 0, n_forms);
    tcase_add_loop_test(tcase, matrices_beyond_a_limit_are_split, 0, 3);
    tcase_add_loop_test(tcase, rows_of_zeros_are_not_read, 0, 2);
    tcase_add_unchecked_fixture(tcase, NULL, rig_stop);
    suite_add_tcase(suite, tcase);
    return pv_test_main(suite);
}
