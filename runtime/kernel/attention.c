/* Causal attention over the cache: one workgroup a head for one token, or one token of each of several
 * sequences; one invocation a query for a batch. */
#include "kernel/attention.h"

#include <math.h>

#include "base/log.h"

static enum pv_status check(struct pv_recorder *r, const struct pv_attention_args *a)
{
    const struct pv_device *device = pv_recorder_device(r);
    const uint64_t rows_bytes = pv_rows_bytes(a->n_tokens, a->n_heads * a->head_dim);
    const uint64_t cache_bytes = pv_kv_cache_bytes(&device->plan, a->n_ctx, a->n_kv_heads, a->head_dim) *
                                 (a->sequences ? a->n_tokens : 1);
    const struct pv_need needs[] = {{a->q, rows_bytes, "q"},
                                    {a->cache_k, cache_bytes, "cache_k"},
                                    {a->cache_v, cache_bytes, "cache_v"},
                                    {a->out, rows_bytes, "out"},
                                    {a->step, sizeof(struct pv_step), "step"}};
    if (a->head_dim == 0 || a->head_dim % 4 != 0 || a->head_dim > 256)
        return pv_fail(device->log, PV_ERR_UNSUPPORTED,
                       "attention: heads of %u values; the kernel takes multiples of 4 up to 256",
                       a->head_dim);
    PV_TRY(
        pv_call_require(r, "attention", a->n_tokens >= 1 && a->n_ctx >= 1, "n_tokens >= 1 and n_ctx >= 1"));
    PV_TRY(pv_call_require(r, "attention",
                           a->n_kv_heads >= 1 && a->n_heads >= 1 && a->n_heads % a->n_kv_heads == 0,
                           "n_heads a multiple of n_kv_heads"));
    PV_TRY(pv_call_require(r, "attention", a->q != a->out, "q and out in different buffers"));
    return pv_call_check(r, "attention", needs, 5);
}

static uint32_t halve_to_fit(uint32_t workgroup, uint32_t bytes_each, uint32_t bytes)
{
    while (workgroup > 1 && workgroup * bytes_each > bytes)
        workgroup /= 2;
    return workgroup;
}

/* Decode: sums in registers where barriers are slow (the plan then reduces within an invocation), else a tile
 * of positions in shared memory. Prefill: an invocation a query. */
static void choose(const struct pv_device *device, const struct pv_attention_args *a, struct pv_call *call)
{
    const struct pv_plan *plan = &device->plan;
    const uint32_t widest =
        plan->access == PV_ACCESS_TEXEL ? 256 : 64; /* wider takes drivers 10 s to compile */
    uint32_t workgroup = plan->attn_workgroup;
    call->groups[1] = a->n_tokens;
    if (a->n_tokens > 1 && !a->sequences) {
        call->kernel = "attn_prefill";
        const uint32_t tokens =
            a->head_dim <= 64 ? plan->attn_tokens : 1; /* registers hold the outputs of all */
        call->spec[PV_SPEC_TOKENS] = tokens;
        call->groups[0] = pv_ceil_div(a->n_tokens, workgroup * tokens);
        call->groups[1] = a->n_heads;
    } else if (plan->reduce == PV_REDUCE_INVOCATION && a->head_dim <= widest) {
        call->kernel = "attn_decode_reg";
        workgroup = halve_to_fit(workgroup, a->head_dim * 4 + 8, device->caps.max_shared_bytes);
        call->groups[0] = a->n_heads;
    } else {
        call->kernel = "attn_decode";
        while (workgroup < a->head_dim / 4)
            workgroup *= 2;
        call->groups[0] = a->n_heads;
    }
    call->spec[PV_SPEC_WG] = workgroup;
    call->spec[PV_SPEC_HEAD_DIM] = a->head_dim;
}

enum pv_status pv_kernel_attention(struct pv_recorder *r, const struct pv_attention_args *a)
{
    PV_TRY(check(r, a));
    const struct pv_plan *plan = pv_call_plan(r);
    const uint32_t stride = pv_row_stride(a->n_heads * a->head_dim);
    const struct pv_pc_attn push = {.n_tokens = a->n_tokens,
                                    .n_heads = a->n_heads,
                                    .n_kv_heads = a->n_kv_heads,
                                    .head_dim = a->head_dim,
                                    .head_stride = pv_kv_head_stride(plan, a->head_dim),
                                    .n_ctx = a->n_ctx,
                                    .q_stride = stride,
                                    .y_stride = stride,
                                    .scale = (float)(1.0 / sqrt((double)a->head_dim))};
    struct pv_call call = {.type = plan->kv_f16 ? "f16" : "f32",
                           .buffers = {a->q, a->cache_k, a->cache_v, a->out, a->step},
                           .push = &push,
                           .push_bytes = sizeof push};
    choose(pv_recorder_device(r), a, &call);
    return pv_call_record(r, &call);
}
