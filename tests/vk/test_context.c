/* The context: what is listed, which device a word names, and machines without a driver. */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include <ctype.h>
#include <stdlib.h>

#include "fixture.h"

static struct pv_context *open_context(struct pv_test_log *log, const char *overrides)
{
    struct pv_context_params params = fixture_params(log);
    struct pv_context *context = NULL;
    params.plan_overrides = overrides;
    ck_assert_msg(pv_context_create(&params, &context) == PV_OK, "%.2000s", log->text);
    return context;
}

static void close_context(struct pv_context *context)
{
    ck_assert_uint_eq(pv_context_validation_messages(context), 0);
    pv_context_destroy(context);
}

START_TEST(every_device_is_described)
{
    struct pv_test_log log;
    struct pv_context *context = open_context(&log, NULL);
    for (uint32_t i = 0; i < pv_context_n_devices(context); i++) {
        const struct pv_device_info *info = pv_context_device_info(context, i);
        ck_assert_uint_gt(strlen(info->name), 0);
        ck_assert_uint_eq(strlen(info->uuid), 36);
        ck_assert(info->usable == (info->why_not[0] == '\0'));
        char *caps = pv_context_caps_json(context, i), *plan = pv_context_plan_json(context, i);
        struct pv_caps back;
        ck_assert_int_eq(pv_caps_from_json(caps, NULL, &back), PV_OK);
        ck_assert_str_eq(back.uuid, info->uuid);
        ck_assert_ptr_nonnull(strstr(plan, "\"access\""));
        free(caps);
        free(plan);
    }
    ck_assert_ptr_null(pv_context_device_info(context, pv_context_n_devices(context)));
    ck_assert_ptr_null(pv_context_caps_json(context, UINT32_MAX));
    ck_assert_ptr_null(pv_context_plan_json(context, UINT32_MAX));
    close_context(context);
}
END_TEST

START_TEST(devices_are_found_by_number_uuid_and_name)
{
    struct pv_test_log log;
    struct pv_context *context = open_context(&log, NULL);
    uint32_t found = UINT32_MAX;
    ck_assert_int_eq(pv_context_find_device(context, NULL, &found), PV_OK);
    ck_assert_uint_eq(found, 0); /* sorted best first */
    ck_assert_int_eq(pv_context_find_device(context, "", &found), PV_OK);
    ck_assert_uint_eq(found, 0);
    for (uint32_t i = 0; i < pv_context_n_devices(context); i++) {
        const struct pv_device_info *info = pv_context_device_info(context, i);
        char text[300];
        if (!info->usable)
            continue;
        snprintf(text, sizeof text, "%u", i);
        ck_assert_int_eq(pv_context_find_device(context, text, &found), PV_OK);
        ck_assert_uint_eq(found, i);
        snprintf(text, sizeof text, "%s", info->uuid);
        for (char *c = text; *c; c++)
            *c = (char)toupper((unsigned char)*c);
        ck_assert_int_eq(pv_context_find_device(context, text, &found), PV_OK);
        ck_assert_str_eq(pv_context_device_info(context, found)->uuid, info->uuid);
        snprintf(text, sizeof text, "%s", info->name + 1);
        text[strlen(text) - 1] = (char)toupper((unsigned char)text[strlen(text) - 1]);
        ck_assert_int_eq(pv_context_find_device(context, text, &found), PV_OK);
        ck_assert_str_eq(pv_context_device_info(context, found)->name, info->name);
        ck_assert_int_eq(pv_context_find_device(context, info->driver, &found), PV_OK);
        ck_assert_str_eq(pv_context_device_info(context, found)->driver, info->driver);
    }
    ck_assert_uint_eq(log.n_messages, 0);
    close_context(context);
}
END_TEST

START_TEST(an_unknown_device_is_an_error_that_lists_the_known)
{
    static const char *const specs[] = {"no such device",
                                        "99",
                                        "-1",
                                        "4294967296",
                                        "18446744073709551616",
                                        "00000000-0000-0000-0000-0000000000"};
    struct pv_test_log log;
    struct pv_context *context = open_context(&log, NULL);
    uint32_t found = 7;
    ck_assert_int_eq(pv_context_find_device(context, specs[_i], &found), PV_ERR_NO_DEVICE);
    ck_assert_uint_eq(found, 7);
    ck_assert_uint_eq(log.n_messages, 1);
    ck_assert(pv_test_logged(&log, pv_context_device_info(context, 0)->name));
    ck_assert(pv_test_logged(&log, specs[_i]));
    struct pv_device *device = NULL;
    ck_assert_int_eq(pv_device_open(context, 99, NULL, &device), PV_ERR_NO_DEVICE);
    ck_assert_ptr_null(device);
    close_context(context);
}
END_TEST

