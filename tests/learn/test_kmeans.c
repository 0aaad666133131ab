/* label: unit */
#include "learn/algo/kmeans/kmeans.h"

#include <math.h>
#include <string.h>
#include "harness.h"
#include "planted.h"

enum { ROWS = 1000, COLS = 120, GROUPS = 10 };
/* Clusters to find the groups with: at exactly GROUPS a local optimum may split one group and merge two
 * others. */
enum { ENOUGH = 2 * GROUPS };

static struct pv_kmeans_params params_of(uint32_t n_clusters)
{
    return (struct pv_kmeans_params){.n_clusters = n_clusters, .n_iters = 20, .n_threads = 1, .seed = 7};
}

static uint32_t *all_rows(size_t n)
{
    uint32_t *rows = calloc(n, sizeof *rows);

    for (size_t i = 0; i < n; i++)
        rows[i] = (uint32_t)i;
    return rows;
}

/* Share of rows whose cluster's most frequent group is theirs. */
static double purity(const struct planted *p, const uint16_t *cluster, uint32_t n_clusters)
{
    double n_right = 0;

    for (uint32_t k = 0; k < n_clusters; k++) {
        uint32_t count[GROUPS] = {0}, most = 0;

        for (size_t i = 0; i < p->x.n_rows; i++)
            count[p->group[i]] += cluster[i] == k;
        for (uint32_t g = 0; g < GROUPS; g++)
            most = count[g] > most ? count[g] : most;
        n_right += most;
    }
    return n_right / (double)p->x.n_rows;
}

static void check_recovery(enum pv_space space)
{
    struct planted p = planted_new(ROWS, COLS, GROUPS, 1);
    struct pv_kmeans_params params = params_of(ENOUGH);
    uint32_t *rows = all_rows(ROWS);
    uint16_t cluster[ROWS];
    float score[ROWS];
    struct pv_kmeans_result r;

    params.space = space;
    ck_assert_int_eq(pv_kmeans(&(struct pv_rows){&p.x, rows, ROWS}, &params, NULL, &r), PV_OK);
    ck_assert_uint_eq(r.n_empty, 0);
    ck_assert_double_gt(r.similarity, 0.5);
    ck_assert_int_eq(
        pv_kmeans_assign(&(struct pv_rows){&p.x, NULL, ROWS}, r.centroids,
                         &(struct pv_kmeans_params){.n_clusters = ENOUGH, .n_threads = 2, .space = space},
                         cluster, score),
        PV_OK);
    ck_assert_double_gt(purity(&p, cluster, ENOUGH), 0.99);
    for (size_t i = 0; i < ROWS; i++)
        ck_assert(score[i] > 0.0f && score[i] <= 1.0001f);
    free(r.centroids);
    free(rows);
    planted_free(&p);
}

START_TEST(planted_groups_are_found_by_contribution)
{
    check_recovery(PV_SPACE_CONTRIBUTION);
}
END_TEST

START_TEST(planted_groups_are_found_by_bits)
{
    check_recovery(PV_SPACE_BITS);
}
END_TEST

START_TEST(centroids_have_unit_length)
{
    struct planted p = planted_new(300, 90, 6, 2);
    struct pv_kmeans_params params = params_of(33);
    uint32_t *rows = all_rows(300);
    struct pv_kmeans_result r;

    ck_assert_int_eq(pv_kmeans(&(struct pv_rows){&p.x, rows, 300}, &params, NULL, &r), PV_OK);
    for (size_t k = 0; k < 33; k++) {
        double sum = 0;

        for (size_t j = 0; j < 90; j++)
            sum += (double)r.centroids[k * 90 + j] * (double)r.centroids[k * 90 + j];
        ck_assert_double_eq_tol(sum, 1.0, 1e-5);
    }
    free(r.centroids);
    free(rows);
    planted_free(&p);
}
END_TEST

/* The plain definition: argmax of f . centroid, ties to the lowest. */
START_TEST(assignment_is_the_definition)
{
    struct planted p = planted_new(200, 50, 5, 3);
    uint32_t sizes[] = {1, 31, 32, 33, 65};
    struct pv_rng rng;

    pv_rng_seed(&rng, 4);
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        const uint32_t n_clusters = sizes[s];
        float *centroids = calloc((size_t)n_clusters * 50, sizeof *centroids);
        uint16_t cluster[200];

        for (size_t i = 0; i < (size_t)n_clusters * 50; i++)
            centroids[i] = pv_rng_float(&rng);
        if (n_clusters > 20) /* a tie */
            memcpy(centroids + 20 * 50, centroids + 3 * 50, 50 * sizeof *centroids);
        ck_assert_int_eq(pv_kmeans_assign(&(struct pv_rows){&p.x, NULL, 200}, centroids,
                                          &(struct pv_kmeans_params){.n_clusters = n_clusters,
                                                                     .n_threads = 1,
                                                                     .space = PV_SPACE_CONTRIBUTION},
                                          cluster, NULL),
                         PV_OK);
        for (size_t i = 0; i < 200; i++) {
            double best = -1, own = 0;

            for (uint32_t k = 0; k < n_clusters; k++) {
                double sum = 0;

                for (uint64_t e = p.offset[i]; e < p.offset[i + 1]; e++)
                    sum += (double)pv_half_to_float(p.root[e]) * (double)centroids[k * 50 + p.col[e]];
                best = sum > best ? sum : best;
                own = k == cluster[i] ? sum : own;
            }
            ck_assert_double_eq_tol(own, best, 1e-4 * best);
            ck_assert_uint_ne(cluster[i], 20 + (n_clusters <= 20) * 1000);
        }
        free(centroids);
    }
    planted_free(&p);
}
END_TEST

