/* Normalisation of rows: by the root mean square, or as a layer norm. */
#include "base/log.h"
#include "kernel/call.h"

enum pv_status pv_kernel_norm(struct pv_recorder *r, const struct pv_norm_args *a)
{
    const uint32_t n_inner = a->n_inner ? a->n_inner : a->n_rows;
    const uint64_t bytes = a->n_inner ? pv_rows_bytes(pv_ceil_div(a->n_rows, n_inner), a->width)
                                      : pv_rows_bytes(a->n_rows, a->n_cols);
    const struct pv_need needs[] = {{a->x, bytes, "x"},
                                    {a->weight, pv_rows_bytes(1, a->n_cols), "weight"},
                                    {a->out, bytes, "out"},
                                    {a->bias ? a->bias : a->weight, pv_rows_bytes(1, a->n_cols), "bias"}};
    PV_TRY(pv_call_require(r, "rmsnorm", a->n_rows >= 1 && a->n_cols >= 1, "n_rows >= 1 and n_cols >= 1"));
    PV_TRY(pv_call_require(r, "rmsnorm", a->layer || !a->bias, "a bias in a layer norm alone"));
    PV_TRY(pv_call_require(r, "rmsnorm",
                           !a->n_inner || a->first + (uint64_t)n_inner * pv_row_stride(a->n_cols) <= a->width,
                           "inner rows within the outer"));
    PV_TRY(pv_call_check(r, "rmsnorm", needs, sizeof needs / sizeof *needs));
    const struct pv_row_split split = pv_row_split_activations(pv_call_plan(r));
    const struct pv_pc_norm push = {.n_rows = a->n_rows,
                                    .n_cols = a->n_cols,
                                    .n_inner = n_inner,
                                    .inner_stride = pv_row_stride(a->n_cols),
                                    .outer_stride = a->n_inner ? pv_row_stride(a->width) : 0,
                                    .offset = a->first,
                                    .flags = (a->bias ? PV_FLAG_BIAS : 0u) |
                                             (a->accumulate ? PV_FLAG_ACCUMULATE : 0u),
                                    .eps = a->eps};
    const struct pv_call call = {.kernel = "rmsnorm",
                                 .spec = {[PV_SPEC_WG] = split.workgroup,
                                          [PV_SPEC_LANES] = split.lanes,
                                          [PV_SPEC_NORM] = a->layer ? PV_NORM_LAYER : PV_NORM_RMS},
                                 .buffers = {a->x, a->weight, a->out, a->bias ? a->bias : a->weight},
                                 .push = &push,
                                 .push_bytes = sizeof push,
                                 .groups = {pv_ceil_div(a->n_rows, split.rows_per_workgroup), 1, 1}};
    return pv_call_record(r, &call);
}
