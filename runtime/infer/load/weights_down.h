/* ffn_down on a device: transposed, so that a neuron is one contiguous row in every matrix. */
#ifndef PV_INFER_LOAD_WEIGHTS_DOWN_H
#define PV_INFER_LOAD_WEIGHTS_DOWN_H

#include "format/gguf/gguf.h"
#include "kernel/tensor.h"

/* The type that W_down [d][n_ffn] of a file's type has on a device under a plan, where its rows are d long: the
 * plan's, or a plain type's own; q8_0 of q8_0; q6_k of the types of fewer bits, which a perplexity does not tell from
 * the exact weights and which is a fifth less to read. Where d is not a multiple of 32, float16. */
enum pv_type pv_down_type(const struct pv_plan *plan, enum pv_type type, uint32_t d);
/* W_down of the file, [d][n_ffn] or of so many experts [n][d][n_ffn / n] -> [n_ffn][d] on the device, and the norms of its columns, n_ffn floats. Reads each byte of the
 * file once. On failure both are as they were. */
PV_MUST_USE enum pv_status pv_down_upload(struct pv_device *device, const struct pv_gguf_tensor *t,
                                          struct pv_tensor *down_t, struct pv_buffer **norms);

#endif
