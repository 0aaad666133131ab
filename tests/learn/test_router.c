/* label: unit */
#include "learn/algo/router/router.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/half.h"
#include "base/rng.h"
#include "harness.h"

/* Points around K random centres in d dimensions, on very different scales per dimension. */
struct problem {
    uint16_t *z, *label;
    uint32_t *train, *held_out;
    size_t n, n_train, n_held_out;
    uint32_t d, n_clusters;
};

static struct problem problem_new(size_t n, uint32_t d, uint32_t n_clusters, float noise, uint64_t seed)
{
    struct problem p = {.n = n, .d = d, .n_clusters = n_clusters};
    float *centre = calloc((size_t)n_clusters * d, sizeof *centre);
    struct pv_rng rng;

    p.z = calloc(n * d, sizeof *p.z);
    p.label = calloc(n, sizeof *p.label);
    p.train = calloc(n, sizeof *p.train);
    p.held_out = calloc(n, sizeof *p.held_out);
    pv_rng_seed(&rng, seed);
    for (size_t i = 0; i < (size_t)n_clusters * d; i++)
        centre[i] = pv_rng_normal(&rng);
    for (size_t i = 0; i < n; i++) {
        p.label[i] = (uint16_t)pv_rng_below(&rng, n_clusters);
        for (uint32_t j = 0; j < d; j++) {
            const float v = centre[(size_t)p.label[i] * d + j] + noise * pv_rng_normal(&rng);

            p.z[i * d + j] = pv_float_to_half(j % 3 == 0 ? 50.0f * v + 20.0f : j % 3 == 1 ? 0.01f * v : v);
        }
        if (i % 5 == 4)
            p.held_out[p.n_held_out++] = (uint32_t)i;
        else
            p.train[p.n_train++] = (uint32_t)i;
    }
    free(centre);
    return p;
}

static void problem_free(struct problem *p)
{
    free(p->z);
    free(p->label);
    free(p->train);
    free(p->held_out);
}

static struct pv_router_data data_of(const struct problem *p)
{
    return (struct pv_router_data){.z = p->z,
                                   .label = p->label,
                                   .train = p->train,
                                   .held_out = p->held_out,
                                   .n_train = p->n_train,
                                   .n_held_out = p->n_held_out};
}

static struct pv_router_params params_of(const struct problem *p)
{
    return (struct pv_router_params){
        .n_clusters = p->n_clusters, .d_model = p->d, .n_epochs = 12, .n_threads = 1, .seed = 3};
}

START_TEST(a_separable_problem_is_learned)
{
    struct problem p = problem_new(6000, 40, 19, 0.5f, 1);
    struct pv_router_params params = params_of(&p);
    struct pv_router_data data = data_of(&p);
    struct pv_router router;

    ck_assert_int_eq(pv_router_train(&params, &data, NULL, &router), PV_OK);
    ck_assert_double_gt(router.accuracy, 0.98);
    pv_router_free(&router);
    problem_free(&p);
}
END_TEST

START_TEST(odd_sizes_are_learned)
{
    uint32_t dims[] = {1, 33, 130}, clusters[] = {1, 2, 17};

    for (size_t a = 0; a < 3; a++) {
        for (size_t b = 0; b < 3; b++) {
            struct problem p = problem_new(777, dims[a], clusters[b], 0.1f, 2);
            struct pv_router_params params = params_of(&p);
            struct pv_router_data data = data_of(&p);
            struct pv_router router;

            ck_assert_int_eq(pv_router_train(&params, &data, NULL, &router), PV_OK);
            if (dims[a] > 1 || clusters[b] == 1)
                ck_assert_double_gt(router.accuracy, 0.95);
            for (size_t i = 0; i < (size_t)clusters[b] * dims[a]; i++)
                ck_assert((router.weight[i] & 0x7c00) != 0x7c00);
            pv_router_free(&router);
            problem_free(&p);
        }
    }
}
END_TEST

START_TEST(threads_do_not_change_the_result)
{
    struct problem p = problem_new(1500, 37, 21, 1.0f, 4);
    struct pv_router_params params = params_of(&p);
    struct pv_router_data data = data_of(&p);
    struct pv_router one, two;

    ck_assert_int_eq(pv_router_train(&params, &data, NULL, &one), PV_OK);
    params.n_threads = 2;
    ck_assert_int_eq(pv_router_train(&params, &data, NULL, &two), PV_OK);
    ck_assert_mem_eq(one.weight, two.weight, 21 * 37 * sizeof *one.weight);
    ck_assert_mem_eq(one.bias, two.bias, 21 * sizeof *one.bias);
    pv_router_free(&two);
    params.seed++;
    ck_assert_int_eq(pv_router_train(&params, &data, NULL, &two), PV_OK);
    ck_assert(memcmp(one.weight, two.weight, 21 * 37 * sizeof *one.weight) != 0);
    pv_router_free(&one);
    pv_router_free(&two);
    problem_free(&p);
}
END_TEST

