/* The feed-forward network of one token. Dense and masked are the same kernels: masked, neuron r is list[r]. ffn_up
 * chooses the cluster by the router's scores, in every workgroup, which is cheaper than a dispatch; or the route is there
 * and has the number of its workgroups as indirect arguments. The down product is
 * summed in slices of neurons (partial), since one output column alone would leave a GPU idle; ffn_reduce
 * adds the slices in order. */
#include "base/log.h"
#include "kernel/call.h"

enum { WIDEST_WORD = 32 }; /* weights in one uvec4 of most layouts */

uint64_t pv_ffn_partial_bytes(const struct pv_plan *plan, uint32_t d_model)
{
    const uint64_t width = ((uint64_t)d_model + WIDEST_WORD - 1) / WIDEST_WORD * WIDEST_WORD;
    return width * plan->ffn_down_splits * sizeof(float);
}

static struct pv_need bias_need(const struct pv_buffer *bias, const struct pv_buffer *other, uint32_t n,
                                const char *what)
{
    return (struct pv_need){bias ? bias : other, bias ? (uint64_t)n * sizeof(float) : 0, what};
}

/* `w` is the matrix that the kernel reads, `down` which of the two it is. */
static enum pv_status check(struct pv_recorder *r, const struct pv_ffn_args *a, const struct pv_tensor *w,
                            bool down)
{
    const struct pv_masks *m = a->masks;
    const uint64_t d_bytes = pv_rows_bytes(1, w->n_cols);
    const uint64_t partial_bytes = pv_ffn_partial_bytes(pv_call_plan(r), w->n_cols);
    const bool counts = down && a->rows_read, scores = m && a->scores && !down;
    const uint64_t counts_bytes = (uint64_t)pv_call_plan(r)->ffn_down_splits * 4;
    const struct pv_need needs[] = {
        {a->a, pv_rows_bytes(1, w->n_rows), "a"},
        {m ? a->route : a->a, m ? sizeof(struct pv_route) : 0, "route"},
        {m ? m->neurons : a->a, m ? 16 : 0, "neurons"},
        {scores ? a->scores : a->a, scores ? pv_rows_bytes(1, m->n_clusters) : 0, "scores"},
        {scores ? m->entries : a->a, scores ? (uint64_t)m->n_clusters * sizeof(struct pv_cluster_entry) : 0,
         "entries"},
        down ? pv_next_need(a->next.out, a->a, w->n_cols, "next")
             : pv_unnormed_need(&a->unnormed, a->a, w->n_cols),
        pv_next_need(down && a->next.out ? a->next.weight : NULL, a->a, w->n_cols, "next weight"),
        {down ? a->y : a->z, d_bytes, down ? "y" : "z"},
        {down ? a->partial : a->a, down ? partial_bytes : 0, "partial"},
        {counts ? a->rows_read : a->a, counts ? counts_bytes : 0, "rows_read"},
        bias_need(down ? NULL : a->up_bias, a->a, w->n_rows, "up_bias"),
        bias_need(down ? NULL : a->gate_bias, a->a, w->n_rows, "gate_bias"),
        bias_need(down ? a->down_bias : NULL, a->a, w->n_cols, "down_bias")};
    return pv_call_check(r, down ? "ffn_down" : "ffn_up", needs, sizeof needs / sizeof *needs);
}

/* Parts of gate are those of up: they have one shape. */
static enum pv_status record_up(struct pv_recorder *r, const struct pv_ffn_args *a, uint32_t index)
{
    const struct pv_tensor *up = a->up;
    const struct pv_tensor_part *part = &up->parts[index], *gate = a->gate ? &a->gate->parts[index] : part;
    const struct pv_row_split split = pv_row_split(pv_call_plan(r));
    const uint32_t max_groups = pv_recorder_device(r)->caps.max_workgroup_count[0];
    const bool chooses = a->masks && a->scores;
    const uint32_t longest =
        chooses && a->masks->max_neurons < part->n_rows ? a->masks->max_neurons : part->n_rows;
    const uint32_t groups = longest > 0 ? pv_ceil_div(longest, split.rows_per_workgroup) : 1;
    struct pv_buffer *const other = a->z;
    const struct pv_pc_ffn_up push = {.n_rows = up->n_rows,
                                      .n_cols = up->n_cols,
                                      .w_stride = up->row_words,
                                      .s_stride = pv_layout_scale_stride(up->type, up->scale_words),
                                      .part_first = part->first_row,
                                      .part_rows = part->n_rows,
                                      .n_clusters = chooses ? a->masks->n_clusters : 0,
                                      .flags = (a->up_bias ? PV_FLAG_BIAS : 0u) |
                                               (a->gate_bias ? PV_FLAG_GATE_BIAS : 0u),
                                      .eps = a->unnormed.eps};
    const struct pv_call call = {
        .kernel = "ffn_up",
        .type = pv_type_name(up->type),
        .subgroup = split.subgroup,
        .spec = {[PV_SPEC_WG] = split.workgroup,
                 [PV_SPEC_LANES] = split.lanes,
                 [PV_SPEC_ROWS] = split.rows,
                 [PV_SPEC_ACT] = pv_call_phi(a->act),
                 [PV_SPEC_GATED] = !a->gate                     ? 0
                                   : pv_act_makes_zeros(a->act) ? 2
                                                                : 1,
                 [PV_SPEC_MASKED] = chooses ? 2 : a->masks != NULL,
                 [PV_SPEC_NORM] = a->unnormed.stream != NULL,
                 [PV_SPEC_PARTS] = up->n_parts > 1},
        .buffers = {part->data, gate->data, a->z, a->a, a->masks ? a->route : a->a,
                    a->masks ? a->masks->neurons : other, a->up_bias ? a->up_bias : other,
                    a->gate_bias ? a->gate_bias : other, a->unnormed.stream ? a->unnormed.stream : other,
                    chooses ? a->scores : other, chooses ? a->masks->entries : other, part->scales,
                    gate->scales},
        .push = &push,
        .push_bytes = sizeof push,
        .groups = {groups < max_groups ? groups : max_groups, 1, 1},
        .indirect = a->masks && !chooses ? a->route : NULL,
        .indirect_offset = PV_ROUTE_UP_OFFSET};
    return pv_call_record(r, &call);
}

