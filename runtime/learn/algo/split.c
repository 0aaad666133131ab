/* Of any forty rows at least one is held out. */
#include "learn/algo/split.h"

#include <stdlib.h>
#include "base/mem.h"

enum { BLOCK = 64, BLOCKS = 40 /* at least */, ONE_IN = 10 };

enum pv_status pv_split_rows(size_t n_rows, bool (*leaves_out)(const void *user, size_t row),
                             const void *user, struct pv_split *out)
{
    size_t block = n_rows / BLOCKS;

    block = block < 1 ? 1 : block > BLOCK ? BLOCK : block;
    *out = (struct pv_split){.train = pv_calloc(n_rows, sizeof *out->train),
                             .held_out = pv_calloc(n_rows, sizeof *out->held_out)};
    if (!out->train || !out->held_out) {
        pv_split_free(out);
        return PV_ERR_NOMEM;
    }
    for (size_t i = 0; i < n_rows; i++) {
        if (leaves_out && leaves_out(user, i))
            continue;
        if (i / block % ONE_IN == ONE_IN - 1)
            out->held_out[out->n_held_out++] = (uint32_t)i;
        else
            out->train[out->n_train++] = (uint32_t)i;
    }
    return PV_OK;
}

void pv_split_free(struct pv_split *split)
{
    free(split->train);
    free(split->held_out);
    *split = (struct pv_split){0};
}
