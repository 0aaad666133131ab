/* The table of kernel cases: joins the families, and runs one case from seed to verdict. */
#include "kernel/cases.h"

#include <string.h>

#include <stdio.h>

#include "base/hash.h"
#include "kernel/case_tables.h"

/* Tiles are small but for the device's own plan: drivers compile large ones slowly. */
#define SMALL "matmul_tile_rows=2,matmul_tile_cols=4,attn_tokens=1,"
#define BASE  "kv_f16=0,access="
static const struct pv_case_plan plans[] = {
    {"storage invocation", SMALL BASE "storage,reduce=invocation", 0},
    {"texel invocation", SMALL BASE "texel,reduce=invocation", PV_AXIS_ACCESS},
    {"storage subgroup", SMALL BASE "storage,reduce=subgroup", PV_AXIS_REDUCE},
    {"texel subgroup", SMALL BASE "texel,reduce=subgroup,matvec_rows=2", PV_AXIS_ACCESS | PV_AXIS_REDUCE},
    {"storage workgroup", SMALL BASE "storage,reduce=workgroup,matvec_rows=3", PV_AXIS_REDUCE},
    {"texel workgroup", SMALL BASE "texel,reduce=workgroup", PV_AXIS_ACCESS | PV_AXIS_REDUCE},
    {"storage kv_f16", SMALL "kv_f16=1,access=storage,reduce=invocation", PV_AXIS_KV},
    {"texel kv_f16", SMALL "kv_f16=1,access=texel,reduce=invocation", PV_AXIS_KV | PV_AXIS_ACCESS},
    {"storage small",
     BASE "storage,reduce=invocation,matvec_workgroup=16,matvec_rows=1,ffn_down_workgroup=16,ffn_down_words="
          "1,ffn_down_splits=3,"
          "matmul_workgroup=16,matmul_lanes=16,matmul_tile_rows=1,matmul_tile_cols=2,attn_workgroup=16,"
          "attn_tokens=1,elementwise_workgroup=16",
     PV_AXIS_TILES},
    {"texel odd",
     BASE "texel,reduce=invocation,matvec_workgroup=128,matvec_rows=3,ffn_down_workgroup=8,ffn_down_words=3,"
          "ffn_down_splits=7,"
          "matmul_workgroup=32,matmul_lanes=2,matmul_tile_rows=3,matmul_tile_cols=1,attn_workgroup=4,"
          "attn_tokens=3,elementwise_workgroup=128",
     PV_AXIS_TILES | PV_AXIS_ACCESS},
};

const struct pv_case_plan *pv_case_plans(uint32_t *n)
{
    *n = sizeof plans / sizeof *plans;
    return plans;
}

static const struct {
    const struct pv_case *cases;
    const uint32_t *n;
} families[] = {
    {pv_cases_rows, &pv_n_cases_rows},           {pv_cases_linear, &pv_n_cases_linear},
    {pv_cases_attention, &pv_n_cases_attention}, {pv_cases_ffn, &pv_n_cases_ffn},
    {pv_cases_learn, &pv_n_cases_learn},
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

enum pv_status pv_case_execute(struct pv_recorder *recorder, const struct pv_case *c, uint64_t seed,
                               struct pv_conform_row *row)
{
    struct pv_case_run run = {
        .device = pv_recorder_device(recorder), .recorder = recorder, .tolerance = c->tolerance};
    pv_rng_seed(&run.rng, pv_hash64(c->name, strlen(c->name), seed));
    *row = (struct pv_conform_row){.tolerance = c->tolerance};
    snprintf(row->kernel, sizeof row->kernel, "%s", c->kernel);
    snprintf(row->name, sizeof row->name, "%s", c->name);
    const enum pv_status status = c->run(&run, c);
    if (status != PV_OK && !run.skipped)
        snprintf(row->detail, sizeof row->detail, "could not run: %s (see the log)", pv_status_name(status));
    else
        memcpy(row->detail, run.detail, sizeof row->detail);
    row->error = run.error;
    row->skipped = run.skipped;
    row->passed = status == PV_OK && !run.failed;
    release(&run);
    return status == PV_ERR_NOMEM || status == PV_ERR_DEVICE_LOST || status == PV_ERR_DEVICE_MEMORY ? status
                                                                                                    : PV_OK;
}
