/* y = W x + bias: a matvec for one token, where each weight is read once and bytes are all that counts; a
 * matmul for more, where a tile of outputs per invocation makes each weight that was read serve several
 * tokens. */
#include "base/log.h"
#include "kernel/call.h"

/* x [T][n_in], y [T][n_out]. */
static enum pv_status check(struct pv_recorder *r, const char *kernel, const struct pv_linear *a,
                            uint32_t n_in, uint32_t n_out)
{
    const uint32_t width = a->y_width ? a->y_width : n_out;
    const struct pv_need needs[] = {
        {a->x, pv_rows_bytes(a->n_tokens, n_in), "x"},
        {a->y, pv_rows_bytes(a->n_tokens, width), "y"},
        {a->bias ? a->bias : a->x, a->bias ? (uint64_t)width * 4 : 0, "bias"},
        pv_unnormed_need(&a->unnormed, a->x, n_in),
        pv_next_need(a->next.out, a->x, width, "next"),
        pv_next_need(a->next.out ? a->next.weight : NULL, a->x, width, "next weight")};
    PV_TRY(pv_call_require(r, kernel, a->n_tokens >= 1, "n_tokens >= 1"));
    PV_TRY(pv_call_require(r, kernel, a->x != a->y, "x and y in different buffers"));
    PV_TRY(pv_call_require(r, kernel, a->n_tokens == 1 || (!a->unnormed.stream && !a->next.out),
                           "n_tokens == 1 with a norm"));
    PV_TRY(pv_call_require(r, kernel, !a->next.out || (a->next.out != a->y && a->next.out != a->x),
                           "the next input in a buffer of its own"));
    PV_TRY(pv_call_require(r, kernel, a->y_first <= width && n_out <= width - a->y_first,
                           "outputs within a row of y"));
    return pv_call_check(r, kernel, needs, sizeof needs / sizeof *needs);
}

/* y is written by the first part of w that has a say in it. */
static uint32_t linear_flags(const struct pv_linear *a, bool first)
{
    const uint32_t bias = a->bias && first ? PV_FLAG_BIAS : 0;
    return bias | (a->accumulate || !first ? (uint32_t)PV_FLAG_ACCUMULATE : 0);
}

static enum pv_status record_matvec(struct pv_recorder *r, const struct pv_linear *a,
                                    const struct pv_tensor_part *part)
{
    const struct pv_row_split split = pv_row_split(pv_call_plan(r));
    const uint32_t max_groups = pv_recorder_device(r)->caps.max_workgroup_count[0];
    const uint32_t groups = pv_ceil_div(part->n_rows, split.rows_per_workgroup);
    const struct pv_pc_matvec push = {.n_rows = part->n_rows,
                                      .n_cols = a->w->n_cols,
                                      .w_stride = a->w->row_words,
                                      .s_stride = pv_layout_scale_stride(a->w->type, a->w->scale_words),
                                      .y_offset = a->y_first + part->first_row,
                                      .flags =
                                          linear_flags(a, true) | (a->next.out ? (uint32_t)PV_FLAG_NEXT : 0u),
                                      .eps = a->unnormed.eps};
    const struct pv_call call = {.kernel = "matvec",
                                 .type = pv_type_name(a->w->type),
                                 .subgroup = split.subgroup,
                                 .spec = {[PV_SPEC_WG] = split.workgroup,
                                          [PV_SPEC_LANES] = split.lanes,
                                          [PV_SPEC_ROWS] = split.rows,
                                          [PV_SPEC_NORM] = a->unnormed.stream != NULL},
                                 .buffers = {part->data, a->x, a->y, a->bias ? a->bias : a->x,
                                             a->unnormed.stream ? a->unnormed.stream : a->x,
                                             a->next.out ? a->next.out : a->y,
                                             a->next.out ? a->next.weight : a->x, part->scales},
                                 .push = &push,
                                 .push_bytes = sizeof push,
                                 .groups = {groups < max_groups ? groups : max_groups, 1, 1}};
    return pv_call_record(r, &call);
}

