/* Timing whole decode steps, dense and masked, in turns. */
#ifndef DECODE_BENCH_H
#define DECODE_BENCH_H

#include "app.h"

struct decode_bench {
    double dense_ms, masked_ms; /* medians per token; masked 0 without clusters */
    double density;
    uint32_t n_rounds, n_tokens; /* tokens a round */
};
PV_MUST_USE enum pv_status decode_bench(struct pv_engine *engine, const struct pv_model *model, bool masked,
                                        uint32_t n_rounds, uint32_t n_tokens, struct decode_bench *out);

#endif
