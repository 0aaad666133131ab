/* Where a model goes: the bytes that are foretold are the bytes that are taken, less memory means less room,
 * and the split that is foretold is the split that is made. */
#include <string.h>

#include "infer/place.h"
#include "rig.h"

static void foretell(const struct pv_tiny_params *tiny, uint32_t n_clusters, uint32_t n_stages)
{
    uint32_t devices[8];
    const uint32_t n = rig_devices(devices, 8);
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t both[] = {devices[i], devices[n - 1 - i]};
        const double split[] = {1.0, 2.0};
        struct pv_engine_params params = {
            .devices = both, .n_devices = n_stages, .split = split, .n_batch = 16};
        struct pv_placement p;
        struct rig rig;
        uint64_t sum = 0;
        rig_open(&rig, tiny, n_clusters, 0.4, &params);
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
    foretell(&arcee, 0, 1);
    foretell(&arcee, 7, 2);
    foretell(&llama, 7, 1);
    foretell(&llama, 0, 2);
}
END_TEST

START_TEST(room_follows_from_free_memory)
{
    const struct pv_tiny_params tiny = {.d_model = 256, .d_ffn = 2048, .n_layers = 6};
    struct pv_context *context = NULL;
    struct pv_test_log log;
    struct pv_placement wide, narrow;
    struct rig rig;
    char limit[64];
    rig_open(&rig, &tiny, 0, 0, NULL);
    ck_assert_int_eq(pv_place(rig_context(), rig.model, NULL, &wide), PV_OK);
    ck_assert(wide.fits);
    ck_assert_uint_eq(wide.devices[0].room, 6);
    const uint64_t fixed = wide.devices[0].other_bytes + wide.devices[0].scratch_bytes;
    const uint64_t each = wide.layer_bytes + wide.kv_layer_bytes;
    const uint64_t mib = (fixed + 3 * each + each / 2) * 10 / 9 >> 20; /* room for three */
    snprintf(limit, sizeof limit, "memory_mib=%u", (unsigned)mib);
    const struct pv_context_params params = {.log = pv_test_log(&log), .plan_overrides = limit};
    ck_assert_int_eq(pv_context_create(&params, &context), PV_OK);
    ck_assert_int_eq(pv_place(context, rig.model, NULL, &narrow), PV_OK);
    ck_assert(!narrow.fits);
    ck_assert_uint_eq(narrow.devices[0].room, 3);
    struct pv_engine *engine = NULL;
    ck_assert_int_eq(pv_engine_create(context, rig.model, NULL, &engine), PV_ERR_DEVICE_MEMORY);
    ck_assert_msg(pv_test_logged(&log, "room for 3 layers"), "%s", log.text);
    pv_context_destroy(context);
    rig_close(&rig);
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
    tcase_add_unchecked_fixture(tcase, NULL, rig_stop);
    suite_add_tcase(suite, tcase);
    return pv_test_main(suite);
}
