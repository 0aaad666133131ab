/* One interface for every way to name the neurons a token needs, so that they stand in one table: same
 * density, same text, same judge (parvin/sweep.h). A method sees one captured layer at a time (train), then
 * all layers get one budget (set_density), then it answers per token (predict). What it reads from memory to
 * answer is part of the comparison.
 *
 * Methods and sources:
 *   oracle     the token's own neurons of highest c_j^2, one threshold over all layers: the floor, not a
 * method magnitude  |a_j| above a threshold per layer, on the true activation: TEAL (arXiv 2408.14690), CATS
 * (2404.08763); reads the whole matrix that gives the activation sign       neurons whose row of W agrees in
 * sign with z in more than N of the d places: SparseInfer (2411.12692); the paper's alpha is N / (d - N),
 * here found from the density svd        E[c_j^2] from a rank-r truncated SVD of W (2603.14110); lowrank: the
 * same of W weighted by the second moment of z, that is, the best rank for E |W z - A B z|^2. r is the most
 * for the bytes of K clusters static     neurons of highest mean c_j^2: one hot set for all tokens clusters
 * see baseline_clusters.h
 *
 * Not thread-safe; results do not depend on the number of threads. */
#ifndef PV_LAB_METHODS_PREDICT_METHOD_H
#define PV_LAB_METHODS_PREDICT_METHOD_H

#include "learn/algo/split.h"
#include "learn/algo/steps.h"
#include "parvin/session.h"

/* The network's feed-forward layers, as far as methods care. */
struct pv_predict_shape {
    uint32_t n_layers, d_model, d_ffn; /* L, d, F */
    enum pv_act act;
    bool gated;
    double matrix_bytes; /* one of the layer's matrices as stored */
};
struct pv_predict_params {
    struct pv_predict_shape shape;
    uint32_t n_clusters; /* K; sets the rank of svd and lowrank */
    uint32_t n_threads;  /* 0: all cores */
    uint64_t seed;
};
/* One captured layer. */
struct pv_predict_layer {
    uint32_t layer;
    const struct pv_sparse *x;    /* true contributions, rows are tokens */
    const uint16_t *z;            /* [n][d] float16 */
    const struct pv_split *split; /* rows to learn from, and others that routers are judged by in training */
    const float *w;               /* [F][d] the matrix that decides what fires: W_gate if gated, else W_up */
    const float *norm;            /* [F] ||W_down[:, j]||_2 */
    float scale; /* weight of the layer's energies against other layers', as pv_energy_scale sets it */
    const struct pv_sparse *test_x; /* other text, to judge by; may be NULL */
    const uint16_t *test_z;
};

struct pv_predictor;
struct pv_predict_ops {
    const char *name, *label; /* as typed, as written in a legend */
    bool clustered;           /* depends on K */
    bool knows_truth;         /* uses what a run cannot know before computing it */
    enum pv_status (*train)(struct pv_predictor *p, const struct pv_predict_layer *layer,
                            const struct pv_steps *steps);
    enum pv_status (*set_density)(struct pv_predictor *p, double density);
    /* bits [n_tokens][ceil(F/32)], given zeroed */
    enum pv_status (*predict)(struct pv_predictor *p, const struct pv_capture *tokens, uint32_t *bits);
    /* Bytes a token reads over all layers: to predict, and for the neurons at a density. */
    double (*predictor_bytes)(const struct pv_predictor *p);
    double (*neuron_bytes)(const struct pv_predictor *p, double density);
    void (*destroy)(struct pv_predictor *p);
};
/* The head of every method's own struct. */
struct pv_predictor {
    const struct pv_predict_ops *ops;
    struct pv_predict_params params;
};

/* Bytes of the feed-forward layers when dense. */
double pv_predict_dense_bytes(const struct pv_predict_shape *shape);
/* neuron_bytes of a method that reads a neuron's row of every matrix. */
double pv_predict_all_rows(const struct pv_predictor *p, double density);

/* Methods that give every neuron of a token a score >= 0 and compute those above a threshold; predict_score.c
 * owns the thresholds, the rest is in `struct pv_score_kind`. */
struct pv_score_kind {
    struct pv_predict_ops ops; /* name, label, clustered, knows_truth and the bytes; the rest is filled in */
    bool per_layer;            /* every layer has the density, else all layers together */
    /* State of one layer, NULL without memory; freed by `release`. */
    void *(*learn)(const struct pv_predict_params *params, const struct pv_predict_layer *layer);
    /* score[F] of a token; `room` [d + F + rank] floats of scratch. contribution[F] is the truth. */
    void (*score)(const void *state, const struct pv_predict_params *params, const float *z,
                  const float *contribution, float *room, float *score);
    void (*release)(void *state);
    double (*predictor_bytes)(const struct pv_predict_params *params);
};
extern const struct pv_score_kind pv_predict_oracle, pv_predict_magnitude, pv_predict_static, pv_predict_sign,
    pv_predict_svd, pv_predict_lowrank;

PV_MUST_USE enum pv_status pv_predict_score_create(const struct pv_score_kind *kind,
                                                   const struct pv_predict_params *params,
                                                   struct pv_predictor **out);

/* 1 / sqrt(mean over rows of sum_j c_j^2): what makes energies of different layers comparable, as in masks.h.
 */
double pv_predict_layer_scale(const struct pv_predict_layer *layer);
/* Row of a sparse matrix as contributions c [F]. */
void pv_predict_dense_row(const struct pv_sparse *x, size_t row, float *c);
void pv_predict_float_row(const uint16_t *half, size_t n, float *out);

#endif
