/* Internals of the model description, for format/ and its tests. */
#ifndef PV_FORMAT_MODEL_MODEL_IMPL_H
#define PV_FORMAT_MODEL_MODEL_IMPL_H

#include "format/model/arch.h"
#include "format/model/model.h"

/* Fills m->hp from the file's keys, every number within limits that make products of two of them safe in 64
 * bits. `ffn_act` as in pv_model_params. */
enum pv_status pv_model_read_hparams(struct pv_model *m, const char *ffn_act);
/* Finds and checks every tensor the network needs; a tensor left over is PV_ERR_UNSUPPORTED. Needs m->hp. */
enum pv_status pv_model_bind_tensors(struct pv_model *m);

/* Calls `line` with printf-like text. */
struct pv_lines {
    void (*line)(void *user, const char *text);
    void *user;
};
void pv_lines_add(const struct pv_lines *lines, const char *format, ...) PV_PRINTF(2, 3);
/* One line a key and a tensor; text from the file is made safe to print. */
void pv_gguf_describe(const struct pv_gguf *g, const struct pv_lines *lines);

#endif
