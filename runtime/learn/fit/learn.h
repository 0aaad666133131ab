/* The whole fit on a source: capture, cluster, router, masks, file. pv_fit is this over an engine's dense
 * session. */
#ifndef PV_LEARN_FIT_LEARN_H
#define PV_LEARN_FIT_LEARN_H

#include "learn/capture/capture.h"
#include "parvin/fit.h"

/* As pv_fit; zero fields of `params` mean the defaults of parvin/fit.h. */
PV_MUST_USE enum pv_status pv_learn(const struct pv_source *source, const uint32_t *tokens, size_t n_tokens,
                                    const char *out_path, const struct pv_fit_params *params,
                                    const struct pv_log *log, struct pv_fit_result *out);

/* As pv_capture_write. */
PV_MUST_USE enum pv_status pv_learn_capture(const struct pv_source *source, const uint32_t *tokens,
                                            size_t n_tokens, const char *out_path,
                                            const struct pv_capture_options *options,
                                            const struct pv_log *log, struct pv_capture_result *out);
/* The calibration window where none is asked for: the context, at most 512. */
uint32_t pv_learn_ctx(uint32_t n_ctx);

#endif
