/* The feed-forward activation of a batch, in place. */
#include "base/log.h"
#include "kernel/call.h"

enum pv_status pv_kernel_act_rows(struct pv_recorder *r, struct pv_buffer *up, struct pv_buffer *gate,
                                  uint32_t n_tokens, uint32_t d_ffn, enum pv_act act)
{
    const uint64_t bytes = pv_rows_bytes(n_tokens, d_ffn);
    const struct pv_need needs[] = {{up, bytes, "up"}, {gate ? gate : up, bytes, "gate"}};
    PV_TRY(pv_call_require(r, "act_rows", n_tokens >= 1 && d_ffn >= 1, "n_tokens >= 1 and d_ffn >= 1"));
    PV_TRY(pv_call_check(r, "act_rows", needs, 2));
    const uint32_t workgroup = pv_call_plan(r)->elementwise_workgroup, stride = pv_row_stride(d_ffn);
    const struct pv_pc_act_rows push = {
        .n_rows = n_tokens, .n_cols = d_ffn, .u_stride = stride, .g_stride = stride, .y_stride = stride};
    const struct pv_call call = {
        .kernel = "act_rows",
        .spec = {[PV_SPEC_WG] = workgroup, [PV_SPEC_ACT] = pv_call_phi(act), [PV_SPEC_GATED] = gate != NULL},
        .buffers = {up, gate ? gate : up, up},
        .push = &push,
        .push_bytes = sizeof push,
        .groups = {pv_ceil_div(pv_ceil_div(d_ffn, 4), workgroup), n_tokens, 1}};
    return pv_call_record(r, &call);
}
