/* label: unit */
#include "learn/algo/masks.h"

#include <math.h>
#include <stdlib.h>
#include "harness.h"
#include "planted.h"

static double energy_of(uint16_t root)
{
    return pow((double)pv_half_to_float(root), 4.0);
}

START_TEST(energies_are_means_over_a_cluster)
{
    struct planted p = planted_new(500, 60, 5, 1);
    uint16_t cluster[500];
    uint32_t rows[250];
    struct pv_energy e;
    double total = 0.0;

    for (size_t i = 0; i < 500; i++)
        cluster[i] = (uint16_t)(i % 2 ? 6 : p.group[i]); /* 5 is empty; rows of 6 are left out */
    for (size_t i = 0; i < 250; i++)
        rows[i] = (uint32_t)(2 * i);
    ck_assert_int_eq(pv_energy_init(&e, &(struct pv_rows){&p.x, rows, 250}, cluster, 7, 3), PV_OK);
    for (uint32_t k = 0; k < 7; k++) {
        double sum[60] = {0}, n = 0.0;

        for (size_t i = 0; i < 500; i += 2) {
            const bool counts = k >= 5 || cluster[i] == k; /* an empty cluster has the mean over all rows */

            n += counts;
            for (uint64_t q = p.offset[i]; q < p.offset[i + 1] && counts; q++)
                sum[p.col[q]] += energy_of(p.root[q]);
        }
        for (size_t j = 0; j < 60; j++)
            ck_assert_double_eq_tol((double)e.mean[k * 60 + j], sum[j] / n, 1e-5);
        ck_assert_uint_eq(e.use[k], k < 5 ? (uint64_t)n : 0);
    }
    for (size_t i = 0; i < 500; i += 2)
        for (uint64_t q = p.offset[i]; q < p.offset[i + 1]; q++)
            total += energy_of(p.root[q]) / 250;
    ck_assert_double_eq_tol(e.total, total, 1e-4);
    ck_assert_double_eq(e.scale, 1.0);
    pv_energy_free(&e);
    pv_energy_free(&e);
    planted_free(&p);
}
END_TEST

START_TEST(scale_is_relative_to_the_layers_so_far)
{
    struct pv_energy layers[4] = {{.total = 4.0}, {.total = 0.0}, {.total = 12.0}, {.total = 16.0}};

    pv_energy_scale(layers, 4);
    ck_assert_double_eq_tol(layers[0].scale, 1.0 / 4, 1e-12);
    ck_assert_double_eq_tol(layers[1].scale, 1.0 / 4, 1e-12);
    ck_assert_double_eq_tol(layers[2].scale, 1.0 / 16, 1e-12);
    ck_assert_double_eq_tol(layers[3].scale, 1.0 / 32, 1e-12);
    layers[0].total = 0.0; /* a layer that does nothing */
    pv_energy_scale(layers, 1);
    ck_assert(isfinite(layers[0].scale));
}
END_TEST

enum { LAYERS = 3, CLUSTERS = 5, COLS = 33 };

struct tables {
    struct pv_energy layers[LAYERS];
    float mean[LAYERS][CLUSTERS * COLS];
    uint64_t use[LAYERS][CLUSTERS];
};

/* Random energies; the uses of a layer's clusters add up to 100. */
static void tables_fill(struct tables *t, uint64_t seed)
{
    struct pv_rng rng;

    pv_rng_seed(&rng, seed);
    for (uint32_t l = 0; l < LAYERS; l++) {
        uint64_t left = 100;

        for (uint32_t i = 0; i < CLUSTERS * COLS; i++)
            t->mean[l][i] = pv_rng_float(&rng) < 0.2f ? 0.0f : expf(4.0f * pv_rng_normal(&rng));
        for (uint32_t k = 0; k < CLUSTERS; k++) {
            t->use[l][k] = k == CLUSTERS - 1 ? left : pv_rng_below(&rng, (uint32_t)left / 2 + 1);
            left -= t->use[l][k];
        }
        t->layers[l] = (struct pv_energy){.n_clusters = CLUSTERS,
                                          .n_cols = COLS,
                                          .mean = t->mean[l],
                                          .use = t->use[l],
                                          .scale = 1.0 / (l + 1)};
    }
}

