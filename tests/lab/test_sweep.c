/* label: gpu
 * A whole sweep over a tiny random model: rows, order, repeatability, interruption. */
#include "lab/sweep/sweep.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/rng.h"
#include "harness.h"
#include "parvin/parvin.h"
#include "tiny_model.h"

enum { N_FIT = 700, N_TEST = 200, CTX = 32, MOST = 256, NONE = 99 /* densities */ };

static struct pv_context *context;
static struct pv_test_log context_log;

struct seen {
    struct pv_sweep_info info;
    struct pv_sweep_row rows[MOST];
    uint32_t n_rows, n_heads;
};

static void on_row(void *user, const struct pv_sweep_info *info, const struct pv_sweep_row *row)
{
    struct seen *seen = user;

    seen->info = *info;
    seen->n_heads += !row;
    if (!row)
        return;
    ck_assert_uint_lt(seen->n_rows, MOST);
    if (row->layer_energy) {
        for (uint32_t l = 0; l < info->n_layers; l++) {
            ck_assert_double_ge(row->layer_energy[l], 0.0);
            ck_assert_double_le(row->layer_energy[l], 1.0 + 1e-12);
        }
    }
    seen->rows[seen->n_rows++] = *row;
}

struct rig {
    struct pv_model *model;
    struct pv_engine *engine;
    uint32_t fit[N_FIT], test[N_TEST];
};

static void rig_open(struct rig *rig, const char *arch)
{
    const struct pv_tiny_params tiny = {.arch = arch};
    char path[PV_TEST_PATH_ROOM];
    struct pv_rng rng;
    uint32_t n_vocab;

    pv_test_temp("sweep.gguf", path);
    ck_assert_int_eq(pv_tiny_model_write(path, &tiny), PV_OK);
    ck_assert_int_eq(pv_model_open(path, NULL, &rig->model), PV_OK);
    remove(path);
    ck_assert_int_eq(pv_engine_create(context, rig->model, NULL, &rig->engine), PV_OK);
    n_vocab = pv_model_hparams(rig->model)->n_vocab;
    pv_rng_seed(&rng, 9);
    for (size_t i = 0; i < N_FIT; i++)
        rig->fit[i] = pv_rng_below(&rng, n_vocab < 40 ? n_vocab : 40);
    for (size_t i = 0; i < N_TEST; i++)
        rig->test[i] = pv_rng_below(&rng, n_vocab < 40 ? n_vocab : 40);
}

static void rig_close(struct rig *rig)
{
    pv_engine_destroy(rig->engine);
    pv_model_close(rig->model);
}

static enum pv_status sweep(const struct rig *rig, struct pv_sweep_params params, struct seen *seen)
{
    static const uint32_t clusters[] = {4, 9};
    static const double densities[] = {0.3, 0.6};
    char path[PV_TEST_PATH_ROOM];

    pv_test_temp("sweep.work", path);
    memset(seen, 0, sizeof *seen);
    params.clusters = clusters;
    params.n_clusters = 2;
    params.densities = densities;
    params.n_densities = params.n_densities == NONE ? 0 : 2;
    params.n_ctx = CTX;
    params.n_iters = 5;
    params.n_epochs = 3;
    params.work_path = path;
    return pv_sweep(rig->engine, rig->fit, N_FIT, rig->test, N_TEST, &params, on_row, seen);
}

static const struct pv_sweep_row *find(const struct seen *seen, const char *method, double density)
{
    for (uint32_t i = 0; i < seen->n_rows; i++) {
        if (strcmp(seen->rows[i].method, method) == 0 && isfinite(seen->rows[i].ppl) &&
            fabs(seen->rows[i].density_target - density) < 1e-9)
            return &seen->rows[i];
    }
    ck_abort_msg("no row of %s", method);
    return NULL;
}

