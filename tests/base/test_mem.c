#include "base/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "harness.h"

START_TEST(products_and_sums_that_overflow_are_refused)
{
    size_t out = 7;

    ck_assert(pv_mul_size(6, 7, &out));
    ck_assert_uint_eq(out, 42);
    ck_assert(pv_mul_size(0, SIZE_MAX, &out));
    ck_assert_uint_eq(out, 0);
    ck_assert(pv_mul_size(1, SIZE_MAX, &out));
    out = 7;
    ck_assert(!pv_mul_size(SIZE_MAX / 2, 3, &out));
    ck_assert(!pv_add_size(SIZE_MAX, 1, &out));
    ck_assert_uint_eq(out, 7);
    ck_assert(pv_add_size(SIZE_MAX, 0, &out));
}
END_TEST

START_TEST(calloc_gives_zeros_or_nothing)
{
    unsigned char *bytes = pv_calloc(3, 5);
    void *none = pv_calloc(0, 5);

    ck_assert_ptr_nonnull(bytes);
    for (int i = 0; i < 15; i++)
        ck_assert_int_eq(bytes[i], 0);
    ck_assert_ptr_nonnull(none);
    ck_assert_ptr_null(pv_calloc(SIZE_MAX / 2, 3));
    free(bytes);
    free(none);
}
END_TEST

START_TEST(grow_keeps_content_and_survives_overflow)
{
    void *block = NULL;
    char *text;

    ck_assert(pv_grow(&block, 4, 1));
    memcpy(block, "abc", 4);
    ck_assert(pv_grow(&block, 1000, 8));
    text = block;
    ck_assert_str_eq(text, "abc");
    ck_assert(!pv_grow(&block, SIZE_MAX, 2));
    ck_assert_ptr_eq(block, text);
    free(block);
}
END_TEST

START_TEST(strndup_takes_embedded_nuls)
{
    char *copy = pv_strndup("a\0b", 3);

    ck_assert_mem_eq(copy, "a\0b", 4);
    free(copy);
    copy = pv_strndup(NULL, 0);
    ck_assert_str_eq(copy, "");
    free(copy);
}
END_TEST

START_TEST(arena_is_aligned_zeroed_and_reusable)
{
    struct pv_arena arena = {0};

    for (int round = 0; round < 2; round++) {
        for (size_t n = 0; n < 3000; n += 37) {
            unsigned char *p = pv_arena_alloc(&arena, n, 1);

            ck_assert_ptr_nonnull(p);
            ck_assert_uint_eq((uintptr_t)p % 16, 0);
            for (size_t i = 0; i < n; i++)
                ck_assert_int_eq(p[i], 0);
            memset(p, 0xaa, n);
        }
        ck_assert_str_eq(pv_arena_strndup(&arena, "hello", 4), "hell");
        ck_assert_ptr_nonnull(pv_arena_alloc(&arena, 3, 1 << 20));
        ck_assert_ptr_null(pv_arena_alloc(&arena, SIZE_MAX, 1));
        ck_assert_ptr_null(pv_arena_alloc(&arena, SIZE_MAX / 4, 8));
        pv_arena_free(&arena);
        ck_assert_ptr_null(arena.head);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/mem");
    TCase *tcase = tcase_create("mem");

    tcase_add_test(tcase, products_and_sums_that_overflow_are_refused);
    tcase_add_test(tcase, calloc_gives_zeros_or_nothing);
    tcase_add_test(tcase, grow_keeps_content_and_survives_overflow);
    tcase_add_test(tcase, strndup_takes_embedded_nuls);
    tcase_add_test(tcase, arena_is_aligned_zeroed_and_reusable);
    suite_add_tcase(suite, tcase);
    return pv_test_main(suite);
}
