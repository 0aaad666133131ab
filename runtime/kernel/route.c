/* The router's choice for one token, and the dispatch arguments that follow from it, all written on the
 * device. */
#include "base/log.h"
#include "kernel/call.h"

uint64_t pv_route_bytes(void)
{
    return sizeof(struct pv_route);
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
                                     /* enough for the widest type; ffn_down itself is dispatched directly,
                                        its grid does not depend on the list */
                                     .down_groups_x =
                                         pv_ceil_div(pv_ceil_div(d_model, 4), plan->ffn_down_workgroup),
                                     .down_groups_y = plan->ffn_down_splits};
    const struct pv_call call = {.kernel = "route",
                                 .spec = {[PV_SPEC_WG] = workgroup},
                                 .buffers = {scores, masks->entries, route},
                                 .push = &push,
                                 .push_bytes = sizeof push,
                                 .groups = {1, 1, 1}};
    return pv_call_record(r, &call);
}
