/* label: gpu
 * Learning on the device: as good as on the host on planted truth, near it step by step, the same every time.
 */
#include "learn/algo/device/accel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/half.h"
#include "harness.h"
#include "learn/algo/gain.h"
#include "learn/algo/kmeans/kmeans.h"
#include "learn/algo/router/router.h"
#include "lab/bench/synthetic.h"
#include "parvin/device.h"
#include "vk/device.h"

static struct pv_context *context;
static struct pv_device *device;
static struct pv_test_log context_log;

static const struct pv_synthetic_params LAYER = {
    .n_tokens = 2500, .n_groups = 12, .d_model = 61, .d_ffn = 350, .density = 0.1, .seed = 6};

struct rig {
    struct pv_synthetic layer;
    uint32_t *train, *held_out;
    size_t n_train, n_held_out;
};

static void rig_open(struct rig *r)
{
    *r = (struct rig){0};
    ck_assert_int_eq(pv_synthetic_make(&LAYER, &r->layer), PV_OK);
    r->train = calloc(LAYER.n_tokens, sizeof *r->train);
    r->held_out = calloc(LAYER.n_tokens, sizeof *r->held_out);
    for (uint32_t i = 0; i < LAYER.n_tokens; i++) {
        if (i % 5 == 4)
            r->held_out[r->n_held_out++] = i;
        else
            r->train[r->n_train++] = i;
    }
}

static void rig_close(struct rig *r)
{
    pv_synthetic_free(&r->layer);
    free(r->train);
    free(r->held_out);
}

static struct pv_kmeans_result cluster(const struct rig *r, struct pv_device *where, enum pv_space space)
{
    struct pv_kmeans_params params = {
        .n_clusters = 19, .n_iters = 12, .seed = 2, .space = space, .device = where};
    struct pv_kmeans_result result;

    ck_assert_msg(pv_kmeans(&(struct pv_rows){&r->layer.x, r->train, r->n_train}, &params, NULL, &result) ==
                      PV_OK,
                  "%s", context_log.text);
    return result;
}

static double purity(const struct rig *r, const float *centroids, enum pv_space space)
{
    uint16_t *own = calloc(LAYER.n_tokens, sizeof *own);
    double result;

    ck_assert_int_eq(
        pv_kmeans_assign(&(struct pv_rows){&r->layer.x, NULL, LAYER.n_tokens}, centroids,
                         &(struct pv_kmeans_params){.n_clusters = 19, .n_threads = 1, .space = space}, own,
                         NULL),
        PV_OK);
    ck_assert_int_eq(pv_purity(own, r->layer.group, r->held_out, r->n_held_out, 19, LAYER.n_groups, &result),
                     PV_OK);
    free(own);
    return result;
}

START_TEST(clusters_as_good_as_on_the_host)
{
    const enum pv_space space = _i ? PV_SPACE_BITS : PV_SPACE_CONTRIBUTION;
    struct rig r;
    struct pv_kmeans_result here, there, again;
    double pure_here, pure_there;

    rig_open(&r);
    here = cluster(&r, NULL, space);
    there = cluster(&r, device, space);
    again = cluster(&r, device, space);
    pure_here = purity(&r, here.centroids, space);
    pure_there = purity(&r, there.centroids, space);
    ck_assert_double_gt(pure_here, 0.9);
    ck_assert_double_gt(pure_there, pure_here - 0.02);
    ck_assert_double_gt(there.similarity, here.similarity - 0.005);
    ck_assert_int_eq(memcmp(there.centroids, again.centroids, 19 * LAYER.d_ffn * sizeof(float)), 0);
    free(here.centroids);
    free(there.centroids);
    free(again.centroids);
    rig_close(&r);
}
END_TEST

/* One iteration from the same seeds differs by rounding alone: the device's centroids are float16. */
START_TEST(one_iteration_is_the_hosts)
{
    struct rig r;
    struct pv_kmeans_params params = {.n_clusters = 19, .n_iters = 1, .seed = 2};
    struct pv_kmeans_result here, there;
    double worst = 0.0;

    rig_open(&r);
    ck_assert_int_eq(pv_kmeans(&(struct pv_rows){&r.layer.x, r.train, r.n_train}, &params, NULL, &here),
                     PV_OK);
    params.device = device;
    ck_assert_int_eq(pv_kmeans(&(struct pv_rows){&r.layer.x, r.train, r.n_train}, &params, NULL, &there),
                     PV_OK);
    for (size_t i = 0; i < 19 * LAYER.d_ffn; i++)
        worst = fmax(worst, fabs((double)here.centroids[i] - (double)there.centroids[i]));
    ck_assert_double_lt(worst, 0.01);
    ck_assert_double_eq_tol(here.similarity, there.similarity, 1e-4);
    free(here.centroids);
    free(there.centroids);
    rig_close(&r);
}
END_TEST

