/* The router's choice for one token, of a cluster or of two, and the dispatch arguments that follow from it,
 * all written on the device. */
#include "base/bits.h"
#include "base/log.h"
#include "kernel/call.h"

uint64_t pv_route_bytes(void)
{
    return sizeof(struct pv_route);
}

uint32_t pv_route_down_groups(const struct pv_plan *plan, uint32_t d_model)
{
    return pv_ceil_div(pv_ceil_div(d_model, 4), plan->ffn_down_workgroup);
}

enum pv_status pv_kernel_route(struct pv_recorder *r, const struct pv_masks *masks, struct pv_buffer *scores,
                               struct pv_buffer *route, uint32_t d_model)
{
    const struct pv_plan *plan = pv_call_plan(r);
    const struct pv_need needs[] = {
        {scores, pv_rows_bytes(1, masks->n_clusters), "scores"},
        {masks->entries, (uint64_t)masks->n_clusters * sizeof(struct pv_cluster_entry), "entries"},
        {route, sizeof(struct pv_route), "route"}};
    PV_TRY(pv_call_check(r, "route", needs, 3));
    const uint32_t workgroup = pv_row_split_activations(plan).workgroup;
    const struct pv_pc_route push = {.n_clusters = masks->n_clusters,
                                     .up_rows_per_wg = pv_row_split(plan).rows_per_workgroup,
                                     .down_groups_x = pv_route_down_groups(plan, d_model),
                                     .down_groups_y = plan->ffn_down_splits};
    const struct pv_call call = {.kernel = "route",
                                 .spec = {[PV_SPEC_WG] = workgroup},
                                 .buffers = {scores, masks->entries, route},
                                 .push = &push,
                                 .push_bytes = sizeof push,
                                 .groups = {1, 1, 1}};
    return pv_call_record(r, &call);
}

enum pv_status pv_kernel_union_list(struct pv_recorder *r, const struct pv_union_args *a,
                                    struct pv_buffer *route, struct pv_buffer *list, uint32_t d_model)
{
    const struct pv_plan *plan = pv_call_plan(r);
    const uint32_t n_words = (uint32_t)pv_bit_words(a->d_ffn);
    const struct pv_need needs[] = {{a->bits, (uint64_t)n_words * 4, "bits"},
                                    {a->cluster, 4, "cluster"},
                                    {a->margin, 4, "margin"},
                                    {route, sizeof(struct pv_route), "route"},
                                    {list, pv_rows_bytes(1, a->d_ffn), "list"}};
    PV_TRY(pv_call_require(r, "union_list", a->n_tokens == 1, "n_tokens == 1"));
    PV_TRY(pv_call_check(r, "union_list", needs, 5));
    const struct pv_pc_union_list push = {.n_words = n_words,
                                          .up_rows_per_wg = pv_row_split(plan).rows_per_workgroup,
                                          .down_groups_x = pv_route_down_groups(plan, d_model),
                                          .down_groups_y = plan->ffn_down_splits};
    const struct pv_call call = {.kernel = "union_list",
                                 .spec = {[PV_SPEC_WG] = pv_row_split_activations(plan).workgroup},
                                 .buffers = {a->bits, a->cluster, a->margin, route, list},
                                 .push = &push,
                                 .push_bytes = sizeof push,
                                 .groups = {1, 1, 1}};
    return pv_call_record(r, &call);
}
