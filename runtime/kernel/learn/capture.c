/* What calibration keeps of a batch: contributions as floats, as bits above tau, or both. */
#include "base/bits.h"
#include "base/log.h"
#include "kernel/call.h"

enum pv_status pv_kernel_capture(struct pv_recorder *r, struct pv_buffer *a, struct pv_buffer *norm,
                                 struct pv_buffer *contribution, struct pv_buffer *bits, uint32_t n_tokens,
                                 uint32_t d_ffn, float tau)
{
    const uint32_t bit_words = (uint32_t)pv_bit_words(d_ffn);
    const uint64_t rows_bytes = pv_rows_bytes(n_tokens, d_ffn);
    const struct pv_need needs[] = {{a, rows_bytes, "a"},
                                    {norm, pv_rows_bytes(1, d_ffn), "norm"},
                                    {contribution, rows_bytes, "contribution"},
                                    {bits, (uint64_t)n_tokens * bit_words * 4, "bits"}};
    PV_TRY(pv_call_require(r, "capture", n_tokens >= 1 && d_ffn >= 1, "n_tokens >= 1 and d_ffn >= 1"));
    PV_TRY(pv_call_check(r, "capture", needs, 4));
    const uint32_t workgroup = pv_call_plan(r)->elementwise_workgroup;
    const struct pv_pc_capture push = {.n_rows = n_tokens,
                                       .n_cols = d_ffn,
                                       .a_stride = pv_row_stride(d_ffn),
                                       .c_stride = pv_row_stride(d_ffn),
                                       .bits_stride = bit_words,
                                       .flags = PV_FLAG_VALUES | PV_FLAG_BITS,
                                       .tau = tau};
    const struct pv_call call = {.kernel = "capture",
                                 .spec = {[PV_SPEC_WG] = workgroup},
                                 .buffers = {a, norm, contribution, bits},
                                 .push = &push,
                                 .push_bytes = sizeof push,
                                 .groups = {pv_ceil_div(bit_words, workgroup), n_tokens, 1}};
    return pv_call_record(r, &call);
}
