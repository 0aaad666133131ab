/* y += x. */
#include "base/log.h"
#include "kernel/call.h"

enum pv_status pv_kernel_add(struct pv_recorder *r, struct pv_buffer *y, struct pv_buffer *x, uint32_t n)
{
    const struct pv_need needs[] = {{y, pv_rows_bytes(1, n), "y"}, {x, pv_rows_bytes(1, n), "x"}};
    PV_TRY(pv_call_require(r, "add", n >= 1, "n >= 1"));
    PV_TRY(pv_call_check(r, "add", needs, 2));
    const uint32_t workgroup = pv_call_plan(r)->elementwise_workgroup;
    const struct pv_pc_add push = {.n = n};
    const struct pv_call call = {.kernel = "add",
                                 .spec = {[PV_SPEC_WG] = workgroup},
                                 .buffers = {x, y},
                                 .push = &push,
                                 .push_bytes = sizeof push,
                                 .groups = {pv_ceil_div(pv_ceil_div(n, 4), workgroup), 1, 1}};
    return pv_call_record(r, &call);
}
