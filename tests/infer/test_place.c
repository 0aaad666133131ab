/* Where a model goes: the bytes that are foretold are the bytes that are taken, less memory means less room,
 * and the split that is foretold is the split that is made. */
#include <stdio.h>
#include <string.h>

#include "infer/load/place.h"
#include "rig.h"
#include "vk/device.h"

static void foretell(const struct pv_tiny_params *tiny, uint32_t n_clusters, uint32_t rank, uint32_t n_stages)
{
    uint32_t devices[8];
    const uint32_t n = rig_devices(devices, 8);
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t both[] = {devices[i], devices[n - 1 - i]};
        const double split[] = {1.0, 2.0};
        struct pv_engine_params params = {.devices = both,
                                          .n_devices = n_stages,
                                          .split = split,
                                          .n_batch = 16,
                                          .n_best = rank > 0 ? 2 : 1};
        struct pv_placement p;
        struct rig rig;
        uint64_t sum = 0;
        const struct pv_tiny_clusters clusters = {
            .n_clusters = n_clusters, .rank = rank, .density = 0.4, .centroids = true, .seed = 5};
        rig_open_clusters(&rig, tiny, &clusters, &params);
        params.clusters = rig.clusters;
        ck_assert_int_eq(pv_place(rig_context(), rig.model, &params, &p), PV_OK);
        ck_assert(p.fits);
        ck_assert_uint_eq(p.n_devices, n_stages);
        for (uint32_t k = 0; k < n_stages; k++) {
            const struct pv_placement_device *d = &p.devices[k];
            sum += d->layer_bytes + d->other_bytes + d->kv_bytes + d->scratch_bytes;
            ck_assert_uint_eq(d->first_layer, rig.engine->stages[k].first_layer);
            ck_assert_uint_eq(d->n_layers, rig.engine->stages[k].n_layers);
            ck_assert(d->free_bytes > 0);
        }
        const double real = (double)pv_engine_device_bytes(rig.engine); /* drivers round buffers up */
        ck_assert_msg((double)sum <= real && (double)sum > 0.85 * real, "foretold %.0f, taken %.0f",
                      (double)sum, real);
        rig_close(&rig);
    }
}

START_TEST(bytes_are_foretold)
{
    const struct pv_tiny_params arcee = {.d_model = 256, .d_ffn = 700, .n_layers = 3};
    const struct pv_tiny_params llama = {
        .arch = "llama", .type = PV_Q8_0, .d_model = 256, .d_ffn = 704, .n_layers = 3, .untied = true};
    foretell(&arcee, 0, 0, 1);
    foretell(&arcee, 7, 0, 2);
    foretell(&arcee, 300, 33, 1);
    foretell(&llama, 7, 0, 1);
    foretell(&llama, 0, 0, 2);
}
END_TEST

START_TEST(room_follows_from_free_memory)
{
    const struct pv_tiny_params tiny = {.d_model = 256, .d_ffn = 2048, .n_layers = 6};
    struct pv_placement wide, narrow;
    struct rig rig;
    rig_open(&rig, &tiny, 0, 0, NULL);
    struct pv_context *context = rig_context();
    uint32_t *limit = &context->physical[pv_engine_device_index(rig.engine, 0)].plan.memory_mib;
    ck_assert_int_eq(pv_place(context, rig.model, NULL, &wide), PV_OK);
    ck_assert(wide.fits);
    ck_assert_uint_eq(wide.devices[0].room, 6);
    const uint64_t fixed = wide.devices[0].other_bytes + wide.devices[0].scratch_bytes;
    const uint64_t each = wide.layer_bytes + wide.kv_layer_bytes;
    *limit = (uint32_t)(((fixed + 3 * each + each / 2) * 10 / 9) >> 20); /* room for three */
    ck_assert_int_eq(pv_place(context, rig.model, NULL, &narrow), PV_OK);
    ck_assert(!narrow.fits);
    ck_assert_uint_eq(narrow.devices[0].room, 3);
    struct pv_engine *engine = NULL;
    ck_assert_int_eq(pv_engine_create(context, rig.model, NULL, &engine), PV_ERR_DEVICE_MEMORY);
    *limit = 0;
    rig_close(&rig);
}
END_TEST

