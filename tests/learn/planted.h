/* Sparse rows with planted groups: rows of group g have most of their weight on g's own columns. */
#ifndef PV_TESTS_PLANTED_H
#define PV_TESTS_PLANTED_H

#include <stdlib.h>
#include "base/half.h"
#include "base/rng.h"
#include "learn/algo/sparse.h"

struct planted {
    struct pv_sparse x;
    uint64_t *offset;
    uint16_t *col, *root;
    uint32_t *group; /* [n_rows] */
};

/* Each group owns n_cols / n_groups columns; a row has each of its own with probability 0.8 and others with
 * 0.05. */
static inline struct planted planted_new(size_t n_rows, uint32_t n_cols, uint32_t n_groups, uint64_t seed)
{
    struct planted p = {.offset = calloc(n_rows + 1, sizeof(uint64_t)),
                        .col = calloc(n_rows * n_cols, sizeof(uint16_t)),
                        .root = calloc(n_rows * n_cols, sizeof(uint16_t)),
                        .group = calloc(n_rows, sizeof(uint32_t))};
    struct pv_rng rng;

    pv_rng_seed(&rng, seed);
    for (size_t i = 0; i < n_rows; i++) {
        uint64_t n = p.offset[i];

        p.group[i] = pv_rng_below(&rng, n_groups);
        for (uint32_t j = 0; j < n_cols; j++) {
            bool own = j / (n_cols / n_groups) == p.group[i];
            float size = (own ? 1.0f : 0.2f) * (0.5f + pv_rng_float(&rng));

            if (pv_rng_float(&rng) < (own ? 0.8f : 0.05f)) {
                p.col[n] = (uint16_t)j;
                p.root[n++] = pv_float_to_half(size);
            }
        }
        p.offset[i + 1] = n;
    }
    p.x = (struct pv_sparse){n_rows, n_cols, p.offset, p.col, p.root};
    return p;
}

static inline void planted_free(struct planted *p)
{
    free(p->offset);
    free(p->col);
    free(p->root);
    free(p->group);
}

#endif
