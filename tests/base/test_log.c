#include "base/log.h"

#include <string.h>
#include "harness.h"

START_TEST(fail_logs_once_and_returns_its_status)
{
    struct pv_test_log captured;
    struct pv_log log = pv_test_log(&captured);

    ck_assert_int_eq(pv_fail(&log, PV_ERR_IO, "%s: %d", "file", 7), PV_ERR_IO);
    ck_assert_str_eq(captured.text, "error: file: 7\n");
    ck_assert_int_eq(pv_fail(NULL, PV_ERR_ARG, "x"), PV_ERR_ARG);
    ck_assert_int_eq(pv_fail(&(struct pv_log){0}, PV_ERR_ARG, "x"), PV_ERR_ARG);
}
END_TEST

START_TEST(levels_above_the_limit_are_dropped)
{
    struct pv_test_log captured;
    struct pv_log log = pv_test_log(&captured);

    log.max_level = PV_LOG_WARN;
    pv_info(&log, "unheard");
    pv_warn(&log, "heard");
    ck_assert_str_eq(captured.text, "warning: heard\n");
}
END_TEST

START_TEST(long_messages_are_cut)
{
    struct pv_test_log captured;
    struct pv_log log = pv_test_log(&captured);
    char text[3000];

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    pv_warn(&log, "%s", text);
    ck_assert_uint_eq(strlen(captured.text), strlen("warning: \n") + 1023);
}
END_TEST

static enum pv_status try_it(enum pv_status given)
{
    PV_TRY(given);
    return PV_ERR_CHECK;
}

START_TEST(try_propagates_failures_alone)
{
    ck_assert_int_eq(try_it(PV_OK), PV_ERR_CHECK);
    ck_assert_int_eq(try_it(PV_ERR_FORMAT), PV_ERR_FORMAT);
}
END_TEST

START_TEST(every_status_has_a_name_of_its_own)
{
    for (int a = PV_OK; a <= PV_ERR_CHECK; a++) {
        ck_assert_str_ne(pv_status_name((enum pv_status)a), "unknown status");
        for (int b = PV_OK; b < a; b++)
            ck_assert_str_ne(pv_status_name((enum pv_status)a), pv_status_name((enum pv_status)b));
    }
    ck_assert_ptr_nonnull(pv_status_name((enum pv_status)99));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/log");
    TCase *tcase = tcase_create("log");

    tcase_add_test(tcase, fail_logs_once_and_returns_its_status);
    tcase_add_test(tcase, levels_above_the_limit_are_dropped);
    tcase_add_test(tcase, long_messages_are_cut);
    tcase_add_test(tcase, try_propagates_failures_alone);
    tcase_add_test(tcase, every_status_has_a_name_of_its_own);
    suite_add_tcase(suite, tcase);
    return pv_test_main(suite);
}