static void check_rows(const struct seen *seen)
{
    ck_assert_uint_eq(seen->n_heads, 1);
    ck_assert_uint_eq(seen->info.n_test_tokens, (N_TEST - 1) / CTX * CTX);
    ck_assert_uint_eq(seen->info.n_fit_tokens, N_FIT);
    /* 3 x 2 + 4 without K; for each K 2 x 2 low rank, 11 x 2 clusters, 8 at the mean pattern, 4 of
     * them also layer by layer, 1 of modes */
    ck_assert_uint_eq(seen->n_rows, 10 + 2 * (4 + 22 + 8 + 4 + 1));
    for (uint32_t i = 0; i < seen->n_rows; i++) {
        const struct pv_sweep_row *row = &seen->rows[i];

        const bool refined = strcmp(row->method, "parvin") == 0 || strcmp(row->method, "parvin-input") == 0 ||
                             strcmp(row->method, "parvin-mask") == 0;

        ck_assert(isfinite(row->ppl) == (row->own_masks == PV_SWEEP_RUN));
        if (!isfinite(row->ppl)) {
            ck_assert_double_gt(row->own_precision, 0.0);
            ck_assert(!refined || isnan(row->router_accuracy)); /* there is no router yet */
            continue;
        }
        if (refined)
            ck_assert_double_gt(row->router_accuracy, 0.0);
        ck_assert_double_le(row->density, 1.25 * row->density_target + 0.02);
        ck_assert_double_eq_tol(row->rise, row->ppl / seen->info.ppl_dense - 1.0, 1e-12);
        ck_assert_double_ge(row->bytes, row->predictor_bytes);
        ck_assert_double_le(row->precision, 1.0);
    }
    ck_assert_double_gt(find(seen, "oracle", 0.3)->weighted_recall,
                        find(seen, "parvin", 0.3)->weighted_recall);
    ck_assert_double_gt(find(seen, "parvin", 0.6)->weighted_recall,
                        find(seen, "parvin", 0.3)->weighted_recall);
}

START_TEST(a_sweep_is_complete_and_repeatable)
{
    struct seen *first = calloc(1, sizeof *first), *second = calloc(1, sizeof *second);
    struct rig rig;

    rig_open(&rig, "arcee");
    ck_assert_int_eq(sweep(&rig, (struct pv_sweep_params){.n_threads = 1}, first), PV_OK);
    check_rows(first);
    ck_assert_int_eq(sweep(&rig, (struct pv_sweep_params){.n_threads = 2}, second), PV_OK);
    ck_assert_uint_eq(first->n_rows, second->n_rows);
    for (uint32_t i = 0; i < first->n_rows; i++) {
        ck_assert_str_eq(first->rows[i].method, second->rows[i].method);
        ck_assert(memcmp(&first->rows[i].ppl, &second->rows[i].ppl, sizeof(double)) == 0 ||
                  (isnan(first->rows[i].ppl) && isnan(second->rows[i].ppl)));
    }
    rig_close(&rig);
    free(first);
    free(second);
}
END_TEST

START_TEST(gated_models_are_swept_too)
{
    static const char *const methods[] = {"oracle", "static", "magnitude", "lowrank", "parvin"};
    struct seen *seen = calloc(1, sizeof *seen);
    struct rig rig;

    rig_open(&rig, "llama");
    ck_assert_int_eq(sweep(&rig, (struct pv_sweep_params){.methods = methods, .n_methods = 5}, seen), PV_OK);
    ck_assert_uint_eq(seen->n_rows, 6 + 2 * (2 + 1 + 2));
    ck_assert_double_eq_tol(seen->info.active, 0.5, 0.05);
    ck_assert_double_gt(find(seen, "oracle", 0.3)->weighted_recall,
                        find(seen, "static", 0.3)->weighted_recall);
    rig_close(&rig);
    free(seen);
}
END_TEST

