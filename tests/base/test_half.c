/* All 65536 values of both types, and the rounding at every midpoint between neighbours. */
#include "base/half.h"

#include <math.h>
#include <stdbool.h>
#include "harness.h"

static bool half_is_nan(uint16_t h)
{
    return (h & 0x7c00) == 0x7c00 && (h & 0x3ff) != 0;
}

START_TEST(half_values_round_trip)
{
    for (uint32_t h = 0; h < 0x10000; h++) {
        const float f = pv_half_to_float((uint16_t)h);

        if (half_is_nan((uint16_t)h)) {
            ck_assert(isnan(f));
            ck_assert(half_is_nan(pv_float_to_half(f)));
        } else {
            ck_assert_uint_eq(pv_float_to_half(f), h);
        }
    }
    ck_assert_float_eq(pv_half_to_float(0x3c00), 1.0f);
    ck_assert_float_eq(pv_half_to_float(0xc000), -2.0f);
    ck_assert_float_eq(pv_half_to_float(0x0001), 0x1p-24f);
    ck_assert_float_eq(pv_half_to_float(0x7bff), 65504.0f);
    ck_assert(isinf(pv_half_to_float(0x7c00)));
}
END_TEST

START_TEST(half_rounds_to_nearest_even)
{
    for (uint32_t h = 0; h < 0x7bff; h++) {
        const float low = pv_half_to_float((uint16_t)h), high = pv_half_to_float((uint16_t)(h + 1));
        const float middle = low + (high - low) / 2;
        const uint32_t even = h % 2 == 0 ? h : h + 1;

        ck_assert_uint_eq(pv_float_to_half(middle), even);
        ck_assert_uint_eq(pv_float_to_half(nextafterf(middle, low)), h);
        ck_assert_uint_eq(pv_float_to_half(nextafterf(middle, high)), h + 1);
        ck_assert_uint_eq(pv_float_to_half(-middle), even | 0x8000);
    }
    ck_assert_uint_eq(pv_float_to_half(65519.99f), 0x7bff);
    ck_assert_uint_eq(pv_float_to_half(65520.0f), 0x7c00);
    ck_assert_uint_eq(pv_float_to_half(-INFINITY), 0xfc00);
    ck_assert_uint_eq(pv_float_to_half(0x1p-149f), 0);
    ck_assert_uint_eq(pv_float_to_half(-0.0f), 0x8000);
}
END_TEST

START_TEST(bf16_round_trips_and_rounds)
{
    for (uint32_t h = 0; h < 0x10000; h++) {
        const float f = pv_bf16_to_float((uint16_t)h);

        if (isnan(f))
            ck_assert(isnan(pv_bf16_to_float(pv_float_to_bf16(f))));
        else
            ck_assert_uint_eq(pv_float_to_bf16(f), h);
    }
    ck_assert_uint_eq(pv_float_to_bf16(1.00390625f), 0x3f80); /* half way: to even */
    ck_assert_uint_eq(pv_float_to_bf16(1.01171875f), 0x3f82);
    ck_assert_uint_eq(pv_float_to_bf16(3.4e38f), 0x7f80);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/half");
    TCase *tcase = tcase_create("half");

    tcase_add_test(tcase, half_values_round_trip);
    tcase_add_test(tcase, half_rounds_to_nearest_even);
    tcase_add_test(tcase, bf16_round_trips_and_rounds);
    suite_add_tcase(suite, tcase);
    return pv_test_main(suite);
}
