/* Tuning decisions for one device: plan(caps, quirks, overrides), a pure function. Every decision can be
 * forced by an override "key=value,key=value" with the field's name as key. */
#ifndef PV_VK_PLAN_PLAN_H
#define PV_VK_PLAN_PLAN_H

#include "vk/plan/caps.h"

enum pv_access { PV_ACCESS_STORAGE, PV_ACCESS_TEXEL };
/* What ffn_down, whose rows on the device are not the file's, is rounded to. AUTO: by the file's type. */
enum pv_down {
    PV_DOWN_AUTO,
    PV_DOWN_F32,
    PV_DOWN_F16,
    PV_DOWN_BF16,
    PV_DOWN_Q8_0,
    PV_DOWN_Q6_K,
    PV_DOWN_Q4_0
};
enum pv_reduce { PV_REDUCE_INVOCATION, PV_REDUCE_SUBGROUP, PV_REDUCE_WORKGROUP };

struct pv_plan {
    enum pv_access access;     /* how weights and read-only activations are bound */
    enum pv_reduce reduce;     /* who shares a row of a matvec */
    uint32_t subgroup_size;    /* assumed by PV_REDUCE_SUBGROUP */
    uint32_t matvec_workgroup; /* invocations */
    uint32_t matvec_rows;      /* rows that an invocation, or a group sharing a row, computes at once */
    uint32_t ffn_down_workgroup;
    uint32_t ffn_down_words; /* uvec4 of a row per invocation of ffn_down; >= 1; fewer where a row is short */
    /* fours of neurons that an invocation of ffn_down packs at a time, so that rows of activations that are
     * zero are not read; 0: all rows are read */
    uint32_t ffn_down_groups;
    uint32_t ffn_down_splits;   /* slices of neurons summed apart; >= 1 */
    enum pv_down ffn_down_type; /* f32 keeps a quantised file's ffn_down exact */
    uint32_t matmul_workgroup;
    uint32_t matmul_lanes; /* of a workgroup's invocations, how many lie along the weight rows */
    uint32_t matmul_tile_rows, matmul_tile_cols; /* outputs per invocation: tokens x weight rows */
    uint32_t attn_workgroup;
    uint32_t attn_tokens; /* prompt tokens an invocation attends for at most */
    uint32_t attn_values; /* of queries' heads that an invocation keeps in registers, at most */
    uint32_t elementwise_workgroup;
    uint32_t n_batch;           /* prefill tokens a submit */
    bool kv_f16;                /* KV cache in packed float16 */
    uint32_t submit_ms;         /* a submit of a model's layers should not take longer; 0: no limit */
    uint32_t memory_mib;        /* of device memory to use at most; 0: what is free */
    bool learn_clusters;        /* clustering runs here rather than on the host */
    bool learn_router;          /* likewise the router's training */
    uint64_t max_binding_bytes; /* largest weight matrix one binding can see under `access` */
};
/* Always succeeds with something the caps allow; overrides that are unknown, malformed or impossible:
 * PV_ERR_ARG with the key named. `overrides` may be NULL. */
PV_MUST_USE enum pv_status pv_plan_make(const struct pv_caps *caps, uint32_t quirks, const char *overrides,
                                        const struct pv_log *log, struct pv_plan *out);
bool pv_plan_same(const struct pv_plan *a, const struct pv_plan *b);
char *pv_plan_to_json(const struct pv_plan *plan); /* malloc'ed */

#endif
