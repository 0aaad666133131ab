/* label: unit */
#include "learn/algo/gain.h"

#include <math.h>
#include <stdlib.h>
#include "harness.h"
#include "learn/algo/router/router.h"
#include "planted.h"

enum { N = 3000, COLS = 60, GROUPS = 6, D = 12 };

/* Mask k is group k's columns; masks beyond the groups are empty. */
static struct pv_mask_lists lists_new(uint32_t n_clusters)
{
    struct pv_mask_lists lists = {.n_clusters = n_clusters,
                                  .n_cols = COLS,
                                  .offset = calloc(n_clusters + (size_t)1, sizeof(uint32_t)),
                                  .neurons = calloc(COLS, sizeof(uint16_t))};

    for (uint32_t k = 0; k < n_clusters; k++)
        lists.offset[k + 1] = lists.offset[k] + (k < GROUPS ? COLS / GROUPS : 0);
    for (uint32_t j = 0; j < COLS; j++)
        lists.neurons[j] = (uint16_t)j;
    return lists;
}

START_TEST(a_gain_is_the_energy_that_a_mask_keeps)
{
    struct planted p = planted_new(300, COLS, GROUPS, 1);
    uint32_t rows[] = {7, 0, 299, 41, 41};
    enum { K = PV_GAIN_TILE + 3, N_ROWS = sizeof rows / sizeof rows[0] };
    struct pv_mask_lists lists = lists_new(K);
    float out[N_ROWS * PV_GAIN_TILE];
    struct pv_gain gain;
    double total = 0.0;

    ck_assert_int_eq(pv_gain_init(&gain, &(struct pv_rows){&p.x, rows, N_ROWS}, &lists), PV_OK);
    for (size_t i = 0; i < N_ROWS; i++)
        total += pv_gain_whole(&gain, rows[i]);
    ck_assert_double_eq_tol(total / N_ROWS, 1.0, 1e-5);
    for (uint32_t tile = 0; tile < 2; tile++) {
        pv_gain_tile(&gain, tile, rows, N_ROWS, out);
        for (size_t i = 0; i < N_ROWS; i++) {
            for (uint32_t t = 0; t < PV_GAIN_TILE; t++) {
                const uint32_t k = tile * PV_GAIN_TILE + t;
                double sum = 0.0;

                for (uint64_t q = p.offset[rows[i]]; q < p.offset[rows[i] + 1] && k < GROUPS; q++)
                    sum +=
                        p.col[q] / (COLS / GROUPS) == k ? pow((double)pv_half_to_float(p.root[q]), 4.0) : 0.0;
                ck_assert_double_eq_tol((double)out[i * PV_GAIN_TILE + t], sum * (double)gain.scale, 1e-5);
                if (k < K)
                    ck_assert_double_eq_tol(pv_gain_of(&gain, rows[i], k), sum * (double)gain.scale, 1e-5);
            }
        }
    }
    pv_gain_free(&gain);
    pv_gain_free(&gain);
    pv_mask_lists_free(&lists);
    planted_free(&p);
}
END_TEST

/* Against a plain loop: kept energy less the price of the mask's neurons, ties to the lowest, no row for a
 * cluster without use; the same for any number of threads. */
START_TEST(rows_go_to_the_mask_that_is_worth_most)
{
    enum { ROWS = 301, K = PV_GAIN_TILE + 3 };
    static const double prices[] = {0.0, 0.02, 1e3};
    struct planted p = planted_new(ROWS, COLS, GROUPS, 4);
    struct pv_mask_lists lists = lists_new(K);
    uint64_t use[K];
    const struct pv_energy energy = {.n_clusters = K, .n_cols = COLS, .use = use, .scale = 0.5};
    struct pv_gain gain;

    for (uint32_t k = 0; k < K; k++)
        use[k] = k != 2; /* a group's own cluster */
    ck_assert_int_eq(pv_gain_init(&gain, &(struct pv_rows){&p.x, NULL, 0}, &lists), PV_OK);
    for (size_t c = 0; c < sizeof prices / sizeof prices[0]; c++) {
        uint16_t one[ROWS], two[ROWS];

        memset(one, 0xff, sizeof one);
        ck_assert_int_eq(pv_gain_regroup(&p.x, &lists, &energy, (float)(0.5 * prices[c]), 1, one), PV_OK);
        ck_assert_int_eq(pv_gain_regroup(&p.x, &lists, &energy, (float)(0.5 * prices[c]), 2, two), PV_OK);
        ck_assert_mem_eq(one, two, sizeof one);
        for (size_t i = 0; i < ROWS; i++) {
            double most = -INFINITY, got;

            for (uint32_t k = 0; k < K; k++) {
                const double worth =
                    pv_gain_of(&gain, i, k) - prices[c] * (lists.offset[k + 1] - lists.offset[k]);

                most = use[k] > 0 && worth > most ? worth : most;
            }
            ck_assert_uint_lt(one[i], K);
            ck_assert_uint_ne(one[i], 2);
            got =
                pv_gain_of(&gain, i, one[i]) - prices[c] * (lists.offset[one[i] + 1] - lists.offset[one[i]]);
            ck_assert_double_eq_tol(got, most, 1e-5 * (1.0 + fabs(most)));
            if (prices[c] > 100.0) /* an empty mask costs nothing: the first of them */
                ck_assert_uint_eq(one[i], GROUPS);
        }
    }
    pv_gain_free(&gain);
    pv_mask_lists_free(&lists);
    planted_free(&p);
}
END_TEST

