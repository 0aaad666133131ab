/* Progress of one stage that is made of equal parts (layers): a part reports its own share, the caller sees
 * the sum. */
#ifndef PV_LEARN_STEPS_H
#define PV_LEARN_STEPS_H

#include "parvin/status.h"

struct pv_steps {
    struct pv_progress sink;
    const char *stage;
    double done, total; /* parts finished, parts in all */
};

/* Reports `share` (0..1) of the part under way; false means stop. `steps` may be NULL. */
static inline bool pv_steps_report(const struct pv_steps *steps, double share)
{
    if (steps == NULL || steps->sink.fn == NULL)
        return true;
    return steps->sink.fn(steps->sink.user, steps->stage, steps->done + share, steps->total);
}

/* A stretch of the part under way: its own share, 0..1, is `size` of the part's from `begin` on. */
struct pv_stretch {
    const struct pv_steps *whole; /* may be NULL */
    double begin, size;
};

static inline bool pv_stretch_report(void *user, const char *stage, double done, double total)
{
    const struct pv_stretch *s = (const struct pv_stretch *)user;

    (void)stage;
    return pv_steps_report(s->whole, s->begin + s->size * done / total);
}

/* Steps of one part over a stretch, which must outlive them. */
static inline struct pv_steps pv_steps_stretch(struct pv_stretch *stretch)
{
    return (struct pv_steps){.sink = {.fn = pv_stretch_report, .user = stretch}, .stage = "", .total = 1.0};
}

#endif
