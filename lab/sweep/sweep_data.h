/* What a sweep learns from and measures on: both texts captured once, layers loaded one at a time. */
#ifndef PV_LAB_SWEEP_SWEEP_DATA_H
#define PV_LAB_SWEEP_SWEEP_DATA_H

#include "infer/load/engine.h"
#include "learn/capture/capture.h"
#include "lab/methods/predict_method.h"
#include "lab/sweep/sweep.h"

struct pv_sweep_text {
    struct pv_windows windows;
    struct pv_journal journal;
    uint64_t key;
    float *tau; /* [n_layers] */
};
struct pv_sweep_data {
    struct pv_engine *engine;
    struct pv_session *session;
    struct pv_source source;
    struct pv_predict_shape shape;
    struct pv_sweep_text fit, test;
    struct pv_split split; /* of the calibration text */
    float *scale;          /* [n_layers] 1 / energy of the layers so far: see pv_energy_scale */
    double active;         /* share of neurons in the patterns of the training rows */
    pv_capture_fn fn;      /* of the window under way */
    void *fn_user;
};
/* Captures both texts; `params` resolved. Close with pv_sweep_data_close in any case. */
PV_MUST_USE enum pv_status pv_sweep_data_open(struct pv_sweep_data *data, struct pv_engine *engine,
                                              const uint32_t *fit, size_t n_fit, const uint32_t *test,
                                              size_t n_test, const struct pv_sweep_params *params);
void pv_sweep_data_close(struct pv_sweep_data *data, bool remove_files);

/* One layer as the methods learn from it. */
struct pv_sweep_layer {
    struct pv_layer_data fit, test;
    float *w, *norm;
    struct pv_predict_layer in;
};
PV_MUST_USE enum pv_status pv_sweep_layer_load(const struct pv_sweep_data *data, uint32_t layer,
                                               struct pv_sweep_layer *out);
void pv_sweep_layer_free(struct pv_sweep_layer *layer); /* safe on a zeroed struct */
/* The test text's patterns alone. */
PV_MUST_USE enum pv_status pv_sweep_test_load(const struct pv_sweep_data *data, uint32_t layer,
                                              struct pv_layer_data *out);

#endif
