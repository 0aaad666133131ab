/* Causal attention over the cache, or of rows of several sequences, each over its sequence's cache. */
#include "kernel/attention/attention.h"

#include <math.h>

#include "base/log.h"

static enum pv_status check(struct pv_recorder *r, const struct pv_attention_args *a)
{
    const struct pv_device *device = pv_recorder_device(r);
    const uint32_t width = a->n_heads * a->head_dim, q_width = a->q_width ? a->q_width : width;
    const uint64_t cache_bytes = pv_kv_cache_bytes(&device->plan, a->n_ctx, a->n_kv_heads, a->head_dim) *
                                 (a->n_seqs > 0 ? a->n_seqs : 1);
    const struct pv_need needs[] = {
        {a->q, pv_rows_bytes(a->n_tokens, q_width), "q"},
        {a->cache_k, cache_bytes, "cache_k"},
        {a->cache_v, cache_bytes, "cache_v"},
        {a->out, pv_rows_bytes(a->n_tokens, width), "out"},
        {a->step, sizeof(struct pv_step) * (a->n_seqs > 0 ? a->n_tokens : 1), "step"}};
    if (a->head_dim == 0 || a->head_dim % 4 != 0 || a->head_dim > 256)
        return pv_fail(device->log, PV_ERR_UNSUPPORTED,
                       "attention: heads of %u values; the kernel takes multiples of 4 up to 256",
                       a->head_dim);
    PV_TRY(
        pv_call_require(r, "attention", a->n_tokens >= 1 && a->n_ctx >= 1, "n_tokens >= 1 and n_ctx >= 1"));
    PV_TRY(pv_call_require(r, "attention",
                           a->n_kv_heads >= 1 && a->n_heads >= 1 && a->n_heads % a->n_kv_heads == 0,
                           "n_heads a multiple of n_kv_heads"));
    PV_TRY(pv_call_require(r, "attention", q_width >= width, "queries within a row of q"));
    PV_TRY(pv_call_require(r, "attention", a->q != a->out, "q and out in different buffers"));
    return pv_call_check(r, "attention", needs, 5);
}

static uint32_t halve_to_fit(uint32_t workgroup, uint32_t bytes_each, uint32_t bytes)
{
    while (workgroup > 1 && workgroup * bytes_each > bytes)
        workgroup /= 2;
    return workgroup;
}

/* An invocation may keep the sums of whole heads in registers: a query each for a batch, a share of the
 * positions for one token where barriers are slow (the plan then reduces within an invocation). Where that is
 * more than the plan allows, a workgroup shares a query, over tiles of positions in shared memory. */
static void choose(const struct pv_device *device, const struct pv_attention_args *a, struct pv_call *call)
{
    const struct pv_plan *plan = &device->plan;
    const bool wide = plan->access != PV_ACCESS_TEXEL && a->head_dim > 64; /* 10 s to compile on drivers */
    const bool in_registers = a->head_dim <= plan->attn_values;
    uint32_t workgroup = plan->attn_workgroup;
    const bool one = a->n_tokens == 1 || a->n_seqs > 0; /* a query for each row */
    call->groups[0] = a->n_heads;
    call->groups[1] = a->n_tokens;
    if (!one && in_registers) {
        const uint32_t room = plan->attn_values / a->head_dim;
        const uint32_t tokens = room < plan->attn_tokens ? room : plan->attn_tokens;
        call->kernel = "attn_prefill";
        call->spec[PV_SPEC_HEAD_DIM] = a->head_dim;
        call->spec[PV_SPEC_TOKENS] = tokens;
        call->groups[0] = pv_ceil_div(a->n_tokens, workgroup * tokens);
        call->groups[1] = a->n_heads;
    } else if (one && plan->reduce == PV_REDUCE_INVOCATION && in_registers && !wide) {
        call->kernel = "attn_decode_reg";
        call->spec[PV_SPEC_HEAD_DIM] = a->head_dim;
        workgroup = halve_to_fit(workgroup, a->head_dim * 4 + 8, device->caps.max_shared_bytes);
    } else {
        call->kernel = "attn_decode";
        while (workgroup < a->head_dim / 4)
            workgroup *= 2;
    }
    call->spec[PV_SPEC_WG] = workgroup;
    call->spec[PV_SPEC_CAPPED] = a->softcap > 0.0f;
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
                                    .q_stride = a->q_width ? pv_row_stride(a->q_width) : stride,
                                    .y_stride = stride,
                                    .scale =
                                        a->scale > 0.0f ? a->scale : (float)(1.0 / sqrt((double)a->head_dim)),
                                    .flags = a->n_seqs > 0 ? PV_FLAG_SEQS : 0,
                                    .window = a->window,
                                    .softcap = a->softcap};
    struct pv_call call = {.type = plan->kv_f16 ? "f16" : "f32",
                           .buffers = {a->q, a->cache_k, a->cache_v, a->out, a->step},
                           .push = &push,
                           .push_bytes = sizeof push};
    choose(pv_recorder_device(r), a, &call);
    return pv_call_record(r, &call);
}