START_TEST(threads_do_not_change_the_result)
{
    struct planted p = planted_new(ROWS, COLS, GROUPS, 5);
    struct pv_kmeans_params params = params_of(37);
    uint32_t *rows = all_rows(ROWS);
    struct pv_kmeans_result one, many;

    ck_assert_int_eq(pv_kmeans(&(struct pv_rows){&p.x, rows, ROWS}, &params, NULL, &one), PV_OK);
    for (uint32_t n_threads = 2; n_threads <= 5; n_threads++) {
        params.n_threads = n_threads;
        ck_assert_int_eq(pv_kmeans(&(struct pv_rows){&p.x, rows, ROWS}, &params, NULL, &many), PV_OK);
        ck_assert_mem_eq(one.centroids, many.centroids, 37 * COLS * sizeof(float));
        ck_assert_uint_eq(one.n_iters, many.n_iters);
        free(many.centroids);
    }
    params.seed++;
    ck_assert_int_eq(pv_kmeans(&(struct pv_rows){&p.x, rows, ROWS}, &params, NULL, &many), PV_OK);
    ck_assert(memcmp(one.centroids, many.centroids, 37 * COLS * sizeof(float)) != 0);
    free(many.centroids);
    free(one.centroids);
    free(rows);
    planted_free(&p);
}
END_TEST

START_TEST(only_the_given_rows_are_clustered)
{
    struct planted p = planted_new(ROWS, COLS, GROUPS, 6);
    struct pv_kmeans_params params = params_of(3);
    uint32_t rows[ROWS];
    struct pv_kmeans_result r;
    size_t n = 0;

    for (size_t i = 0; i < ROWS; i++)
        if (p.group[i] < 3)
            rows[n++] = (uint32_t)i;
    ck_assert_int_eq(pv_kmeans(&(struct pv_rows){&p.x, rows, n}, &params, NULL, &r), PV_OK);
    for (size_t k = 0; k < 3; k++) { /* the columns of groups 3.. have but noise */
        double own = 0;

        for (size_t j = 0; j < 3 * COLS / GROUPS; j++)
            own += (double)r.centroids[k * COLS + j] * (double)r.centroids[k * COLS + j];
        ck_assert_double_gt(own, 0.9);
    }
    free(r.centroids);
    planted_free(&p);
}
END_TEST

/* Fewer distinct rows than clusters: the rest stay empty, and nothing is NaN. */
START_TEST(more_clusters_than_distinct_rows)
{
    uint64_t offset[41] = {0};
    uint16_t col[40], root[40];
    struct pv_sparse x = {40, 8, offset, col, root};
    struct pv_kmeans_params params = params_of(16);
    uint32_t *rows = all_rows(40);
    struct pv_kmeans_result r;

    for (size_t i = 0; i < 40; i++) {
        col[i] = (uint16_t)(i % 4);
        root[i] = pv_float_to_half(1.0f);
        offset[i + 1] = i + 1;
    }
    ck_assert_int_eq(pv_kmeans(&(struct pv_rows){&x, rows, 40}, &params, NULL, &r), PV_OK);
    ck_assert_uint_eq(r.n_empty, 12);
    ck_assert_double_eq_tol(r.similarity, 1.0, 1e-6);
    for (size_t i = 0; i < 16 * 8; i++)
        ck_assert(isfinite(r.centroids[i]));
    free(r.centroids);
    free(rows);
}
END_TEST

