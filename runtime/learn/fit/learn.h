/* The whole fit on a source: capture, cluster, router, masks, file. pv_fit is this over an engine's dense
 * session. */
#ifndef PV_LEARN_FIT_LEARN_H
#define PV_LEARN_FIT_LEARN_H

#include "learn/capture/capture.h"
#include "parvin/fit.h"

struct pv_clusterer;

/* A way to fit that is only measured against. */
struct pv_baseline {
    const char *name;                     /* written into the file */
    const struct pv_clusterer *clusterer; /* NULL: by params->space */
    /* What neurons count in their masks, by their root contributions: changes root[0..n), alike in all layers.
     */
    void (*weigh)(uint16_t *root, size_t n);
};

/* As pv_fit; zero fields of `params` mean the defaults of parvin/fit.h. */
struct pv_learn_job {
    const uint32_t *tokens; /* [n_tokens] NULL: as in the capture file */
    size_t n_tokens;
    const char *out_path;
    const struct pv_fit_params *params;
    const struct pv_baseline *method; /* NULL: Parvin's */
    const struct pv_log *log;
};
PV_MUST_USE enum pv_status pv_learn(const struct pv_source *source, const struct pv_learn_job *job,
                                    struct pv_fit_result *out);
/* As pv_fit, by a method. */
PV_MUST_USE enum pv_status pv_fit_by(struct pv_engine *engine, struct pv_learn_job job,
                                     struct pv_fit_result *out);

#endif
