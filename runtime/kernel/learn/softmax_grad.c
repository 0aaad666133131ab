/* Gradient of the cross-entropy and of the expected gain over the router's scores. */
#include "base/log.h"
#include "kernel/call.h"

enum pv_status pv_kernel_softmax_grad(struct pv_recorder *r, const struct pv_softmax_grad_args *a)
{
    struct pv_buffer *gains = a->gains ? a->gains : a->scores;
    const struct pv_need needs[] = {{a->scores, pv_rows_bytes(a->n_tokens, a->n_clusters), "scores"},
                                    {a->targets, (uint64_t)a->n_tokens * 4, "targets"},
                                    {gains, pv_rows_bytes(a->n_tokens, a->n_clusters), "gains"},
                                    {a->gradient_t, pv_rows_bytes(a->n_clusters, a->n_tokens), "gradient_t"}};
    PV_TRY(pv_call_require(r, "softmax_grad", a->n_tokens >= 1 && a->n_clusters >= 1,
                           "n_tokens >= 1 and n_clusters >= 1"));
    PV_TRY(pv_call_check(r, "softmax_grad", needs, 4));
    const struct pv_row_split split = pv_row_split_activations(pv_call_plan(r));
    const struct pv_pc_softmax_grad push = {.n_rows = a->n_tokens,
                                            .n_cols = a->n_clusters,
                                            .x_stride = pv_row_stride(a->n_clusters),
                                            .g_stride = pv_row_stride(a->n_tokens),
                                            .flags = a->gains ? PV_FLAG_GAINS : 0,
                                            .scale = a->scale,
                                            .share = a->share};
    const struct pv_call call = {.kernel = "softmax_grad",
                                 .spec = {[PV_SPEC_WG] = split.workgroup, [PV_SPEC_LANES] = split.lanes},
                                 .buffers = {a->scores, a->targets, a->gradient_t, gains},
                                 .push = &push,
                                 .push_bytes = sizeof push,
                                 .groups = {pv_ceil_div(a->n_tokens, split.rows_per_workgroup), 1, 1}};
    return pv_call_record(r, &call);
}
