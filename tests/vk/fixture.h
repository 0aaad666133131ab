/* What the suites with a device share: a context under the validation layers, and one open device after
 * another. */
#ifndef PV_TESTS_VK_FIXTURE_H
#define PV_TESTS_VK_FIXTURE_H

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "harness.h"
#include "vk/recorder.h"

struct fixture {
    struct pv_test_log log;
    struct pv_context *context;
    struct pv_device *device;
};

static inline struct pv_context_params fixture_params(struct pv_test_log *log)
{
    return (struct pv_context_params){.log = pv_test_log(log), .validation = true};
}

/* Number of usable devices; 0 where there is none (or no validation layer). */
static inline uint32_t fixture_n_devices(void)
{
    struct pv_test_log log;
    struct pv_context_params params = fixture_params(&log);
    struct pv_context *context = NULL;
    uint32_t n = 0;
    if (pv_context_create(&params, &context) != PV_OK) {
        printf("%.2000s", log.text);
        return 0;
    }
    while (n < pv_context_n_devices(context) && pv_context_device_info(context, n)->usable)
        n++; /* the usable ones come first */
    pv_context_destroy(context);
    return n;
}

static inline void fixture_open_with(struct fixture *f, uint32_t index, struct pv_context_params params)
{
    memset(f, 0, sizeof *f);
    params.log = pv_test_log(&f->log);
    ck_assert_msg(pv_context_create(&params, &f->context) == PV_OK, "%.2000s", f->log.text);
    ck_assert_msg(pv_device_open(f->context, index, NULL, &f->device) == PV_OK, "%.2000s", f->log.text);
}
static inline void fixture_open(struct fixture *f, int index)
{
    fixture_open_with(f, (uint32_t)index, (struct pv_context_params){.validation = true});
}
/* Closes all and insists that the validation layers had nothing to say. */
static inline void fixture_close(struct fixture *f)
{
    pv_device_close(f->device);
    ck_assert_msg(pv_context_validation_messages(f->context) == 0, "%.2000s", f->log.text);
    pv_context_destroy(f->context);
}

/* Runs the cases for each device: _i is its index. */
static inline int fixture_main(const char *name, const TTest *const *tests, size_t n_tests)
{
    uint32_t n_devices = fixture_n_devices();
    if (n_devices == 0)
        return pv_test_skip("no usable Vulkan device, or no validation layer");
    Suite *suite = suite_create(name);
    TCase *tc = tcase_create("device");
    tcase_set_timeout(tc, 300);
    for (size_t i = 0; i < n_tests; i++)
        tcase_add_loop_test(tc, tests[i], 0, (int)n_devices);
    suite_add_tcase(suite, tc);
    return pv_test_main(suite);
}

static inline struct pv_buffer *new_buffer(struct fixture *f, uint64_t size_bytes, enum pv_memory_kind kind)
{
    struct pv_buffer *buffer = NULL;
    ck_assert_msg(pv_buffer_create(f->device, size_bytes, kind, "test buffer", &buffer) == PV_OK, "%s",
                  f->log.text);
    return buffer;
}

#endif
