/* The neurons of a token's two best clusters, and the dispatch arguments that follow from them, all written on the
 * device. ffn_up itself chooses one cluster. */
#include "base/bits.h"
#include "base/log.h"
#include "kernel/call.h"

uint64_t pv_route_bytes(void)
{
    return sizeof(struct pv_route);
}

enum pv_status pv_kernel_union_list(struct pv_recorder *r, const struct pv_union_args *a,
                                    struct pv_buffer *route, struct pv_buffer *list)
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
                                          .up_rows_per_wg = pv_row_split(plan).rows_per_workgroup};
    const struct pv_call call = {.kernel = "union_list",
                                 .spec = {[PV_SPEC_WG] = pv_row_split_activations(plan).workgroup},
                                 .buffers = {a->bits, a->cluster, a->margin, route, list},
                                 .push = &push,
                                 .push_bytes = sizeof push,
                                 .groups = {1, 1, 1}};
    return pv_call_record(r, &call);
}
