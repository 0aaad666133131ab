/* Timing whole decode steps, dense and masked, in turns, over the tokens of a given text (what a model writes
 * greedily from nothing repeats itself, and its density says little). */
#ifndef DECODE_BENCH_H
#define DECODE_BENCH_H

#include "cli/app.h"

struct decode_bench {
    double dense_ms, masked_ms; /* medians per token; masked 0 without clusters */
    double density;
    struct decode_bytes {
        double read, all; /* bytes of feed-forward weights a token, without the rows of zeros and with them */
        double rows;      /* share of ffn_down's rows that were read */
    } bytes[2];           /* dense, masked; filled by decode_bench_bytes */
    uint32_t n_rounds, n_timed; /* tokens timed a round */
};
/* Decodes tokens [n_tokens >= 2, cut to the context]; each round times all but the first. */
PV_MUST_USE enum pv_status decode_bench(struct pv_engine *engine, const uint32_t *tokens, uint32_t n_tokens,
                                        bool masked, uint32_t n_rounds, struct decode_bench *out);
/* Counts what decoding the same tokens reads of feed-forward layers of d_ffn neurons, in a round of its own, into
 * out->bytes. */
PV_MUST_USE enum pv_status decode_bench_bytes(struct pv_engine *engine, const uint32_t *tokens,
                                              uint32_t n_tokens, uint32_t d_ffn, struct decode_bench *out);

#endif
