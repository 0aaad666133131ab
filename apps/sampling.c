/* Defaults are the usual ones of local programs. */
#include "sampling.h"

#include <time.h>
#include <unistd.h>

#define AT(field) offsetof(struct sampling_options, field)
const struct option sampling_rows[7] = {
    {0, "temp", OPTION_REAL, AT(temp), "T", "0.8", 0, 100, "temperature; 0: always the likeliest token"},
    {0, "top-k", OPTION_U32, AT(top_k), "K", "40", 0, OPTION_U32_MAX,
     "choose among the K likeliest tokens; 0: off"},
    {0, "top-p", OPTION_REAL, AT(top_p), "P", "0.95", 0, 1,
     "choose among the likeliest tokens of total probability P; 0: off"},
    {0, "min-p", OPTION_REAL, AT(min_p), "P", "0.05", 0, 1,
     "drop tokens less likely than P times the likeliest; 0: off"},
    {0, "repeat-penalty", OPTION_REAL, AT(repeat_penalty), "R", "1", 0, 100,
     "divide the odds of recently used tokens by R; 1: off"},
    {0, "repeat-last", OPTION_U32, AT(repeat_last), "N", "64", 1, OPTION_U32_MAX,
     "how many tokens count as recent"},
    {0, "seed", OPTION_U64, AT(seed), "N", "0", 0, OPTION_U64_MAX,
     "seed of the sampler; 0: a new one each time"},
};
#undef AT

static uint64_t choose_seed(uint64_t wanted)
{
    struct timespec now;
    if (wanted)
        return wanted;
    clock_gettime(CLOCK_REALTIME, &now);
    return 1 + ((uint64_t)now.tv_nsec * 2654435761u ^ (uint64_t)now.tv_sec ^ (uint64_t)getpid() << 20) %
                   1000000000u;
}

struct pv_sampler_params sampling_params(const struct sampling_options *options)
{
    return (struct pv_sampler_params){.temperature = (float)options->temp,
                                      .top_k = options->top_k,
                                      .top_p = (float)options->top_p,
                                      .min_p = (float)options->min_p,
                                      .repeat_penalty = (float)options->repeat_penalty,
                                      .repeat_last = options->repeat_last,
                                      .seed = choose_seed(options->seed)};
}
