/* label: gpu
 * Mistakes are named for what they are: a race, sums that do not fit float16, a driver that is wrong about its
 * subgroups, memory that nothing wrote. Kernels with such mistakes (tests/check/planted) stand in for `add`. */
#include <stdlib.h>
#include <string.h>

#include "parvin/conform.h"
#include "check/case_run.h"
#include "vk/fixture.h"

extern const struct pv_spirv pv_planted_table[];
extern const size_t pv_planted_count;

struct seen {
    uint32_t n_faults[PV_FAULT_CRASH + 1];
    char detail[256]; /* of the last failure */
};

static void on_row(void *user, const struct pv_conform_row *row)
{
    struct seen *s = user;
    if (row->passed || row->skipped)
        return;
    s->n_faults[row->fault]++;
    memcpy(s->detail, row->detail, sizeof s->detail);
}

static struct seen conform(struct fixture *f, int device, const char *filter, const char *variant,
                           bool repeat)
{
    struct seen seen = {0};
    struct pv_conform_result result;
    const struct pv_conform_params params = {
        .filter = filter, .variant = variant, .repeat = repeat, .quick = true};
    ck_assert_msg(pv_conform(f->context, (uint32_t)device, &params, on_row, &seen, &result) == PV_OK, "%s",
                  f->log.text);
    return seen;
}

/* All shaders, with the planted one in place of add's. */
static struct pv_spirv *plant(struct fixture *f, const char *name)
{
    struct pv_spirv *table = calloc(pv_spirv_count, sizeof *table);
    const struct pv_spirv *planted = NULL;
    ck_assert_ptr_nonnull(table);
    memcpy(table, pv_spirv_table, pv_spirv_count * sizeof *table);
    for (size_t i = 0; i < pv_planted_count; i++)
        if (strcmp(pv_planted_table[i].name, name) == 0)
            planted = &pv_planted_table[i];
    ck_assert_msg(planted != NULL, "no planted shader %s", name);
    for (size_t i = 0; i < pv_spirv_count; i++)
        if (strcmp(table[i].name, "add.storage") == 0) {
            table[i].words = planted->words;
            table[i].size_bytes = planted->size_bytes;
        }
    f->context->shaders = table;
    return table;
}

START_TEST(a_race_is_named)
{
    struct fixture f;
    fixture_open(&f, _i);
    struct pv_spirv *table = plant(&f, "add_race");
    const struct seen seen = conform(&f, _i, "add/4099", "storage-invocation", false);
    /* of few workgroups the last is the last, in whatever order the others run */
    ck_assert_msg(seen.n_faults[PV_FAULT_ORDER] + seen.n_faults[PV_FAULT_UNSTEADY] == 2, "%s", seen.detail);
    f.context->shaders = pv_spirv_table;
    free(table);
    fixture_close(&f);
}
END_TEST

START_TEST(float16_is_named)
{
    struct fixture f;
    fixture_open(&f, _i);
    struct pv_spirv *table = plant(&f, "add_half");
    const struct seen wide = conform(&f, _i, "add/4099 T=1 wide", "storage-invocation", false);
    ck_assert_msg(wide.n_faults[PV_FAULT_HALF_RANGE] == 1, "%s", wide.detail);
    const struct seen usual = conform(&f, _i, "add/33", "storage-invocation", false);
    ck_assert_msg(usual.n_faults[PV_FAULT_ROUNDING] == 1, "%s", usual.detail);
    f.context->shaders = pv_spirv_table;
    free(table);
    fixture_close(&f);
}
END_TEST

START_TEST(a_wrong_subgroup_size_is_named)
{
    struct fixture f;
    fixture_open(&f, _i);
    struct pv_caps *caps = &f.context->physical[_i].caps;
    if (caps->subgroup_ops & 4) { /* arithmetic */
        struct seen seen = conform(&f, _i, "lanes/", "storage-subgroup", false);
        ck_assert_msg(seen.n_faults[PV_FAULT_SUBGROUPS] == 0 && !seen.detail[0], "%s", seen.detail);
        caps->subgroup_size *= 2;
        caps->subgroup_size_control = false;
        seen = conform(&f, _i, "lanes/", "storage-subgroup", false);
        ck_assert_msg(seen.n_faults[PV_FAULT_SUBGROUPS] == 2, "%s", seen.detail);
        ck_assert_msg(strstr(seen.detail, "invocations, the driver says "), "%s", seen.detail);
    }
    fixture_close(&f);
}
END_TEST

