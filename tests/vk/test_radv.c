/* Every shader through AMD's compiler, without the hardware: RADV can pretend to be a GPU that is not there,
 * far enough to build pipelines (RADV_FORCE_FAMILY; it cannot record or run them). Skipped where RADV is not
 * installed. */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include <stdlib.h>
#include <unistd.h>

#include "fixture.h"
#include "vk/pipeline_cache.h"
#include "vk/spirv.h"

static const char *const families[] = {"polaris10", "vega20", "navi10", "navi21", "gfx1100"};

static const char *find_driver(void)
{
    static const char *const paths[] = {"/usr/share/vulkan/icd.d/radeon_icd.x86_64.json",
                                        "/usr/share/vulkan/icd.d/radeon_icd.json"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        if (access(paths[i], R_OK) == 0)
            return paths[i];
    return NULL;
}

static PFN_vkGetDeviceProcAddr real_get;
static VkResult VKAPI_CALL no_semaphore(VkDevice device, const VkSemaphoreCreateInfo *info,
                                        const VkAllocationCallbacks *callbacks, VkSemaphore *out)
{
    (void)device, (void)info, (void)callbacks;
    *out = VK_NULL_HANDLE; /* the kernel makes them, and there is none behind this device */
    return VK_SUCCESS;
}
static PFN_vkVoidFunction VKAPI_CALL hooked_get(VkDevice device, const char *name)
{
    return strcmp(name, "vkCreateSemaphore") == 0 ? (PFN_vkVoidFunction)no_semaphore : real_get(device, name);
}

START_TEST(every_shader_compiles)
{
    struct pv_test_log log;
    struct pv_context_params params = fixture_params(&log);
    struct pv_context *context = NULL;
    struct pv_device *device = NULL;
    setenv("RADV_FORCE_FAMILY", families[_i], 1);
    ck_assert_msg(pv_context_create(&params, &context) == PV_OK, "%.2000s", log.text);
    ck_assert_uint_eq(pv_context_n_devices(context), 1);
    ck_assert(!pv_context_device_info(context, 0)->usable); /* no memory: never chosen by accident */
    ck_assert_int_eq(pv_device_open(context, 0, NULL, &device), PV_ERR_NO_DEVICE);
    pv_test_log(&log);
    context->physical[0].info.usable = true;
    real_get = vkGetDeviceProcAddr;
    vkGetDeviceProcAddr = hooked_get;
    ck_assert_msg(pv_device_open(context, 0, NULL, &device) == PV_OK, "%.2000s", log.text);
    vkGetDeviceProcAddr = real_get;
    ck_assert_int_eq(device->plan.reduce, PV_REDUCE_SUBGROUP);
    const uint32_t spec[] = {device->plan.matvec_workgroup < 128 ? device->plan.matvec_workgroup : 128};
    for (size_t i = 0; i < pv_spirv_count; i++) {
        const struct pv_pipeline *p = NULL;
        ck_assert_msg(pv_pipeline_get(device, pv_spirv_table[i].name, spec, 1, &p) == PV_OK, "%.2000s",
                      log.text);
    }
    ck_assert_uint_eq(pv_pipelines_count(device->pipelines), pv_spirv_count);
    pv_device_close(device);
    ck_assert_msg(pv_context_validation_messages(context) == 0, "%.2000s", log.text);
    pv_context_destroy(context);
}
END_TEST

int main(void)
{
    const char *driver = find_driver();
    if (!driver) {
        printf("skipped: RADV is not installed\n");
        return PV_TEST_SKIPPED;
    }
    setenv("VK_DRIVER_FILES", driver, 1);
    setenv("VK_ICD_FILENAMES", driver, 1);
    Suite *suite = suite_create("vk/radv");
    TCase *tc = tcase_create("without hardware");
    tcase_set_timeout(tc, 300);
    tcase_add_loop_test(tc, every_shader_compiles, 0, (int)(sizeof families / sizeof families[0]));
    suite_add_tcase(suite, tc);
    return pv_test_main(suite);
}