/* What a binding can see limits the context, and asking and loading agree about where. */
START_TEST(the_longest_context_is_said)
{
    const struct pv_tiny_params tiny = {.d_model = 256, .d_ffn = 512, .n_layers = 2};
    struct pv_engine_params params = {.n_batch = 16};
    struct pv_engine *engine = NULL;
    struct pv_placement p;
    struct rig rig;
    char part[64];
    rig_open(&rig, &tiny, 0, 0, NULL);
    struct pv_context *context = rig_context();
    struct pv_caps *caps = &context->physical[pv_engine_device_index(rig.engine, 0)].caps;
    const uint64_t range = caps->max_storage_range;
    const uint64_t a_token =
        pv_layer_kv_bytes(rig.engine, &rig.engine->stages[0].device->plan) / 2 / rig.engine->n_ctx;
    caps->max_storage_range = 5000 * a_token + a_token / 2;
    params.n_ctx = 5000;
    ck_assert_int_eq(pv_place(context, rig.model, &params, &p), PV_OK);
    ck_assert(p.fits);
    ck_assert_uint_eq(p.max_ctx, 5000);
    ck_assert_int_eq(pv_engine_create(context, rig.model, &params, &engine), PV_OK);
    pv_engine_destroy(engine);
    params.n_ctx = 5001;
    ck_assert_int_eq(pv_place(context, rig.model, &params, &p), PV_OK);
    ck_assert(!p.fits);
    ck_assert_uint_eq(p.max_ctx, 5000);
    ck_assert_int_eq(pv_engine_create(context, rig.model, &params, &engine), PV_ERR_DEVICE_MEMORY);
    snprintf(part, sizeof part, "room for at most %u", p.max_ctx);
    ck_assert_msg(pv_test_logged(rig_log(), part), "%s", rig_log()->text);
    caps->max_storage_range = range;
    rig_close(&rig);
}
END_TEST

enum { N_TEXT = 300 };

/* Logits of a prompt, a score and two decoded tokens under a budget; how many submits that took. */
static uint64_t run_text(const struct pv_tiny_params *tiny, uint32_t n_stages, uint32_t submit_ms,
                         float *logits, float *nll)
{
    uint32_t tokens[N_TEXT + 1], devices[2];
    rig_devices(devices, 1);
    devices[1] = devices[0];
    const struct pv_engine_params params = {.devices = devices, .n_devices = n_stages};
    struct pv_plan *plan = &rig_context()->physical[devices[0]].plan;
    struct rig rig;
    uint64_t n_submits = 0;
    plan->submit_ms = submit_ms;
    rig_open(&rig, tiny, 7, 0.4, &params);
    const uint32_t n_vocab = pv_model_hparams(rig.model)->n_vocab;
    ck_assert_int_eq(pv_session_set_ffn(rig.session, PV_FFN_ROUTED), PV_OK);
    rig_random_tokens(3, n_vocab, tokens, N_TEXT + 1);
    ck_assert_int_eq(pv_session_score(rig.session, tokens, tokens + 1, N_TEXT, nll, NULL), PV_OK);
    pv_session_reset(rig.session);
    for (uint32_t i = 0; i < n_stages; i++)
        n_submits -= rig.engine->stages[i].device->timeline_value;
    ck_assert_int_eq(pv_session_prefill(rig.session, tokens, N_TEXT - 2), PV_OK);
    for (uint32_t i = N_TEXT - 2; i < N_TEXT; i++)
        ck_assert_int_eq(pv_session_decode(rig.session, tokens[i]), PV_OK);
    for (uint32_t i = 0; i < n_stages; i++)
        n_submits += rig.engine->stages[i].device->timeline_value;
    memcpy(logits, pv_session_logits(rig.session), n_vocab * sizeof *logits);
    rig_close(&rig);
    plan->submit_ms = 0;
    return n_submits;
}

START_TEST(a_budget_makes_more_submits_and_the_same_text)
{
    const struct pv_tiny_params tiny = {.d_model = 128, .d_ffn = 512, .n_layers = 6, .n_ctx = 320};
    static float logits[2][4096], nll[2][N_TEXT];
    for (uint32_t n_stages = 1; n_stages <= 2; n_stages++) {
        const uint64_t free_submits = run_text(&tiny, n_stages, 0, logits[0], nll[0]);
        const uint64_t submits = run_text(&tiny, n_stages, 1, logits[1], nll[1]);
        ck_assert_msg(submits > free_submits, "%llu submits under a budget, %llu without",
                      (unsigned long long)submits, (unsigned long long)free_submits);
        ck_assert(rig_nmse(logits[1], logits[0], 256) < 1e-9);
        ck_assert(rig_nmse(nll[1], nll[0], N_TEXT) < 1e-9);
    }
}
END_TEST

int main(void)
{
    if (!rig_start())
        return pv_test_skip("no usable Vulkan device");
    Suite *suite = suite_create("infer/place");
    TCase *tcase = tcase_create("place");
    tcase_add_test(tcase, bytes_are_foretold);
    tcase_add_test(tcase, room_follows_from_free_memory);
    tcase_add_test(tcase, the_longest_context_is_said);
    tcase_add_test(tcase, a_budget_makes_more_submits_and_the_same_text);
    tcase_add_unchecked_fixture(tcase, NULL, rig_stop);
    suite_add_tcase(suite, tcase);
    return pv_test_main(suite);
}
