/* Inside of the router's training, shared by router.c, which runs epochs, and router_step.c, which does the
 * arithmetic of a batch. */
#ifndef PV_LEARN_ALGO_ROUTER_ROUTER_TRAIN_H
#define PV_LEARN_ALGO_ROUTER_ROUTER_TRAIN_H

#include "learn/algo/gain.h"
#include "learn/algo/router/router.h"

enum {
    PV_ROUTER_TILE = PV_GAIN_TILE,
    PV_ROUTER_ROWS = 4,    /* of a block of a product */
    PV_ROUTER_BATCH = 512, /* rows a step */
};

struct pv_trainer {
    struct pv_router_params params;
    const struct pv_router_data *data;
    uint32_t n_tiles;
    float *mean, *inv_std;                   /* [d] */
    float *weight, *moment, *square;         /* [n_tiles][d][TILE]; moment and square are Adam's */
    float *bias, *bias_moment, *bias_square; /* [n_tiles * TILE] */
    float *best_weight, *best_bias;
    float *rows;           /* [BATCH][d] standardised */
    float *columns;        /* [d][BATCH] the same, transposed */
    float *scores;         /* [n_tiles][BATCH][TILE], then their gradient */
    float *gains;          /* [n_tiles][BATCH][TILE], trained on gains */
    uint16_t *choice;      /* [BATCH] argmax of the scores */
    const uint32_t *batch; /* [n_batch] rows of this step */
    size_t n_batch;
    float rate, moment_scale, square_scale; /* of this step */
    struct pv_accel_router *accel;          /* NULL: on the host */
    uint32_t labels[PV_ROUTER_BATCH];       /* of this step, for the device */
};

/* Standardised rows of a batch, n <= PV_ROUTER_BATCH. */
void pv_trainer_load(struct pv_trainer *t, const uint32_t *batch, size_t n);
/* Their scores and choices. */
void pv_trainer_forward(struct pv_trainer *t, const uint32_t *batch, size_t n);
/* One step of Adam on a batch, the step-th of n_steps. */
PV_MUST_USE enum pv_status pv_trainer_step(struct pv_trainer *t, const uint32_t *batch, size_t n,
                                           uint64_t step, uint64_t n_steps);

#endif
