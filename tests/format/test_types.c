#include "format/gguf/types.h"

#include <math.h>
#include <string.h>
#include "base/rng.h"
#include "harness.h"

static const enum pv_type weights[] = {PV_F32,  PV_F16,    PV_BF16,   PV_Q8_0,  PV_Q4_0,  PV_Q4_1,
                                       PV_Q5_0, PV_Q5_1,   PV_Q2_K,   PV_Q3_K,  PV_Q4_K,  PV_Q5_K,
                                       PV_Q6_K, PV_IQ4_NL, PV_IQ4_XS, PV_TQ1_0, PV_TQ2_0, PV_MXFP4};
enum { N_WEIGHTS = sizeof weights / sizeof *weights };

START_TEST(the_table_knows_its_types)
{
    enum pv_type type;

    for (int i = 0; i < N_WEIGHTS; i++) {
        ck_assert(pv_type_known(weights[i]) && pv_type_is_weight(weights[i]));
        ck_assert(pv_type_from_name(pv_type_name(weights[i]), &type));
        ck_assert_int_eq(type, weights[i]);
    }
    ck_assert(pv_type_known(PV_I16) && !pv_type_is_weight(PV_I16));
    ck_assert(!pv_type_known(9) && !pv_type_known(16) && !pv_type_known(UINT32_MAX));
    ck_assert(!pv_type_from_name("q8_1", &type));
    ck_assert_str_eq(pv_type_name((enum pv_type)9), "unknown");
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
    /* Half a step of the coarsest group, and what rounding of its scale adds. */
    static const double bounds[] = {0.0,  0x1p-11, 0x1p-8, 0.6 / 127, 0.6 / 8 + 0.5 / 8,
                                    0.07, 0.036,   0.036,  0.45,      0.25,
                                    0.09, 0.05,    0.02,   0.11,      0.15,
                                    0.51, 0.51,    0.34};
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
    uint8_t packed[256 * 4];
    float x[256], y[256];

    for (int i = 0; i < N_WEIGHTS; i++)
        for (int k = 0; k < 6; k++) {
            for (int j = 0; j < 256; j++)
                x[j] = j % 2 == 0 ? strange[k] : 1.0f;
            pv_quantize(weights[i], x, packed, 256);
            pv_dequantize(weights[i], packed, y, 256);
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
    const uint32_t widths[] = {1, 7, 31, 32, 33, 48, 64, 96, 172, 256, 512};
    struct pv_rng rng;
    float x[512], y[512], z[512];
    uint8_t row[512 * 4];
    uint32_t packed[512 + 4], scales[64];

    pv_rng_seed(&rng, 2);
    for (int i = 0; i < N_WEIGHTS; i++) {
        for (size_t k = 0; k < sizeof widths / sizeof widths[0]; k++) {
            struct pv_packed_size size;
            const uint32_t n = widths[k];
            const bool fits = pv_packed_size(weights[i], n, &size);

            ck_assert_int_eq(fits, pv_type_block(weights[i]) == 1 || n % 32 == 0);
            if (n % pv_type_block(weights[i]) != 0)
                continue;
            for (uint32_t j = 0; j < n; j++)
                x[j] = pv_rng_normal(&rng);
            memset(packed, 0xff, sizeof packed);
            memset(scales, 0xff, sizeof scales);
            pv_quantize(weights[i], x, row, n);
            pv_dequantize(weights[i], row, y, n);
            pv_pack_row(weights[i], row, n, packed, scales);
            pv_unpack_row(weights[i], packed, scales, n, z);
            for (uint32_t j = 0; j < n; j++)
                ck_assert_msg(y[j] == z[j], "%s: element %u is %.9g, packed %.9g", pv_type_name(weights[i]),
                              j, (double)y[j], (double)z[j]);
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
    ck_assert(pv_packed_size(PV_Q4_K, 512, &size)); /* the file's own bytes: 4.5 bits a weight */
    ck_assert(size.row_words == 16 && size.scale_words == 8);
    ck_assert(pv_packed_size(PV_Q5_K, 256, &size));
    ck_assert(size.row_words == 8 && size.scale_words == 12);
    ck_assert(pv_packed_size(PV_Q6_K, 32 * 5, &size)); /* groups of four chunks are whole */
    ck_assert(size.row_words == 5 && size.scale_words == 24);
    ck_assert(!pv_packed_size(PV_I32, 32, &size));
    ck_assert(!pv_packed_size(PV_Q6_K, 48, &size));
}
END_TEST

/* Bytes of a block that is zero elsewhere, and what elements are by the format's definition, worked out by hand.
 * float16 1 is 3c00, 0.5 is 3800, 2 is 4000. */
struct by_hand {
    enum pv_type type;
    struct {
        uint16_t at;
        uint8_t byte;
    } bytes[8];
    struct {
        uint16_t at;
        float value;
    } elements[7];
};
static const struct by_hand blocks[] = {
    /* d = 1, m = -0.5 (b800); byte 0 of q: 3 low, 15 high */
    {PV_Q4_1, {{1, 0x3c}, {3, 0xb8}, {4, 0xf3}}, {{0, 2.5f}, {16, 14.5f}, {1, -0.5f}}},
    /* d = 2; fifth bit of element 17; nibbles of byte 1: 4, 3 */
    {PV_Q5_0, {{1, 0x40}, {4, 0x02}, {7, 0x34}}, {{1, -24.0f}, {17, 6.0f}, {0, -32.0f}}},
    /* d = 0.5, m = 1; fifth bit of element 0 */
    {PV_Q5_1, {{1, 0x38}, {3, 0x3c}, {4, 0x01}, {8, 0x12}}, {{0, 10.0f}, {16, 1.5f}, {31, 1.0f}}},
    /* scales of groups 0 and 15: 3 and min 2, 1 and min 0; d = 1, dmin = 0.5; quants byte 0: 1, 2, 3, 0 */
    {PV_Q2_K,
     {{0, 0x23}, {2, 0x01}, {15, 0x01}, {16, 0x39}, {16 + 63, 0xc0}, {81, 0x3c}, {83, 0x38}},
     {{0, 2.0f}, {1, -1.0f}, {32, 2.0f}, {64, 0.0f}, {255, 3.0f}}},
    /* d = 1; scale of group 0: 33 - 32, low nibble of byte 96 and bits 0, 1 of byte 104; element 0: 2 with its mask
     * bit, element 1: 1 without */
    {PV_Q3_K,
     {{0, 0x01}, {32, 0x02}, {33, 0x01}, {96, 0x01}, {104, 0x02}, {109, 0x3c}},
     {{0, 2.0f}, {1, -3.0f}, {2, -4.0f}, {16, 128.0f}}},
    /* d = 1, dmin = 0.5; chunk 0: scale 2, min 4; chunk 5: scale 0x21 (low 1, high 2), min 0x13 */
    {PV_Q4_K,
     {{1, 0x3c}, {3, 0x38}, {4, 0x02}, {5, 0x80}, {8, 0x04}, {9, 0x40}, {13, 0x31}, {16 + 64, 0x20}},
     {{0, -2.0f}, {5 * 32, 56.5f}, {5 * 32 + 1, -9.5f}, {64, 0.0f}}},
    /* as above; the fifth bit of element 0 of chunk 0 */
    {PV_Q5_K, {{1, 0x3c}, {4, 0x02}, {16, 0x01}, {48, 0x03}}, {{0, 38.0f}, {1, 0.0f}, {32, 0.0f}}},
    /* d = 0.5; group 0 scale -2; group 9 scale 3: element 128 + 16; its low bits in byte 64 + 16, high in 128 + 48 */
    {PV_Q6_K,
     {{0, 0x05}, {128, 0x03}, {192, 0xfe}, {80, 0x0f}, {176, 0x02}, {201, 0x03}, {209, 0x38}},
     {{0, -21.0f}, {1, 32.0f}, {144, 22.5f}, {145, -48.0f}, {32, 0.0f}}},
    /* d = 2 */
    {PV_IQ4_NL, {{1, 0x40}, {2, 0xf8}}, {{0, 2.0f}, {16, 226.0f}, {1, -254.0f}}},
    /* d = 1; chunk 0: scale 1 + 32 - 32; chunk 7: scale 0 + 16 - 32 */
    {PV_IQ4_XS,
     {{1, 0x3c}, {2, 0x02}, {3, 0x40}, {4, 0x01}, {8, 0x98}, {120, 0x08}},
     {{0, 1.0f}, {16, 13.0f}, {1, -127.0f}, {224, -16.0f}, {32, 127.0f * 32}}},
    /* digits 2 1 0 0 0 of three: 189 of 243, a fraction of 256 rounded up: 200; four digits 0 0 0 2: 6 of 243: 7 */
    {PV_TQ1_0,
     {{0, 200}, {48, 7}, {53, 0x3c}},
     {{0, 1.0f}, {32, 0.0f}, {64, -1.0f}, {1, -1.0f}, {240, -1.0f}, {252, 1.0f}}},
    /* byte 33, two bits each from the lowest: 2 1 0 0; d = 0.5 */
    {PV_TQ2_0, {{33, 0x06}, {65, 0x38}}, {{129, 0.5f}, {161, 0.0f}, {193, -0.5f}, {0, -0.5f}}},
    /* exponent 129: half of 2 to the second */
    {PV_MXFP4, {{0, 129}, {1, 0xf7}, {2, 0x19}}, {{0, 24.0f}, {16, -24.0f}, {1, -2.0f}, {17, 2.0f}}},
};

START_TEST(blocks_are_what_the_format_defines)
{
    const struct by_hand *b = &blocks[_i];
    uint8_t block[256] = {0};
    float y[256];

    for (size_t i = 0; i < sizeof b->bytes / sizeof *b->bytes; i++)
        block[b->bytes[i].at] |= b->bytes[i].byte;
    pv_dequantize(b->type, block, y, pv_type_block(b->type));
    for (size_t i = 0; i < sizeof b->elements / sizeof *b->elements; i++)
        if (i == 0 || b->elements[i].at != 0)
            ck_assert_msg(y[b->elements[i].at] == b->elements[i].value, "%s: element %u is %g, expected %g",
                          pv_type_name(b->type), b->elements[i].at, (double)y[b->elements[i].at],
                          (double)b->elements[i].value);
}
END_TEST

/* Rounding what a block holds gives it back, so writing is the inverse of reading. */
START_TEST(quantised_values_stay_what_they_are)
{
    struct pv_rng rng;
    uint8_t first[1024], again[1024];
    float x[256], y[256];

    pv_rng_seed(&rng, 7);
    for (int i = 3; i < N_WEIGHTS; i++) {
        double change = 0, power = 0;
        for (int j = 0; j < 256; j++)
            x[j] = pv_rng_normal(&rng);
        pv_quantize(weights[i], x, first, 256);
        pv_dequantize(weights[i], first, x, 256);
        pv_quantize(weights[i], x, again, 256);
        pv_dequantize(weights[i], again, y, 256);
        for (int j = 0; j < 256; j++) {
            change += ((double)x[j] - (double)y[j]) * ((double)x[j] - (double)y[j]);
            power += (double)x[j] * (double)x[j];
        }
        ck_assert_msg(change <= 2e-2 * power, "%s: %g", pv_type_name(weights[i]), change / power);
    }
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
    tcase_add_loop_test(tcase, blocks_are_what_the_format_defines, 0, (int)(sizeof blocks / sizeof *blocks));
    tcase_add_test(tcase, quantised_values_stay_what_they_are);
    suite_add_tcase(suite, tcase);
    return pv_test_main(suite);
}
