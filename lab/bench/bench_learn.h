/* What learning costs at sizes that no model here has. */
#ifndef PV_LAB_BENCH_BENCH_LEARN_H
#define PV_LAB_BENCH_BENCH_LEARN_H

#include "parvin/fit.h"

/* Learning at scale: a synthetic layer with planted clusters is clustered, routed and masked as `fit` does it
 * with a layer of a model. */
struct pv_learn_bench_params {
    uint64_t n_tokens;          /* 0: 65536 */
    uint32_t d_model, d_ffn;    /* 0: 4096, 14336 */
    uint32_t n_clusters;        /* K, and as many planted groups; 0: 256 */
    uint32_t n_iters;           /* clustering iterations at most; 0: 20 */
    uint32_t n_epochs;          /* router epochs at most; 0: 12 */
    uint32_t n_threads;         /* 0: all cores */
    double active;              /* share of neurons that are active in a token; 0: 0.1 */
    double density;             /* of the masks; 0: 0.2 */
    uint64_t seed;              /* 0: 1 */
    struct pv_context *context; /* learn on its device `device`, as learn_on says; NULL: on the host */
    uint32_t device;
    enum pv_learn_on learn_on;
    bool growth; /* also a half and a quarter of n_tokens, K and F each, in shorter runs */
    struct pv_log log;
    struct pv_progress progress;
};
/* One layer learned. `growing` says what the row's size differs in. */
struct pv_learn_bench_row {
    const char *growing;         /* "", "tokens", "K" or "F" */
    uint64_t n_tokens, n_active; /* n_active: active neurons of all tokens together */
    uint32_t d_model, d_ffn, n_clusters, n_iters, n_epochs;          /* n_iters, n_epochs: run */
    double s_seed, s_iteration, s_epoch, s_refine, s_masks, s_total; /* seconds; of iterations and epochs, the
                                                                        router's and its refinement's, the
                                                                        fastest */
    double purity,
        routed_purity;      /* held-out tokens whose own, and routed, cluster is mostly of their group */
    double router_accuracy; /* held-out */
    double energy_kept;     /* by the routed masks, held-out */
    double router_bytes, ffn_bytes; /* float16, ungated: 2 x F x d */
    uint64_t peak_bytes;            /* peak memory of the process so far */
};
/* Growth of a stage's seconds with one size: seconds ~ size^exponent, by least squares in logarithms. */
struct pv_learn_bench_growth {
    double seed, iteration, epoch, refine, masks;
};
/* How the rows of `growing`, and the first row, grow. */
struct pv_learn_bench_growth pv_learn_bench_fit(const struct pv_learn_bench_row *rows, uint32_t n_rows,
                                                const char *growing);
PV_MUST_USE enum pv_status pv_bench_learn(const struct pv_learn_bench_params *params,
                                          void (*row)(void *user, const struct pv_learn_bench_row *row),
                                          void *user);

#endif
