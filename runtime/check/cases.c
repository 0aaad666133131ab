/* The table of kernel cases: joins the families, and runs one case from seed to verdict. */
#include "check/cases.h"

#include <string.h>

#include <stdio.h>

#include "base/hash.h"
#include "check/case_tables.h"

static const struct {
    const struct pv_case *cases;
    const uint32_t *n;
} families[] = {
    {pv_cases_rows, &pv_n_cases_rows},           {pv_cases_linear, &pv_n_cases_linear},
    {pv_cases_attention, &pv_n_cases_attention}, {pv_cases_ffn, &pv_n_cases_ffn},
    {pv_cases_learn, &pv_n_cases_learn},         {pv_cases_experts, &pv_n_cases_experts},
};
enum { N_FAMILIES = sizeof families / sizeof *families };

uint32_t pv_case_count(void)
{
    uint32_t n = 0;
    for (size_t i = 0; i < N_FAMILIES; i++)
        n += *families[i].n;
    return n;
}

const struct pv_case *pv_case_at(uint32_t index)
{
    for (size_t i = 0; i < N_FAMILIES; i++) {
        if (index < *families[i].n)
            return &families[i].cases[index];
        index -= *families[i].n;
    }
    return NULL;
}

static void release(struct pv_case_run *run)
{
    for (uint32_t i = 0; i < run->n_buffers; i++)
        pv_buffer_destroy(run->buffers[i]);
    for (uint32_t i = 0; i < run->n_tensors; i++)
        pv_tensor_destroy(&run->tensors[i]);
    pv_masks_destroy(&run->masks);
    pv_arena_free(&run->arena);
}

enum pv_status pv_case_execute(struct pv_recorder *recorder, const struct pv_case *c,
                               const struct pv_case_how *how, struct pv_conform_row *row, uint64_t *digest)
{
    struct pv_device *device = pv_recorder_device(recorder);
    struct pv_case_run run = {.device = device,
                              .recorder = recorder,
                              .poison = how->poison ? how->poison : PV_POISON_NAN,
                              .tolerance = c->tolerance};
    const uint64_t n_messages = pv_context_validation_messages(device->context);
    pv_rng_seed(&run.rng, pv_hash64(c->name, strlen(c->name), how->seed));
    *row = (struct pv_conform_row){.tolerance = c->tolerance};
    snprintf(row->kernel, sizeof row->kernel, "%s", c->kernel);
    snprintf(row->name, sizeof row->name, "%s", c->name);
    const enum pv_status status = c->run(&run, c);
    release(&run);
    row->error = run.error;
    row->skipped = run.skipped;
    row->passed = status == PV_OK && !run.failed;
    row->fault = run.fault;
    memcpy(row->detail, run.detail, sizeof row->detail);
    if (status != PV_OK && !run.skipped) {
        row->fault = PV_FAULT_CALL;
        snprintf(row->detail, sizeof row->detail, "could not run: %s (see the log)", pv_status_name(status));
    } else if (pv_context_validation_messages(device->context) > n_messages) {
        row->passed = false;
        row->fault = PV_FAULT_LAYERS;
        snprintf(row->detail, sizeof row->detail, "the validation layers sent %llu messages (see the log)",
                 (unsigned long long)(pv_context_validation_messages(device->context) - n_messages));
    }
    if (digest)
        *digest = run.digest;
    return status == PV_ERR_NOMEM || status == PV_ERR_DEVICE_LOST || status == PV_ERR_DEVICE_MEMORY ? status
                                                                                                    : PV_OK;
}