/* z tells the group; labels name the next group's cluster, whose mask keeps next to nothing. */
struct problem {
    struct planted p;
    struct pv_mask_lists lists;
    struct pv_gain gain;
    uint16_t z[N * D], label[N];
    uint32_t train[N], held_out[N];
    struct pv_router_data data;
};

static struct problem *problem_new(void)
{
    struct problem *q = calloc(1, sizeof *q);
    struct pv_rng rng;

    q->p = planted_new(N, COLS, GROUPS, 3);
    q->lists = lists_new(GROUPS);
    q->data =
        (struct pv_router_data){.z = q->z, .label = q->label, .train = q->train, .held_out = q->held_out};
    pv_rng_seed(&rng, 4);
    for (uint32_t i = 0; i < N; i++) {
        for (uint32_t j = 0; j < D; j++)
            q->z[i * D + j] =
                pv_float_to_half((q->p.group[i] == j % GROUPS ? 2.0f : 0.0f) + pv_rng_normal(&rng));
        q->label[i] = (uint16_t)((q->p.group[i] + 1) % GROUPS);
        if (i % 5 == 4)
            q->held_out[q->data.n_held_out++] = i;
        else
            q->train[q->data.n_train++] = i;
    }
    ck_assert_int_eq(pv_gain_init(&q->gain, &(struct pv_rows){&q->p.x, q->train, q->data.n_train}, &q->lists),
                     PV_OK);
    return q;
}

static void problem_free(struct problem *q)
{
    pv_gain_free(&q->gain);
    pv_mask_lists_free(&q->lists);
    planted_free(&q->p);
    free(q);
}

static struct pv_router trained(const struct problem *q, const struct pv_router *start, float label_weight,
                                uint32_t n_threads, float rate)
{
    struct pv_router_params params = {.n_clusters = GROUPS,
                                      .d_model = D,
                                      .n_epochs = 12,
                                      .n_threads = n_threads,
                                      .seed = 5,
                                      .rate = rate,
                                      .label_weight = label_weight};
    struct pv_router_data data = q->data;
    struct pv_router router;

    data.gain = start ? &q->gain : NULL;
    data.start = start;
    ck_assert_int_eq(pv_router_train(&params, &data, NULL, &router), PV_OK);
    return router;
}

START_TEST(a_router_learns_what_masks_keep_whatever_the_labels_say)
{
    struct problem *q = problem_new();
    struct pv_router named = trained(q, NULL, 0.0f, 1, 0.0f), kept = trained(q, &named, 0.0f, 1, 0.05f),
                     again = trained(q, &named, 0.0f, 2, 0.05f), held = trained(q, &named, 100.0f, 1, 0.05f);

    ck_assert_double_gt(named.accuracy, 0.9);
    ck_assert_double_gt(kept.kept, 0.85);     /* the groups' own columns have 97 % of the energy */
    ck_assert_double_lt(kept.accuracy, 0.1);  /* for that it must leave the labels */
    ck_assert_double_gt(held.accuracy, 0.85); /* a heavy label keeps it there */
    ck_assert_double_lt(held.kept, 0.15);
    ck_assert_mem_eq(kept.weight, again.weight, GROUPS * D * sizeof *kept.weight);
    ck_assert_mem_eq(kept.bias, again.bias, GROUPS * sizeof *kept.bias);
    pv_router_free(&named);
    pv_router_free(&kept);
    pv_router_free(&again);
    pv_router_free(&held);
    problem_free(q);
}
END_TEST

START_TEST(training_on_never_makes_it_worse)
{
    struct problem *q = problem_new();
    struct pv_router named = trained(q, NULL, 0.0f, 1, 0.0f), good = trained(q, &named, 0.0f, 1, 0.05f),
                     wild = trained(q, &good, 0.0f, 1, 1000.0f);

    ck_assert_double_ge(wild.kept, good.kept - 1e-3); /* the start is kept; rounding aside */
    pv_router_free(&named);
    pv_router_free(&good);
    pv_router_free(&wild);
    problem_free(q);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("learn/gain");
    TCase *tcase = tcase_create("gain");

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, a_gain_is_the_energy_that_a_mask_keeps);
    tcase_add_test(tcase, rows_go_to_the_mask_that_is_worth_most);
    tcase_add_test(tcase, a_router_learns_what_masks_keep_whatever_the_labels_say);
    tcase_add_test(tcase, training_on_never_makes_it_worse);
    suite_add_tcase(suite, tcase);
    return pv_test_main(suite);
}
