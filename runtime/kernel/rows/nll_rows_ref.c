/* Reference of nll_rows: logsumexp minus the target. */
#include "kernel/reference.h"

#include <math.h>

void pv_ref_nll_rows(const float *logits, const uint32_t *targets, uint32_t n_tokens, uint32_t n_vocab,
                     float *nll)
{
    for (size_t t = 0; t < n_tokens; t++) {
        const float *row = logits + t * n_vocab;
        double top = -INFINITY, sum = 0.0;
        for (size_t i = 0; i < n_vocab; i++)
            top = (double)row[i] > top ? (double)row[i] : top;
        for (size_t i = 0; i < n_vocab; i++)
            sum += exp((double)row[i] - top);
        nll[t] = targets[t] < n_vocab ? (float)(top + log(sum) - (double)row[targets[t]]) : 0.0f;
    }
}
