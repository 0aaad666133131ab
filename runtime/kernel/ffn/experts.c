/* Mixtures of experts: which experts a token has, and what their activations are multiplied by. All experts of a layer
 * are one feed-forward network whose neurons lie expert after expert, so the masked kernels need no more than a list. */
#include "base/log.h"
#include "kernel/call.h"

enum pv_status pv_kernel_top_experts(struct pv_recorder *r, const struct pv_experts_args *a)
{
    const struct pv_plan *plan = pv_call_plan(r);
    const uint64_t bytes = pv_rows_bytes(a->n_tokens, a->n_experts);
    const uint32_t n_neurons = a->n_experts ? a->d_ffn / a->n_experts : 0;
    struct pv_buffer *route = a->route ? a->route : a->weights, *list = a->list ? a->list : a->weights;
    const struct pv_need needs[] = {{a->scores, bytes, "scores"},
                                    {a->weights, bytes, "weights"},
                                    {route, a->list ? sizeof(struct pv_route) : 0, "route"},
                                    {list, a->list ? pv_rows_bytes(1, a->n_used * n_neurons) : 0, "list"}};
    PV_TRY(pv_call_require(r, "top_experts",
                           a->n_used >= 1 && a->n_used <= a->n_experts && a->n_used <= PV_MAX_EXPERTS_USED,
                           "n_used from 1 to n_experts, 64 at most"));
    PV_TRY(pv_call_require(r, "top_experts", a->n_tokens == 1 || (a->n_tokens >= 1 && !a->list),
                           "n_tokens >= 1, and 1 with a list"));
    PV_TRY(pv_call_check(r, "top_experts", needs, 4));
    const uint32_t workgroup = pv_row_split_activations(plan).workgroup;
    const struct pv_pc_top_experts push = {.n_experts = a->n_experts,
                                           .n_used = a->n_used,
                                           .n_neurons = n_neurons,
                                           .x_stride = pv_row_stride(a->n_experts),
                                           .up_rows_per_wg = pv_row_split(plan).rows_per_workgroup,
                                           .flags = (a->list ? PV_FLAG_LIST : 0u) |
                                                    (a->gating == PV_GATING_SIGMOID ? PV_FLAG_SIGMOID : 0u)};
    const struct pv_call call = {.kernel = "top_experts",
                                 .spec = {[PV_SPEC_WG] = workgroup, [PV_SPEC_LANES] = workgroup},
                                 .buffers = {a->scores, a->weights, route, list},
                                 .push = &push,
                                 .push_bytes = sizeof push,
                                 .groups = {a->n_tokens, 1, 1}};
    return pv_call_record(r, &call);
}

enum pv_status pv_kernel_scale_experts(struct pv_recorder *r, const struct pv_experts_args *a,
                                       struct pv_buffer *activations)
{
    const uint32_t n_neurons = a->n_experts ? a->d_ffn / a->n_experts : 0;
    const uint32_t n_cols = a->list ? a->n_used * n_neurons : a->d_ffn;
    const struct pv_need needs[] = {{activations, pv_rows_bytes(a->n_tokens, n_cols), "activations"},
                                    {a->weights, pv_rows_bytes(a->n_tokens, a->n_experts), "weights"},
                                    {a->list ? a->list : a->weights, a->list ? 4ull * n_cols : 0, "list"}};
    PV_TRY(pv_call_require(r, "scale_experts", n_neurons >= 1 && a->n_tokens >= 1,
                           "n_tokens >= 1 and d_ffn >= n_experts"));
    PV_TRY(pv_call_check(r, "scale_experts", needs, 3));
    const uint32_t workgroup = pv_call_plan(r)->elementwise_workgroup;
    const struct pv_pc_scale_experts push = {.n_rows = a->n_tokens,
                                             .n_cols = n_cols,
                                             .n_neurons = n_neurons,
                                             .a_stride = pv_row_stride(n_cols),
                                             .w_stride = pv_row_stride(a->n_experts),
                                             .flags = a->list ? PV_FLAG_LIST : 0u};
    const struct pv_call call = {.kernel = "scale_experts",
                                 .spec = {[PV_SPEC_WG] = workgroup},
                                 .buffers = {activations, a->weights, a->list ? a->list : a->weights},
                                 .push = &push,
                                 .push_bytes = sizeof push,
                                 .groups = {pv_ceil_div(n_cols, workgroup), a->n_tokens, 1}};
    return pv_call_record(r, &call);
}
