/* What the kernels that share rows build on, seen from inside. */
#include "base/log.h"
#include "kernel/call.h"

enum pv_status pv_kernel_lanes(struct pv_recorder *r, struct pv_buffer *y, uint32_t n)
{
    const struct pv_row_split split = pv_row_split(pv_call_plan(r));
    const struct pv_need needs[] = {{y, (uint64_t)n * 2 * sizeof(uint32_t), "y"}};
    PV_TRY(pv_call_require(r, "lanes", n >= 1, "n >= 1"));
    PV_TRY(pv_call_check(r, "lanes", needs, 1));
    const struct pv_pc_lanes push = {.n = n};
    const struct pv_call call = {.kernel = "lanes",
                                 .subgroup = split.subgroup,
                                 .spec = {[PV_SPEC_WG] = split.workgroup, [PV_SPEC_LANES] = split.lanes},
                                 .buffers = {y},
                                 .push = &push,
                                 .push_bytes = sizeof push,
                                 .groups = {pv_ceil_div(n, split.workgroup), 1, 1}};
    return pv_call_record(r, &call);
}
