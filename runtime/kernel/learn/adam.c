/* One step of Adam. */
#include "base/log.h"
#include "kernel/call.h"

enum pv_status pv_kernel_adam(struct pv_recorder *r, const struct pv_adam_args *a)
{
    const uint64_t bytes = (uint64_t)a->n * 4;
    const struct pv_need needs[] = {{a->w, bytes, "w"},
                                    {a->moment, bytes, "moment"},
                                    {a->square, bytes, "square"},
                                    {a->gradient, bytes, "gradient"}};
    PV_TRY(pv_call_require(r, "adam", a->n >= 1, "n >= 1"));
    PV_TRY(pv_call_check(r, "adam", needs, 4));
    const uint32_t workgroup = pv_call_plan(r)->elementwise_workgroup;
    const struct pv_pc_adam push = {.n = a->n,
                                    .rate = a->rate,
                                    .moment_scale = a->moment_scale,
                                    .square_scale = a->square_scale,
                                    .decay = a->decay};
    const struct pv_call call = {.kernel = "adam",
                                 .spec = {[PV_SPEC_WG] = workgroup},
                                 .buffers = {a->w, a->moment, a->square, a->gradient},
                                 .push = &push,
                                 .push_bytes = sizeof push,
                                 .groups = {pv_ceil_div(pv_ceil_div(a->n, 4), workgroup), 1, 1}};
    return pv_call_record(r, &call);
}
