/* The layout of the KV cache, shared by the kernels that write and read it. Private to kernel/. */
#ifndef PV_KERNEL_ATTENTION_ATTENTION_H
#define PV_KERNEL_ATTENTION_ATTENTION_H

#include "kernel/call.h"

/* Values a cached head takes: whole 16-byte words. */
static inline uint32_t pv_kv_head_stride(const struct pv_plan *plan, uint32_t head_dim)
{
    return plan->kv_f16 ? (head_dim + 7u) & ~7u : (head_dim + 3u) & ~3u;
}

#endif
