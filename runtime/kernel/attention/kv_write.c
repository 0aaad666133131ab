/* Puts the batch's keys and values into the cache at the step's position. */
#include "base/log.h"
#include "kernel/attention/attention.h"

uint64_t pv_kv_cache_bytes(const struct pv_plan *plan, uint32_t n_ctx, uint32_t n_kv_heads, uint32_t head_dim)
{
    return (uint64_t)n_ctx * n_kv_heads * pv_kv_head_stride(plan, head_dim) * (plan->kv_f16 ? 2 : 4);
}

enum pv_status pv_kernel_kv_write(struct pv_recorder *r, const struct pv_kv_write_args *a)
{
    const struct pv_plan *plan = pv_call_plan(r);
    const uint32_t width = a->n_kv_heads * a->head_dim, head_stride = pv_kv_head_stride(plan, a->head_dim);
    const uint64_t cache_bytes =
        pv_kv_cache_bytes(plan, a->n_ctx, a->n_kv_heads, a->head_dim) * (a->sequences ? a->n_tokens : 1);
    const struct pv_need needs[] = {{a->k, pv_rows_bytes(a->n_tokens, width), "k"},
                                    {a->v, pv_rows_bytes(a->n_tokens, width), "v"},
                                    {a->cache_k, cache_bytes, "cache_k"},
                                    {a->cache_v, cache_bytes, "cache_v"},
                                    {a->step, sizeof(struct pv_step), "step"}};
    PV_TRY(pv_call_require(r, "kv_write", a->n_tokens >= 1 && width >= 1 && a->n_ctx >= 1,
                           "n_tokens, n_kv_heads, head_dim and n_ctx >= 1"));
    PV_TRY(pv_call_check(r, "kv_write", needs, 5));
    const struct pv_pc_kv_write push = {.n_tokens = a->n_tokens,
                                        .n_kv_heads = a->n_kv_heads,
                                        .head_dim = a->head_dim,
                                        .head_stride = head_stride,
                                        .n_ctx = a->n_ctx,
                                        .k_stride = pv_row_stride(width),
                                        .v_stride = pv_row_stride(width),
                                        .flags = a->sequences ? PV_FLAG_SEQS : 0};
    const uint32_t workgroup = plan->elementwise_workgroup;
    const struct pv_call call = {
        .kernel = "kv_write",
        .type = plan->kv_f16 ? "f16" : "f32",
        .spec = {[PV_SPEC_WG] = workgroup},
        .buffers = {a->k, a->v, a->cache_k, a->cache_v, a->step},
        .push = &push,
        .push_bytes = sizeof push,
        .groups = {pv_ceil_div(a->n_kv_heads * (head_stride / 2), workgroup), a->n_tokens, 1}};
    return pv_call_record(r, &call);
}
