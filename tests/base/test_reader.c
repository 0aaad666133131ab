#include "base/reader.h"

#include "harness.h"

static const uint8_t data[] = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x88, 0, 0, 0x80, 0x3f, 0, 0, 0, 0};

START_TEST(numbers_are_little_endian)
{
    struct pv_reader r = {.data = data, .size_bytes = sizeof data};

    ck_assert_uint_eq(pv_read_u64(&r), 0x8807060504030201u);
    ck_assert_float_eq(pv_read_f32(&r), 1.0f);
    ck_assert_uint_eq(pv_reader_left(&r), 4);
    r.pos = 1;
    ck_assert_uint_eq(pv_read_u8(&r), 0x02);
    ck_assert_uint_eq(pv_read_u16(&r), 0x0403);
    ck_assert_uint_eq(pv_read_u32(&r), 0x88070605u);
    ck_assert(!r.failed);
    r = (struct pv_reader){.data = (const uint8_t[]){0, 0, 0, 0, 0, 0, 0xf0, 0x3f}, .size_bytes = 8};
    ck_assert_double_eq(pv_read_f64(&r), 1.0);
}
END_TEST

START_TEST(the_first_failure_sticks)
{
    struct pv_reader r = {.data = data, .size_bytes = 5};

    ck_assert_uint_eq(pv_read_u64(&r), 0);
    ck_assert(r.failed);
    ck_assert_uint_eq(pv_read_u8(&r), 0);
    ck_assert_ptr_null(pv_read_bytes(&r, 0));
    ck_assert_uint_eq(pv_reader_left(&r), 0);
}
END_TEST

START_TEST(lengths_near_overflow_fail)
{
    struct pv_reader r = {.data = data, .size_bytes = 5, .pos = 3};

    ck_assert_ptr_eq(pv_read_bytes(&r, 2), data + 3);
    ck_assert_ptr_eq(pv_read_bytes(&r, 0), data + 5);
    ck_assert_ptr_null(pv_read_bytes(&r, UINT64_MAX));
    ck_assert(r.failed);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/reader");
    TCase *tcase = tcase_create("reader");

    tcase_add_test(tcase, numbers_are_little_endian);
    tcase_add_test(tcase, the_first_failure_sticks);
    tcase_add_test(tcase, lengths_near_overflow_fail);
    suite_add_tcase(suite, tcase);
    return pv_test_main(suite);
}
