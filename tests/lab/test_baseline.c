/* label: unit
 * k-modes on planted groups, and the clustered methods on a toy layer. */
#include "lab/methods/baseline_clusters.h"

#include <string.h>
#include "lab/methods/baseline_kmodes.h"
#include "learn/planted.h"
#include "toy.h"

enum { ROWS = 800, COLS = 90, GROUPS = 6, K = 18, WORDS = (TOY_F + 31) / 32 };

START_TEST(kmodes_finds_planted_groups)
{
    struct planted p = planted_new(ROWS, COLS, GROUPS, 1);
    struct pv_kmodes_params params = {.n_clusters = K, .n_iters = 20, .n_threads = 1, .seed = 2};
    struct pv_kmodes_result r;
    uint16_t cluster[ROWS];
    float distance[ROWS];
    size_t right = 0, words = pv_bit_words(COLS);

    ck_assert_int_eq(pv_kmodes(&(struct pv_rows){&p.x, NULL, ROWS}, &params, NULL, &r), PV_OK);
    ck_assert_int_eq(
        pv_kmodes_assign(&(struct pv_rows){&p.x, NULL, ROWS}, r.modes, &params, cluster, distance), PV_OK);
    for (uint32_t k = 0; k < K; k++) {
        uint32_t count[GROUPS] = {0}, most = 0;

        for (size_t i = 0; i < ROWS; i++)
            count[p.group[i]] += cluster[i] == k;
        for (uint32_t g = 0; g < GROUPS; g++)
            most = count[g] > most ? count[g] : most;
        right += most;
    }
    ck_assert_uint_gt(right, ROWS * 95 / 100);
    for (size_t i = 0; i < ROWS; i += 37) { /* against the definition */
        uint32_t row[8] = {0};
        size_t best = SIZE_MAX, k_best = 0;

        for (uint64_t q = p.x.offset[i]; q < p.x.offset[i + 1]; q++)
            pv_bit_set(row, p.x.col[q]);
        for (size_t k = 0; k < K; k++) {
            const size_t d = pv_bit_count_xor(row, r.modes + k * words, words);

            if (d < best) {
                best = d;
                k_best = k;
            }
        }
        ck_assert_double_eq_tol((double)distance[i], (double)best, 1e-3);
        ck_assert_uint_eq(pv_bit_count_xor(row, r.modes + cluster[i] * words, words), best);
        ck_assert_uint_le(k_best, K);
    }
    free(r.modes);
    planted_free(&p);
}
END_TEST

START_TEST(kmodes_is_the_same_for_any_threads_and_takes_few_rows)
{
    struct planted p = planted_new(ROWS, COLS, GROUPS, 3);
    struct pv_kmodes_params params = {.n_clusters = K, .n_iters = 8, .n_threads = 1, .seed = 5};
    struct pv_kmodes_result a, b;

    ck_assert_int_eq(pv_kmodes(&(struct pv_rows){&p.x, NULL, ROWS}, &params, NULL, &a), PV_OK);
    params.n_threads = 2;
    ck_assert_int_eq(pv_kmodes(&(struct pv_rows){&p.x, NULL, ROWS}, &params, NULL, &b), PV_OK);
    ck_assert_mem_eq(a.modes, b.modes, K * pv_bit_words(COLS) * sizeof *a.modes);
    free(a.modes);
    free(b.modes);
    ck_assert_int_eq(pv_kmodes(&(struct pv_rows){&p.x, NULL, 3}, &params, NULL, &a),
                     PV_OK); /* fewer rows than clusters */
    ck_assert_double_lt(a.distance, 1e-3);
    free(a.modes);
    ck_assert_int_eq(pv_kmodes(&(struct pv_rows){&p.x, NULL, 0}, &params, NULL, &a), PV_ERR_ARG);
    planted_free(&p);
}
END_TEST

