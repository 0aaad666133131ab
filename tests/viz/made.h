/* A made-up run of any size for the tests of viz, the same every time: words of many scripts, each with clusters that
 * follow it from layer to layer under numbers that say nothing, as those of a fit do. */
#ifndef TESTS_VIZ_MADE_H
#define TESTS_VIZ_MADE_H

#include "parvin/trace.h"

enum { MADE_SCRIPTS = 12, MADE_WORDS = 97 };

struct made {
    struct pv_trace_header header;
    struct pv_trace_token token; /* the last made */
    uint32_t *u32s;              /* cluster, n_neurons, n_active [3][L] */
    uint32_t *n_active;          /* [L] in u32s */
    float *margin;               /* [L] */
    uint32_t *bits;              /* of a dense run, the true patterns [L][words] */
    const uint32_t **rows;       /* [L] */
    uint64_t state;
};

/* n_clusters 0: a dense run, whose tokens have true patterns. */
void made_init(struct made *made, uint32_t n_layers, uint32_t n_clusters, uint32_t d_ffn);
void made_free(struct made *made);
/* Makes the next token. */
const struct pv_trace_token *made_next(struct made *made);
/* Word i: of Latin script, or of one of MADE_SCRIPTS others, or emoji. */
const char *made_word(uint32_t i);

#endif
