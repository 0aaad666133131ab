#include "base/threads.h"

#include <string.h>
#include "harness.h"

enum { MAX_ITEMS = 1000, MAX_CHUNKS = 64 };

struct seen {
    size_t begin[MAX_CHUNKS], end[MAX_CHUNKS];
    unsigned char item[MAX_ITEMS];
};

static void mark(void *user, size_t chunk, size_t begin, size_t end)
{
    struct seen *seen = user;

    seen->begin[chunk] = begin;
    seen->end[chunk] = end;
    for (size_t i = begin; i < end; i++)
        seen->item[i]++;
}

START_TEST(every_item_is_visited_once)
{
    const size_t sizes[] = {0, 1, 31, 33, 1000}, chunks[] = {1, 2, 7, 64};

    for (size_t i = 0; i < 5; i++) {
        for (size_t j = 0; j < 4; j++) {
            struct seen one, many;

            memset(&one, 0, sizeof one);
            memset(&many, 0, sizeof many);
            pv_parallel_for(1, sizes[i], chunks[j], mark, &one);
            pv_parallel_for(8, sizes[i], chunks[j], mark, &many);
            for (size_t k = 0; k < sizes[i]; k++)
                ck_assert_int_eq(many.item[k], 1);
            for (size_t k = 0; k < chunks[j]; k++) { /* the split is the same for any number of threads */
                ck_assert_uint_eq(one.begin[k], many.begin[k]);
                ck_assert_uint_eq(one.end[k], many.end[k]);
                ck_assert_uint_eq(many.begin[k], k == 0 ? 0 : many.end[k - 1]);
            }
            ck_assert_uint_eq(many.end[chunks[j] - 1], sizes[i]);
        }
    }
    pv_parallel_for(0, 10, 0, mark, NULL); /* no chunk: nothing is called */
}
END_TEST

START_TEST(clock_and_cores_are_sane)
{
    const double before = pv_now_s();

    ck_assert_uint_ge(pv_n_cores(), 1);
    ck_assert_double_ge(pv_now_s(), before);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/threads");
    TCase *tcase = tcase_create("threads");

    tcase_add_test(tcase, every_item_is_visited_once);
    tcase_add_test(tcase, clock_and_cores_are_sane);
    suite_add_tcase(suite, tcase);
    return pv_test_main(suite);
}
