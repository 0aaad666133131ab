/* A slot's recording, in parts. */
#ifndef PV_INFER_FORWARD_SUBMIT_H
#define PV_INFER_FORWARD_SUBMIT_H

#include "infer/session.h"

/* Layers a submit may hold so that it stays within plan.submit_ms, when a layer takes `ms` (0: not known yet).
 */
uint32_t pv_layers_per_submit(const struct pv_plan *plan, uint32_t n_layers, double ms);
/* Rows a batch may have for the same reason, at most n. */
uint32_t pv_rows_per_submit(const struct pv_session *s, uint32_t n);
/* Begins a recording, or its next part (the part before is submitted); the part is `batch` of the state. */
PV_MUST_USE enum pv_status pv_slot_begin(struct pv_stage_state *st, struct pv_slot *slot,
                                         uint32_t n_timestamps);
PV_MUST_USE enum pv_status pv_slot_cut(struct pv_stage_state *st, struct pv_slot *slot,
                                       uint32_t n_timestamps);
/* Submits the last part. */
PV_MUST_USE enum pv_status pv_slot_end(struct pv_stage_state *st, struct pv_slot *slot);
/* Submits all parts of a recording once more. */
PV_MUST_USE enum pv_status pv_slot_resubmit(struct pv_slot *slot);
/* Waits for all that is under way in the slots of prompts and scored texts. */
PV_MUST_USE enum pv_status pv_session_wait(struct pv_session *s);
void pv_slot_destroy(struct pv_slot *slot, uint32_t n_layers);
/* The row before the layers, and after them: from the stage before, to the next. */
PV_MUST_USE enum pv_status pv_stage_take(struct pv_session *s, struct pv_stage_state *st, uint32_t slot,
                                         uint32_t n);
PV_MUST_USE enum pv_status pv_stage_give(struct pv_session *s, struct pv_stage_state *st, uint32_t slot,
                                         uint32_t n);
/* What pv_forward_* takes of the slot that is being recorded: n rows through the stage's layer `layer`. */
struct pv_layer_pass pv_layer_pass(const struct pv_session *s, struct pv_stage_state *st, uint32_t layer,
                                   uint32_t n);

#endif