static struct pv_grouping *grouped(const struct toy *t, enum pv_group_by by, uint32_t n_threads)
{
    struct pv_grouping_params params = {.base = t->params,
                                        .by = by,
                                        .route = {false, true, by == PV_GROUP_CONTRIBUTION,
                                                  by == PV_GROUP_CONTRIBUTION,
                                                  by >= PV_GROUP_CONTRIBUTION && by != PV_GROUP_HITS},
                                        .n_iters = 20,
                                        .n_epochs = 20};
    struct pv_grouping *g = NULL;

    params.base.n_threads = n_threads;
    params.base.n_clusters = TOY_CENTRES;
    ck_assert_int_eq(pv_grouping_create(&params, &g), PV_OK);
    ck_assert_int_eq(pv_grouping_train(g, &t->in, NULL), PV_OK);
    for (uint32_t i = 0; i < pv_group_moves(by); i++) {
        ck_assert_int_eq(pv_grouping_regroup_begin(g, 0.6), PV_OK);
        ck_assert_int_eq(pv_grouping_regroup(g, &t->in, NULL), PV_OK);
    }
    if (pv_group_moves(by) > 0)
        ck_assert_int_eq(pv_grouping_route(g, &t->in, NULL), PV_OK);
    for (uint32_t round = 1; round <= 2 && params.route[PV_ROUTE_REFINED]; round++) {
        ck_assert_int_eq(pv_grouping_refine_begin(g, round, 0.6), PV_OK);
        ck_assert_int_eq(pv_grouping_refine(g, &t->in, NULL), PV_OK);
    }
    return g;
}

START_TEST(routers_name_the_clusters)
{
    struct toy *t = toy_new(1);
    struct pv_grouping *g = grouped(t, PV_GROUP_CONTRIBUTION, 1);

    ck_assert_double_gt(pv_grouping_accuracy(g, PV_ROUTE_LINEAR), 0.8);
    ck_assert_double_gt(pv_grouping_accuracy(g, PV_ROUTE_LOWRANK), 0.7);
    ck_assert_double_gt(pv_grouping_accuracy(g, PV_ROUTE_CENTROID), 0.7);
    ck_assert_uint_ge(pv_grouping_rank(g), TOY_D / 16);
    ck_assert_uint_le(pv_grouping_rank(g), TOY_D / 4);
    pv_grouping_destroy(g);
    free(t);
}
END_TEST

START_TEST(every_kind_keeps_the_density_and_the_energy)
{
    struct toy *t = toy_new(2);
    uint32_t *bits = calloc(TOY_ROWS * WORDS, sizeof *bits);

    ck_assert_ptr_nonnull(bits);
    for (int by = 0; by < PV_GROUP_COUNT; by++) {
        struct pv_grouping *g = grouped(t, (enum pv_group_by)by, 1);

        for (uint32_t i = 0; i < pv_n_cluster_kinds; i++) {
            struct pv_predictor *p;
            double density, energy;

            if ((int)pv_cluster_kinds[i].by != by)
                continue;
            ck_assert_int_eq(pv_predict_clusters_create(&pv_cluster_kinds[i], g, &p), PV_OK);
            ck_assert_int_eq(p->ops->set_density(p, 0.6), PV_OK);
            toy_predict(t, p, bits, &density, &energy);
            ck_assert_msg(density > 0.4 && density < 0.63, "%s: density %f", p->ops->name, density);
            ck_assert_msg(energy > 0.6, "%s: energy %f", p->ops->name, energy);
            ck_assert_double_gt(p->ops->predictor_bytes(p), 0.0);
            ck_assert_double_ge(p->ops->neuron_bytes(p, 0.6), 0.6 * 12000.0);
            p->ops->destroy(p);
        }
        pv_grouping_destroy(g);
    }
    free(bits);
    free(t);
}
END_TEST