/* Most rows come in batches after a sample. */
START_TEST(a_pass_as_good_as_on_the_host)
{
    struct rig r;
    struct pv_kmeans_params params = {.n_clusters = 19, .n_iters = 6, .seed = 2};
    struct pv_kmeans_result here, there, again;
    struct pv_kmeans_result *all[] = {&here, &there, &again};
    const size_t n = 200;

    rig_open(&r);
    for (size_t i = 0; i < 3; i++) {
        params.device = i > 0 ? device : NULL;
        ck_assert_int_eq(pv_kmeans(&(struct pv_rows){&r.layer.x, r.train, n}, &params, NULL, all[i]), PV_OK);
        ck_assert_int_eq(pv_kmeans_pass(&(struct pv_rows){&r.layer.x, r.train, n},
                                        &(struct pv_rows){&r.layer.x, r.train, r.n_train}, &params, NULL,
                                        all[i]->centroids),
                         PV_OK);
    }
    ck_assert_double_gt(purity(&r, there.centroids, PV_SPACE_CONTRIBUTION),
                        purity(&r, here.centroids, PV_SPACE_CONTRIBUTION) - 0.05);
    ck_assert_int_eq(memcmp(there.centroids, again.centroids, 19 * LAYER.d_ffn * sizeof(float)), 0);
    for (size_t i = 0; i < 3; i++)
        free(all[i]->centroids);
    rig_close(&r);
}
END_TEST

static struct pv_router route(const struct rig *r, struct pv_device *where, uint32_t n_epochs)
{
    /* cluster 12 is nobody's: it must never be chosen */
    struct pv_router_params params = {
        .n_clusters = 13, .d_model = LAYER.d_model, .n_epochs = n_epochs, .seed = 4, .device = where};
    struct pv_router_data data = {.z = r->layer.z,
                                  .label = r->layer.group,
                                  .train = r->train,
                                  .n_train = r->n_train,
                                  .held_out = r->held_out,
                                  .n_held_out = r->n_held_out};
    struct pv_router router;

    ck_assert_msg(pv_router_train(&params, &data, NULL, &router) == PV_OK, "%s", context_log.text);
    return router;
}

/* Trained twice on the device: the same, and nobody's cluster still forbidden. */
static void check_again(const struct pv_router *there, const struct pv_router *again)
{
    ck_assert_int_eq(memcmp(there->weight, again->weight, 13 * LAYER.d_model * sizeof(uint16_t)), 0);
    ck_assert_int_eq(memcmp(there->bias, again->bias, 13 * sizeof(float)), 0);
    ck_assert_float_lt(there->bias[12], -1e8f);
}

START_TEST(router_as_good_as_on_the_host)
{
    struct rig r;
    struct pv_router here, there, again;

    rig_open(&r);
    here = route(&r, NULL, 10);
    there = route(&r, device, 10);
    again = route(&r, device, 10);
    ck_assert_double_gt(here.accuracy, 0.5);
    ck_assert_double_eq_tol(there.accuracy, here.accuracy, 0.02);
    check_again(&there, &again);
    pv_router_free(&here);
    pv_router_free(&there);
    pv_router_free(&again);
    rig_close(&r);
}
END_TEST

/* The same but for the rounding of a few steps. */
static void check_near(const struct pv_router *here, const struct pv_router *there)
{
    double sum = 0.0, difference = 0.0;

    for (size_t k = 0; k < 12; k++)
        ck_assert_float_eq_tol(here->bias[k], there->bias[k], 2e-3f);
    for (size_t i = 0; i < 12 * LAYER.d_model; i++) {
        const double a = (double)pv_half_to_float(here->weight[i]),
                     b = (double)pv_half_to_float(there->weight[i]);

        sum += a * a;
        difference += (a - b) * (a - b);
    }
    ck_assert_double_gt(sum, 0.0);
    ck_assert_double_lt(difference / sum, 1e-4);
}

/* After one epoch (4 steps) the weights are the host's but for rounding. */
START_TEST(one_epoch_is_the_hosts)
{
    struct rig r;
    struct pv_router here, there;

    rig_open(&r);
    here = route(&r, NULL, 1);
    there = route(&r, device, 1);
    check_near(&here, &there);
    pv_router_free(&here);
    pv_router_free(&there);
    rig_close(&r);
}
END_TEST

/* Masks of a tenth of the neurons for the planted groups, and what they keep. */
static void gain_open(struct rig *r, struct pv_gain *gain)
{
    struct pv_energy energy;
    struct pv_mask_lists lists;
    float threshold;
    double reached;

    ck_assert_int_eq(
        pv_energy_init(&energy, &(struct pv_rows){&r->layer.x, r->train, r->n_train}, r->layer.group, 13, 1),
        PV_OK);
    ck_assert_int_eq(pv_energy_threshold(&energy, 1, 0.1, 1, &threshold, &reached), PV_OK);
    ck_assert_int_eq(pv_mask_lists_choose(&lists, &energy, threshold), PV_OK);
    ck_assert_int_eq(pv_gain_init(gain, &(struct pv_rows){&r->layer.x, r->train, r->n_train}, &lists), PV_OK);
    pv_mask_lists_free(&lists);
    pv_energy_free(&energy);
}

