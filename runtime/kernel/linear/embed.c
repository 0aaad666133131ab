/* Rows of the embedding matrix for a batch of tokens; the tokens are read on the device. */
#include <string.h>

#include "base/log.h"
#include "kernel/call.h"

enum pv_status pv_kernel_embed(struct pv_recorder *r, const struct pv_tensor *table, struct pv_buffer *tokens,
                               struct pv_buffer *out, uint32_t n_tokens, float scale)
{
    const struct pv_need needs[] = {{tokens, (uint64_t)n_tokens * 4, "tokens"},
                                    {out, pv_rows_bytes(n_tokens, table->n_cols), "out"}};
    PV_TRY(pv_call_require(r, "embed", n_tokens >= 1, "n_tokens >= 1"));
    PV_TRY(pv_call_check(r, "embed", needs, 2));
    const uint32_t workgroup = pv_call_plan(r)->elementwise_workgroup;
    struct pv_pc_embed push = {.n_vocab = table->n_rows,
                               .n_cols = table->n_cols,
                               .n_tokens = n_tokens,
                               .w_stride = table->row_words,
                               .s_stride = pv_layout_scale_stride(table->type, table->scale_words),
                               .y_stride = pv_row_stride(table->n_cols),
                               .scale = scale};
    struct pv_call call = {.kernel = "embed",
                           .type = pv_type_name(table->type),
                           .spec = {[PV_SPEC_WG] = workgroup},
                           .push = &push,
                           .push_bytes = sizeof push,
                           .groups = {pv_ceil_div(table->row_words, workgroup), n_tokens, 1}};
    for (uint32_t i = 0; i < table->n_parts; i++) { /* each writes the tokens it holds */
        const struct pv_tensor_part *part = &table->parts[i];
        struct pv_buffer *const buffers[] = {part->data, tokens, out, tokens, part->scales};
        push.row_first = part->first_row;
        push.row_count = part->n_rows;
        memcpy(call.buffers, buffers, sizeof buffers);
        PV_TRY(pv_call_record(r, &call));
    }
    return PV_OK;
}