START_TEST(what_is_right_is_steady)
{
    struct fixture f;
    fixture_open(&f, _i);
    static const char *const filters[] = {"add/", "rmsnorm/", "matvec/f16 130x172 T=1 bias accumulate",
                                          "union_list/", "kv_write/"};
    for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++) {
        const struct seen seen = conform(&f, _i, filters[i], "plan", true);
        ck_assert_msg(!seen.detail[0], "%s: %s", filters[i], seen.detail);
    }
    fixture_close(&f);
}
END_TEST

START_TEST(recording_alone_ignores_results)
{
    struct fixture f;
    fixture_open(&f, _i);
    struct pv_spirv *table = plant(&f, "add_half");
    struct seen seen = {0};
    struct pv_conform_result result;
    struct pv_conform_params params = {
        .filter = "add/", .variant = "storage-invocation", .quick = true, .record_only = true};
    ck_assert_int_eq(pv_conform(f.context, (uint32_t)_i, &params, on_row, &seen, &result), PV_OK);
    ck_assert_uint_eq(result.n_failed, 0);
    ck_assert_uint_gt(result.n_passed, 0);
    f.context->n_shaders = 1; /* a kernel that cannot be built is a failure all the same */
    ck_assert_int_eq(pv_conform(f.context, (uint32_t)_i, &params, on_row, &seen, &result), PV_OK);
    ck_assert_uint_eq(seen.n_faults[PV_FAULT_CALL], result.n_failed);
    ck_assert_uint_gt(result.n_failed, 0);
    f.context->n_shaders = pv_spirv_count;
    f.context->shaders = pv_spirv_table;
    free(table);
    fixture_close(&f);
}
END_TEST

/* ---- what a failed comparison is called ---- */

static enum pv_conform_fault fault_of(const float *got, const float *expected, size_t n)
{
    struct pv_case_run run = {.tolerance = 1e-10, .poison = PV_POISON_NAN};
    pv_case_compare(&run, "y", got, expected, n);
    return run.fault;
}

START_TEST(values_are_told_apart)
{
    const float nan = strtof("nan", NULL), inf = strtof("inf", NULL);
    const float want[] = {1, 2, 3, 70000};
    ck_assert_int_eq(fault_of(want, want, 4), PV_FAULT_NONE);
    ck_assert_int_eq(fault_of((const float[]){1, 2, 9, 70000}, (const float[]){1, 2, 3, 4}, 4),
                     PV_FAULT_VALUES);
    ck_assert_int_eq(fault_of((const float[]){1.001f, 2, 3}, want, 3), PV_FAULT_ROUNDING);
    ck_assert_int_eq(fault_of((const float[]){1, nan, 3}, want, 3), PV_FAULT_NAN);
    ck_assert_int_eq(fault_of((const float[]){1, inf, 3}, want, 3), PV_FAULT_INFINITE);
    ck_assert_int_eq(fault_of((const float[]){1, 2, 3, inf}, want, 4), PV_FAULT_HALF_RANGE);
    ck_assert_int_eq(fault_of((const float[]){1, 2, 3, 65504}, want, 4), PV_FAULT_HALF_RANGE);
    /* only a case whose values are all this small would fail of it: its power is below what is divided by */
    struct pv_case_run run = {.tolerance = 0, .poison = PV_POISON_NAN};
    pv_case_compare(&run, "y", (const float[]){0, 1}, (const float[]){1e-40f, 1}, 2);
    ck_assert_int_eq(run.fault, PV_FAULT_DENORMALS);
    for (int i = PV_FAULT_NONE; i <= PV_FAULT_CRASH; i++)
        ck_assert_uint_gt(strlen(pv_conform_fault_name((enum pv_conform_fault)i)), 2);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {a_race_is_named,
                                  float16_is_named,
                                  a_wrong_subgroup_size_is_named,
                                  what_is_right_is_steady,
                                  recording_alone_ignores_results,
                                  values_are_told_apart};
    return fixture_main("kernel/planted", tests, sizeof tests / sizeof tests[0]);
}
