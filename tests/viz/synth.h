/* A made-up run for the tests of viz: the same every time, with words, clusters that follow them, masks and
 * true patterns. */
#ifndef TESTS_VIZ_SYNTH_H
#define TESTS_VIZ_SYNTH_H

#include "parvin/trace.h"
#include "viz/heat.h"
#include "viz/masks.h"

enum { SYNTH_LAYERS = 6, SYNTH_CLUSTERS = 48, SYNTH_FFN = 300, SYNTH_WORDS = 24 };

struct synth {
    struct pv_trace_header header;
    struct pv_maskset *masks;
    struct pv_trace_token token; /* the last made */
    uint32_t cluster[SYNTH_LAYERS], n_neurons[SYNTH_LAYERS], n_active[SYNTH_LAYERS], n_hit[SYNTH_LAYERS];
    float margin[SYNTH_LAYERS], energy_kept[SYNTH_LAYERS];
    uint32_t bits[SYNTH_LAYERS][(SYNTH_FFN + 31) / 32];
    const uint32_t *rows[SYNTH_LAYERS];
    uint64_t state;
};

void synth_init(struct synth *s);
void synth_free(struct synth *s);
/* Makes the next token. */
const struct pv_trace_token *synth_next(struct synth *s);
/* A heat that has seen n tokens of a new run. */
struct pv_heat *synth_heat(struct synth *s, double half_life, uint32_t n);

#endif
