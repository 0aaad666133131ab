/* label: unit */
#include "learn/algo/router/router_centroid.h"

#include <math.h>
#include <stdlib.h>
#include "base/half.h"
#include "base/rng.h"
#include "harness.h"

enum { N = 1500, D = 9, GROUPS = 7 };

struct cloud {
    uint16_t z[N * D], group[N];
    uint32_t rows[N];
};

/* Points around GROUPS centres far apart. */
static struct cloud *cloud_new(uint64_t seed)
{
    struct cloud *c = calloc(1, sizeof *c);
    float centre[GROUPS * D];
    struct pv_rng rng;

    pv_rng_seed(&rng, seed);
    for (size_t i = 0; i < GROUPS * D; i++)
        centre[i] = 4.0f * pv_rng_normal(&rng);
    for (uint32_t i = 0; i < N; i++) {
        c->group[i] = (uint16_t)pv_rng_below(&rng, GROUPS);
        c->rows[i] = i;
        for (uint32_t j = 0; j < D; j++)
            c->z[i * D + j] = pv_float_to_half(centre[c->group[i] * D + j] + 0.3f * pv_rng_normal(&rng));
    }
    return c;
}

static double distance(const struct cloud *c, size_t row, const double *mean)
{
    double sum = 0.0;

    for (size_t j = 0; j < D; j++) {
        const double v = (double)pv_half_to_float(c->z[row * D + j]) - mean[j];

        sum += v * v;
    }
    return sum;
}

START_TEST(the_router_names_the_nearest_mean)
{
    struct cloud *c = cloud_new(1);
    enum { K = GROUPS + 2, TRAIN = 900 }; /* two clusters have no row */
    double mean[K * D] = {0}, count[K] = {0};
    uint16_t choice[N];
    struct pv_router router;

    for (size_t i = 0; i < TRAIN; i++) {
        count[c->group[i]] += 1.0;
        for (size_t j = 0; j < D; j++)
            mean[c->group[i] * D + j] += (double)pv_half_to_float(c->z[i * D + j]);
    }
    for (size_t i = 0; i < GROUPS * D; i++)
        mean[i] /= count[i / D];
    ck_assert_int_eq(
        pv_router_centroid(
            &(struct pv_router_params){.n_clusters = K, .d_model = D, .n_threads = 1},
            &(struct pv_router_data){.z = c->z, .label = c->group, .train = c->rows, .n_train = TRAIN},
            &router),
        PV_OK);
    ck_assert_int_eq(pv_router_apply(&router, c->z, NULL, N, 2, choice), PV_OK);
    for (size_t i = 0; i < N; i++) {
        size_t best = 0;

        for (size_t k = 1; k < GROUPS; k++)
            best = distance(c, i, mean + k * D) < distance(c, i, mean + best * D) ? k : best;
        ck_assert_uint_eq(choice[i], best);
    }
    pv_router_free(&router);
    free(c);
}
END_TEST

/* Share of rows in a cluster that is mostly of their group. */
static double purity(const struct cloud *c, const uint16_t *label, uint32_t n_clusters)
{
    size_t sum = 0;

    for (uint32_t k = 0; k < n_clusters; k++) {
        size_t count[GROUPS] = {0}, most = 0;

        for (size_t i = 0; i < N; i++)
            count[c->group[i]] += label[i] == k;
        for (size_t g = 0; g < GROUPS; g++)
            most = count[g] > most ? count[g] : most;
        sum += most;
    }
    return (double)sum / N;
}

START_TEST(planted_clouds_are_found_by_any_number_of_threads)
{
    struct cloud *c = cloud_new(2);
    struct pv_input_params params = {
        .n_clusters = 3 * GROUPS, .d_model = D, .n_iters = 10, .n_threads = 1, .seed = 3};
    uint16_t one[N] = {0}, two[N] = {0};

    ck_assert_int_eq(
        pv_input_cluster(&params,
                         &(struct pv_router_data){.z = c->z, .n_rows = N, .train = c->rows, .n_train = 1000},
                         NULL, one),
        PV_OK);
    params.n_threads = 2;
    ck_assert_int_eq(
        pv_input_cluster(&params,
                         &(struct pv_router_data){.z = c->z, .n_rows = N, .train = c->rows, .n_train = 1000},
                         NULL, two),
        PV_OK);
    ck_assert_mem_eq(one, two, sizeof one);
    ck_assert_double_gt(purity(c, one, params.n_clusters), 0.99);
    free(c);
}
END_TEST

START_TEST(more_clusters_than_rows_do_no_harm)
{
    struct cloud *c = cloud_new(4);
    struct pv_input_params params = {.n_clusters = 40, .d_model = D, .n_iters = 3, .seed = 3};
    uint16_t label[N] = {0};

    ck_assert_int_eq(
        pv_input_cluster(&params,
                         &(struct pv_router_data){.z = c->z, .n_rows = N, .train = c->rows, .n_train = 5},
                         NULL, label),
        PV_OK);
    for (size_t i = 0; i < N; i++)
        ck_assert_uint_lt(label[i], 40);
    free(c);
}
END_TEST

static bool stop(void *user, const char *stage, double done, double total)
{
    (void)stage, (void)total;
    *(double *)user = done;
    return done < 0.5;
}

START_TEST(it_stops_when_told_to)
{
    struct cloud *c = cloud_new(5);
    struct pv_input_params params = {.n_clusters = 5, .d_model = D, .n_iters = 10, .seed = 3};
    uint16_t label[N] = {0};
    double reached = 0.0;
    struct pv_steps steps = {.sink = {stop, &reached}, .stage = "cluster", .total = 1.0};

    ck_assert_int_eq(
        pv_input_cluster(&params,
                         &(struct pv_router_data){.z = c->z, .n_rows = N, .train = c->rows, .n_train = N},
                         &steps, label),
        PV_ERR_INTERRUPTED);
    ck_assert_double_lt(reached, 0.7);
    free(c);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("learn/router_centroid");
    TCase *tcase = tcase_create("router_centroid");

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, the_router_names_the_nearest_mean);
    tcase_add_test(tcase, planted_clouds_are_found_by_any_number_of_threads);
    tcase_add_test(tcase, more_clusters_than_rows_do_no_harm);
    tcase_add_test(tcase, it_stops_when_told_to);
    suite_add_tcase(suite, tcase);
    return pv_test_main(suite);
}
