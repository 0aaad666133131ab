/* Timing whole decode steps, dense and masked, in turns, over the tokens of a given text (what a model writes
 * greedily from nothing repeats itself, and its density says little). */
#ifndef DECODE_BENCH_H
#define DECODE_BENCH_H

#include "cli/app.h"

struct decode_bench {
    double dense_ms, masked_ms; /* medians per token; masked 0 without clusters */
    double density;
    uint32_t n_rounds, n_timed; /* tokens timed a round */
};
/* Decodes tokens [n_tokens >= 2, cut to the context]; each round times all but the first. */
PV_MUST_USE enum pv_status decode_bench(struct pv_engine *engine, const uint32_t *tokens, uint32_t n_tokens,
                                        bool masked, uint32_t n_rounds, struct decode_bench *out);

#endif