/* A bad start is repaired: with as many clusters as distinct rows, each gets one in the end. */
START_TEST(empty_clusters_are_repaired)
{
    uint64_t offset[65] = {0};
    uint16_t col[64 * 2], root[64 * 2];
    struct pv_sparse x = {64, 64, offset, col, root};
    struct pv_kmeans_params params = params_of(64);
    uint32_t *rows = all_rows(64);
    struct pv_kmeans_result r;

    for (size_t i = 0; i < 64; i++) { /* row i and i ^ 1 share a column */
        col[2 * i] = (uint16_t)(i & ~(size_t)1);
        col[2 * i + 1] = (uint16_t)((i & ~(size_t)1) + 1);
        root[2 * i] = pv_float_to_half(i % 2 ? 1.0f : 0.3f);
        root[2 * i + 1] = pv_float_to_half(i % 2 ? 0.3f : 1.0f);
        offset[i + 1] = 2 * (i + 1);
    }
    for (params.seed = 1; params.seed < 20; params.seed++) {
        ck_assert_int_eq(pv_kmeans(&(struct pv_rows){&x, rows, 64}, &params, NULL, &r), PV_OK);
        ck_assert_uint_eq(r.n_empty, 0);
        free(r.centroids);
    }
    free(rows);
}
END_TEST

START_TEST(rows_without_neurons_do_no_harm)
{
    struct planted p = planted_new(100, 20, 2, 8), none = {0};
    struct pv_kmeans_params params = params_of(4);
    uint32_t *rows = all_rows(100);
    uint16_t cluster[100];
    struct pv_kmeans_result r;

    for (size_t i = 50; i <= 100; i++) /* the last 50 rows */
        p.offset[i] = p.offset[50];
    ck_assert_int_eq(pv_kmeans(&(struct pv_rows){&p.x, rows, 100}, &params, NULL, &r), PV_OK);
    for (size_t i = 0; i < 4 * 20; i++)
        ck_assert(isfinite(r.centroids[i]));
    ck_assert_int_eq(pv_kmeans_assign(&(struct pv_rows){&p.x, NULL, 100}, r.centroids,
                                      &(struct pv_kmeans_params){
                                          .n_clusters = 4, .n_threads = 1, .space = PV_SPACE_CONTRIBUTION},
                                      cluster, NULL),
                     PV_OK);
    for (size_t i = 50; i < 100; i++)
        ck_assert_uint_eq(cluster[i], 0);
    free(r.centroids);
    none.x = (struct pv_sparse){100, 20, calloc(101, sizeof(uint64_t)), NULL, NULL};
    ck_assert_int_eq(pv_kmeans(&(struct pv_rows){&none.x, rows, 100}, &params, NULL, &r), PV_OK);
    ck_assert_double_eq(r.similarity, 0.0);
    free(r.centroids);
    free((void *)(uintptr_t)none.x.offset);
    free(rows);
    planted_free(&p);
}
END_TEST

/* Mean similarity of all rows to their nearest centroid. */
static double similarity(const struct planted *p, const float *centroids, uint32_t n_clusters,
                         enum pv_space space, uint16_t *cluster)
{
    float *score = calloc(p->x.n_rows, sizeof *score);
    double sum = 0;

    ck_assert_int_eq(
        pv_kmeans_assign(&(struct pv_rows){&p->x, NULL, p->x.n_rows}, centroids,
                         &(struct pv_kmeans_params){.n_clusters = n_clusters, .n_threads = 1, .space = space},
                         cluster, score),
        PV_OK);
    for (size_t i = 0; i < p->x.n_rows; i++)
        sum += (double)score[i] / (double)p->x.n_rows;
    free(score);
    return sum;
}

/* Every fiftieth row is iterated over; the pass takes the centroids to what all rows say. */
START_TEST(a_pass_over_all_rows_betters_a_sample)
{
    enum { MANY = 12000, SAMPLE = MANY / 50 };
    const enum pv_space space = _i ? PV_SPACE_BITS : PV_SPACE_CONTRIBUTION;
    struct planted p = planted_new(MANY, COLS, GROUPS, 11);
    struct pv_kmeans_params params = params_of(ENOUGH);
    uint32_t *rows = all_rows(MANY), sample[SAMPLE];
    uint16_t *cluster = calloc(MANY, sizeof *cluster);
    struct pv_kmeans_result one, two;
    double before, after;

    params.space = space;
    for (uint32_t i = 0; i < SAMPLE; i++)
        sample[i] = 50 * i;
    ck_assert_int_eq(pv_kmeans(&(struct pv_rows){&p.x, sample, SAMPLE}, &params, NULL, &one), PV_OK);
    ck_assert_int_eq(pv_kmeans(&(struct pv_rows){&p.x, sample, SAMPLE}, &params, NULL, &two), PV_OK);
    before = similarity(&p, one.centroids, ENOUGH, space, cluster);
    ck_assert_int_eq(pv_kmeans_pass(&(struct pv_rows){&p.x, sample, SAMPLE},
                                    &(struct pv_rows){&p.x, rows, MANY}, &params, NULL, one.centroids),
                     PV_OK);
    after = similarity(&p, one.centroids, ENOUGH, space, cluster);
    ck_assert_double_gt(after, before);
    ck_assert_double_gt(purity(&p, cluster, ENOUGH), 0.99);
    for (size_t k = 0; k < ENOUGH; k++) {
        double sum = 0;

        for (size_t j = 0; j < COLS; j++)
            sum += (double)one.centroids[k * COLS + j] * (double)one.centroids[k * COLS + j];
        ck_assert_double_eq_tol(sum, 1.0, 1e-5);
    }
    params.n_threads = 3;
    ck_assert_int_eq(pv_kmeans_pass(&(struct pv_rows){&p.x, sample, SAMPLE},
                                    &(struct pv_rows){&p.x, rows, MANY}, &params, NULL, two.centroids),
                     PV_OK);
    ck_assert_mem_eq(one.centroids, two.centroids, ENOUGH * COLS * sizeof(float));
    free(one.centroids);
    free(two.centroids);
    free(cluster);
    free(rows);
    planted_free(&p);
}
END_TEST

