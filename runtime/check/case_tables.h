/* The families of kernel cases, each a table in its own file, joined by cases.c. */
#ifndef PV_CHECK_CASE_TABLES_H
#define PV_CHECK_CASE_TABLES_H

#include "check/case_run.h"

extern const struct pv_case pv_cases_linear[], pv_cases_attention[], pv_cases_ffn[], pv_cases_rows[],
    pv_cases_learn[];
extern const uint32_t pv_n_cases_linear, pv_n_cases_attention, pv_n_cases_ffn, pv_n_cases_rows,
    pv_n_cases_learn;

/* Weight types by the name that cases have. */
#define PV_CASE_TYPE_f32  PV_F32
#define PV_CASE_TYPE_f16  PV_F16
#define PV_CASE_TYPE_bf16 PV_BF16
#define PV_CASE_TYPE_q8_0 PV_Q8_0
#define PV_CASE_TYPE_q4_0 PV_Q4_0
#define PV_CASE_TYPE(t)   PV_CASE_TYPE_##t
/* Tiles and workgroups do not depend on the type: two types vary them, the others are left at the plan's own.
 */
#define PV_CASE_TILES_f32  0
#define PV_CASE_TILES_f16  PV_AXIS_TILES
#define PV_CASE_TILES_bf16 0
#define PV_CASE_TILES_q8_0 PV_AXIS_TILES
#define PV_CASE_TILES_q4_0 0
#define PV_CASE_TILES(t)   PV_CASE_TILES_##t
/* Neither do parts of a matrix: the same types. */
#define PV_CASE_PARTS(t) (PV_CASE_TILES_##t ? PV_AXIS_PARTS : 0)

#endif
