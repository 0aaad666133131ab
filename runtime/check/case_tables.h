/* The families of kernel cases, each a table in its own file, joined by cases.c. */
#ifndef PV_CHECK_CASE_TABLES_H
#define PV_CHECK_CASE_TABLES_H

#include "check/case_run.h"

extern const struct pv_case pv_cases_linear[], pv_cases_attention[], pv_cases_ffn[], pv_cases_rows[],
    pv_cases_learn[], pv_cases_experts[];
extern const uint32_t pv_n_cases_linear, pv_n_cases_attention, pv_n_cases_ffn, pv_n_cases_rows,
    pv_n_cases_learn, pv_n_cases_experts;

/* Weight types by the name that cases have. */
#define PV_CASE_TYPE_f32    PV_F32
#define PV_CASE_TYPE_f16    PV_F16
#define PV_CASE_TYPE_bf16   PV_BF16
#define PV_CASE_TYPE_q8_0   PV_Q8_0
#define PV_CASE_TYPE_q4_0   PV_Q4_0
#define PV_CASE_TYPE_q4_1   PV_Q4_1
#define PV_CASE_TYPE_q5_0   PV_Q5_0
#define PV_CASE_TYPE_q5_1   PV_Q5_1
#define PV_CASE_TYPE_q2_k   PV_Q2_K
#define PV_CASE_TYPE_q3_k   PV_Q3_K
#define PV_CASE_TYPE_q4_k   PV_Q4_K
#define PV_CASE_TYPE_q5_k   PV_Q5_K
#define PV_CASE_TYPE_q6_k   PV_Q6_K
#define PV_CASE_TYPE_iq4_nl PV_IQ4_NL
#define PV_CASE_TYPE_iq4_xs PV_IQ4_XS
#define PV_CASE_TYPE_tq1_0  PV_TQ1_0
#define PV_CASE_TYPE_tq2_0  PV_TQ2_0
#define PV_CASE_TYPE_mxfp4  PV_MXFP4
#define PV_CASE_TYPE(t)     PV_CASE_TYPE_##t
/* Tiles and workgroups do not depend on the type: two types vary them, the others are left at the plan's own.
 */
#define PV_CASE_TILES_f32    0
#define PV_CASE_TILES_f16    PV_AXIS_TILES
#define PV_CASE_TILES_bf16   0
#define PV_CASE_TILES_q8_0   PV_AXIS_TILES
#define PV_CASE_TILES_q4_0   0
#define PV_CASE_TILES_q4_1   0
#define PV_CASE_TILES_q5_0   0
#define PV_CASE_TILES_q5_1   0
#define PV_CASE_TILES_q2_k   0
#define PV_CASE_TILES_q3_k   0
#define PV_CASE_TILES_q4_k   0
#define PV_CASE_TILES_q5_k   0
#define PV_CASE_TILES_q6_k   0
#define PV_CASE_TILES_iq4_nl 0
#define PV_CASE_TILES_iq4_xs 0
#define PV_CASE_TILES_tq1_0  0
#define PV_CASE_TILES_tq2_0  0
#define PV_CASE_TILES_mxfp4  0
#define PV_CASE_TILES(t)     PV_CASE_TILES_##t
/* Neither do parts of a matrix: the same types. */
#define PV_CASE_PARTS(t) (PV_CASE_TILES_##t ? PV_AXIS_PARTS : 0)

/* A row of a table: run_KERNEL on t tokens of n values; `text` ends its name. */
#define PV_CASE_ROWS(kernel_, t_, n_, k_, flags_, text, axes_, tolerance_)                                   \
    {.kernel = #kernel_,                                                                                     \
     .name = #n_ " T=" #t_ text,                                                                             \
     .run = run_##kernel_,                                                                                   \
     .axes = axes_,                                                                                          \
     .tolerance = tolerance_,                                                                                \
     .t = t_,                                                                                                \
     .n = n_,                                                                                                \
     .k = k_,                                                                                                \
     .flags = flags_},

#endif