/* With one cluster the order does not matter: the centroid is the mean of all rows. */
START_TEST(a_pass_counts_every_row_once)
{
    struct planted p = planted_new(9000, COLS, GROUPS, 12);
    struct pv_kmeans_params params = params_of(1);
    uint32_t *rows = all_rows(9000);
    struct pv_kmeans_result all, some;

    ck_assert_int_eq(pv_kmeans(&(struct pv_rows){&p.x, rows, 9000}, &params, NULL, &all), PV_OK);
    ck_assert_int_eq(pv_kmeans(&(struct pv_rows){&p.x, rows + 100, 50}, &params, NULL, &some), PV_OK);
    ck_assert_int_eq(pv_kmeans_pass(&(struct pv_rows){&p.x, rows + 100, 50},
                                    &(struct pv_rows){&p.x, rows, 9000}, &params, NULL, some.centroids),
                     PV_OK);
    for (size_t j = 0; j < COLS; j++)
        ck_assert_float_eq_tol(some.centroids[j], all.centroids[j], 1e-5f);
    ck_assert_int_eq(pv_kmeans_pass(&(struct pv_rows){&p.x, rows, 0}, &(struct pv_rows){&p.x, rows, 9000},
                                    &params, NULL, some.centroids),
                     PV_ERR_ARG);
    free(all.centroids);
    free(some.centroids);
    free(rows);
    planted_free(&p);
}
END_TEST

static bool stop_at_second(void *user, const char *stage, double done, double total)
{
    uint32_t *n = user;

    ck_assert_str_eq(stage, "cluster");
    ck_assert_double_ge(done, 0.0);
    ck_assert_double_lt(done, total);
    return ++*n < 2;
}

START_TEST(stopping_is_heard)
{
    struct planted p = planted_new(100, 20, 2, 9), big = planted_new(9000, 20, 2, 9);
    struct pv_kmeans_params params = params_of(4);
    uint32_t *rows = all_rows(9000), n = 0;
    struct pv_steps steps = {.sink = {stop_at_second, &n}, .stage = "cluster", .total = 1.0};
    struct pv_kmeans_result r;

    ck_assert_int_eq(pv_kmeans(&(struct pv_rows){&p.x, rows, 100}, &params, &steps, &r), PV_ERR_INTERRUPTED);
    ck_assert_ptr_null(r.centroids);
    ck_assert_uint_eq(n, 2);
    n = 0;
    params.n_clusters = 1;
    r.centroids = calloc(20, sizeof(float));
    ck_assert_int_eq(pv_kmeans_pass(&(struct pv_rows){&big.x, rows, 100},
                                    &(struct pv_rows){&big.x, rows, 9000}, &params, &steps, r.centroids),
                     PV_ERR_INTERRUPTED);
    ck_assert_uint_eq(n, 2);
    free(r.centroids);
    planted_free(&big);
    free(rows);
    planted_free(&p);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kmeans");
    TCase *tcase = tcase_create("kmeans");

    tcase_add_test(tcase, planted_groups_are_found_by_contribution);
    tcase_add_test(tcase, planted_groups_are_found_by_bits);
    tcase_add_test(tcase, centroids_have_unit_length);
    tcase_add_test(tcase, assignment_is_the_definition);
    tcase_add_test(tcase, threads_do_not_change_the_result);
    tcase_add_test(tcase, only_the_given_rows_are_clustered);
    tcase_add_test(tcase, more_clusters_than_distinct_rows);
    tcase_add_test(tcase, empty_clusters_are_repaired);
    tcase_add_test(tcase, rows_without_neurons_do_no_harm);
    tcase_add_loop_test(tcase, a_pass_over_all_rows_betters_a_sample, 0, 2);
    tcase_add_test(tcase, a_pass_counts_every_row_once);
    tcase_add_test(tcase, stopping_is_heard);
    suite_add_tcase(suite, tcase);
    return pv_test_main(suite);
}
