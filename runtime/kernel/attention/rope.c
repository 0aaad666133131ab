/* Rotary position embedding, in place. */
#include <math.h>

#include "base/log.h"
#include "kernel/call.h"

enum pv_status pv_kernel_rope(struct pv_recorder *r, const struct pv_rope_args *a)
{
    const uint32_t width = a->n_heads * a->head_dim;
    const struct pv_need needs[] = {{a->x, pv_rows_bytes(a->n_tokens, width), "x"},
                                    {a->step, sizeof(struct pv_step), "step"},
                                    {a->factors ? a->factors : a->step,
                                     a->factors ? (uint64_t)a->rope_dim / 2 * sizeof(float) : 0, "factors"}};
    PV_TRY(pv_call_require(r, "rope", a->n_tokens >= 1 && a->n_heads >= 1, "n_tokens >= 1 and n_heads >= 1"));
    PV_TRY(pv_call_require(r, "rope", a->rope_dim >= 2 && a->rope_dim % 2 == 0 && a->rope_dim <= a->head_dim,
                           "an even rope_dim in 2..head_dim"));
    PV_TRY(pv_call_require(r, "rope", a->freq_base > 0.0f, "freq_base > 0"));
    PV_TRY(pv_call_check(r, "rope", needs, 3));
    const uint32_t workgroup = pv_call_plan(r)->elementwise_workgroup;
    const struct pv_pc_rope push = {.n_tokens = a->n_tokens,
                                    .n_heads = a->n_heads,
                                    .head_dim = a->head_dim,
                                    .rope_dim = a->rope_dim,
                                    .x_stride = pv_row_stride(width),
                                    .flags = (a->sequences ? PV_FLAG_SEQS : 0u) |
                                             (a->factors ? PV_FLAG_FACTORS : 0u),
                                    .log2_theta = (float)log2((double)a->freq_base),
                                    .freq_scale = 1.0f,
                                    .amplitude = a->amplitude > 0.0f ? a->amplitude : 1.0f};
    const struct pv_call call = {
        .kernel = "rope",
        .spec = {[PV_SPEC_WG] = workgroup, [PV_SPEC_NEOX] = a->kind == PV_ROPE_NEOX},
        .buffers = {a->x, a->step, a->factors ? a->factors : a->step},
        .push = &push,
        .push_bytes = sizeof push,
        .groups = {pv_ceil_div(a->n_heads * (a->rope_dim / 2), workgroup), a->n_tokens, 1}};
    return pv_call_record(r, &call);
}