START_TEST(overrides_reach_the_plans)
{
    struct pv_test_log log;
    struct pv_context *context = open_context(&log, "n_batch=17");
    char *plan = pv_context_plan_json(context, 0);
    ck_assert_ptr_nonnull(strstr(plan, "\"n_batch\": 17"));
    free(plan);
    close_context(context);
    struct pv_context_params params = fixture_params(&log);
    params.plan_overrides = "n_batch=many";
    ck_assert_int_eq(pv_context_create(&params, &context), PV_ERR_ARG);
    ck_assert_ptr_null(context);
    ck_assert(pv_test_logged(&log, "n_batch"));
}
END_TEST

/* Also: the messenger counts. A buffer of zero bytes is a message of the layers. */
START_TEST(validation_messages_are_counted)
{
    struct fixture f;
    fixture_open(&f, 0);
    VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                               .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT};
    VkBuffer buffer = VK_NULL_HANDLE;
    (void)f.device->vk.vkCreateBuffer(f.device->handle, &info, NULL, &buffer);
    ck_assert_uint_gt(pv_context_validation_messages(f.context), 0);
    ck_assert(pv_test_logged(&f.log, "validation: "));
    f.device->vk.vkDestroyBuffer(f.device->handle, buffer, NULL);
    pv_device_close(f.device);
    pv_context_destroy(f.context);
}
END_TEST

static PFN_vkCreateDevice create_device;
static VkBool32 robust;

static VKAPI_ATTR VkResult VKAPI_CALL watch_create_device(VkPhysicalDevice physical,
                                                          const VkDeviceCreateInfo *info,
                                                          const VkAllocationCallbacks *callbacks,
                                                          VkDevice *device)
{
    robust = info->pEnabledFeatures && info->pEnabledFeatures->robustBufferAccess;
    return create_device(physical, info, callbacks, device);
}

START_TEST(validation_asks_for_robust_buffers)
{
    for (int validation = 0; validation < 2; validation++) {
        struct pv_test_log log;
        const struct pv_context_params params = {.log = pv_test_log(&log), .validation = validation != 0};
        struct pv_context *context;
        struct pv_device *device;
        ck_assert_int_eq(pv_context_create(&params, &context), PV_OK);
        create_device = vkCreateDevice;
        vkCreateDevice = watch_create_device;
        ck_assert_int_eq(pv_device_open(context, 0, NULL, &device), PV_OK);
        vkCreateDevice = create_device;
        ck_assert_int_eq((int)robust, validation);
        pv_device_close(device);
        close_context(context);
    }
}
END_TEST

START_TEST(no_driver_is_an_error_not_a_crash)
{
    static const char *const names[] = {"VK_DRIVER_FILES", "VK_ICD_FILENAMES"};
    char *saved[2];
    for (int i = 0; i < 2; i++) {
        const char *value = getenv(names[i]);
        saved[i] = value ? strdup(value) : NULL;
        setenv(names[i], "/nonexistent/driver.json", 1);
    }
    struct pv_test_log log;
    struct pv_context_params params = fixture_params(&log);
    struct pv_context *context = (struct pv_context *)&log;
    for (int validation = 0; validation < 2; validation++) {
        params.log = pv_test_log(&log);
        params.validation = validation != 0;
        ck_assert_int_eq(pv_context_create(&params, &context), PV_ERR_NO_DEVICE);
        ck_assert_ptr_null(context);
        ck_assert_msg(pv_test_logged(&log, "mesa-vulkan-drivers"), "%s", log.text);
    }
    for (int i = 0; i < 2; i++) {
        if (saved[i])
            setenv(names[i], saved[i], 1);
        else
            unsetenv(names[i]);
        free(saved[i]);
    }
    pv_context_destroy(NULL);
}
END_TEST

START_TEST(silence_is_allowed)
{
    struct pv_context *context = NULL;
    uint32_t found = 0;
    ck_assert_int_eq(pv_context_create(NULL, &context), PV_OK);
    ck_assert_int_eq(pv_context_find_device(context, "no such device", &found), PV_ERR_NO_DEVICE);
    ck_assert_uint_eq(pv_context_validation_messages(context), 0);
    pv_context_destroy(context);
}
END_TEST

int main(void)
{
    if (fixture_n_devices() == 0)
        return pv_test_skip("no usable Vulkan device, or no validation layer");
    Suite *suite = suite_create("vk/context");
    TCase *tc = tcase_create("context");
    tcase_set_timeout(tc, 300);
    tcase_add_test(tc, every_device_is_described);
    tcase_add_test(tc, devices_are_found_by_number_uuid_and_name);
    tcase_add_loop_test(tc, an_unknown_device_is_an_error_that_lists_the_known, 0, 6);
    tcase_add_test(tc, overrides_reach_the_plans);
    tcase_add_test(tc, validation_messages_are_counted);
    tcase_add_test(tc, validation_asks_for_robust_buffers);
    tcase_add_test(tc, no_driver_is_an_error_not_a_crash);
    tcase_add_test(tc, silence_is_allowed);
    suite_add_tcase(suite, tc);
    return pv_test_main(suite);
}
