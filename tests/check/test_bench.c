/* label: gpu
 * The benchmarks run on small shapes, give sane rows, the copy first, and obey filter and parameters. What
 * they measure is no business of a test. */
#include "parvin/bench.h"
#include "vk/fixture.h"

struct rows {
    uint32_t n, n_ffn;
    struct pv_bench_row row[16];
};

static void on_row(void *user, const struct pv_bench_row *row)
{
    struct rows *r = user;
    ck_assert_uint_lt(r->n, 16);
    ck_assert_msg(row->ms > 0 && row->gb_s > 0 && row->share > 0 && row->bytes > 0, "%s %s: %g ms, %g GB/s",
                  row->name, row->variant, row->ms, row->gb_s);
    r->n_ffn += strncmp(row->name, "ffn", 3) == 0;
    r->row[r->n++] = *row;
}

static const struct pv_bench_params small = {
    .d_model = 96, .d_ffn = 200, .n_clusters = 5, .density = 0.25, .n_reps = 3};

START_TEST(rows_are_sane)
{
    static const char *const types[] = {"f32", "f16", "bf16", "q8_0", "q4_0", "q5_1"};
    struct fixture f;
    fixture_open(&f, _i);
    for (int i = 0; i < 6; i++) {
        struct pv_bench_params params = small;
        struct rows r = {0};
        params.type = types[i];
        ck_assert_msg(pv_bench_kernels(f.context, (uint32_t)_i, &params, on_row, &r) == PV_OK, "%s",
                      f.log.text);
        ck_assert_uint_ge(r.n, 6);
        ck_assert_uint_eq(r.n_ffn, 2);
        ck_assert(strncmp(r.row[0].name, "copy", 4) == 0 && r.row[0].share >= 1.0);
        ck_assert(strstr(r.row[0].variant, "clock"));
        ck_assert_str_eq(r.row[1].name, "matvec");
        ck_assert(strstr(r.row[1].variant, types[i]));
    }
    fixture_close(&f);
}
END_TEST

START_TEST(a_filter_selects_rows)
{
    struct fixture f;
    struct rows r = {0};
    struct pv_bench_params params = small;
    fixture_open(&f, _i);
    params.filter = "ffn masked";
    ck_assert_int_eq(pv_bench_kernels(f.context, (uint32_t)_i, &params, on_row, &r), PV_OK);
    ck_assert_uint_eq(r.n, 1);
    ck_assert_str_eq(r.row[0].name, "ffn masked");
    ck_assert(strstr(r.row[0].shape, "200 x 96, K=5, density 0.25"));
    fixture_close(&f);
}
END_TEST

START_TEST(costs_are_sane)
{
    struct fixture f;
    struct pv_device_costs costs;
    fixture_open(&f, _i);
    ck_assert_msg(pv_bench_costs(f.context, (uint32_t)_i, &costs) == PV_OK, "%s", f.log.text);
    ck_assert(costs.submit_us > 0 && costs.wait_us > 0 && costs.dispatch_us >= 0 && costs.barrier_us >= 0);
    ck_assert_int_eq(pv_bench_costs(f.context, 1000, &costs), PV_ERR_ARG);
    fixture_close(&f);
}
END_TEST

START_TEST(wrong_parameters_are_refused)
{
    struct fixture f;
    struct rows r = {0};
    const struct pv_bench_params wrong[] = {
        {.type = "i32"}, {.type = "q9"}, {.type = "q8_0", .d_model = 33}, {.density = 1.5}, {.d_ffn = 70000}};
    fixture_open(&f, _i);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ck_assert_int_eq(pv_bench_kernels(f.context, (uint32_t)_i, &wrong[i], on_row, &r), PV_ERR_ARG);
    ck_assert_int_eq(pv_bench_kernels(f.context, 1000, &small, on_row, &r), PV_ERR_ARG);
    ck_assert_uint_eq(r.n, 0);
    fixture_close(&f);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {rows_are_sane, a_filter_selects_rows, costs_are_sane,
                                  wrong_parameters_are_refused};
    return fixture_main("kernel/bench", tests, sizeof tests / sizeof tests[0]);
}
