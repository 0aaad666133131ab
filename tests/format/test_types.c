#include "format/gguf/types.h"

#include <math.h>
#include <string.h>
#include "base/rng.h"
#include "harness.h"

static const enum pv_type weights[] = {PV_F32, PV_F16, PV_BF16, PV_Q8_0, PV_Q4_0};
enum { N_WEIGHTS = 5 };

START_TEST(the_table_knows_its_types)
{
    enum pv_type type;

    for (int i = 0; i < N_WEIGHTS; i++) {
        ck_assert(pv_type_known(weights[i]) && pv_type_is_weight(weights[i]));
        ck_assert(pv_type_from_name(pv_type_name(weights[i]), &type));
        ck_assert_int_eq(type, weights[i]);
    }
    ck_assert(pv_type_known(PV_I16) && !pv_type_is_weight(PV_I16));
    ck_assert(!pv_type_known(12) && !pv_type_known(3) && !pv_type_known(UINT32_MAX));
    ck_assert(!pv_type_from_name("q4_k", &type));
    ck_assert_str_eq(pv_type_name((enum pv_type)12), "unknown");
}
END_TEST

START_TEST(row_sizes_follow_blocks)
{
    ck_assert_uint_eq(pv_type_row_bytes(PV_F32, 33), 132);
    ck_assert_uint_eq(pv_type_row_bytes(PV_Q8_0, 64), 68);
    ck_assert_uint_eq(pv_type_row_bytes(PV_Q4_0, 64), 36);
    ck_assert_uint_eq(pv_type_row_bytes(PV_Q4_0, 172), 0);
    ck_assert_uint_eq(pv_type_row_bytes(PV_I64, UINT64_MAX), 0);
    ck_assert_uint_eq(pv_type_block(PV_Q8_0), 32);
    ck_assert_uint_eq(pv_type_block_bytes(PV_Q8_0), 34);
}
END_TEST

START_TEST(quantised_blocks_match_hand_computed_ones)
{
    float x[32] = {0}, y[32];
    uint8_t q8[34], q4[18];

    x[0] = 127.0f; /* scale 1 */
    x[1] = -3.4f;
    x[16] = 2.5f;
    x[31] = -126.6f;
    pv_quantize(PV_Q8_0, x, q8, 32);
    ck_assert_int_eq(q8[0] | q8[1] << 8, 0x3c00);
    ck_assert_int_eq((int8_t)q8[2], 127);
    ck_assert_int_eq((int8_t)q8[3], -3);
    ck_assert_int_eq((int8_t)q8[18], 3); /* halves away from zero */
    ck_assert_int_eq((int8_t)q8[33], -127);
    memset(x, 0, sizeof x);
    x[0] = -8.0f; /* the largest becomes -8: scale 1 */
    x[1] = 7.0f;
    x[16] = 3.0f;
    x[17] = -1.4f;
    pv_quantize(PV_Q4_0, x, q4, 32);
    ck_assert_int_eq(q4[0] | q4[1] << 8, 0x3c00);
    ck_assert_int_eq(q4[2], 0 | 11 << 4);
    ck_assert_int_eq(q4[3], 15 | 7 << 4);
    ck_assert_int_eq(q4[4], 8 | 8 << 4);
    pv_dequantize(PV_Q4_0, q4, y, 32);
    ck_assert_float_eq(y[0], -8.0f);
    ck_assert_float_eq(y[1], 7.0f);
    ck_assert_float_eq(y[16], 3.0f);
    ck_assert_float_eq(y[17], -1.0f);
    ck_assert_float_eq(y[2], 0.0f);
}
END_TEST

START_TEST(errors_stay_below_half_a_step)
{
    static const double bounds[] = {0.0, 0x1p-11, 0x1p-8, 0.6 / 127, 0.6 / 8 + 0.5 / 8};
    struct pv_rng rng;
    uint8_t packed[256 * 4];
    float x[256], y[256];

    pv_rng_seed(&rng, 1);
    for (int i = 0; i < N_WEIGHTS; i++) {
        for (int round = 0; round < 50; round++) {
            double largest = 0;

            for (int j = 0; j < 256; j++) {
                x[j] = pv_rng_normal(&rng);
                largest = fmax(largest, fabs((double)x[j]));
            }
            pv_quantize(weights[i], x, packed, 256);
            pv_dequantize(weights[i], packed, y, 256);
            for (int j = 0; j < 256; j++)
                ck_assert_double_le(fabs((double)x[j] - (double)y[j]), bounds[i] * largest);
        }
    }
}
END_TEST

