/* What the inference suites share: an open context, a tiny model, an engine and a session over them. */
#ifndef PV_TESTS_RIG_H
#define PV_TESTS_RIG_H

#include "harness.h"
#include "parvin/parvin.h"
#include "tiny_model.h"

struct rig {
    struct pv_test_log log;
    struct pv_model *model;
    struct pv_clusters *clusters;
    struct pv_engine *engine;
    struct pv_session *session;
};
/* One context with validation for the whole program. False without any usable device. */
bool rig_start(void);
bool rig_start_plan(const char *overrides); /* the same with decisions forced */
void rig_stop(void);                        /* fails the program if the validation layers said anything */
struct pv_context *rig_context(void);
struct pv_test_log *rig_log(void); /* of the context */
uint64_t rig_messages(void);       /* of the validation layers, so far */
/* The indices of usable devices. */
uint32_t rig_devices(uint32_t *out, uint32_t max);

/* Writes and opens a tiny model (and clusters of `n_clusters` > 0 at `density`), and puts it on `devices`. */
void rig_open(struct rig *rig, const struct pv_tiny_params *tiny, uint32_t n_clusters, double density,
              const struct pv_engine_params *engine);
/* The same with more of a say in the clusters; n_clusters 0: none. */
void rig_open_clusters(struct rig *rig, const struct pv_tiny_params *tiny,
                       const struct pv_tiny_clusters *clusters, const struct pv_engine_params *engine);
void rig_open_model(struct rig *rig, const char *path, const struct pv_engine_params *engine);
void rig_close(struct rig *rig);
/* sum (a-b)^2 / sum b^2 */
double rig_nmse(const float *a, const float *b, size_t n);
void rig_random_tokens(uint64_t seed, uint32_t n_vocab, uint32_t *tokens, uint32_t n);

#endif
