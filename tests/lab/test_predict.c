/* label: unit
 * The methods that score neurons, and the low-rank map, on a toy layer. */
#include "learn/algo/router/lowrank_map.h"

#include <string.h>
#include "toy.h"

enum { WORDS = (TOY_F + 31) / 32 };

static struct pv_predictor *trained(const struct pv_score_kind *kind, const struct toy *t, uint32_t n_threads)
{
    struct pv_predict_params params = t->params;
    struct pv_predictor *p = NULL;

    params.n_threads = n_threads;
    ck_assert_int_eq(pv_predict_score_create(kind, &params, &p), PV_OK);
    ck_assert_int_eq(p->ops->train(p, &t->in, NULL), PV_OK);
    return p;
}

static double energy_at(const struct pv_score_kind *kind, const struct toy *t, double target)
{
    uint32_t *bits = calloc(TOY_ROWS * WORDS, sizeof *bits);
    struct pv_predictor *p = trained(kind, t, 1);
    double density, energy;

    ck_assert_ptr_nonnull(bits);
    ck_assert_int_eq(p->ops->set_density(p, target), PV_OK);
    toy_predict(t, p, bits, &density, &energy);
    ck_assert_msg(density <= target + 0.005 && density > 0.7 * target, "%s: density %f of %f", p->ops->name,
                  density, target);
    p->ops->destroy(p);
    free(bits);
    return energy;
}

START_TEST(the_oracle_keeps_most_and_the_hot_set_least)
{
    struct toy *t = toy_new(1);
    const double oracle = energy_at(&pv_predict_oracle, t, 0.2),
                 magnitude = energy_at(&pv_predict_magnitude, t, 0.2);
    const double lowrank = energy_at(&pv_predict_lowrank, t, 0.2), sign = energy_at(&pv_predict_sign, t, 0.2);
    const double hot = energy_at(&pv_predict_static, t, 0.2);

    ck_assert_double_ge(oracle, magnitude);
    ck_assert_double_gt(magnitude, lowrank);
    ck_assert_double_gt(lowrank, hot);
    ck_assert_double_gt(magnitude, sign);
    ck_assert_double_gt(sign, 0.3); /* better than chance, 0.2 */
    free(t);
}
END_TEST

START_TEST(the_weighted_map_beats_the_plain_svd_on_its_data)
{
    struct toy *t = toy_new(2);

    ck_assert_double_gt(energy_at(&pv_predict_lowrank, t, 0.15), energy_at(&pv_predict_svd, t, 0.15));
    free(t);
}
END_TEST

START_TEST(signs_are_counted)
{
    struct toy *t = toy_new(3);
    struct pv_predictor *p = trained(&pv_predict_sign, t, 1);
    float *score = calloc(TOY_F, sizeof *score);
    void *state = pv_predict_sign.learn(&t->params, &t->in);

    ck_assert(score && state);
    pv_predict_sign.score(state, &t->params, t->z_float, t->c, NULL, score);
    for (size_t j = 0; j < TOY_F; j++) {
        int n = 0;

        for (size_t k = 0; k < TOY_D; k++)
            n += (t->w[j * TOY_D + k] < 0.0f) == (t->z_float[k] < 0.0f);
        ck_assert_int_eq((int)score[j], n);
    }
    ck_assert_double_eq_tol(p->ops->predictor_bytes(p), 8.0 * TOY_F, 1e-9);
    pv_predict_sign.release(state);
    p->ops->destroy(p);
    free(score);
    free(t);
}
END_TEST

