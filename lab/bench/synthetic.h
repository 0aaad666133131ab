/* A feed-forward layer of any size with planted clusters, so that learning can be timed and checked without a
 * model: token i belongs to group i's draw, a group owns neurons and a centre in z space.
 *
 * Half of the active neurons of a token are its group's (each present with probability 0.8125), the rest are
 * drawn from all neurons; z = centre + noise. Every row has a generator of its own, so the layer does not
 * depend on the number of threads. */
#ifndef PV_LAB_BENCH_SYNTHETIC_H
#define PV_LAB_BENCH_SYNTHETIC_H

#include "learn/algo/sparse.h"
#include "parvin/status.h"

struct pv_synthetic_params {
    size_t n_tokens;
    uint32_t n_groups, d_model, d_ffn; /* d_ffn at most 65536 */
    double density;                    /* share of neurons that are active in a token, on average */
    uint32_t n_threads;
    uint64_t seed;
};
struct pv_synthetic {
    struct pv_sparse x;
    uint16_t *z;     /* [n_tokens][d_model] float16 */
    uint16_t *group; /* [n_tokens] */
    uint64_t *offset;
    uint16_t *col, *root; /* what x points to */
};
/* PV_ERR_NOMEM; nothing to free then. */
PV_MUST_USE enum pv_status pv_synthetic_make(const struct pv_synthetic_params *params,
                                             struct pv_synthetic *out);
void pv_synthetic_free(struct pv_synthetic *layer); /* safe on a zeroed struct */

/* Share of tokens whose cluster is mostly of their own group: the clustering's purity. cluster and group
 * [n_tokens]. */
PV_MUST_USE enum pv_status pv_purity(const uint16_t *cluster, const uint16_t *group, const uint32_t *rows,
                                     size_t n_rows, uint32_t n_clusters, uint32_t n_groups, double *out);

#endif
