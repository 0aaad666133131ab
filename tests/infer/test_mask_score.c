/* label: unit */
#include "infer/eval/mask_score.h"

#include "harness.h"

START_TEST(tokens_are_counted)
{
    static const uint32_t mask[] = {0x0000000f, 0x1}, pattern[] = {0x00000019, 0x1};
    float c[33] = {0};
    struct pv_mask_score one = {0}, two = {0};

    for (int j = 0; j < 5; j++)
        c[j] = (float)(j + 1);
    pv_mask_score_add(&one, mask, pattern, c, 33);
    ck_assert_double_eq(one.n_tokens, 1.0);
    ck_assert_double_eq(one.computed, 5.0);
    ck_assert_double_eq(one.active, 4.0);
    ck_assert_double_eq(one.hit, 3.0);
    ck_assert_double_eq(one.energy, 1 + 4 + 9 + 16 + 25);
    ck_assert_double_eq(one.energy_kept, 1 + 4 + 9 + 16);
    ck_assert_double_eq(pv_mask_precision(&one), 3.0 / 5.0);
    ck_assert_double_eq(pv_mask_recall(&one), 3.0 / 4.0);
    ck_assert_double_eq(pv_mask_weighted_recall(&one), 30.0 / 55.0);
    pv_mask_score_add(&two, mask, pattern, c, 33);
    pv_mask_score_merge(&two, &one);
    ck_assert_double_eq(two.n_tokens, 2.0);
    ck_assert_double_eq(two.hit, 6.0);
    ck_assert_double_eq(two.energy_kept, 60.0);
    ck_assert_double_eq(pv_mask_precision(&two), pv_mask_precision(&one));
}
END_TEST

START_TEST(a_share_of_nothing_is_one)
{
    static const uint32_t none[] = {0}, some[] = {0x6};
    static const float zeros[3] = {0}, c[3] = {0, 2, 1};
    struct pv_mask_score empty_mask = {0}, empty_pattern = {0};

    pv_mask_score_add(&empty_mask, none, some, c, 3);
    ck_assert_double_eq(pv_mask_precision(&empty_mask), 1.0);
    ck_assert_double_eq(pv_mask_recall(&empty_mask), 0.0);
    ck_assert_double_eq(pv_mask_weighted_recall(&empty_mask), 0.0);
    pv_mask_score_add(&empty_pattern, some, none, zeros, 3);
    ck_assert_double_eq(pv_mask_precision(&empty_pattern), 0.0);
    ck_assert_double_eq(pv_mask_recall(&empty_pattern), 1.0);
    ck_assert_double_eq(pv_mask_weighted_recall(&empty_pattern), 1.0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mask_score");
    TCase *tcase = tcase_create("mask_score");

    tcase_add_test(tcase, tokens_are_counted);
    tcase_add_test(tcase, a_share_of_nothing_is_one);
    suite_add_tcase(suite, tcase);
    return pv_test_main(suite);
}