START_TEST(strange_floats_are_no_trap)
{
    const float strange[] = {NAN, INFINITY, -INFINITY, 1e-45f, 3e38f, -0.0f};
    uint8_t packed[32 * 4];
    float x[32], y[32];

    for (int i = 0; i < N_WEIGHTS; i++)
        for (int k = 0; k < 6; k++) {
            for (int j = 0; j < 32; j++)
                x[j] = j % 2 == 0 ? strange[k] : 1.0f;
            pv_quantize(weights[i], x, packed, 32);
            pv_dequantize(weights[i], packed, y, 32);
        }
}
END_TEST

START_TEST(integers_dequantize_to_their_values)
{
    const int8_t i8[] = {-128, 127};
    const int16_t i16[] = {-32768, 32767};
    const int32_t i32[] = {-8, 1 << 24};
    const int64_t i64[] = {-8, 1 << 24};
    float y[2];

    pv_dequantize(PV_I8, i8, y, 2);
    ck_assert(y[0] == -128.0f && y[1] == 127.0f);
    pv_dequantize(PV_I16, i16, y, 2);
    ck_assert(y[0] == -32768.0f && y[1] == 32767.0f);
    pv_dequantize(PV_I32, i32, y, 2);
    ck_assert(y[0] == -8.0f && y[1] == 16777216.0f);
    pv_dequantize(PV_I64, i64, y, 2);
    ck_assert(y[0] == -8.0f && y[1] == 16777216.0f);
}
END_TEST

START_TEST(packed_rows_unpack_to_the_same_floats)
{
    const uint32_t widths[] = {1, 7, 31, 32, 33, 48, 64, 96, 172, 256};
    struct pv_rng rng;
    float x[256], y[256], z[256];
    uint8_t row[256 * 4];
    uint32_t packed[256 + 4], scales[16];

    pv_rng_seed(&rng, 2);
    for (int i = 0; i < N_WEIGHTS; i++) {
        for (size_t k = 0; k < sizeof widths / sizeof widths[0]; k++) {
            struct pv_packed_size size;
            const uint32_t n = widths[k];
            const bool fits = pv_packed_size(weights[i], n, &size);

            ck_assert_int_eq(fits, n % pv_type_block(weights[i]) == 0);
            if (!fits)
                continue;
            for (uint32_t j = 0; j < n; j++)
                x[j] = pv_rng_normal(&rng);
            memset(packed, 0xff, sizeof packed);
            memset(scales, 0xff, sizeof scales);
            pv_quantize(weights[i], x, row, n);
            pv_dequantize(weights[i], row, y, n);
            pv_pack_row(weights[i], row, n, packed, scales);
            pv_unpack_row(weights[i], packed, scales, n, z);
            ck_assert_mem_eq(y, z, n * sizeof(float));
            ck_assert_uint_eq(packed[size.row_words * 4], UINT32_MAX); /* nothing past the row */
            ck_assert_uint_eq(scales[size.scale_words], UINT32_MAX);
            if (weights[i] == PV_F16 && n == 7)
                ck_assert_uint_eq(packed[3] >> 16, 0); /* zero-padded */
        }
    }
}
END_TEST

START_TEST(packed_sizes_are_whole_words)
{
    struct pv_packed_size size;

    ck_assert(pv_packed_size(PV_F32, 5, &size));
    ck_assert(size.row_words == 2 && size.scale_words == 0);
    ck_assert(pv_packed_size(PV_F16, 9, &size));
    ck_assert(size.row_words == 2 && size.scale_words == 0);
    ck_assert(pv_packed_size(PV_Q8_0, 96, &size));
    ck_assert(size.row_words == 6 && size.scale_words == 2);
    ck_assert(pv_packed_size(PV_Q4_0, 96, &size));
    ck_assert(size.row_words == 3 && size.scale_words == 2);
    ck_assert(!pv_packed_size(PV_I32, 32, &size));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("format/types");
    TCase *tcase = tcase_create("types");

    tcase_add_test(tcase, the_table_knows_its_types);
    tcase_add_test(tcase, row_sizes_follow_blocks);
    tcase_add_test(tcase, quantised_blocks_match_hand_computed_ones);
    tcase_add_test(tcase, errors_stay_below_half_a_step);
    tcase_add_test(tcase, strange_floats_are_no_trap);
    tcase_add_test(tcase, integers_dequantize_to_their_values);
    tcase_add_test(tcase, packed_rows_unpack_to_the_same_floats);
    tcase_add_test(tcase, packed_sizes_are_whole_words);
    suite_add_tcase(suite, tcase);
    return pv_test_main(suite);
}
