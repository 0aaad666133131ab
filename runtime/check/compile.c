/* Which pipelines Parvin needs is what the kernel cases record: they are run on a device that is open for
 * compiling only, where recording a dispatch builds its pipeline and nothing else happens. So the list cannot
 * fall behind the kernels. A pipeline that several variants need is told of once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "kernel/call.h"
#include "check/variants.h"
#include "vk/pipeline/pipeline_cache.h"

struct compile {
    struct pv_context *context;
    uint32_t device;
    const struct pv_conform_params *params;
    void (*row)(void *user, const struct pv_compile_row *row);
    void *user;
    struct pv_compile_result *result;
    uint64_t *seen; /* keys of the pipelines told of */
    size_t n_seen, room;
};

static enum pv_status remember(struct compile *c, uint64_t key, bool *fresh)
{
    *fresh = false;
    for (size_t i = 0; i < c->n_seen; i++)
        if (c->seen[i] == key)
            return PV_OK;
    if (c->n_seen == c->room) {
        const size_t room = c->room ? 2 * c->room : 256;
        void *grown = c->seen;
        if (!pv_grow(&grown, room, sizeof *c->seen))
            return pv_fail(&c->context->log, PV_ERR_NOMEM, "no memory for a list of pipelines");
        c->seen = grown;
        c->room = room;
    }
    c->seen[c->n_seen++] = key;
    *fresh = true;
    return PV_OK;
}

static void tell(struct compile *c, const char *variant, struct pv_compile_row *row)
{
    snprintf(row->variant, sizeof row->variant, "%s", variant);
    snprintf(row->kernel, sizeof row->kernel, "%.*s", (int)strcspn(row->shader, "."), row->shader);
    if (row->compiled)
        c->result->n_compiled++;
    else
        c->result->n_failed++;
    c->result->has_statistics = c->result->has_statistics || row->n_statistics > 0;
    if (c->row)
        c->row(c->user, row);
}

static void write_constants(const struct pv_pipeline *p, char *out, size_t size_bytes)
{
    static const char *const names[PV_CALL_N_SPEC] = {
        [PV_SPEC_WG] = "WG",         [PV_SPEC_LANES] = "LANES", [PV_SPEC_ROWS] = "ROWS",
        [PV_SPEC_ACT] = "ACT",       [PV_SPEC_GATED] = "GATED", [PV_SPEC_MASKED] = "MASKED",
        [PV_SPEC_TOKENS] = "TOKENS", [PV_SPEC_NEOX] = "NEOX",   [PV_SPEC_HEAD_DIM] = "HEAD_DIM",
        [PV_SPEC_NORM] = "NORM",     [PV_SPEC_PARTS] = "PARTS", [PV_SPEC_CAPPED] = "CAPPED",
        [PV_SPEC_GROUPS] = "GROUPS"};
    size_t n = 0;
    for (uint32_t i = 0; i < p->n_spec && i < PV_CALL_N_SPEC && n < size_bytes; i++) {
        if (i != PV_SPEC_WG && p->spec[i] == pv_call_default(i))
            continue;
        const int wrote = snprintf(out + n, size_bytes - n, "%s%s=%u", n ? " " : "", names[i], p->spec[i]);
        n += wrote > 0 ? (size_t)wrote : 0;
    }
}

static enum pv_status tell_pipeline(struct compile *c, struct pv_device *device, const char *variant,
                                    const struct pv_pipeline *p)
{
    struct pv_compile_row row = {
        .shader = p->shader, .subgroup_size = p->subgroup_size, .compiled = true, .ms = p->compile_ms};
    struct pv_statistic statistics[PV_MAX_STATISTICS];
    bool fresh = false;
    uint64_t key = pv_hash64(p->spec, p->n_spec * sizeof *p->spec, p->subgroup_size);
    key = pv_hash64(p->shader, strlen(p->shader), key);
    PV_TRY(remember(c, key, &fresh));
    if (!fresh)
        return PV_OK;
    write_constants(p, row.constants, sizeof row.constants);
    PV_TRY(pv_pipeline_statistics(device, p, statistics, &row.n_statistics));
    for (uint32_t i = 0; i < row.n_statistics; i++) {
        memcpy(row.statistics[i].name, statistics[i].name, sizeof row.statistics[i].name);
        row.statistics[i].value = statistics[i].value;
    }
    tell(c, variant, &row);
    return PV_OK;
}

/* The first failure of each kernel; the log names the pipeline. */
static void tell_failure(struct compile *c, const char *variant, const struct pv_conform_row *failed)
{
    struct pv_compile_row row = {.shader = failed->kernel};
    snprintf(row.detail, sizeof row.detail, "case '%s' %.120s", failed->name, failed->detail);
    tell(c, variant, &row);
}

static enum pv_status compile_cases(struct compile *c, struct pv_device *device,
                                    const struct pv_variant *variant)
{
    enum pv_status status = PV_OK;
    struct pv_recorder *recorder = NULL;
    const char *failed = "";
    PV_TRY(pv_recorder_create(device, &recorder));
    for (uint32_t i = 0; i < pv_case_count() && status == PV_OK; i++) {
        const struct pv_case *k = pv_case_at(i);
        struct pv_conform_row row;
        if (!pv_conform_wants(c->params, k, variant))
            continue;
        status = pv_case_execute(recorder, k, &(struct pv_case_how){.seed = 1}, &row, NULL);
        if (row.skipped || strcmp(failed, k->kernel) == 0)
            continue;
        failed = k->kernel;
        tell_failure(c, variant->name, &row);
    }
    for (uint32_t i = 0; i < pv_pipelines_count(device->pipelines) && status == PV_OK; i++)
        status = tell_pipeline(c, device, variant->name, pv_pipelines_at(device->pipelines, i));
    pv_recorder_destroy(recorder);
    return status;
}

static enum pv_status compile_variant(void *user, const struct pv_variant *variant, bool run)
{
    struct compile *c = user;
    struct pv_device *device = NULL;
    if (!run)
        return PV_OK;
    PV_TRY(pv_device_open_compiler(c->context, c->device, &variant->plan, &device));
    device->caps = variant->caps;
    const enum pv_status status = compile_cases(c, device, variant);
    pv_device_close(device);
    return status;
}

enum pv_status pv_conform_compile(struct pv_context *context, uint32_t device,
                                  const struct pv_conform_params *params,
                                  void (*row)(void *user, const struct pv_compile_row *row), void *user,
                                  struct pv_compile_result *out)
{
    static const struct pv_conform_params defaults = {0};
    struct compile c = {context, device, params ? params : &defaults, row, user, out, NULL, 0, 0};
    *out = (struct pv_compile_result){0};
    const enum pv_status status = pv_conform_each_variant(context, device, c.params, compile_variant, &c);
    free(c.seen);
    return status;
}
