/* Gradient of the cross-entropy over the router's scores. */
#include "base/log.h"
#include "kernel/call.h"

enum pv_status pv_kernel_softmax_grad(struct pv_recorder *r, struct pv_buffer *scores,
                                      struct pv_buffer *targets, struct pv_buffer *gradient_t,
                                      uint32_t n_tokens, uint32_t n_clusters, float scale)
{
    const struct pv_need needs[] = {{scores, pv_rows_bytes(n_tokens, n_clusters), "scores"},
                                    {targets, (uint64_t)n_tokens * 4, "targets"},
                                    {gradient_t, pv_rows_bytes(n_clusters, n_tokens), "gradient_t"}};
    PV_TRY(pv_call_require(r, "softmax_grad", n_tokens >= 1 && n_clusters >= 1,
                           "n_tokens >= 1 and n_clusters >= 1"));
    PV_TRY(pv_call_check(r, "softmax_grad", needs, 3));
    const struct pv_row_split split = pv_row_split_activations(pv_call_plan(r));
    const struct pv_pc_softmax_grad push = {.n_rows = n_tokens,
                                            .n_cols = n_clusters,
                                            .x_stride = pv_row_stride(n_clusters),
                                            .g_stride = pv_row_stride(n_tokens),
                                            .scale = scale};
    const struct pv_call call = {.kernel = "softmax_grad",
                                 .spec = {[PV_SPEC_WG] = split.workgroup, [PV_SPEC_LANES] = split.lanes},
                                 .buffers = {scores, targets, gradient_t},
                                 .push = &push,
                                 .push_bytes = sizeof push,
                                 .groups = {pv_ceil_div(n_tokens, split.rows_per_workgroup), 1, 1}};
    return pv_call_record(r, &call);
}