/* Tokens an invocation of matmul_t works on. It makes one packed word of outputs for each, so wider words
 * (quantised types) get fewer tokens: the same registers, and drivers compile in seconds. */
static uint32_t tokens_transposed(const struct pv_plan *plan, enum pv_type type)
{
    const uint32_t per_word = pv_layout_word_elements(type);
    const uint32_t tokens = plan->matmul_tile_rows * 8 / (per_word > 8 ? per_word : 8);
    return tokens > 0 ? tokens : 1;
}

/* A part of w makes some of the outputs, or transposed has some of the inputs. */
static enum pv_status record_matmul(struct pv_recorder *r, const struct pv_linear *a,
                                    const struct pv_tensor_part *part, bool transposed)
{
    const struct pv_plan *plan = pv_call_plan(r);
    const uint32_t n_in = transposed ? part->n_rows : a->w->n_cols;
    const uint32_t n_out = transposed ? a->w->n_cols : part->n_rows;
    const uint32_t lanes = plan->matmul_lanes;
    const uint32_t tokens = transposed ? tokens_transposed(plan, a->w->type) : plan->matmul_tile_rows;
    const uint32_t rows = transposed ? 1 : plan->matmul_tile_cols;
    const struct pv_pc_matmul push = {.n_rows = n_out,
                                      .n_cols = n_in,
                                      .n_tokens = a->n_tokens,
                                      .w_stride = a->w->row_words,
                                      .s_stride = pv_layout_scale_stride(a->w->type, a->w->scale_words),
                                      .x_stride = pv_row_stride(transposed ? a->w->n_rows : n_in),
                                      .y_stride = pv_row_stride(a->y_width   ? a->y_width
                                                                : transposed ? n_out
                                                                             : a->w->n_rows),
                                      .x_offset = transposed ? part->first_row : 0,
                                      .y_offset = a->y_first + (transposed ? 0 : part->first_row),
                                      .flags = linear_flags(a, !transposed || part->first_row == 0)};
    const uint32_t tokens_per_group = plan->matmul_workgroup / lanes * tokens;
    const uint32_t groups_x = pv_ceil_div(transposed ? a->w->row_words : n_out, lanes * rows);
    const struct pv_call call = {.kernel = transposed ? "matmul_t" : "matmul",
                                 .type = pv_type_name(a->w->type),
                                 .spec = {[PV_SPEC_WG] = plan->matmul_workgroup,
                                          [PV_SPEC_LANES] = lanes,
                                          [PV_SPEC_ROWS] = rows,
                                          [PV_SPEC_TOKENS] = tokens},
                                 .buffers = {part->data, a->x, a->y, a->bias ? a->bias : a->x, part->scales},
                                 .push = &push,
                                 .push_bytes = sizeof push,
                                 .groups = {groups_x, pv_ceil_div(a->n_tokens, tokens_per_group), 1}};
    return pv_call_record(r, &call);
}

enum pv_status pv_kernel_linear(struct pv_recorder *r, const struct pv_linear *a)
{
    PV_TRY(check(r, a->n_tokens == 1 ? "matvec" : "matmul", a, a->w->n_cols, a->w->n_rows));
    for (uint32_t i = 0; i < a->w->n_parts; i++) {
        const struct pv_tensor_part *part = &a->w->parts[i];
        PV_TRY(a->n_tokens == 1 ? record_matvec(r, a, part) : record_matmul(r, a, part, false));
    }
    return PV_OK;
}

enum pv_status pv_kernel_linear_t(struct pv_recorder *r, const struct pv_linear *a)
{
    PV_TRY(check(r, "matmul_t", a, a->w->n_rows, a->w->n_cols));
    for (uint32_t i = 0; i < a->w->n_parts; i++)
        PV_TRY(record_matmul(r, a, &a->w->parts[i], true));
    return PV_OK;
}