START_TEST(a_cluster_without_rows_is_never_chosen)
{
    struct problem p = problem_new(1000, 20, 5, 1.0f, 5);
    struct pv_router_params params = params_of(&p);
    struct pv_router_data data = data_of(&p);
    uint16_t *choice = calloc(p.n, sizeof *choice);
    struct pv_router router;

    params.n_clusters = 18; /* labels stay below 5 */
    ck_assert_int_eq(pv_router_train(&params, &data, NULL, &router), PV_OK);
    ck_assert_int_eq(pv_router_apply(&router, p.z, NULL, p.n, 1, choice), PV_OK);
    for (size_t i = 0; i < p.n; i++)
        ck_assert_uint_lt(choice[i], 5);
    for (size_t k = 5; k < 18; k++)
        ck_assert(isfinite(router.bias[k]));
    free(choice);
    pv_router_free(&router);
    problem_free(&p);
}
END_TEST

START_TEST(applying_is_the_definition)
{
    struct problem p = problem_new(600, 19, 23, 1.0f, 6);
    uint16_t weight[23 * 19], choice[600];
    struct pv_router router = {.n_clusters = 23, .n_in = 19, .weight = weight};
    float bias[23];
    struct pv_rng rng;

    pv_rng_seed(&rng, 7);
    for (size_t i = 0; i < 23 * 19; i++)
        weight[i] = pv_float_to_half(pv_rng_normal(&rng));
    for (size_t k = 0; k < 23; k++)
        bias[k] = pv_rng_normal(&rng);
    memcpy(weight + 9 * 19, weight + 4 * 19, 19 * sizeof *weight); /* a tie */
    bias[9] = bias[4];
    router.bias = bias;
    ck_assert_int_eq(pv_router_apply(&router, p.z, p.train, p.n_train, 2, choice), PV_OK);
    for (size_t i = 0; i < p.n_train; i++) {
        double best = -1e30, own = 0.0;

        for (size_t k = 0; k < 23; k++) {
            double sum = (double)bias[k];

            for (size_t j = 0; j < 19; j++)
                sum += (double)pv_half_to_float(weight[k * 19 + j]) *
                       (double)pv_half_to_float(p.z[(size_t)p.train[i] * 19 + j]);
            best = sum > best ? sum : best;
            own = k == choice[i] ? sum : own;
        }
        ck_assert_double_eq_tol(own, best, 1e-3);
        ck_assert_uint_ne(choice[i], 9);
    }
    problem_free(&p);
}
END_TEST

/* Without held-out rows it is judged on the rows it learned from. */
START_TEST(nothing_held_out)
{
    struct problem p = problem_new(300, 10, 4, 0.1f, 8);
    struct pv_router_params params = params_of(&p);
    struct pv_router_data data = data_of(&p);
    struct pv_router router;

    data.n_held_out = 0;
    ck_assert_int_eq(pv_router_train(&params, &data, NULL, &router), PV_OK);
    ck_assert_double_gt(router.accuracy, 0.95);
    pv_router_free(&router);
    problem_free(&p);
}
END_TEST

static bool stop(void *user, const char *stage, double done, double total)
{
    (void)user;
    (void)stage;
    return done < total / 2;
}

START_TEST(stopping_is_heard)
{
    struct problem p = problem_new(300, 10, 4, 0.1f, 9);
    struct pv_router_params params = params_of(&p);
    struct pv_router_data data = data_of(&p);
    struct pv_steps steps = {.sink = {stop, NULL}, .stage = "router", .total = 0.5};
    struct pv_router router;

    ck_assert_int_eq(pv_router_train(&params, &data, &steps, &router), PV_ERR_INTERRUPTED);
    ck_assert_ptr_null(router.weight);
    problem_free(&p);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("router");
    TCase *tcase = tcase_create("router");

    tcase_add_test(tcase, a_separable_problem_is_learned);
    tcase_add_test(tcase, odd_sizes_are_learned);
    tcase_add_test(tcase, threads_do_not_change_the_result);
    tcase_add_test(tcase, a_cluster_without_rows_is_never_chosen);
    tcase_add_test(tcase, applying_is_the_definition);
    tcase_add_test(tcase, nothing_held_out);
    tcase_add_test(tcase, stopping_is_heard);
    suite_add_tcase(suite, tcase);
    return pv_test_main(suite);
}
