/* label: gpu
 * Every row of the case table on every usable device, under the validation layers: nothing fails and no layer
 * speaks. Where PV_SECOND_DRIVER says that another driver has run every row, the quick ones are run: all kernels and
 * types as planned, and the forced variants with float16 weights. */
#include "parvin/conform.h"

#include <stdlib.h>
#include "vk/fixture.h"

struct report {
    uint32_t n_rows;
    char first_failure[512];
};

static void on_row(void *user, const struct pv_conform_row *row)
{
    struct report *r = user;
    r->n_rows++;
    if (!row->passed && !row->skipped && !r->first_failure[0])
        snprintf(r->first_failure, sizeof r->first_failure, "%s/%s: error %g, allowed %g; %s", row->kernel,
                 row->name, row->error, row->tolerance, row->detail);
}

static struct pv_conform_result conform(struct fixture *f, int index, const struct pv_conform_params *params,
                                        struct report *r)
{
    struct pv_conform_result result;
    fixture_open(f, index);
    const enum pv_status status = pv_conform(f->context, (uint32_t)index, params, on_row, r, &result);
    ck_assert_msg(status == PV_OK, "%s: %s", pv_status_name(status), f->log.text);
    return result;
}

START_TEST(every_case_passes)
{
    const bool second = getenv("PV_SECOND_DRIVER") != NULL;
    const struct pv_conform_params all = {0}, planned = {.quick = true, .filter = "[plan]"},
                                   forced = {.quick = true, .filter = "/f16"};
    const struct pv_conform_params *const runs[] = {second ? &planned : &all, second ? &forced : NULL};
    uint32_t n_passed = 0;
    for (size_t i = 0; i < 2 && runs[i]; i++) {
        struct fixture f;
        struct report r = {0};
        const struct pv_conform_result result = conform(&f, _i, runs[i], &r);
        printf("%s: %u passed, %u failed, %u skipped\n", f.device->caps.name, result.n_passed,
               result.n_failed, result.n_skipped);
        ck_assert_msg(result.n_failed == 0, "%u cases failed; the first: %s", result.n_failed,
                      r.first_failure);
        ck_assert_uint_eq(result.n_passed + result.n_skipped, r.n_rows);
        n_passed += result.n_passed;
        fixture_close(&f);
    }
    ck_assert_uint_gt(n_passed, second ? 500 : 1000);
}
END_TEST

START_TEST(another_seed_passes_too)
{
    struct fixture f;
    struct report r = {0};
    const struct pv_conform_params params = {.seed = 20240229, .quick = true, .filter = "[plan]"};
    const struct pv_conform_result result = conform(&f, _i, &params, &r);
    ck_assert_msg(result.n_failed == 0, "%s", r.first_failure);
    ck_assert_uint_gt(result.n_passed, 100);
    fixture_close(&f);
}
END_TEST

START_TEST(a_filter_selects)
{
    struct fixture f;
    struct report r = {0};
    const struct pv_conform_params params = {.filter = "argmax/1 T=1 [plan]"};
    const struct pv_conform_result result = conform(&f, _i, &params, &r);
    ck_assert_uint_eq(result.n_passed, 1);
    ck_assert_uint_eq(r.n_rows, 1);
    ck_assert_int_eq(pv_conform(f.context, pv_context_n_devices(f.context), NULL, on_row, &r,
                                &(struct pv_conform_result){0}),
                     PV_ERR_ARG);
    fixture_close(&f);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {every_case_passes, another_seed_passes_too, a_filter_selects};
    return fixture_main("kernel/conform", tests, sizeof tests / sizeof tests[0]);
}
