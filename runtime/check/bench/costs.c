/* What a device asks for around the work itself. A dispatch that does next to nothing is recorded many times: once so
 * that none waits for another, once so that each does; what one more of them takes is the cost of a dispatch, and of a
 * barrier with it. An empty submit is timed on the host, the call and the wait apart. */
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/threads.h"
#include "kernel/kernels.h"
#include "parvin/bench.h"

enum { N_DISPATCHES = 64, N_REPS = 15, WARM_UP = 3 };

struct costs {
    struct pv_device *device;
    struct pv_recorder *empty, *apart, *chained;
    struct pv_buffer *buffers[N_DISPATCHES];
};

static enum pv_status record(struct costs *c, struct pv_recorder *r, uint32_t n, bool chained)
{
    PV_TRY(pv_recorder_begin(r, 0));
    for (uint32_t i = 0; i < n; i++)
        PV_TRY(pv_kernel_lanes(r, c->buffers[chained ? 0 : i], 1));
    return pv_recorder_end(r);
}

static enum pv_status prepare(struct costs *c)
{
    for (uint32_t i = 0; i < N_DISPATCHES; i++)
        PV_TRY(pv_buffer_create(c->device, 64, PV_MEM_DEVICE, "cost", &c->buffers[i]));
    PV_TRY(pv_recorder_create(c->device, &c->empty));
    PV_TRY(pv_recorder_create(c->device, &c->apart));
    PV_TRY(pv_recorder_create(c->device, &c->chained));
    PV_TRY(record(c, c->empty, 0, false));
    PV_TRY(record(c, c->apart, N_DISPATCHES, false));
    return record(c, c->chained, N_DISPATCHES, true);
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Medians in microseconds: of the call, and of the time from it to the end of the wait. */
static enum pv_status measure(struct costs *c, struct pv_recorder *r, double *submit_us, double *wait_us)
{
    double submits[N_REPS], waits[N_REPS];
    for (int i = -WARM_UP; i < N_REPS; i++) {
        uint64_t value = 0;
        const double start = pv_now_s();
        PV_TRY(pv_recorder_submit(r, &value));
        const double submitted = pv_now_s();
        PV_TRY(pv_device_wait(c->device, value));
        if (i < 0)
            continue;
        submits[i] = (submitted - start) * 1e6;
        waits[i] = (pv_now_s() - submitted) * 1e6;
    }
    qsort(submits, N_REPS, sizeof *submits, ascending);
    qsort(waits, N_REPS, sizeof *waits, ascending);
    *submit_us = submits[N_REPS / 2];
    *wait_us = waits[N_REPS / 2];
    return PV_OK;
}

static double at_least_0(double v)
{
    return v > 0 ? v : 0;
}

static enum pv_status measure_all(struct costs *c, struct pv_device_costs *out)
{
    double submit = 0, apart = 0, chained = 0;
    PV_TRY(prepare(c));
    PV_TRY(measure(c, c->apart, &submit, &apart));
    PV_TRY(measure(c, c->chained, &submit, &chained));
    PV_TRY(measure(c, c->empty, &out->submit_us, &out->wait_us));
    out->dispatch_us = at_least_0(apart - out->wait_us) / N_DISPATCHES;
    out->barrier_us = at_least_0(chained - apart) / (N_DISPATCHES - 1);
    return PV_OK;
}

enum pv_status pv_bench_costs(struct pv_context *context, uint32_t device, struct pv_device_costs *out)
{
    struct costs c = {0};
    *out = (struct pv_device_costs){0};
    if (device >= context->n_physical)
        return pv_fail(&context->log, PV_ERR_ARG, "device %u of %u", device, context->n_physical);
    PV_TRY(pv_device_open(context, device, NULL, &c.device));
    const enum pv_status status = measure_all(&c, out);
    pv_recorder_destroy(c.empty);
    pv_recorder_destroy(c.apart);
    pv_recorder_destroy(c.chained);
    for (uint32_t i = 0; i < N_DISPATCHES; i++)
        pv_buffer_destroy(c.buffers[i]);
    pv_device_close(c.device);
    return status;
}
