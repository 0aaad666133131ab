/* parvin bench --view: what showing a run costs it. */
#ifndef VIEW_BENCH_H
#define VIEW_BENCH_H

#include "cli/setup.h"
#include "view.h"

struct view_bench {
    double off_tok_s, on_tok_s; /* medians over the rounds */
    double ratio;               /* median of each pair's on / off */
    double frames_s;            /* that the view drew, median */
    uint64_t n_lost;            /* tokens that the view did not get */
    uint32_t n_rounds, n_timed; /* tokens of each round */
};
/* Decodes the tokens [n >= 2] over and over, in turns with the view and without, n_rounds times each. Runs on
 * the program's first thread. */
struct view_bench_params {
    struct setup *setup;
    const struct view_options *options;
    enum view_kind kind;
    const uint32_t *tokens; /* [n] */
    uint32_t n, n_rounds;
};
PV_MUST_USE enum pv_status view_bench(struct app *app, const struct view_bench_params *params,
                                      struct view_bench *out);

#endif