struct item {
    double value; /* per cost */
    double cost;
};

static int by_value(const void *a, const void *b)
{
    const double x = ((const struct item *)a)->value, y = ((const struct item *)b)->value;

    return x < y ? 1 : x > y ? -1 : 0;
}

/* Taking items one by one, best value per cost first, until the next does not fit, keeps as much energy. */
START_TEST(the_budget_is_met_and_spent_greedily)
{
    static struct tables t;
    static struct item items[LAYERS * CLUSTERS * COLS];
    double densities[] = {0.001, 0.05, 0.2, 0.5, 0.77};

    for (uint64_t seed = 1; seed < 6; seed++) {
        for (size_t d = 0; d < sizeof densities / sizeof densities[0]; d++) {
            double reached, budget = densities[d], greedy = 0.0, kept = 0.0, density = 0.0;
            size_t n = 0;
            float threshold;

            tables_fill(&t, seed);
            for (uint32_t l = 0; l < LAYERS; l++)
                for (uint32_t i = 0; i < CLUSTERS * COLS; i++)
                    items[n++] = (struct item){(double)t.mean[l][i] / (l + 1),
                                               (double)t.use[l][i / COLS] / (100.0 * COLS * LAYERS)};
            qsort(items, n, sizeof *items, by_value);
            for (size_t i = 0; i < n && budget >= items[i].cost - 1e-12 && items[i].value > 0.0; i++) {
                budget -= items[i].cost;
                greedy += items[i].cost * items[i].value;
            }
            ck_assert_int_eq(pv_energy_threshold(t.layers, LAYERS, densities[d], 2, &threshold, &reached),
                             PV_OK);
            ck_assert_double_le(reached, densities[d] + 1e-12);
            for (uint32_t l = 0; l < LAYERS; l++) {
                struct pv_mask_lists lists;

                ck_assert_int_eq(pv_mask_lists_choose(&lists, &t.layers[l], threshold), PV_OK);
                density += lists.density / LAYERS;
                for (uint32_t k = 0; k < CLUSTERS; k++)
                    for (uint32_t i = lists.offset[k]; i < lists.offset[k + 1]; i++) {
                        ck_assert(i == lists.offset[k] || lists.neurons[i] > lists.neurons[i - 1]);
                        kept += (double)t.mean[l][k * COLS + lists.neurons[i]] / (l + 1) *
                                (double)t.use[l][k] / (100.0 * COLS * LAYERS);
                    }
                pv_mask_lists_free(&lists);
            }
            ck_assert_double_eq_tol(density, reached, 1e-9);
            ck_assert_double_eq_tol(kept, greedy, 1e-5 * greedy + 1e-12);
        }
    }
}
END_TEST

START_TEST(a_full_budget_takes_what_has_energy)
{
    static struct tables t;
    struct pv_mask_lists lists;
    double reached;
    float threshold;

    tables_fill(&t, 9);
    ck_assert_int_eq(pv_energy_threshold(t.layers, LAYERS, 1.0, 1, &threshold, &reached), PV_OK);
    ck_assert_double_eq((double)threshold, 0.0);
    ck_assert_int_eq(pv_mask_lists_choose(&lists, &t.layers[0], threshold), PV_OK);
    for (uint32_t k = 0, i = 0; k < CLUSTERS; k++)
        for (uint32_t j = 0; j < COLS; j++)
            if (t.mean[0][k * COLS + j] > 0.0f)
                ck_assert_uint_eq(lists.neurons[i++], j);
    pv_mask_lists_free(&lists);
    pv_mask_lists_free(&lists);
}
END_TEST

/* Four clusters of the same energies, more than the budget holds: all or nothing, never over the budget. */
START_TEST(ties_do_not_overspend)
{
    float mean[4 * 10];
    uint64_t use[4] = {1, 1, 1, 1};
    struct pv_energy e = {.n_clusters = 4, .n_cols = 10, .mean = mean, .use = use, .scale = 1.0};
    float threshold;
    double reached;

    for (size_t i = 0; i < 40; i++)
        mean[i] = 1.0f;
    ck_assert_int_eq(pv_energy_threshold(&e, 1, 0.5, 1, &threshold, &reached), PV_OK);
    ck_assert_double_eq(reached, 0.0);
}
END_TEST

