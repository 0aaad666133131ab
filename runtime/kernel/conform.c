/* Conformance: the case table on one device, under the device's own plan and under forced plans that together
 * reach every variant of every kernel. One device is open at a time, since a plan belongs to an open device.
 */
#include "parvin/conform.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "kernel/cases.h"

struct conform {
    struct pv_context *context;
    uint32_t device;
    const struct pv_conform_params *params;
    void (*row)(void *user, const struct pv_conform_row *row);
    void *user;
    struct pv_conform_result *result;
};

static bool wanted(const struct conform *run, const struct pv_case *c, const char *plan_name)
{
    char name[sizeof((struct pv_conform_row *)0)->kernel + 2 * sizeof((struct pv_conform_row *)0)->name];
    if (run->params->quick && c->large)
        return false;
    if (!run->params->filter)
        return true;
    snprintf(name, sizeof name, "%s/%s [%s]", c->kernel, c->name, plan_name);
    return strstr(name, run->params->filter) != NULL;
}

static void report(const struct conform *run, const char *plan_name, struct pv_conform_row *row)
{
    const size_t n = strlen(row->name);
    snprintf(row->name + n, sizeof row->name - n, " [%s]", plan_name);
    if (row->skipped)
        run->result->n_skipped++;
    else if (row->passed)
        run->result->n_passed++;
    else
        run->result->n_failed++;
    if (run->row)
        run->row(run->user, row);
}

/* All cases that have `axes`, on one open device. */
static enum pv_status run_cases(const struct conform *run, struct pv_device *device, const char *plan_name,
                                uint32_t axes)
{
    enum pv_status status = PV_OK;
    struct pv_recorder *recorder = NULL;
    PV_TRY(pv_recorder_create(device, &recorder));
    for (uint32_t i = 0; i < pv_case_count() && status == PV_OK; i++) {
        const struct pv_case *c = pv_case_at(i);
        struct pv_conform_row row;
        if ((c->axes & axes) != axes || !wanted(run, c, plan_name))
            continue;
        status = pv_case_execute(recorder, c, run->params->seed ? run->params->seed : 1, &row);
        report(run, plan_name, &row);
    }
    pv_recorder_destroy(recorder);
    return status;
}

/* `plan` NULL: the device's own. */
static enum pv_status run_plan(const struct conform *run, const struct pv_plan *plan, const char *plan_name,
                               uint32_t axes)
{
    struct pv_device *device = NULL;
    bool any = false;
    for (uint32_t i = 0; i < pv_case_count() && !any; i++) {
        const struct pv_case *c = pv_case_at(i);
        any = (c->axes & axes) == axes && wanted(run, c, plan_name);
    }
    if (!any)
        return PV_OK;
    PV_TRY(pv_device_open(run->context, run->device, plan, &device));
    const enum pv_status status = run_cases(run, device, plan_name, axes);
    pv_device_close(device);
    return status;
}

enum pv_status pv_conform(struct pv_context *context, uint32_t device, const struct pv_conform_params *params,
                          void (*row)(void *user, const struct pv_conform_row *row), void *user,
                          struct pv_conform_result *out)
{
    static const struct pv_conform_params defaults = {0};
    const struct pv_log silent = {0};
    uint32_t n_plans = 0;
    const struct pv_case_plan *plans = pv_case_plans(&n_plans);
    *out = (struct pv_conform_result){0};
    if (device >= context->n_physical)
        return pv_fail(&context->log, PV_ERR_ARG, "device %u of %u", device, context->n_physical);
    const struct pv_physical *physical = &context->physical[device];
    const struct conform run = {context, device, params ? params : &defaults, row, user, out};
    PV_TRY(run_plan(&run, NULL, "plan", 0));
    for (uint32_t i = 0; i < n_plans; i++) {
        struct pv_plan plan;
        if (pv_plan_make(&physical->caps, physical->quirks, plans[i].overrides, &silent, &plan) == PV_OK) {
            PV_TRY(run_plan(&run, &plan, plans[i].name, plans[i].axes));
            continue;
        }
        struct pv_conform_row skipped = {.kernel = "plan", .skipped = true};
        snprintf(skipped.detail, sizeof skipped.detail, "the device cannot run under %s", plans[i].overrides);
        if (!run.params->filter)
            report(&run, plans[i].name, &skipped);
    }
    return PV_OK;
}
