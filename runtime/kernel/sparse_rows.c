/* Sparse rows, spread out for the matrix kernels. */
#include "base/log.h"
#include "kernel/call.h"

enum { SEGMENT = 64 }; /* columns an invocation */

enum pv_status pv_kernel_sparse_rows(struct pv_recorder *r, struct pv_buffer *offset,
                                     struct pv_buffer *entries, struct pv_buffer *scale, struct pv_buffer *x,
                                     uint32_t n_tokens, uint32_t n_cols)
{
    const struct pv_need needs[] = {{offset, ((uint64_t)n_tokens + 1) * 4, "offset"},
                                    {entries, 4, "entries"},
                                    {scale, (uint64_t)n_tokens * 4, "scale"},
                                    {x, pv_rows_bytes(n_tokens, n_cols), "x"}};
    PV_TRY(pv_call_require(r, "sparse_rows", n_tokens >= 1 && n_cols >= 1 && n_cols <= 65536,
                           "n_tokens >= 1 and n_cols from 1 to 65536"));
    PV_TRY(pv_call_check(r, "sparse_rows", needs, 4));
    const uint32_t workgroup = pv_call_plan(r)->elementwise_workgroup;
    const struct pv_pc_sparse_rows push = {
        .n_rows = n_tokens, .n_cols = n_cols, .x_stride = pv_row_stride(n_cols), .segment = SEGMENT};
    const struct pv_call call = {
        .kernel = "sparse_rows",
        .spec = {[PV_SPEC_WG] = workgroup},
        .buffers = {offset, entries, scale, x},
        .push = &push,
        .push_bytes = sizeof push,
        .groups = {pv_ceil_div(pv_ceil_div(n_cols, SEGMENT), workgroup), n_tokens, 1}};
    return pv_call_record(r, &call);
}
