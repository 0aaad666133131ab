/* Which rows are learned from and which are held out, to judge by. */
#ifndef PV_LEARN_ALGO_SPLIT_H
#define PV_LEARN_ALGO_SPLIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "learn/algo/sparse.h"
#include "parvin/status.h"

struct pv_split {
    uint32_t *train, *held_out; /* [n_train], [n_held_out] rows, ascending */
    size_t n_train, n_held_out;
};
/* One block of rows in ten is held out; a block is of 64 rows, less where there are few. Neighbours stay
 * together, since a token between two training tokens is not unseen text. Rows that `leaves_out` names
 * (NULL: none) are in neither. PV_ERR_NOMEM. */
PV_MUST_USE enum pv_status pv_split_rows(size_t n_rows, bool (*leaves_out)(const void *user, size_t row),
                                         const void *user, struct pv_split *out);
void pv_split_free(struct pv_split *split); /* safe on a zeroed struct */

static inline struct pv_rows pv_split_train(const struct pv_split *split, const struct pv_sparse *x)
{
    return (struct pv_rows){.x = x, .index = split->train, .n = split->n_train};
}
/* To judge by: those held out; where there are none, those learned from. */
static inline struct pv_rows pv_split_judge(const struct pv_split *split, const struct pv_sparse *x)
{
    if (split->n_held_out == 0)
        return pv_split_train(split, x);
    return (struct pv_rows){.x = x, .index = split->held_out, .n = split->n_held_out};
}

#endif