START_TEST(energy_masks_keep_more_energy_and_frequent_ones_more_neurons)
{
    struct toy *t = toy_new(3);
    struct pv_grouping *g = grouped(t, PV_GROUP_CONTRIBUTION, 1);
    struct pv_mask_score energy = {0}, active = {0}, modes = {0};
    struct pv_predictor *p;

    for (uint32_t i = 0; i < pv_n_cluster_kinds; i++) {
        const bool by_energy = strcmp(pv_cluster_kinds[i].name, "parvin") == 0;

        if (!by_energy && strcmp(pv_cluster_kinds[i].name, "parvin-active") != 0)
            continue;
        ck_assert_int_eq(pv_predict_clusters_create(&pv_cluster_kinds[i], g, &p), PV_OK);
        ck_assert_int_eq(pv_predict_clusters_choose_own(p, PV_SWEEP_RUN, 0.25), PV_OK);
        ck_assert_int_eq(pv_predict_clusters_judge_own(p, 0, &t->x, by_energy ? &energy : &active), PV_OK);
        if (!by_energy) {
            ck_assert_int_eq(pv_predict_clusters_choose_own(p, PV_SWEEP_OWN_MAJORITY, 0.0),
                             PV_OK); /* majority votes */
            ck_assert_int_eq(pv_predict_clusters_judge_own(p, 0, &t->x, &modes), PV_OK);
        }
        p->ops->destroy(p);
    }
    ck_assert_double_gt(energy.energy_kept, active.energy_kept);
    ck_assert_double_gt(active.hit / active.computed, energy.hit / energy.computed);
    ck_assert_double_gt(modes.hit / modes.computed, 0.5);
    pv_grouping_destroy(g);
    free(t);
}
END_TEST

START_TEST(the_union_of_two_reaches_the_density_and_threads_do_not_matter)
{
    struct toy *t = toy_new(4);
    uint32_t *bits[2] = {calloc(TOY_ROWS * WORDS, 4), calloc(TOY_ROWS * WORDS, 4)};
    double density, energy;

    ck_assert(bits[0] && bits[1]);
    for (uint32_t n = 0; n < 2; n++) {
        struct pv_grouping *g = grouped(t, PV_GROUP_CONTRIBUTION, n + 1);
        struct pv_predictor *p;

        for (uint32_t i = 0; i < pv_n_cluster_kinds; i++) {
            if (pv_cluster_kinds[i].n_union != 2)
                continue;
            ck_assert_int_eq(pv_predict_clusters_create(&pv_cluster_kinds[i], g, &p), PV_OK);
            ck_assert_int_eq(p->ops->set_density(p, 0.35), PV_OK);
            toy_predict(t, p, bits[n], &density, &energy);
            ck_assert_double_gt(density, 0.3);
            ck_assert_double_lt(density, 0.37);
            p->ops->destroy(p);
        }
        pv_grouping_destroy(g);
    }
    ck_assert_mem_eq(bits[0], bits[1], TOY_ROWS * WORDS * 4);
    free(bits[0]);
    free(bits[1]);
    free(t);
}
END_TEST

static bool stop(void *user, const char *stage, double done, double total)
{
    (void)user, (void)stage, (void)done, (void)total;
    return false;
}

START_TEST(training_stops_when_told)
{
    struct toy *t = toy_new(5);
    struct pv_grouping_params params = {
        .base = t->params, .by = PV_GROUP_KMODES, .n_iters = 5, .n_epochs = 2};
    struct pv_steps steps = {.sink = {.fn = stop}, .stage = "", .total = 1.0};
    struct pv_grouping *g;

    ck_assert_int_eq(pv_grouping_create(&params, &g), PV_OK);
    ck_assert_int_eq(pv_grouping_train(g, &t->in, &steps), PV_ERR_INTERRUPTED);
    pv_grouping_destroy(g);
    free(t);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("learn/baseline");
    TCase *tcase = tcase_create("baseline");

    tcase_add_test(tcase, kmodes_finds_planted_groups);
    tcase_add_test(tcase, kmodes_is_the_same_for_any_threads_and_takes_few_rows);
    tcase_add_test(tcase, routers_name_the_clusters);
    tcase_add_test(tcase, every_kind_keeps_the_density_and_the_energy);
    tcase_add_test(tcase, energy_masks_keep_more_energy_and_frequent_ones_more_neurons);
    tcase_add_test(tcase, the_union_of_two_reaches_the_density_and_threads_do_not_matter);
    tcase_add_test(tcase, training_stops_when_told);
    suite_add_tcase(suite, tcase);
    return pv_test_main(suite);
}
