/* Between the product that makes queries, keys and values and the attention over them: positions and the cache. */
#include <math.h>

#include "base/log.h"
#include "kernel/attention/attention.h"

uint64_t pv_kv_cache_bytes(const struct pv_plan *plan, uint32_t n_ctx, uint32_t n_kv_heads, uint32_t head_dim)
{
    return (uint64_t)n_ctx * n_kv_heads * pv_kv_head_stride(plan, head_dim) * (plan->kv_f16 ? 2 : 4);
}

static enum pv_status check(struct pv_recorder *r, const struct pv_rope_kv_args *a, uint32_t width)
{
    const uint64_t cache_bytes = pv_kv_cache_bytes(pv_call_plan(r), a->n_ctx, a->n_kv_heads, a->head_dim) *
                                 (a->n_seqs > 0 ? a->n_seqs : 1);
    const struct pv_need needs[] = {
        {a->qkv, pv_rows_bytes(a->n_tokens, width), "qkv"},
        {a->cache_k, cache_bytes, "cache_k"},
        {a->cache_v, cache_bytes, "cache_v"},
        {a->step, sizeof(struct pv_step) * (a->n_seqs > 0 ? a->n_tokens : 1), "step"},
        {a->factors ? a->factors : a->step, a->factors ? (uint64_t)a->rope_dim / 2 * sizeof(float) : 0,
         "factors"}};
    PV_TRY(pv_call_require(r, "rope_kv",
                           a->n_tokens >= 1 && a->n_heads >= 1 && a->n_kv_heads >= 1 && a->head_dim >= 1 &&
                               a->n_ctx >= 1,
                           "n_tokens, n_heads, n_kv_heads, head_dim and n_ctx >= 1"));
    PV_TRY(pv_call_require(r, "rope_kv", a->rope_dim % 2 == 0 && a->rope_dim <= a->head_dim,
                           "an even rope_dim of head_dim at most"));
    PV_TRY(pv_call_require(r, "rope_kv", a->rope_dim == 0 || a->freq_base > 0.0f, "freq_base > 0"));
    return pv_call_check(r, "rope_kv", needs, sizeof needs / sizeof *needs);
}

enum pv_status pv_kernel_rope_kv(struct pv_recorder *r, const struct pv_rope_kv_args *a)
{
    const struct pv_plan *plan = pv_call_plan(r);
    const uint32_t width = (a->n_heads + 2 * a->n_kv_heads) * a->head_dim;
    const uint32_t head_stride = pv_kv_head_stride(plan, a->head_dim);
    PV_TRY(check(r, a, width));
    const struct pv_pc_rope_kv push = {
        .n_tokens = a->n_tokens,
        .n_heads = a->n_heads,
        .n_kv_heads = a->n_kv_heads,
        .head_dim = a->head_dim,
        .rope_dim = a->rope_dim,
        .head_stride = head_stride,
        .n_ctx = a->n_ctx,
        .x_stride = pv_row_stride(width),
        .flags = (a->n_seqs > 0 ? PV_FLAG_SEQS : 0u) | (a->factors ? PV_FLAG_FACTORS : 0u),
        .log2_theta = a->rope_dim > 0 ? (float)log2((double)a->freq_base) : 0.0f,
        .amplitude = a->amplitude > 0.0f ? a->amplitude : 1.0f};
    const uint32_t workgroup = plan->elementwise_workgroup;
    const uint32_t n = a->n_heads * (a->rope_dim / 2) + a->n_kv_heads * (head_stride / 2);
    const struct pv_call call = {
        .kernel = "rope_kv",
        .type = plan->kv_f16 ? "f16" : "f32",
        .spec = {[PV_SPEC_WG] = workgroup, [PV_SPEC_NEOX] = a->kind == PV_ROPE_NEOX},
        .buffers = {a->qkv, a->cache_k, a->cache_v, a->step, a->factors ? a->factors : a->step},
        .push = &push,
        .push_bytes = sizeof push,
        .groups = {pv_ceil_div(n, workgroup), a->n_tokens, 1}};
    return pv_call_record(r, &call);
}