enum pv_status pv_kernel_ffn_up(struct pv_recorder *r, const struct pv_ffn_args *a)
{
    const struct pv_tensor *up = a->up, *gate = a->gate ? a->gate : a->up;
    PV_TRY(check(r, a, up, false));
    PV_TRY(pv_call_require(r, "ffn_up",
                           gate->type == up->type && gate->n_rows == up->n_rows && gate->n_cols == up->n_cols,
                           "up and gate of one type and shape"));
    for (uint32_t i = 0; i < up->n_parts; i++)
        PV_TRY(record_up(r, a, i));
    return PV_OK;
}

static enum pv_status record_down(struct pv_recorder *r, const struct pv_ffn_args *a,
                                  const struct pv_tensor_part *part, uint32_t p_stride)
{
    const struct pv_plan *plan = pv_call_plan(r);
    const struct pv_tensor *w = a->down_t;
    const struct pv_pc_ffn_down push = {.n_rows = w->n_rows,
                                        .w_stride = w->row_words,
                                        .s_stride = pv_layout_scale_stride(w->type, w->scale_words),
                                        .p_stride = p_stride,
                                        .n_splits = plan->ffn_down_splits,
                                        .part_first = part->first_row,
                                        .part_rows = part->n_rows,
                                        .flags = a->rows_read ? PV_FLAG_COUNT : 0u};
    const uint32_t widest = pv_ceil_div(w->row_words, plan->ffn_down_workgroup);
    const uint32_t words = plan->ffn_down_words < widest ? plan->ffn_down_words : widest;
    const struct pv_call call = {
        .kernel = "ffn_down",
        .type = pv_type_name(w->type),
        .spec = {[PV_SPEC_WG] = plan->ffn_down_workgroup,
                 [PV_SPEC_MASKED] = a->masks != NULL,
                 [PV_SPEC_ROWS] = words,
                 [PV_SPEC_PARTS] = w->n_parts > 1,
                 [PV_SPEC_GROUPS] = pv_act_makes_zeros(a->act) ? plan->ffn_down_groups : 0},
        .buffers = {part->data, a->a, a->partial, a->masks ? a->route : a->a,
                    a->masks ? a->masks->neurons : a->a, a->rows_read ? a->rows_read : a->partial,
                    part->scales},
        .push = &push,
        .push_bytes = sizeof push,
        .groups = {pv_ceil_div(w->row_words, plan->ffn_down_workgroup * words), plan->ffn_down_splits, 1}};
    return pv_call_record(r, &call);
}

enum pv_status pv_kernel_ffn_down(struct pv_recorder *r, const struct pv_ffn_args *a)
{
    const struct pv_plan *plan = pv_call_plan(r);
    const struct pv_tensor *w = a->down_t;
    const uint32_t p_stride = w->row_words * pv_layout_word_elements(w->type);
    PV_TRY(check(r, a, w, true));
    for (uint32_t i = 0; i < w->n_parts; i++)
        PV_TRY(record_down(r, a, &w->parts[i], p_stride));
    const struct pv_pc_ffn_reduce push = {.n_cols = w->n_cols,
                                          .n_splits = plan->ffn_down_splits,
                                          .p_stride = p_stride,
                                          .flags = (a->accumulate ? PV_FLAG_ACCUMULATE : 0u) |
                                                   (a->down_bias ? PV_FLAG_BIAS : 0u) |
                                                   (a->next.out ? PV_FLAG_NEXT : 0u)};
    const uint32_t workgroup = plan->elementwise_workgroup;
    const struct pv_call call = {.kernel = "ffn_reduce",
                                 .spec = {[PV_SPEC_WG] = workgroup},
                                 .buffers = {a->partial, a->y, a->down_bias ? a->down_bias : a->partial,
                                             a->next.out ? a->next.out : a->y,
                                             a->next.out ? a->next.weight : a->partial},
                                 .push = &push,
                                 .push_bytes = sizeof push,
                                 .groups = {pv_ceil_div(pv_ceil_div(w->n_cols, 4), workgroup), 1, 1}};
    return pv_call_record(r, &call);
}
