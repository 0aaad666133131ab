/* The sampler's filters on hand-made logits, and the split of layers. */
#include <check.h>
#include <math.h>

#include "harness.h"
#include "infer/load/split.h"
#include "parvin/session.h"

static uint32_t pick(struct pv_sampler_params params, const float *logits, uint32_t n)
{
    struct pv_sampler *s = NULL;
    uint32_t token = UINT32_MAX;
    ck_assert_int_eq(pv_sampler_create(&params, n, &s), PV_OK);
    ck_assert_int_eq(pv_sampler_pick(s, logits, &token), PV_OK);
    pv_sampler_destroy(s);
    return token;
}

START_TEST(greedy_takes_the_first_best)
{
    const float logits[] = {0.5f, 2.0f, -1.0f, 2.0f};
    ck_assert_uint_eq(pick((struct pv_sampler_params){0}, logits, 4), 1);
}
END_TEST

START_TEST(top_k_one_is_greedy_at_any_temperature)
{
    const float logits[] = {0.0f, 0.1f, 0.2f, 0.15f};
    for (uint64_t seed = 0; seed < 50; seed++)
        ck_assert_uint_eq(
            pick((struct pv_sampler_params){.temperature = 5.0f, .top_k = 1, .seed = seed}, logits, 4), 2);
}
END_TEST

/* Draws many times and returns the share of each token. */
static void shares(struct pv_sampler_params params, const float *logits, uint32_t n, double *share)
{
    enum { draws = 20000 };
    struct pv_sampler *s = NULL;
    params.seed = 7;
    ck_assert_int_eq(pv_sampler_create(&params, n, &s), PV_OK);
    for (uint32_t i = 0; i < n; i++)
        share[i] = 0.0;
    for (int i = 0; i < draws; i++) {
        uint32_t token = 0;
        ck_assert_int_eq(pv_sampler_pick(s, logits, &token), PV_OK);
        share[token] += 1.0 / draws;
    }
    pv_sampler_destroy(s);
}

/* Selection against a full sort: the same draws, with ties and any k. */
START_TEST(top_k_selects_what_a_sort_would)
{
    enum { N = 257 };
    float logits[N], cut[N];
    uint32_t state = 12345;
    for (uint32_t k = 1; k <= N; k += 5) {
        for (uint32_t i = 0; i < N; i++) {
            state = state * 1664525u + 1013904223u;
            logits[i] = (float)(state >> 24) / 16.0f; /* many ties */
        }
        /* All but the k best, by a count of those before it, leave the draw. */
        for (uint32_t i = 0; i < N; i++) {
            uint32_t before = 0;
            for (uint32_t j = 0; j < N; j++)
                before += logits[j] > logits[i] || (j < i && logits[j] >= logits[i]);
            cut[i] = before < k ? logits[i] : -1e30f;
        }
        for (uint64_t seed = 0; seed < 8; seed++) {
            const struct pv_sampler_params with = {.temperature = 3.0f, .top_k = k, .seed = seed};
            const struct pv_sampler_params without = {.temperature = 3.0f, .seed = seed};
            ck_assert_uint_eq(pick(with, logits, N), pick(without, cut, N));
        }
    }
}
END_TEST

START_TEST(temperature_gives_the_softmax)
{
    const float logits[] = {logf(0.5f), logf(0.3f), logf(0.2f)};
    double share[3];
    shares((struct pv_sampler_params){.temperature = 1.0f}, logits, 3, share);
    ck_assert_double_eq_tol(share[0], 0.5, 0.015);
    ck_assert_double_eq_tol(share[1], 0.3, 0.015);
    shares((struct pv_sampler_params){.temperature = 0.5f}, logits, 3, share); /* squares, renormalised */
    ck_assert_double_eq_tol(share[0], 0.25 / 0.38, 0.015);
}
END_TEST

