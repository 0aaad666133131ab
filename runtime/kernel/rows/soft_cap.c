/* Soft capping of rows, in place. */
#include "base/log.h"
#include "kernel/call.h"

enum pv_status pv_kernel_soft_cap(struct pv_recorder *r, struct pv_buffer *y, uint32_t n_rows,
                                  uint32_t n_cols, float cap)
{
    const struct pv_need needs[] = {{y, pv_rows_bytes(n_rows, n_cols), "y"}};
    PV_TRY(pv_call_require(r, "soft_cap", n_rows >= 1 && n_cols >= 1 && cap > 0.0f,
                           "n_rows >= 1, n_cols >= 1 and cap > 0"));
    PV_TRY(pv_call_check(r, "soft_cap", needs, 1));
    const uint32_t workgroup = pv_call_plan(r)->elementwise_workgroup;
    const struct pv_pc_soft_cap push = {
        .n_rows = n_rows, .n_cols = n_cols, .y_stride = pv_row_stride(n_cols), .cap = cap};
    const struct pv_call call = {.kernel = "soft_cap",
                                 .spec = {[PV_SPEC_WG] = workgroup},
                                 .buffers = {y},
                                 .push = &push,
                                 .push_bytes = sizeof push,
                                 .groups = {pv_ceil_div(n_cols, workgroup), n_rows, 1}};
    return pv_call_record(r, &call);
}
