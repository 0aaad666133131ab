/* Short fits of the stand-in for a model, one for each way of learning. */
#ifndef PV_TESTS_FAKE_FIT_H
#define PV_TESTS_FAKE_FIT_H

#include <string.h>
#include "fake_source.h"
#include "learn/fit/learn.h"

enum {
    FAKE_FIT_PLAIN,
    FAKE_FIT_SEARCH,
    FAKE_FIT_LOW_RANK,
    FAKE_FIT_BY_MASK,
    FAKE_FIT_DENSE,
    FAKE_FIT_AUTO_K,
    FAKE_N_FITS,
};

static inline bool fake_stop_at_writing(void *user, const char *stage, double done, double total)
{
    (void)user;
    (void)done;
    (void)total;
    return strcmp(stage, "writing") != 0;
}

/* PV_ERR_INTERRUPTED, with the resume file complete, unless `to_the_end`. `log` may be NULL. */
static inline enum pv_status fake_fit(int which, const char *out_path, bool to_the_end,
                                      const struct pv_log *log)
{
    enum { N_TOKENS = 8 * FAKE_CTX };
    const bool auto_k = which == FAKE_FIT_AUTO_K, search = which == FAKE_FIT_SEARCH;
    struct fake fake = {.n_batch = 8, .dense = which == FAKE_FIT_DENSE};
    const struct pv_source source = fake_source(&fake);
    struct pv_fit_params params = {
        .n_clusters = auto_k ? PV_FIT_CLUSTERS_AUTO : 5,
        .density = search ? 0.0 : 0.3,
        .max_ppl_rise = search ? 0.1 : 0.0,
        .router = which == FAKE_FIT_LOW_RANK ? PV_FIT_ROUTER_LOWRANK : PV_FIT_ROUTER_LINEAR,
        .space = which == FAKE_FIT_BY_MASK ? PV_FIT_SPACE_MASK : PV_FIT_SPACE_CONTRIBUTION,
        .seed = 5,
        .n_iters = 2,
        .n_epochs = 1,
        .n_threads = 1};
    uint32_t *text = fake_text(N_TOKENS, 3);
    struct pv_fit_result result;
    enum pv_status status;

    if (!to_the_end)
        params.progress.fn = fake_stop_at_writing;
    status = pv_learn(
        &source,
        &(struct pv_learn_job){
            .tokens = text, .n_tokens = N_TOKENS, .out_path = out_path, .params = &params, .log = log},
        &result);
    if (status == PV_OK)
        pv_fit_result_free(&result);
    free(text);
    return status;
}

#endif