static struct pv_router refine(const struct rig *r, const struct pv_gain *gain, const struct pv_router *start,
                               struct pv_device *where, uint32_t n_epochs)
{
    struct pv_router_params params = {.n_clusters = 13, .d_model = LAYER.d_model, .seed = 5, .device = where};
    struct pv_router_data data = {.z = r->layer.z,
                                  .label = r->layer.group,
                                  .train = r->train,
                                  .n_train = r->n_train,
                                  .held_out = r->held_out,
                                  .n_held_out = r->n_held_out,
                                  .gain = gain,
                                  .start = start};
    struct pv_router router;

    pv_router_refinement(&params);
    params.n_epochs = n_epochs;
    ck_assert_msg(pv_router_train(&params, &data, NULL, &router) == PV_OK, "%s", context_log.text);
    return router;
}

START_TEST(refinement_is_the_hosts)
{
    struct rig r;
    struct pv_gain gain;
    struct pv_router start, here, there, again;

    rig_open(&r);
    gain_open(&r, &gain);
    start = route(&r, NULL, 1);
    here = refine(&r, &gain, &start, NULL, 1);
    there = refine(&r, &gain, &start, device, 1);
    ck_assert_int_ne(memcmp(start.weight, here.weight, 13 * LAYER.d_model * sizeof(uint16_t)), 0);
    check_near(&here, &there);
    ck_assert_double_eq_tol(here.kept, there.kept, 0.002);
    pv_router_free(&here);
    pv_router_free(&there);
    here = refine(&r, &gain, &start, NULL, 6);
    there = refine(&r, &gain, &start, device, 6);
    again = refine(&r, &gain, &start, device, 6);
    ck_assert_double_gt(here.kept, 0.5);
    ck_assert_double_eq_tol(here.kept, there.kept, 0.002);
    ck_assert_double_eq_tol(here.accuracy, there.accuracy, 0.02);
    check_again(&there, &again);
    pv_router_free(&start);
    pv_router_free(&here);
    pv_router_free(&there);
    pv_router_free(&again);
    pv_gain_free(&gain);
    rig_close(&r);
}
END_TEST

START_TEST(what_does_not_fit_is_left_to_the_host)
{
    struct pv_device small = *device;
    struct pv_accel_router_params router = {.n_clusters = 13, .d_model = LAYER.d_model, .n_batch = 512};
    struct pv_sparse wide = {.n_cols = 14336};
    struct pv_gain gain = {.x = &wide, .n_clusters = 13};

    small.plan.max_binding_bytes = 1000;
    ck_assert(pv_accel_kmeans_fits(device, 19, LAYER.d_ffn));
    ck_assert(!pv_accel_kmeans_fits(&small, 19, LAYER.d_ffn));
    ck_assert(pv_accel_router_fits(device, &router));
    ck_assert(!pv_accel_router_fits(&small, &router));
    ck_assert(!pv_accel_kmeans_fits(device, 65536, 65536));
    small.plan.max_binding_bytes = 1 << 20; /* enough for the router, not for masks and energies */
    ck_assert(pv_accel_router_fits(&small, &router));
    router.gain = &gain;
    ck_assert(!pv_accel_router_fits(&small, &router));
}
END_TEST

int main(void)
{
    const struct pv_context_params params = {.log = pv_test_log(&context_log)};
    Suite *suite = suite_create("learn/accel");
    TCase *tests = tcase_create("device");
    uint32_t index;
    int result;

    suite_add_tcase(suite, tests);
    if (pv_context_create(&params, &context) != PV_OK ||
        pv_context_find_device(context, NULL, &index) != PV_OK ||
        pv_device_open(context, index, NULL, &device) != PV_OK) {
        pv_context_destroy(context);
        srunner_free(srunner_create(suite));
        return pv_test_skip("no usable Vulkan device");
    }
    tcase_set_timeout(tests, 300);
    tcase_add_loop_test(tests, clusters_as_good_as_on_the_host, 0, 2);
    tcase_add_test(tests, one_iteration_is_the_hosts);
    tcase_add_test(tests, a_pass_as_good_as_on_the_host);
    tcase_add_test(tests, router_as_good_as_on_the_host);
    tcase_add_test(tests, one_epoch_is_the_hosts);
    tcase_add_test(tests, refinement_is_the_hosts);
    tcase_add_test(tests, what_does_not_fit_is_left_to_the_host);
    result = pv_test_main(suite);
    pv_device_close(device);
    pv_context_destroy(context);
    return result;
}