START_TEST(top_p_and_min_p_cut_the_tail)
{
    const float logits[] = {logf(0.5f), logf(0.3f), logf(0.15f), logf(0.05f)};
    double share[4];
    shares((struct pv_sampler_params){.temperature = 1.0f, .top_p = 0.75f}, logits, 4, share);
    ck_assert_double_eq_tol(share[0], 0.625, 0.015); /* 0.5 and 0.3 reach 0.75 */
    ck_assert(share[2] <= 0.0 && share[3] <= 0.0);
    shares((struct pv_sampler_params){.temperature = 1.0f, .min_p = 0.2f}, logits, 4, share);
    ck_assert(share[2] > 0.1 && share[3] <= 0.0); /* 0.05 is below a fifth of 0.5 */
}
END_TEST

START_TEST(repeat_penalty_turns_away_from_recent_tokens)
{
    const float logits[] = {2.0f, 1.9f, -1.0f};
    struct pv_sampler *s = NULL;
    uint32_t token = 0;
    ck_assert_int_eq(
        pv_sampler_create(&(struct pv_sampler_params){.repeat_penalty = 1.5f, .repeat_last = 2}, 3, &s),
        PV_OK);
    pv_sampler_accept(s, 0);
    ck_assert_int_eq(pv_sampler_pick(s, logits, &token), PV_OK);
    ck_assert_uint_eq(token, 1);
    pv_sampler_accept(s, 2);
    pv_sampler_accept(s, 2); /* pushes 0 out of the window of 2 */
    ck_assert_int_eq(pv_sampler_pick(s, logits, &token), PV_OK);
    ck_assert_uint_eq(token, 0);
    pv_sampler_destroy(s);
}
END_TEST

START_TEST(nan_logits_are_an_error)
{
    const float logits[] = {0.0f, NAN};
    struct pv_sampler *s = NULL;
    uint32_t token = 0;
    ck_assert_int_eq(pv_sampler_create(NULL, 2, &s), PV_OK);
    ck_assert_int_eq(pv_sampler_pick(s, logits, &token), PV_ERR_CHECK);
    pv_sampler_destroy(s);
}
END_TEST

START_TEST(layers_split_by_weight)
{
    uint32_t begin[9];
    ck_assert(pv_split_layers(4, 2, NULL, NULL, begin));
    ck_assert(begin[0] == 0 && begin[1] == 2 && begin[2] == 4);
    ck_assert(pv_split_layers(4, 2, (const double[]){3.0, 1.0}, NULL, begin));
    ck_assert(begin[1] == 3 && begin[2] == 4);
    ck_assert(pv_split_layers(4, 4, (const double[]){1000.0, 1.0, 1.0, 1.0}, NULL, begin));
    for (uint32_t i = 0; i <= 4; i++)
        ck_assert_uint_eq(begin[i], i); /* nobody is left without a layer */
    ck_assert(pv_split_layers(10, 2, (const double[]){1.0, 1000.0}, NULL, begin));
    ck_assert_uint_eq(begin[1], 1);
}
END_TEST

START_TEST(layers_split_within_the_room)
{
    uint32_t begin[9];
    ck_assert(pv_split_layers(10, 2, (const double[]){9.0, 1.0}, (const uint32_t[]){4, 100}, begin));
    ck_assert(begin[1] == 4 && begin[2] == 10);
    ck_assert(!pv_split_layers(10, 2, NULL, (const uint32_t[]){4, 5}, begin));
    ck_assert(!pv_split_layers(10, 2, NULL, (const uint32_t[]){100, 0}, begin));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("infer/sampler");
    TCase *tcase = tcase_create("sampler");
    tcase_add_test(tcase, greedy_takes_the_first_best);
    tcase_add_test(tcase, top_k_one_is_greedy_at_any_temperature);
    tcase_add_test(tcase, top_k_selects_what_a_sort_would);
    tcase_add_test(tcase, temperature_gives_the_softmax);
    tcase_add_test(tcase, top_p_and_min_p_cut_the_tail);
    tcase_add_test(tcase, repeat_penalty_turns_away_from_recent_tokens);
    tcase_add_test(tcase, nan_logits_are_an_error);
    tcase_add_test(tcase, layers_split_by_weight);
    tcase_add_test(tcase, layers_split_within_the_room);
    suite_add_tcase(suite, tcase);
    return pv_test_main(suite);
}
