/* label: unit
 * The sub-allocator's bookkeeping: random takes and gives against a map of owned bytes. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "harness.h"
#include "vk/memory/ranges.h"

enum { SPAN = 1 << 16, MAX_LIVE = 300 };

/* The list covers the span without gap or overlap, and no two free ranges touch. */
static void check_list(const struct pv_ranges *ranges)
{
    uint64_t at = 0, used = 0;
    const struct pv_range *prev = NULL;
    int n_wrong = 0;
    for (const struct pv_range *r = ranges->first; r; r = r->next) {
        n_wrong +=
            r->offset != at || r->size_bytes == 0 || r->prev != prev || (prev && !prev->used && !r->used);
        at += r->size_bytes;
        used += r->used ? r->size_bytes : 0;
        prev = r;
    }
    ck_assert_int_eq(n_wrong, 0);
    ck_assert_uint_eq(at, SPAN);
    ck_assert_uint_eq(used, ranges->used_bytes);
}

/* Paints bytes over; how many were not of the colour expected. */
static uint64_t repaint(uint8_t *at, uint64_t size_bytes, uint8_t expected, uint8_t colour)
{
    uint64_t n_wrong = 0;
    for (uint64_t i = 0; i < size_bytes; i++) {
        n_wrong += at[i] != expected;
        at[i] = colour;
    }
    return n_wrong;
}

START_TEST(random_use_never_overlaps)
{
    static uint8_t owner[SPAN];
    struct pv_range *live[MAX_LIVE] = {0};
    struct pv_ranges ranges;
    struct pv_rng rng;
    int n_taken = 0, n_full = 0;
    memset(owner, 0, sizeof owner);
    pv_rng_seed(&rng, (uint64_t)_i + 1);
    ck_assert(pv_ranges_init(&ranges, SPAN));
    for (int round = 0; round < 20000; round++) {
        const uint32_t slot = pv_rng_below(&rng, MAX_LIVE);
        const uint8_t tag = (uint8_t)(slot % 255 + 1);
        if (live[slot]) {
            ck_assert_uint_eq(repaint(owner + live[slot]->offset, live[slot]->size_bytes, tag, 0), 0);
            pv_ranges_give(&ranges, live[slot]);
            live[slot] = NULL;
        } else {
            const uint64_t alignment = (uint64_t)1 << pv_rng_below(&rng, 10);
            const uint64_t size_bytes = 1 + pv_rng_below(&rng, 1u << pv_rng_below(&rng, 13));
            live[slot] = pv_ranges_take(&ranges, size_bytes, alignment);
            if (!live[slot]) {
                n_full++;
                continue;
            }
            n_taken++;
            ck_assert_uint_eq(live[slot]->size_bytes, size_bytes);
            ck_assert_uint_eq(live[slot]->offset % alignment, 0);
            ck_assert_uint_le(live[slot]->offset + size_bytes, SPAN);
            ck_assert_uint_eq(repaint(owner + live[slot]->offset, size_bytes, 0, tag), 0);
        }
        if (round % 100 == 0)
            check_list(&ranges);
    }
    ck_assert_int_gt(n_taken, 1000);
    ck_assert_int_gt(n_full, 0);
    for (int i = 0; i < MAX_LIVE; i++)
        if (live[i])
            pv_ranges_give(&ranges, live[i]);
    check_list(&ranges);
    ck_assert_uint_eq(ranges.used_bytes, 0);
    ck_assert_ptr_null(ranges.first->next); /* all one again */
    pv_ranges_free(&ranges);
    ck_assert_ptr_null(ranges.first);
}
END_TEST

START_TEST(edges)
{
    struct pv_ranges ranges;
    ck_assert(pv_ranges_init(&ranges, 64));
    ck_assert_ptr_null(pv_ranges_take(&ranges, 65, 1));
    ck_assert_ptr_null(pv_ranges_take(&ranges, UINT64_MAX, 1));
    struct pv_range *all = pv_ranges_take(&ranges, 64, 4096);
    ck_assert_ptr_nonnull(all);
    ck_assert_ptr_null(pv_ranges_take(&ranges, 1, 1));
    pv_ranges_give(&ranges, all);
    struct pv_range *one = pv_ranges_take(&ranges, 1, 1), *aligned = pv_ranges_take(&ranges, 16, 32);
    ck_assert_uint_eq(aligned->offset, 32);
    struct pv_range *gap = pv_ranges_take(&ranges, 31, 1); /* what alignment left is not lost */
    ck_assert_uint_eq(gap->offset, 1);
    pv_ranges_give(&ranges, one);
    pv_ranges_give(&ranges, aligned);
    pv_ranges_give(&ranges, gap);
    ck_assert_uint_eq(ranges.first->size_bytes, 64);
    pv_ranges_free(&ranges);
    pv_ranges_free(&ranges);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("vk/ranges");
    TCase *tc = tcase_create("ranges");
    tcase_add_loop_test(tc, random_use_never_overlaps, 0, 4);
    tcase_add_test(tc, edges);
    suite_add_tcase(suite, tc);
    return pv_test_main(suite);
}
