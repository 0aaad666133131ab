/* The index of the greatest value, by one workgroup. */
#include "base/log.h"
#include "kernel/call.h"

enum pv_status pv_kernel_argmax(struct pv_recorder *r, struct pv_buffer *x, struct pv_buffer *out, uint32_t n)
{
    const struct pv_need needs[] = {{x, pv_rows_bytes(1, n), "x"}, {out, 4, "out"}};
    PV_TRY(pv_call_require(r, "argmax", n >= 1, "n >= 1"));
    PV_TRY(pv_call_check(r, "argmax", needs, 2));
    const struct pv_pc_argmax push = {.n = n};
    const struct pv_call call = {
        .kernel = "argmax",
        .spec = {[PV_SPEC_WG] = pv_row_split_activations(pv_call_plan(r)).workgroup}, /* a power of two */
        .buffers = {x, out, x},
        .push = &push,
        .push_bytes = sizeof push,
        .groups = {1, 1, 1}};
    return pv_call_record(r, &call);
}
