/* The router's choice and its lead over the second best, for a batch, and the neurons of the best two. */
#include "base/bits.h"
#include "base/log.h"
#include "kernel/call.h"

enum pv_status pv_kernel_route_rows(struct pv_recorder *r, struct pv_buffer *scores,
                                    struct pv_buffer *cluster, struct pv_buffer *margin, uint32_t n_tokens,
                                    uint32_t n_clusters)
{
    const struct pv_need needs[] = {{scores, pv_rows_bytes(n_tokens, n_clusters), "scores"},
                                    {cluster, (uint64_t)n_tokens * 4, "cluster"},
                                    {margin, (uint64_t)n_tokens * 4, "margin"}};
    PV_TRY(pv_call_require(r, "route_rows", n_tokens >= 1 && n_clusters >= 1,
                           "n_tokens >= 1 and n_clusters >= 1"));
    PV_TRY(pv_call_check(r, "route_rows", needs, 3));
    const struct pv_row_split split = pv_row_split_activations(pv_call_plan(r));
    const struct pv_pc_route_rows push = {
        .n_rows = n_tokens, .n_clusters = n_clusters, .x_stride = pv_row_stride(n_clusters)};
    const struct pv_call call = {.kernel = "route_rows",
                                 .spec = {[PV_SPEC_WG] = split.workgroup, [PV_SPEC_LANES] = split.lanes},
                                 .buffers = {scores, cluster, margin},
                                 .push = &push,
                                 .push_bytes = sizeof push,
                                 .groups = {pv_ceil_div(n_tokens, split.rows_per_workgroup), 1, 1}};
    return pv_call_record(r, &call);
}

enum pv_status pv_kernel_union_rows(struct pv_recorder *r, const struct pv_union_args *a)
{
    const uint32_t n_clusters = a->masks->n_clusters, words = (uint32_t)pv_bit_words(a->d_ffn);
    const struct pv_need needs[] = {{a->scores, pv_rows_bytes(a->n_tokens, n_clusters), "scores"},
                                    {a->masks->bits, (uint64_t)n_clusters * words * 4, "masks"},
                                    {a->cluster, (uint64_t)a->n_tokens * 4, "cluster"},
                                    {a->margin, (uint64_t)a->n_tokens * 4, "margin"},
                                    {a->bits, (uint64_t)a->n_tokens * words * 4, "bits"}};
    PV_TRY(
        pv_call_require(r, "union_rows", a->n_tokens >= 1 && a->d_ffn >= 1, "n_tokens >= 1 and d_ffn >= 1"));
    PV_TRY(pv_call_check(r, "union_rows", needs, 5));
    const struct pv_pc_union_rows push = {
        .n_clusters = n_clusters, .x_stride = pv_row_stride(n_clusters), .mask_stride = words};
    const struct pv_call call = {.kernel = "union_rows",
                                 .spec = {[PV_SPEC_WG] = pv_row_split_activations(pv_call_plan(r)).workgroup},
                                 .buffers = {a->scores, a->masks->bits, a->cluster, a->margin, a->bits},
                                 .push = &push,
                                 .push_bytes = sizeof push,
                                 .groups = {a->n_tokens, 1, 1}};
    return pv_call_record(r, &call);
}
