/* Conformance: the case table on one device, in each of its variants. One device is open at a time, since a
 * plan belongs to an open device. */
#include "parvin/conform.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "check/variants.h"

struct conform {
    struct pv_context *context;
    uint32_t device;
    const struct pv_conform_params *params;
    void (*row)(void *user, const struct pv_conform_row *row);
    void *user;
    struct pv_conform_result *result;
};

const char *pv_conform_fault_name(enum pv_conform_fault fault)
{
    static const char *const names[] = {
        [PV_FAULT_NONE] = "nothing",
        [PV_FAULT_VALUES] = "wrong values",
        [PV_FAULT_ROUNDING] = "rounding",
        [PV_FAULT_NAN] = "NaN",
        [PV_FAULT_INFINITE] = "infinity",
        [PV_FAULT_HALF_RANGE] = "float16 overflow",
        [PV_FAULT_DENORMALS] = "denormals flushed to zero",
        [PV_FAULT_OUTSIDE] = "written out of place",
        [PV_FAULT_UNSTEADY] = "changes from run to run",
        [PV_FAULT_ORDER] = "depends on the order of workgroups (a race)",
        [PV_FAULT_POISON] = "depends on memory that nothing wrote",
        [PV_FAULT_SUBGROUPS] = "wrong subgroup size",
        [PV_FAULT_CALL] = "a call failed",
        [PV_FAULT_LAYERS] = "validation messages",
        [PV_FAULT_CRASH] = "crash",
    };
    return names[fault];
}

bool pv_conform_wants(const struct pv_conform_params *params, const struct pv_case *c,
                      const struct pv_variant *variant)
{
    char name[sizeof((struct pv_conform_row *)0)->kernel + 2 * sizeof((struct pv_conform_row *)0)->name];
    if ((c->axes & variant->axes) != variant->axes || (params->quick && c->large))
        return false;
    if (params->quick && c->repeats && strcmp(variant->name, "plan") != 0)
        return false;
    if (!params->filter)
        return true;
    snprintf(name, sizeof name, "%s/%s [%s]", c->kernel, c->name, variant->name);
    return strstr(name, params->filter) != NULL;
}

/* The row's name, with the variant's behind it. */
static void name_row(const char *kernel, const char *name, const char *variant, struct pv_conform_row *row)
{
    snprintf(row->kernel, sizeof row->kernel, "%s", kernel);
    snprintf(row->name, sizeof row->name, "%s%s[%s]", name, name[0] ? " " : "", variant);
    snprintf(row->variant, sizeof row->variant, "%s", variant);
}

static bool starts(const struct conform *run, const struct pv_conform_row *row)
{
    return !run->params->starting || run->params->starting(run->user, row);
}

static void report(const struct conform *run, const struct pv_conform_row *row)
{
    if (row->skipped)
        run->result->n_skipped++;
    else if (row->passed)
        run->result->n_passed++;
    else
        run->result->n_failed++;
    if (run->row)
        run->row(run->user, row);
}

enum { MOST_REPEATED = 4 }; /* of a variant's failed cases: the first say it */

/* A variant's device at work; a second one, which runs workgroups in another order, is opened when it is needed. */
struct bench {
    const struct conform *run;
    const struct pv_variant *variant;
    struct pv_recorder *recorder, *backwards;
    struct pv_device *second;
    uint32_t n_repeated; /* failed cases */
};

static enum pv_status open_backwards(struct bench *b)
{
    if (b->backwards)
        return PV_OK;
    PV_TRY(pv_device_open(b->run->context, b->run->device, &b->variant->plan, &b->second));
    b->second->caps = b->variant->caps;
    pv_device_run_backwards(b->second);
    return pv_recorder_create(b->second, &b->backwards);
}

/* Runs the case again in each way that must not matter, until one does: the row has failed of it then. */
static enum pv_status repeat(struct bench *b, const struct pv_case *c, const struct pv_case_how *how,
                             uint64_t digest, struct pv_conform_row *row)
{
    static const enum pv_conform_fault faults[] = {PV_FAULT_UNSTEADY, PV_FAULT_POISON, PV_FAULT_ORDER};
    for (int i = 0; i < 3; i++) {
        struct pv_case_how other = *how;
        struct pv_conform_row again;
        uint64_t changed = 0;
        if (faults[i] == PV_FAULT_POISON)
            other.poison = PV_POISON_LARGE;
        if (faults[i] == PV_FAULT_ORDER)
            PV_TRY(open_backwards(b));
        PV_TRY(pv_case_execute(faults[i] == PV_FAULT_ORDER ? b->backwards : b->recorder, c, &other, &again,
                               &changed));
        if (changed == digest || again.fault == PV_FAULT_CALL)
            continue;
        if (row->passed)
            *row = again;
        row->passed = false;
        row->fault = faults[i];
        return PV_OK;
    }
    return PV_OK;
}

static enum pv_status run_case(struct bench *b, const struct pv_case *c, struct pv_conform_row *row)
{
    const struct pv_conform_params *params = b->run->params;
    const struct pv_case_how how = {.seed = params->seed ? params->seed : 1};
    uint64_t digest = 0;
    PV_TRY(pv_case_execute(b->recorder, c, &how, row, &digest));
    const bool has_run = row->fault != PV_FAULT_CALL && row->fault != PV_FAULT_LAYERS && !row->skipped;
    if (params->record_only && has_run) {
        row->passed = true;
        row->fault = PV_FAULT_NONE;
        row->error = 0;
        row->detail[0] = '\0';
        return PV_OK;
    }
    if (!has_run || (row->passed ? !params->repeat : b->n_repeated++ >= MOST_REPEATED))
        return PV_OK;
    return repeat(b, c, &how, digest, row);
}