/* The n highest of each cluster, the lowest of equals, never one that is never active. */
START_TEST(the_top_of_each_cluster_is_taken)
{
    float mean[] = {3, 1, 2, 1, 1, 0, 0, 5, 0, 0, 2, 2, 2, 2, 2};
    static const uint16_t wanted[] = {0, 1, 2, 2, 0, 1, 2};
    static const uint32_t offset[] = {0, 3, 4, 7};
    uint64_t use[] = {2, 1, 1};
    struct pv_energy e = {.n_clusters = 3, .n_cols = 5, .mean = mean, .use = use, .scale = 1.0};
    struct pv_mask_lists lists;

    ck_assert_int_eq(pv_mask_lists_top(&lists, &e, 3), PV_OK);
    ck_assert_mem_eq(lists.offset, offset, sizeof offset);
    ck_assert_mem_eq(lists.neurons, wanted, sizeof wanted);
    ck_assert_double_eq_tol(lists.density, (2 * 3 + 1 + 3) / (4.0 * 5), 1e-12);
    pv_mask_lists_free(&lists);
    ck_assert_int_eq(pv_mask_lists_top(&lists, &e, 0), PV_OK);
    ck_assert_uint_eq(lists.offset[3], 0);
    pv_mask_lists_free(&lists);
    ck_assert_int_eq(pv_mask_lists_top(&lists, &e, 9), PV_OK);
    ck_assert_uint_eq(lists.offset[3], 11);
    pv_mask_lists_free(&lists);
}
END_TEST

START_TEST(judging_counts)
{
    uint64_t offset[] = {0, 2, 5, 5};
    uint16_t col[] = {0, 3, 1, 3, 4}, root[5], cluster[] = {1, 0, 1};
    struct pv_sparse x = {3, 5, offset, col, root};
    uint32_t list_offset[] = {0, 2, 5}, rows[] = {0, 1};
    uint16_t neurons[] = {1, 2, 0, 3, 4};
    struct pv_mask_lists lists = {.n_clusters = 2, .n_cols = 5, .offset = list_offset, .neurons = neurons};
    struct pv_mask_score c = {0};

    for (size_t i = 0; i < 5; i++)
        root[i] = pv_float_to_half((float)(i + 1));
    ck_assert_int_eq(pv_mask_lists_judge(&lists, &(struct pv_rows){&x, rows, 2}, cluster, &c), PV_OK);
    ck_assert_double_eq(c.n_tokens, 2.0);
    ck_assert_double_eq(c.computed, 5.0);
    ck_assert_double_eq(c.active, 5.0);
    ck_assert_double_eq(c.hit, 3.0);
    ck_assert_double_eq_tol(c.energy, 1 + 16 + 81 + 256 + 625, 1e-9);
    ck_assert_double_eq_tol(c.energy_kept, 1 + 16 + 81, 1e-9);
    ck_assert_int_eq(pv_mask_lists_judge(&lists, &(struct pv_rows){&x, NULL, 3}, cluster, &c),
                     PV_OK); /* adds up */
    ck_assert_double_eq(c.n_tokens, 5.0);
    ck_assert_double_eq(c.computed, 13.0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("masks");
    TCase *tcase = tcase_create("masks");

    tcase_add_test(tcase, energies_are_means_over_a_cluster);
    tcase_add_test(tcase, scale_is_relative_to_the_layers_so_far);
    tcase_add_test(tcase, the_budget_is_met_and_spent_greedily);
    tcase_add_test(tcase, a_full_budget_takes_what_has_energy);
    tcase_add_test(tcase, ties_do_not_overspend);
    tcase_add_test(tcase, the_top_of_each_cluster_is_taken);
    tcase_add_test(tcase, judging_counts);
    suite_add_tcase(suite, tcase);
    return pv_test_main(suite);
}
