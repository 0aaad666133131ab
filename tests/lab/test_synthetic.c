/* label: unit
 * The made-up layer is what it says, and learning it at a small size finds what was planted. */
#include "lab/bench/synthetic.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/half.h"
#include "harness.h"
#include "lab/bench/bench_learn.h"

static const struct pv_synthetic_params PARAMS = {
    .n_tokens = 1200, .n_groups = 12, .d_model = 31, .d_ffn = 333, .density = 0.1, .seed = 4};

START_TEST(layer_is_sound)
{
    struct pv_synthetic layer;
    double active, seen[12] = {0};

    ck_assert_int_eq(pv_synthetic_make(&PARAMS, &layer), PV_OK);
    ck_assert_uint_eq(layer.x.n_rows, PARAMS.n_tokens);
    ck_assert_uint_eq(layer.offset[0], 0);
    for (size_t i = 0; i < PARAMS.n_tokens; i++) {
        ck_assert_uint_lt(layer.group[i], 12);
        seen[layer.group[i]]++;
        ck_assert_uint_le(layer.offset[i], layer.offset[i + 1]);
        for (uint64_t p = layer.offset[i]; p < layer.offset[i + 1]; p++) {
            ck_assert_uint_lt(layer.col[p], PARAMS.d_ffn);
            ck_assert(p == layer.offset[i] || layer.col[p - 1] < layer.col[p]);
            ck_assert(layer.root[p] > 0 && layer.root[p] <= 0x7bff);
        }
    }
    for (int g = 0; g < 12; g++)
        ck_assert_double_gt(seen[g], 50.0);
    active = (double)layer.offset[PARAMS.n_tokens] / ((double)PARAMS.n_tokens * PARAMS.d_ffn);
    ck_assert_double_eq_tol(active, PARAMS.density, 0.015);
    pv_synthetic_free(&layer);
}
END_TEST

START_TEST(threads_do_not_matter)
{
    struct pv_synthetic_params params = PARAMS;
    struct pv_synthetic one, many;
    size_t n;

    params.n_threads = 1;
    ck_assert_int_eq(pv_synthetic_make(&params, &one), PV_OK);
    params.n_threads = 5;
    ck_assert_int_eq(pv_synthetic_make(&params, &many), PV_OK);
    ck_assert_int_eq(memcmp(one.offset, many.offset, (params.n_tokens + 1) * sizeof *one.offset), 0);
    n = one.offset[params.n_tokens];
    ck_assert_int_eq(memcmp(one.col, many.col, n * sizeof *one.col), 0);
    ck_assert_int_eq(memcmp(one.root, many.root, n * sizeof *one.root), 0);
    ck_assert_int_eq(memcmp(one.z, many.z, params.n_tokens * params.d_model * sizeof *one.z), 0);
    pv_synthetic_free(&one);
    pv_synthetic_free(&many);
}
END_TEST

START_TEST(purity_by_hand)
{
    static const uint16_t cluster[] = {0, 0, 0, 1, 1, 2}, group[] = {3, 3, 1, 1, 0, 2};
    static const uint32_t rows[] = {0, 2, 5};
    double purity;

    ck_assert_int_eq(pv_purity(cluster, group, NULL, 6, 3, 4, &purity), PV_OK);
    ck_assert_double_eq_tol(purity, 4.0 / 6.0, 1e-12);
    ck_assert_int_eq(pv_purity(cluster, group, rows, 3, 3, 4, &purity), PV_OK);
    ck_assert_double_eq_tol(purity, 2.0 / 3.0, 1e-12);
}
END_TEST

struct seen {
    struct pv_learn_bench_row rows[8];
    uint32_t n;
};

static void on_row(void *user, const struct pv_learn_bench_row *row)
{
    struct seen *seen = user;

    ck_assert_uint_lt(seen->n, 8);
    seen->rows[seen->n++] = *row;
}

START_TEST(bench_finds_what_was_planted)
{
    struct pv_learn_bench_params params = {
        .n_tokens = 4096, .d_model = 256, .d_ffn = 1024, .n_clusters = 16, .growth = true, .seed = 3};
    struct seen seen = {0};
    const struct pv_learn_bench_row *r = seen.rows;

    ck_assert_int_eq(pv_bench_learn(&params, on_row, &seen), PV_OK);
    ck_assert_uint_eq(seen.n, 7);
    ck_assert_double_gt(r->purity, 0.8);
    ck_assert_double_gt(r->routed_purity, 0.75);
    ck_assert_double_gt(r->energy_kept, 0.5);
    ck_assert_double_gt(r->s_refine, 0.0);
    ck_assert_double_eq_tol(r->router_bytes, 16 * (2.0 * 256 + 4), 1e-9);
    ck_assert_double_eq_tol(r->ffn_bytes, 2.0 * 2 * 1024 * 256, 1e-9);
    ck_assert_uint_gt(r->peak_bytes, 4096 * 256 * 2);
    ck_assert_uint_eq(seen.rows[2].n_tokens, 1024);
    ck_assert_uint_eq(seen.rows[3].n_clusters, 8);
    ck_assert_uint_eq(seen.rows[6].d_ffn, 256);
}
END_TEST

START_TEST(exponents_by_hand)
{
    struct pv_learn_bench_row rows[4] = {
        {.growing = "",
         .n_tokens = 400,
         .s_seed = 1,
         .s_iteration = 8,
         .s_epoch = 64,
         .s_refine = 2,
         .s_masks = 1},
        {.growing = "tokens",
         .n_tokens = 200,
         .s_seed = 1,
         .s_iteration = 4,
         .s_epoch = 16,
         .s_refine = 4,
         .s_masks = 2},
        {.growing = "tokens",
         .n_tokens = 100,
         .s_seed = 1,
         .s_iteration = 2,
         .s_epoch = 4,
         .s_refine = 8,
         .s_masks = 4},
        {.growing = "K", .n_tokens = 400, .s_seed = 99, .s_iteration = 99, .s_epoch = 99, .s_masks = 99}};
    const struct pv_learn_bench_growth g = pv_learn_bench_fit(rows, 4, "tokens");

    ck_assert_double_eq_tol(g.seed, 0.0, 1e-9);
    ck_assert_double_eq_tol(g.iteration, 1.0, 1e-9);
    ck_assert_double_eq_tol(g.epoch, 2.0, 1e-9);
    ck_assert_double_eq_tol(g.refine, -1.0, 1e-9);
    ck_assert_double_eq_tol(g.masks, -1.0, 1e-9);
}
END_TEST

START_TEST(refuses_sizes_that_make_no_sense)
{
    static const struct pv_learn_bench_params bad[] = {
        {.n_tokens = 100, .n_clusters = 50}, {.d_ffn = 70000}, {.active = 0.9}};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct pv_learn_bench_params params = bad[i];
        struct pv_test_log captured;

        params.log = pv_test_log(&captured);
        ck_assert_int_eq(pv_bench_learn(&params, on_row, NULL), PV_ERR_ARG);
        ck_assert(pv_test_logged(&captured, "bench: "));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("synthetic");
    TCase *tests = tcase_create("layer");

    tcase_add_test(tests, layer_is_sound);
    tcase_add_test(tests, threads_do_not_matter);
    tcase_add_test(tests, purity_by_hand);
    tcase_add_test(tests, bench_finds_what_was_planted);
    tcase_add_test(tests, exponents_by_hand);
    tcase_add_test(tests, refuses_sizes_that_make_no_sense);
    suite_add_tcase(suite, tests);
    return pv_test_main(suite);
}
