/* Progress of one stage that is made of equal parts (layers): a part reports its own share, the caller sees
 * the sum. */
#ifndef PV_LEARN_ALGO_STEPS_H
#define PV_LEARN_ALGO_STEPS_H

#include "parvin/status.h"

struct pv_steps {
    struct pv_progress sink;
    const char *stage;
    double done, total; /* parts finished, parts in all */
};

/* Reports `share` (0..1) of the part under way; false means stop. `steps` may be NULL. */
static inline bool pv_steps_report(const struct pv_steps *steps, double share)
{
    if (!steps || !steps->sink.fn)
        return true;
    return steps->sink.fn(steps->sink.user, steps->stage, steps->done + share, steps->total);
}

/* Steps for work that is [from, from + size) of the part under way. `steps` may be NULL. */
static inline struct pv_steps pv_steps_within(const struct pv_steps *steps, double from, double size)
{
    if (!steps)
        return (struct pv_steps){.total = 1.0};
    return (struct pv_steps){.sink = steps->sink,
                             .stage = steps->stage,
                             .done = (steps->done + from) / size,
                             .total = steps->total / size};
}

#endif
