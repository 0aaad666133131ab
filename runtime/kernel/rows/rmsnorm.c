/* Root-mean-square normalisation of rows. */
#include "base/log.h"
#include "kernel/call.h"

enum pv_status pv_kernel_rmsnorm(struct pv_recorder *r, struct pv_buffer *x, struct pv_buffer *weight,
                                 struct pv_buffer *out, uint32_t n_tokens, uint32_t d, float eps)
{
    const struct pv_need needs[] = {{x, pv_rows_bytes(n_tokens, d), "x"},
                                    {weight, pv_rows_bytes(1, d), "weight"},
                                    {out, pv_rows_bytes(n_tokens, d), "out"}};
    PV_TRY(pv_call_require(r, "rmsnorm", n_tokens >= 1 && d >= 1, "n_tokens >= 1 and d >= 1"));
    PV_TRY(pv_call_check(r, "rmsnorm", needs, 3));
    const struct pv_row_split split = pv_row_split_activations(pv_call_plan(r));
    const struct pv_pc_norm push = {.n_rows = n_tokens,
                                    .n_cols = d,
                                    .x_stride = pv_row_stride(d),
                                    .y_stride = pv_row_stride(d),
                                    .eps = eps};
    const struct pv_call call = {
        .kernel = "rmsnorm",
        .spec = {[PV_SPEC_WG] = split.workgroup, [PV_SPEC_LANES] = split.lanes, [PV_SPEC_NORM] = PV_NORM_RMS},
        .buffers = {x, weight, out, weight},
        .push = &push,
        .push_bytes = sizeof push,
        .groups = {pv_ceil_div(n_tokens, split.rows_per_workgroup), 1, 1}};
    return pv_call_record(r, &call);
}
