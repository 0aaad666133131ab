#include "base/rng.h"

#include <math.h>
#include "harness.h"

START_TEST(published_sequences_come_out)
{
    /* splitmix64 of seed 1234567, and xoshiro256** from state 1, 2, 3, 4: the reference implementations'
     * values */
    static const uint64_t split[] = {6457827717110365317u, 3203168211198807973u, 9817491932198370423u,
                                     4593380528125082431u};
    static const uint64_t xoshiro[] = {11520, 0, 1509978240, 1215971899390074240};
    struct pv_rng rng;

    pv_rng_seed(&rng, 1234567);
    for (int i = 0; i < 4; i++)
        ck_assert_uint_eq(rng.s[i], split[i]);
    rng = (struct pv_rng){{1, 2, 3, 4}};
    for (int i = 0; i < 4; i++)
        ck_assert_uint_eq(pv_rng_u64(&rng), xoshiro[i]);
}
END_TEST

START_TEST(below_is_uniform_and_in_range)
{
    struct pv_rng rng;
    uint32_t counts[7] = {0};

    pv_rng_seed(&rng, 2);
    for (int i = 0; i < 70000; i++) {
        const uint32_t x = pv_rng_below(&rng, 7);

        ck_assert_uint_lt(x, 7);
        counts[x]++;
    }
    for (int i = 0; i < 7; i++)
        ck_assert(counts[i] > 9500 && counts[i] < 10500);
    ck_assert_uint_eq(pv_rng_below(&rng, 1), 0);
    for (int i = 0; i < 1000; i++)
        ck_assert_uint_lt(pv_rng_below(&rng, UINT32_MAX), UINT32_MAX);
}
END_TEST

START_TEST(floats_lie_in_the_unit_interval)
{
    struct pv_rng rng;
    double sum = 0;

    pv_rng_seed(&rng, 3);
    for (int i = 0; i < 100000; i++) {
        const float f = pv_rng_float(&rng);
        const double d = pv_rng_double(&rng);

        ck_assert(f >= 0.0f && f < 1.0f && d >= 0.0 && d < 1.0);
        sum += (double)f + d;
    }
    ck_assert_double_eq_tol(sum / 200000, 0.5, 0.005);
}
END_TEST

START_TEST(normal_has_its_moments)
{
    struct pv_rng rng;
    double sum = 0, squares = 0, fourths = 0;
    const int n = 200000;

    pv_rng_seed(&rng, 4);
    for (int i = 0; i < n; i++) {
        const double x = (double)pv_rng_normal(&rng);

        ck_assert(isfinite(x));
        sum += x;
        squares += x * x;
        fourths += x * x * x * x;
    }
    ck_assert_double_eq_tol(sum / n, 0.0, 0.01);
    ck_assert_double_eq_tol(squares / n, 1.0, 0.02);
    ck_assert_double_eq_tol(fourths / n, 3.0, 0.1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/rng");
    TCase *tcase = tcase_create("rng");

    tcase_add_test(tcase, published_sequences_come_out);
    tcase_add_test(tcase, below_is_uniform_and_in_range);
    tcase_add_test(tcase, floats_lie_in_the_unit_interval);
    tcase_add_test(tcase, normal_has_its_moments);
    suite_add_tcase(suite, tcase);
    return pv_test_main(suite);
}