static enum pv_status run_cases(struct bench *b)
{
    const struct conform *run = b->run;
    enum pv_status status = PV_OK;
    for (uint32_t i = 0; i < pv_case_count() && status == PV_OK; i++) {
        const struct pv_case *c = pv_case_at(i);
        struct pv_conform_row row = {0};
        if (!pv_conform_wants(run->params, c, b->variant))
            continue;
        name_row(c->kernel, c->name, b->variant->name, &row);
        if (!starts(run, &row))
            continue;
        status = run_case(b, c, &row);
        name_row(c->kernel, c->name, b->variant->name, &row);
        report(run, &row);
    }
    return status;
}

static enum pv_status run_variant(void *user, const struct pv_variant *variant, bool worth)
{
    const struct conform *run = user;
    struct pv_device *device = NULL;
    bool any = false;
    if (!worth) {
        struct pv_conform_row skipped = {.skipped = true};
        name_row("variant", "", variant->name, &skipped);
        snprintf(skipped.detail, sizeof skipped.detail, "%s", variant->detail);
        if (!run->params->filter && starts(run, &skipped))
            report(run, &skipped);
        return PV_OK;
    }
    for (uint32_t i = 0; i < pv_case_count() && !any; i++)
        any = pv_conform_wants(run->params, pv_case_at(i), variant);
    if (!any)
        return PV_OK;
    PV_TRY(pv_device_open(run->context, run->device, &variant->plan, &device));
    device->caps = variant->caps;
    struct bench bench = {.run = run, .variant = variant};
    enum pv_status status = pv_recorder_create(device, &bench.recorder);
    if (status == PV_OK)
        status = run_cases(&bench);
    pv_recorder_destroy(bench.backwards);
    pv_device_close(bench.second);
    pv_recorder_destroy(bench.recorder);
    pv_device_close(device);
    return status;
}

/* malloc'ed; NULL with a message if there is no such device or no memory. */
static struct pv_variant *variants_of(struct pv_context *context, uint32_t device, uint32_t *n,
                                      enum pv_status *status)
{
    struct pv_variant *variants = NULL;
    if (device >= context->n_physical) {
        *status = pv_fail(&context->log, PV_ERR_ARG, "device %u of %u", device, context->n_physical);
        return NULL;
    }
    variants = pv_calloc(PV_VARIANTS_MAX, sizeof *variants);
    if (!variants) {
        *status = pv_fail(&context->log, PV_ERR_NOMEM, "no memory for the variants of a device");
        return NULL;
    }
    const struct pv_physical *p = &context->physical[device];
    *n = pv_variants_make(&p->caps, p->quirks, &p->plan, variants);
    *status = PV_OK;
    return variants;
}

static enum pv_status find_named(const struct pv_log *log, const struct pv_variant *variants, uint32_t n,
                                 const char *name, uint32_t *out)
{
    for (uint32_t i = 0; i < n; i++) {
        if (strcmp(variants[i].name, name) != 0)
            continue;
        if (variants[i].state == PV_VARIANT_IMPOSSIBLE)
            return pv_fail(log, PV_ERR_ARG, "the variant %s cannot run here: %s", name, variants[i].detail);
        *out = i;
        return PV_OK;
    }
    return pv_fail(log, PV_ERR_ARG, "there is no variant %s here", name);
}

enum pv_status
pv_conform_each_variant(struct pv_context *context, uint32_t device, const struct pv_conform_params *params,
                        enum pv_status (*one)(void *user, const struct pv_variant *variant, bool run),
                        void *user)
{
    enum pv_status status = PV_OK;
    uint32_t n = 0, named = 0;
    struct pv_variant *variants = variants_of(context, device, &n, &status);
    if (variants && params->variant) {
        status = find_named(&context->log, variants, n, params->variant, &named);
        if (status == PV_OK)
            status = one(user, &variants[named], true);
    } else {
        for (uint32_t i = 0; variants && i < n && status == PV_OK; i++)
            status = one(user, &variants[i], variants[i].state == PV_VARIANT_RUNS);
    }
    free(variants);
    return status;
}

enum pv_status pv_conform(struct pv_context *context, uint32_t device, const struct pv_conform_params *params,
                          void (*row)(void *user, const struct pv_conform_row *row), void *user,
                          struct pv_conform_result *out)
{
    static const struct pv_conform_params defaults = {0};
    struct conform run = {context, device, params ? params : &defaults, row, user, out};
    *out = (struct pv_conform_result){0};
    return pv_conform_each_variant(context, device, run.params, run_variant, &run);
}

enum pv_status pv_conform_variants(struct pv_context *context, uint32_t device,
                                   void (*variant)(void *user, const struct pv_conform_variant *variant),
                                   void *user)
{
    enum pv_status status = PV_OK;
    uint32_t n = 0;
    struct pv_variant *variants = variants_of(context, device, &n, &status);
    for (uint32_t i = 0; variants && i < n; i++) {
        const struct pv_conform_variant v = {.name = variants[i].name,
                                             .about = variants[i].about,
                                             .runs = variants[i].state == PV_VARIANT_RUNS,
                                             .why_not = variants[i].detail};
        variant(user, &v);
    }
    free(variants);
    return status;
}