/* Without densities nothing is run and no router trained; the clusterings are judged all the same. */
START_TEST(clusterings_alone)
{
    static const char *const methods[] = {"oracle", "k-modes", "k-means", "parvin", "parvin-mask"};
    struct seen *all = calloc(1, sizeof *all), *alone = calloc(1, sizeof *alone);
    struct pv_sweep_params params = {.methods = methods, .n_methods = 5};
    uint32_t n = 0;
    struct rig rig;

    rig_open(&rig, "arcee");
    ck_assert_int_eq(sweep(&rig, params, all), PV_OK);
    params.n_densities = NONE;
    ck_assert_int_eq(sweep(&rig, params, alone), PV_OK);
    ck_assert_uint_eq(alone->n_rows, 2 * (3 + 2 + 1 + 1));
    for (uint32_t i = 0; i < all->n_rows; i++) {
        const struct pv_sweep_row *a = &all->rows[i], *b = &alone->rows[n];

        if (a->own_masks == PV_SWEEP_RUN)
            continue;
        ck_assert_str_eq(a->method, b->method);
        ck_assert_uint_eq(a->own_masks, b->own_masks);
        ck_assert(isnan(b->ppl) && isnan(b->router_accuracy));
        if (strcmp(a->method, "parvin-mask") != 0) /* made for masks of another density */
            ck_assert_double_eq(a->own_precision, b->own_precision);
        n++;
    }
    ck_assert_uint_eq(n, alone->n_rows);
    rig_close(&rig);
    free(all);
    free(alone);
}
END_TEST

struct countdown {
    int left;
};

static bool count_down(void *user, const char *stage, double done, double total)
{
    struct countdown *c = user;

    ck_assert_ptr_nonnull(stage);
    ck_assert_double_ge(done, 0.0);
    ck_assert_double_le(done, total * 1.0001 + 1.0);
    return c->left-- > 0;
}

START_TEST(a_sweep_stops_when_told)
{
    struct seen *seen = calloc(1, sizeof *seen);
    struct rig rig;
    char path[PV_TEST_PATH_ROOM];

    rig_open(&rig, "arcee");
    for (int left = 0; left < 200; left += 67) {
        struct countdown c = {.left = left};
        const struct pv_sweep_params params = {.progress = {.fn = count_down, .user = &c}};

        ck_assert_int_eq(sweep(&rig, params, seen), PV_ERR_INTERRUPTED);
    }
    rig_close(&rig);
    free(seen);
    pv_test_temp("sweep.work.fit", path);
    remove(path);
    pv_test_temp("sweep.work.test", path);
    remove(path);
}
END_TEST

START_TEST(wrong_arguments_are_refused)
{
    static const char *const methods[] = {"astrology"};
    struct seen *seen = calloc(1, sizeof *seen);
    struct rig rig;

    rig_open(&rig, "arcee");
    ck_assert_int_eq(sweep(&rig, (struct pv_sweep_params){.methods = methods, .n_methods = 1}, seen),
                     PV_ERR_ARG);
    ck_assert_uint_eq(seen->n_rows, 0);
    rig_close(&rig);
    free(seen);
}
END_TEST

int main(void)
{
    const struct pv_context_params params = {.log = pv_test_log(&context_log)};
    Suite *suite = suite_create("learn/sweep");
    TCase *tcase = tcase_create("sweep");
    uint32_t device;
    int result;

    if (pv_context_create(&params, &context) != PV_OK ||
        pv_context_find_device(context, NULL, &device) != PV_OK) {
        pv_context_destroy(context);
        suite_add_tcase(suite, tcase);
        srunner_free(srunner_create(suite));
        return pv_test_skip("no usable Vulkan device");
    }
    tcase_set_timeout(tcase, 300);
    tcase_add_test(tcase, a_sweep_is_complete_and_repeatable);
    tcase_add_test(tcase, gated_models_are_swept_too);
    tcase_add_test(tcase, clusterings_alone);
    tcase_add_test(tcase, a_sweep_stops_when_told);
    tcase_add_test(tcase, wrong_arguments_are_refused);
    suite_add_tcase(suite, tcase);
    result = pv_test_main(suite);
    pv_context_destroy(context);
    return result;
}
