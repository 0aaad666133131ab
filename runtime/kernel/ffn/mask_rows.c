/* Clears the neurons outside each token's mask. */
#include "base/bits.h"
#include "base/log.h"
#include "kernel/call.h"

enum pv_status pv_kernel_mask_rows(struct pv_recorder *r, struct pv_buffer *a, struct pv_buffer *bits,
                                   struct pv_buffer *cluster, uint32_t n_tokens, uint32_t d_ffn)
{
    const uint32_t mask_words = (uint32_t)pv_bit_words(d_ffn);
    const struct pv_need needs[] = {{a, pv_rows_bytes(n_tokens, d_ffn), "a"},
                                    {bits, (uint64_t)mask_words * 4, "bits"},
                                    {cluster, (uint64_t)n_tokens * 4, "cluster"}};
    PV_TRY(pv_call_require(r, "mask_rows", n_tokens >= 1 && d_ffn >= 1, "n_tokens >= 1 and d_ffn >= 1"));
    PV_TRY(pv_call_check(r, "mask_rows", needs, 3));
    const uint32_t workgroup = pv_call_plan(r)->elementwise_workgroup;
    const struct pv_pc_mask_rows push = {
        .n_rows = n_tokens, .n_cols = d_ffn, .a_stride = pv_row_stride(d_ffn), .mask_stride = mask_words};
    const struct pv_call call = {.kernel = "mask_rows",
                                 .spec = {[PV_SPEC_WG] = workgroup},
                                 .buffers = {a, cluster, bits},
                                 .push = &push,
                                 .push_bytes = sizeof push,
                                 .groups = {pv_ceil_div(pv_ceil_div(d_ffn, 4), workgroup), n_tokens, 1}};
    return pv_call_record(r, &call);
}
