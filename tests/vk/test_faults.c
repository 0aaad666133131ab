/* Every driver call that can fail is made to fail, one after another, through a whole life of a device:
 * opening, buffers, pipelines, recording, submitting, reading back. Each failure must come out as a status
 * with a message, leak nothing (the sanitizer looks), leave nothing for the validation layers to say, and
 * leave a device that closes. */
#include <stdlib.h>

#include "base/log.h"
#include "faults.h"
#include "fixture.h"
#include "iface.h"

enum { N = 64 };
struct life {
    struct pv_device *device;
    struct pv_recorder *r;
    struct pv_buffer *x, *y;
    float values[N];
};

static enum pv_status dispatch(struct life *l, const char *shader)
{
    static const struct pv_pc_add push = {.n = N};
    struct pv_dispatch d = {.shader = shader,
                            .spec = {16},
                            .n_spec = 1,
                            .buffers = {l->x, l->y},
                            .texel_format = {VK_FORMAT_R32G32B32A32_SFLOAT},
                            .n_buffers = 2,
                            .push = &push,
                            .push_bytes = sizeof push,
                            .groups = {1, 1, 1}};
    return pv_recorder_dispatch(l->r, &d);
}

/* One life up to its first failure; what was made stays in `l`. */
static enum pv_status live(struct life *l, struct pv_context *context, uint32_t index)
{
    enum pv_status status = PV_OK;
    PV_TRY_GOTO(pv_device_open(context, index, NULL, &l->device));
    PV_TRY_GOTO(pv_buffer_create(l->device, sizeof l->values, PV_MEM_HOST, "x", &l->x));
    PV_TRY_GOTO(pv_buffer_create(l->device, sizeof l->values, PV_MEM_DEVICE, "y", &l->y));
    l->y->mapped = NULL; /* so that it is staged */
    for (int i = 0; i < N; i++)
        l->values[i] = 2.0f;
    PV_TRY_GOTO(pv_buffer_write(l->x, 0, l->values, sizeof l->values));
    PV_TRY_GOTO(pv_buffer_fill(l->y, 0x3f800000));
    PV_TRY_GOTO(pv_recorder_create(l->device, &l->r));
    for (int round = 0; round < 2; round++) {
        PV_TRY_GOTO(pv_recorder_begin(l->r, 2));
        pv_recorder_timestamp(l->r, 0);
        PV_TRY_GOTO(dispatch(l, "add.storage"));
        PV_TRY_GOTO(dispatch(l, "add.texel"));
        pv_recorder_timestamp(l->r, 1);
        PV_TRY_GOTO(pv_recorder_end(l->r));
        PV_TRY_GOTO(pv_recorder_run(l->r));
        (void)pv_recorder_ms(l->r, 0, 1);
    }
    PV_TRY_GOTO(pv_buffer_read(l->y, 0, l->values, sizeof l->values));
fail:
    return status;
}

static void end(struct life *l)
{
    pv_buffer_destroy(l->x);
    pv_buffer_destroy(l->y);
    pv_recorder_destroy(l->r);
    pv_device_close(l->device);
}

START_TEST(every_failure_is_reported_and_leaks_nothing)
{
    static const VkResult results[] = {VK_ERROR_OUT_OF_HOST_MEMORY, VK_ERROR_OUT_OF_DEVICE_MEMORY,
                                       VK_ERROR_DEVICE_LOST};
    struct pv_test_log log;
    struct pv_context_params params = fixture_params(&log);
    struct pv_context *context = NULL;
    ck_assert_int_eq(pv_context_create(&params, &context), PV_OK);
    bool fired = true;
    pv_faults_install();
    int n_reported = 0;
    for (int kind = 0; kind < 3; kind++) {
        fired = true;
        for (int call = 0; fired; call++) {
            struct life l = {0};
            pv_test_log(&log);
            pv_faults_arm(call, results[kind]);
            enum pv_status status = live(&l, context, (uint32_t)_i);
            const size_t n_messages = log.n_messages;
            fired = pv_faults_fired();
            if (status == PV_OK)
                ck_assert(l.values[0] == 9.0f && l.values[N - 1] == 9.0f);
            else
                ck_assert_msg(fired && n_messages == 1, "%s: %.1000s", pv_faults_which(), log.text);
            n_reported += status != PV_OK;
            end(&l);
            ck_assert_msg(pv_context_validation_messages(context) == 0, "%s: %.1500s", pv_faults_which(),
                          log.text);
            ck_assert_int_lt(call, 500);
        }
    }
    pv_faults_remove();
    ck_assert_int_gt(n_reported, 150);
    pv_context_destroy(context);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {every_failure_is_reported_and_leaks_nothing};
    return fixture_main("vk/faults", tests, 1);
}
