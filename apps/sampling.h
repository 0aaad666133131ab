/* How tokens are chosen: the options that `run` and `chat` share. */
#ifndef SAMPLING_H
#define SAMPLING_H

#include "cli/options.h"
#include "parvin/session.h"

struct sampling_options {
    double temp, top_p, min_p, repeat_penalty;
    uint32_t top_k, repeat_last;
    uint64_t seed; /* 0: a new one each time */
};
extern const struct option sampling_rows[7];

/* The library's parameters, with a seed that is not 0. */
struct pv_sampler_params sampling_params(const struct sampling_options *options);

#endif
