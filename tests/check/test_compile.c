/* label: gpu
 * Building every pipeline without running anything: on each device here, and what must not work on a device
 * that is open for it. tests/apps/compile.sh does the same through drivers that have no device. Where PV_SECOND_DRIVER
 * says that another driver has built them all, a few are built: check/conform builds the others. */
#include "parvin/conform.h"

#include <stdlib.h>
#include "vk/fixture.h"

struct seen {
    uint32_t n_rows, n_failed, n_with_numbers, n_unnamed;
    char first_failure[400];
};

static void on_row(void *user, const struct pv_compile_row *row)
{
    struct seen *seen = user;
    seen->n_rows++;
    seen->n_with_numbers += row->n_statistics > 0;
    if (!row->compiled && seen->n_failed++ == 0)
        snprintf(seen->first_failure, sizeof seen->first_failure, "%s [%s]: %s", row->kernel, row->variant,
                 row->detail);
    if (row->compiled)
        seen->n_unnamed += strncmp(row->constants, "WG=", 3) != 0 || row->variant[0] == '\0' ||
                           strncmp(row->shader, row->kernel, strlen(row->kernel)) != 0;
}

START_TEST(the_plans_pipelines_are_built)
{
    struct fixture f;
    struct pv_compile_result result;
    struct seen seen = {0};
    const bool few = getenv("PV_SECOND_DRIVER") != NULL;
    const struct pv_conform_params params = {.variant = "plan", .filter = few ? "matvec/" : NULL};
    fixture_open(&f, _i);
    ck_assert_int_eq(pv_conform_compile(f.context, (uint32_t)_i, &params, on_row, &seen, &result), PV_OK);
    ck_assert_msg(result.n_failed == 0, "%s", seen.first_failure);
    ck_assert_uint_eq(result.n_compiled, seen.n_rows);
    ck_assert_uint_gt(result.n_compiled, few ? 5 : 60);
    ck_assert_uint_eq(seen.n_unnamed, 0);
    ck_assert(result.has_statistics == f.device->caps.executable_properties);
    ck_assert_uint_eq(seen.n_with_numbers, result.has_statistics ? seen.n_rows : 0);
    fixture_close(&f);
}
END_TEST

START_TEST(each_pipeline_is_told_of_once)
{
    struct fixture f;
    struct pv_compile_result all, plan;
    struct seen seen = {0};
    const struct pv_conform_params own = {.filter = "add/", .variant = "plan"}, every = {.filter = "add/"};
    fixture_open(&f, _i);
    ck_assert_int_eq(pv_conform_compile(f.context, (uint32_t)_i, &own, on_row, &seen, &plan), PV_OK);
    ck_assert_uint_eq(plan.n_compiled, 1); /* of four cases */
    ck_assert_int_eq(pv_conform_compile(f.context, (uint32_t)_i, &every, on_row, &seen, &all), PV_OK);
    ck_assert_uint_gt(all.n_compiled, 1);
    ck_assert_uint_lt(all.n_compiled, 12); /* of as many variants and more */
    const struct pv_conform_params none = {.variant = "warp"};
    ck_assert_int_eq(pv_conform_compile(f.context, (uint32_t)_i, &none, on_row, &seen, &all), PV_ERR_ARG);
    fixture_close(&f);
}
END_TEST

START_TEST(a_shader_that_is_missing_is_a_failure)
{
    struct fixture f;
    struct pv_compile_result result;
    struct seen seen = {0};
    const struct pv_conform_params params = {.filter = "add/"};
    fixture_open(&f, _i);
    f.context->n_shaders = 1; /* embed, in some form */
    ck_assert_int_eq(pv_conform_compile(f.context, (uint32_t)_i, &params, on_row, &seen, &result), PV_OK);
    ck_assert_uint_eq(result.n_compiled, 0);
    ck_assert_uint_gt(result.n_failed, 0);
    ck_assert_msg(strncmp(seen.first_failure, "add [plan]: case '", 18) == 0, "%s", seen.first_failure);
    fixture_close(&f);
}
END_TEST

START_TEST(nothing_else_works_on_a_compiler)
{
    struct fixture f;
    struct pv_device *compiler = NULL;
    struct pv_recorder *recorder = NULL;
    struct pv_buffer *buffer = NULL;
    uint32_t word = 7;
    fixture_open(&f, _i);
    ck_assert_int_eq(pv_device_open_compiler(f.context, (uint32_t)_i, NULL, &compiler), PV_OK);
    ck_assert_int_eq(pv_buffer_create(compiler, (uint64_t)1 << 40, PV_MEM_DEVICE, "huge", &buffer), PV_OK);
    ck_assert_int_eq(pv_buffer_write(buffer, 0, &word, 4), PV_OK);
    ck_assert_int_eq(pv_buffer_fill(buffer, 0), PV_OK);
    ck_assert_int_eq(pv_buffer_read(buffer, 0, &word, 4), PV_ERR_UNSUPPORTED);
    ck_assert_uint_eq(word, 7);
    ck_assert_int_eq(pv_recorder_create(compiler, &recorder), PV_OK);
    ck_assert_int_eq(pv_recorder_begin(recorder, 2), PV_OK);
    ck_assert_int_eq(pv_recorder_copy(recorder, buffer, 0, buffer, 64, 16), PV_OK);
    pv_recorder_timestamp(recorder, 0);
    ck_assert_int_eq(pv_recorder_end(recorder), PV_OK);
    ck_assert_int_eq(pv_recorder_run(recorder), PV_ERR_UNSUPPORTED);
    pv_recorder_destroy(recorder);
    pv_buffer_destroy(buffer);
    pv_device_close(compiler);
    fixture_close(&f);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {the_plans_pipelines_are_built, each_pipeline_is_told_of_once,
                                  a_shader_that_is_missing_is_a_failure, nothing_else_works_on_a_compiler};
    return fixture_main("kernel/compile", tests, sizeof tests / sizeof tests[0]);
}