/* A matrix of known rank is found exactly; the error falls with the rank. */
START_TEST(a_planted_rank_is_found)
{
    enum { ROWS = 30, COLS = 17, RANK = 4 };
    float left[ROWS * RANK], right[RANK * COLS], w[ROWS * COLS] = {0}, z[COLS], h[COLS], y[ROWS];
    struct pv_rng rng;
    double last = 1e30;

    pv_rng_seed(&rng, 4);
    for (size_t i = 0; i < ROWS * RANK; i++)
        left[i] = pv_rng_normal(&rng);
    for (size_t i = 0; i < RANK * COLS; i++)
        right[i] = pv_rng_normal(&rng);
    for (size_t i = 0; i < ROWS; i++) {
        for (size_t j = 0; j < COLS; j++) {
            for (size_t k = 0; k < RANK; k++)
                w[i * COLS + j] += left[i * RANK + k] * right[k * COLS + j];
        }
    }
    for (size_t j = 0; j < COLS; j++)
        z[j] = pv_rng_normal(&rng);
    for (uint32_t rank = 1; rank <= RANK + 1; rank++) {
        struct pv_lowrank map;
        double error = 0.0;

        ck_assert_int_eq(pv_lowrank_find(&(struct pv_lowrank_params){.w = w,
                                                                     .n_rows = ROWS,
                                                                     .n_cols = COLS,
                                                                     .moment = NULL,
                                                                     .rank = rank,
                                                                     .seed = 1,
                                                                     .n_threads = 1},
                                         &map),
                         PV_OK);
        pv_lowrank_project(&map, z, h);
        pv_lowrank_expand(&map, h, y);
        for (size_t i = 0; i < ROWS; i++) {
            double truth = 0.0;

            for (size_t j = 0; j < COLS; j++)
                truth += (double)w[i * COLS + j] * (double)z[j];
            error += (truth - (double)y[i]) * (truth - (double)y[i]);
        }
        if (rank >= RANK)
            ck_assert_double_lt(error, 1e-6);
        else
            ck_assert_double_lt(error, last);
        last = error;
        pv_lowrank_free(&map);
    }
}
END_TEST

START_TEST(threads_do_not_matter)
{
    const struct pv_score_kind *const kinds[] = {&pv_predict_oracle, &pv_predict_static, &pv_predict_sign,
                                                 &pv_predict_svd, &pv_predict_lowrank};
    struct toy *t = toy_new(5);
    uint32_t *bits[2] = {calloc(TOY_ROWS * WORDS, 4), calloc(TOY_ROWS * WORDS, 4)};
    double density, energy;

    ck_assert(bits[0] && bits[1]);
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        for (uint32_t i = 0; i < 2; i++) {
            struct pv_predictor *p = trained(kinds[k], t, 1 + i);

            ck_assert_int_eq(p->ops->set_density(p, 0.1), PV_OK);
            toy_predict(t, p, bits[i], &density, &energy);
            p->ops->destroy(p);
        }
        ck_assert_mem_eq(bits[0], bits[1], TOY_ROWS * WORDS * 4);
    }
    free(bits[0]);
    free(bits[1]);
    free(t);
}
END_TEST

START_TEST(bytes_follow_what_is_read)
{
    struct toy *t = toy_new(6);
    struct pv_predictor *p = trained(&pv_predict_magnitude, t, 1);

    ck_assert_double_eq_tol(pv_predict_dense_bytes(&t->params.shape), 12000.0, 1e-9);
    ck_assert_double_eq_tol(p->ops->predictor_bytes(p), 6000.0, 1e-9);   /* the whole up matrix */
    ck_assert_double_eq_tol(p->ops->neuron_bytes(p, 0.5), 3000.0, 1e-9); /* half of down */
    p->ops->destroy(p);
    p = trained(&pv_predict_lowrank, t, 1); /* rank 12 * 42 / 115 = 4 */
    ck_assert_double_eq_tol(p->ops->predictor_bytes(p), 2.0 * 4 * (TOY_D + TOY_F), 1e-9);
    p->ops->destroy(p);
    free(t);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("learn/predict");
    TCase *tcase = tcase_create("predict");

    tcase_add_test(tcase, the_oracle_keeps_most_and_the_hot_set_least);
    tcase_add_test(tcase, the_weighted_map_beats_the_plain_svd_on_its_data);
    tcase_add_test(tcase, signs_are_counted);
    tcase_add_test(tcase, a_planted_rank_is_found);
    tcase_add_test(tcase, threads_do_not_matter);
    tcase_add_test(tcase, bytes_follow_what_is_read);
    suite_add_tcase(suite, tcase);
    return pv_test_main(suite);
}
