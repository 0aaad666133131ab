#include "base/bits.h"

#include "base/rng.h"
#include "harness.h"

START_TEST(popcount_matches_counting)
{
    struct pv_rng rng;

    pv_rng_seed(&rng, 1);
    ck_assert_uint_eq(pv_popcount(0), 0);
    ck_assert_uint_eq(pv_popcount(UINT32_MAX), 32);
    for (int i = 0; i < 10000; i++) {
        uint32_t word = (uint32_t)pv_rng_u64(&rng), n = 0;

        for (uint32_t rest = word; rest != 0; rest &= rest - 1)
            n++;
        ck_assert_uint_eq(pv_popcount(word), n);
    }
}
END_TEST

START_TEST(rows_count_over_word_borders)
{
    const size_t lengths[] = {1, 31, 32, 33, 64, 100};

    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        uint32_t a[4] = {0}, b[4] = {0};
        size_t n_a = 0, n_and = 0, n_xor = 0, n_words = pv_bit_words(lengths[i]);

        for (size_t j = 0; j < lengths[i]; j++) {
            const bool in_a = j % 3 == 0, in_b = j % 5 == 0;

            if (in_a)
                pv_bit_set(a, j);
            if (in_b)
                pv_bit_set(b, j);
            n_a += in_a;
            n_and += in_a && in_b;
            n_xor += in_a != in_b;
            ck_assert(pv_bit_get(a, j) == in_a);
        }
        ck_assert_uint_eq(pv_bit_count(a, n_words), n_a);
        ck_assert_uint_eq(pv_bit_count_and(a, b, n_words), n_and);
        ck_assert_uint_eq(pv_bit_count_xor(a, b, n_words), n_xor);
    }
    ck_assert_uint_eq(pv_bit_words(0), 0);
    ck_assert_uint_eq(pv_bit_words(33), 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/bits");
    TCase *tcase = tcase_create("bits");

    tcase_add_test(tcase, popcount_matches_counting);
    tcase_add_test(tcase, rows_count_over_word_borders);
    suite_add_tcase(suite, tcase);
    return pv_test_main(suite);
}
