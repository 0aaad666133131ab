/* Measuring recordings against each other: in turn, so that a machine that slows down slows all of them;
 * medians, so that one interruption does not count; by the device's timestamps where it has them, since a
 * submit costs the host more than a small kernel takes. */
#include "check/bench/run.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/threads.h"

enum { WARM_UP = 2 };

const char *pv_bench_clock(const struct pv_device *device)
{
    return device->caps.timestamp_period_ns > 0.0f ? "device clock" : "host clock";
}

bool pv_bench_wants(const struct pv_bench *b, const char *name)
{
    return !b->filter || strstr(name, b->filter);
}

enum pv_status pv_bench_record(struct pv_recorder *recorder)
{
    PV_TRY(pv_recorder_begin(recorder, 2));
    pv_recorder_timestamp(recorder, 0);
    return PV_OK;
}

enum pv_status pv_bench_recorded(struct pv_recorder *recorder)
{
    pv_recorder_timestamp(recorder, 1);
    return pv_recorder_end(recorder);
}

static enum pv_status refresh(struct pv_bench *b, struct pv_bench_subject *s)
{
    if (!s->input)
        return PV_OK;
    float *x = pv_calloc(s->input_floats, sizeof *x);
    if (!x)
        return pv_fail(pv_recorder_device(s->recorder)->log, PV_ERR_NOMEM,
                       "no memory for a benchmark's input");
    for (uint32_t i = 0; i < s->input_floats; i++)
        x[i] = pv_rng_normal(&b->rng);
    enum pv_status status = pv_buffer_write(s->input, 0, x, s->input_floats * sizeof *x);
    free(x);
    return status;
}

static enum pv_status run_once(struct pv_bench *b, struct pv_bench_subject *s, double *ms)
{
    PV_TRY(refresh(b, s));
    const double start = pv_now_s();
    PV_TRY(pv_recorder_run(s->recorder));
    const double wall = (pv_now_s() - start) * 1e3, device = pv_recorder_ms(s->recorder, 0, 1);
    *ms = device > 0.0 ? device : wall;
    return PV_OK;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void complete(const struct pv_bench *b, struct pv_bench_subject *s, double *samples)
{
    struct pv_bench_row *row = &s->row;
    qsort(samples, b->n_reps, sizeof *samples, ascending);
    row->ms = samples[b->n_reps / 2] / s->n_inner;
    row->gb_s = row->ms > 0.0 ? row->bytes / row->ms * 1e-6 : 0.0;
    row->gflop_s = row->ms > 0.0 ? row->gflop_s / row->ms * 1e3 : 0.0;
    row->share = b->copy_gb_s > 0.0 ? row->gb_s / b->copy_gb_s : 0.0;
}

enum pv_status pv_bench_measure(struct pv_bench *b, struct pv_bench_subject *subjects, uint32_t n)
{
    enum pv_status status = PV_OK;
    double *samples = pv_calloc((size_t)n * b->n_reps, sizeof *samples);
    if (!samples)
        return pv_fail(&b->context->log, PV_ERR_NOMEM, "no memory for %u benchmark runs", b->n_reps);
    for (uint32_t rep = 0; rep < WARM_UP + b->n_reps; rep++)
        for (uint32_t i = 0; i < n; i++) {
            double ms = 0.0;
            PV_TRY_GOTO(run_once(b, &subjects[i], &ms));
            if (rep >= WARM_UP)
                samples[(size_t)i * b->n_reps + rep - WARM_UP] = ms;
        }
    for (uint32_t i = 0; i < n; i++)
        complete(b, &subjects[i], samples + (size_t)i * b->n_reps);
fail:
    free(samples);
    return status;
}

void pv_bench_report(struct pv_bench *b, const struct pv_bench_subject *subjects, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (b->row && pv_bench_wants(b, subjects[i].row.name))
            b->row(b->user, &subjects[i].row);
}
