/* What masks cost in perplexity, on pieces of the calibration text that nothing was learned from: each piece is fed
 * on its own, dense and with the masks that the routers choose, and some of its tokens are scored. A piece's score is
 * a record of the journal, so a killed fit loses one piece. Not thread-safe. */
#ifndef PV_LEARN_FIT_SCORING_H
#define PV_LEARN_FIT_SCORING_H

#include "learn/fit/learner.h"

struct pv_piece {
    size_t at;            /* of its first token in the text */
    uint32_t n_fed, from; /* tokens; the first that is scored */
    uint32_t number;      /* in the journal */
};
struct pv_scoring {
    struct learner *ln;
    struct pv_steps *steps; /* one for each piece and pass */
    uint32_t n_pieces;
    struct pv_piece *pieces; /* [n_pieces], owned */
    double *dense, *nll;     /* [n_pieces] sums over the scored tokens */
    double n_tokens;         /* scored */
    float *scores;           /* [n_ctx] */
    uint16_t *z;             /* [n_ctx][d] */
    uint16_t *cluster;       /* [n_ctx] */
};
struct pv_rise {
    double ppl_dense, ppl, rise,
        error; /* standard error of the rise, from the pieces' differences; 0 with one */
};

/* Takes over `pieces`, calloc'ed, also if it fails. A last token of the text, which nothing follows, is left out of
 * its piece. PV_ERR_NOMEM. */
PV_MUST_USE enum pv_status pv_scoring_init(struct pv_scoring *s, struct learner *ln, struct pv_steps *steps,
                                           struct pv_piece *pieces, uint32_t n_pieces);
void pv_scoring_free(struct pv_scoring *s); /* safe on a zeroed struct */
/* Scores every piece with every neuron. Records are called by `key`. */
PV_MUST_USE enum pv_status pv_scoring_dense(struct pv_scoring *s, uint64_t key);
/* Chooses masks for a density, which the learner then has, and scores every piece with them. */
PV_MUST_USE enum pv_status pv_scoring_try(struct pv_scoring *s, double density, struct pv_rise *out);

#endif
