/* Sums over the rows of each cluster, for its centroid. */
#include "base/log.h"
#include "kernel/call.h"

enum pv_status pv_kernel_cluster_sum(struct pv_recorder *r, const struct pv_cluster_sum_args *a)
{
    const struct pv_need needs[] = {{a->x, pv_rows_bytes(a->n_tokens, a->n_cols), "x"},
                                    {a->first, ((uint64_t)a->n_clusters + 1) * 4, "first"},
                                    {a->order, (uint64_t)a->n_tokens * 4, "order"},
                                    {a->sums, pv_rows_bytes(a->n_clusters, a->n_cols), "sums"}};
    PV_TRY(pv_call_require(r, "cluster_sum", a->n_tokens >= 1 && a->n_clusters >= 1 && a->n_cols >= 1,
                           "n_tokens, n_clusters and n_cols >= 1"));
    PV_TRY(pv_call_check(r, "cluster_sum", needs, 4));
    const uint32_t workgroup = pv_call_plan(r)->elementwise_workgroup;
    const struct pv_pc_cluster_sum push = {.n_clusters = a->n_clusters,
                                           .n_cols = a->n_cols,
                                           .x_stride = pv_row_stride(a->n_cols),
                                           .y_stride = pv_row_stride(a->n_cols)};
    const struct pv_call call = {
        .kernel = "cluster_sum",
        .spec = {[PV_SPEC_WG] = workgroup},
        .buffers = {a->x, a->first, a->order, a->sums},
        .push = &push,
        .push_bytes = sizeof push,
        .groups = {pv_ceil_div(pv_ceil_div(a->n_cols, 4), workgroup), a->n_clusters, 1}};
    return pv_call_record(r, &call);
}
