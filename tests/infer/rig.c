/* The context is made once: instances are slow to make and drivers count their threads. */
#include "rig.h"

#include <stdio.h>
#include <string.h>

#include "base/rng.h"

static struct pv_context *context;
static struct pv_test_log context_log;

bool rig_start(void)
{
    return rig_start_plan(NULL);
}

bool rig_start_plan(const char *overrides)
{
    const struct pv_context_params params = {
        .log = pv_test_log(&context_log), .validation = true, .plan_overrides = overrides};
    uint32_t first = 0;
    if (pv_context_create(&params, &context) != PV_OK) {
        fprintf(stderr, "%s", context_log.text);
        return false;
    }
    return rig_devices(&first, 1) > 0;
}

void rig_stop(void)
{
    const uint64_t n = pv_context_validation_messages(context);
    pv_context_destroy(context);
    if (n > 0)
        fprintf(stderr, "%s\n", context_log.text);
    ck_assert_msg(n == 0, "%llu validation messages", (unsigned long long)n);
}

struct pv_context *rig_context(void)
{
    return context;
}

struct pv_test_log *rig_log(void)
{
    return &context_log;
}

uint64_t rig_messages(void)
{
    return pv_context_validation_messages(context);
}

uint32_t rig_devices(uint32_t *out, uint32_t max)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < pv_context_n_devices(context) && n < max; i++)
        if (pv_context_device_info(context, i)->usable)
            out[n++] = i;
    return n;
}

void rig_open_model(struct rig *rig, const char *path, const struct pv_engine_params *engine)
{
    memset(rig, 0, sizeof *rig);
    const struct pv_model_params params = {.log = pv_test_log(&rig->log)};
    ck_assert_msg(pv_model_open(path, &params, &rig->model) == PV_OK, "%s", rig->log.text);
    ck_assert_msg(pv_engine_create(context, rig->model, engine, &rig->engine) == PV_OK, "%s",
                  context_log.text);
    ck_assert_int_eq(pv_session_create(rig->engine, NULL, &rig->session), PV_OK);
}

void rig_open(struct rig *rig, const struct pv_tiny_params *tiny, uint32_t n_clusters, double density,
              const struct pv_engine_params *engine)
{
    const struct pv_tiny_clusters clusters = {
        .n_clusters = n_clusters, .density = density, .centroids = true, .seed = 5};
    rig_open_clusters(rig, tiny, &clusters, engine);
}

void rig_open_clusters(struct rig *rig, const struct pv_tiny_params *tiny,
                       const struct pv_tiny_clusters *clusters, const struct pv_engine_params *engine)
{
    char model_path[PV_TEST_PATH_ROOM], cluster_path[PV_TEST_PATH_ROOM];
    struct pv_engine_params params = engine ? *engine : (struct pv_engine_params){0};
    memset(rig, 0, sizeof *rig);
    const struct pv_log log = pv_test_log(&rig->log);
    pv_test_temp("tiny.gguf", model_path);
    pv_test_temp("tiny.clusters.gguf", cluster_path);
    ck_assert_int_eq(pv_tiny_model_write(model_path, tiny), PV_OK);
    const struct pv_model_params model_params = {.log = log};
    ck_assert_msg(pv_model_open(model_path, &model_params, &rig->model) == PV_OK, "%s", rig->log.text);
    if (clusters->n_clusters > 0) {
        ck_assert_int_eq(pv_tiny_clusters_write(cluster_path, rig->model, clusters), PV_OK);
        ck_assert_msg(pv_clusters_open(cluster_path, &log, &rig->clusters) == PV_OK, "%s", rig->log.text);
        params.clusters = rig->clusters;
        remove(cluster_path);
    }
    remove(model_path); /* the map stays */
    ck_assert_msg(pv_engine_create(context, rig->model, &params, &rig->engine) == PV_OK, "%s",
                  context_log.text);
    ck_assert_int_eq(pv_session_create(rig->engine, NULL, &rig->session), PV_OK);
}

void rig_close(struct rig *rig)
{
    pv_session_destroy(rig->session);
    pv_engine_destroy(rig->engine);
    pv_clusters_close(rig->clusters);
    pv_model_close(rig->model);
    memset(rig, 0, sizeof *rig);
}

double rig_nmse(const float *a, const float *b, size_t n)
{
    double error = 0.0, power = 0.0;
    for (size_t i = 0; i < n; i++) {
        error += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        power += (double)b[i] * (double)b[i];
    }
    return error / (power > 0.0 ? power : 1.0);
}

void rig_random_tokens(uint64_t seed, uint32_t n_vocab, uint32_t *tokens, uint32_t n)
{
    struct pv_rng rng;
    pv_rng_seed(&rng, seed);
    for (uint32_t i = 0; i < n; i++)
        tokens[i] = pv_rng_below(&rng, n_vocab);
}
