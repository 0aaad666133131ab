/* Negative log-likelihood of each row's target. */
#include "base/log.h"
#include "kernel/call.h"

enum pv_status pv_kernel_nll_rows(struct pv_recorder *r, struct pv_buffer *logits, struct pv_buffer *targets,
                                  struct pv_buffer *nll, uint32_t n_tokens, uint32_t n_vocab)
{
    const struct pv_need needs[] = {{logits, pv_rows_bytes(n_tokens, n_vocab), "logits"},
                                    {targets, (uint64_t)n_tokens * 4, "targets"},
                                    {nll, (uint64_t)n_tokens * 4, "nll"}};
    PV_TRY(pv_call_require(r, "nll_rows", n_tokens >= 1 && n_vocab >= 1, "n_tokens >= 1 and n_vocab >= 1"));
    PV_TRY(pv_call_check(r, "nll_rows", needs, 3));
    const struct pv_row_split split = pv_row_split_activations(pv_call_plan(r));
    const struct pv_pc_nll_rows push = {
        .n_rows = n_tokens, .n_cols = n_vocab, .x_stride = pv_row_stride(n_vocab)};
    const struct pv_call call = {.kernel = "nll_rows",
                                 .spec = {[PV_SPEC_WG] = split.workgroup, [PV_SPEC_LANES] = split.lanes},
                                 .buffers = {logits, targets, nll},
                                 .push = &push,
                                 .push_bytes = sizeof push,
                                 .groups = {pv_ceil_div(n_tokens, split.rows_per_workgroup), 1, 1}};
    return pv_call_record(r, &call);
}
