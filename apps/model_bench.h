/* Timing a model as llama-bench does: prompts of n tokens, and n tokens decoded one by one behind an empty context. The
 * modes take turns, so that whatever else the machine does hits all of them. */
#ifndef MODEL_BENCH_H
#define MODEL_BENCH_H

#include "cli/app.h"

struct model_bench_mode {
    struct speed {
        double mean, deviation; /* tokens a second over the rounds; 0 tokens: not timed */
    } prompt, decode;
    double density;
    double bytes;             /* a decoded token reads: weights, keys and values */
    double ffn_read, ffn_all; /* feed-forward weights of those, without the rows of zeros and with them */
    double down_rows;         /* share of ffn_down's rows that were read */
    uint32_t n_dispatches;    /* a token */
};
struct model_bench {
    uint32_t n_prompt, n_decode, n_rounds; /* wanted; the first two are cut to the context */
    uint32_t n_modes;                      /* 1: dense; 2: masked too */
    uint32_t d_ffn;                        /* of the model */
    struct model_bench_mode modes[2];
};
/* Times over tokens [n_tokens >= 1], which are repeated as often as needed; a round of its own before the others warms up,
 * and one counts what decode reads. */
PV_MUST_USE enum pv_status model_bench(struct pv_engine *engine, const uint32_t *tokens, uint32_t n_tokens,
                                       struct model_bench *bench);

#endif
