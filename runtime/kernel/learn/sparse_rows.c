/* Sparse rows, spread out for the matrix kernels. */
#include "base/log.h"
#include "kernel/call.h"

enum { SEGMENT = 64 }; /* columns an invocation */

enum pv_status pv_kernel_sparse_rows(struct pv_recorder *r, const struct pv_sparse_rows_args *a)
{
    const struct pv_need needs[] = {{a->offset, ((uint64_t)a->n_tokens + 1) * 4, "offset"},
                                    {a->entries, 4, "entries"},
                                    {a->scale, (uint64_t)a->n_tokens * 4, "scale"},
                                    {a->x, pv_rows_bytes(a->n_tokens, a->n_cols), "x"}};
    PV_TRY(pv_call_require(r, "sparse_rows", a->n_tokens >= 1 && a->n_cols >= 1 && a->n_cols <= 65536,
                           "n_tokens >= 1 and n_cols from 1 to 65536"));
    PV_TRY(pv_call_check(r, "sparse_rows", needs, 4));
    const uint32_t workgroup = pv_call_plan(r)->elementwise_workgroup;
    const struct pv_pc_sparse_rows push = {.n_rows = a->n_tokens,
                                           .n_cols = a->n_cols,
                                           .x_stride = pv_row_stride(a->n_cols),
                                           .segment = SEGMENT,
                                           .flags = a->energy ? PV_FLAG_ENERGY : 0};
    const struct pv_call call = {
        .kernel = "sparse_rows",
        .spec = {[PV_SPEC_WG] = workgroup},
        .buffers = {a->offset, a->entries, a->scale, a->x},
        .push = &push,
        .push_bytes = sizeof push,
        .groups = {pv_ceil_div(pv_ceil_div(a->n_cols, SEGMENT), workgroup), a->n_tokens, 1}};
    return pv_call_record(r, &call);
}
