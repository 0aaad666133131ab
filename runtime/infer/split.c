/* Rounds the cumulative shares to layer borders, then moves borders so that no stage is left empty. */
#include "infer/split.h"

#include <math.h>

void pv_split_layers(uint32_t n_layers, uint32_t n_stages, const double *weight, uint32_t *begin)
{
    double total = 0.0, sum = 0.0;
    for (uint32_t i = 0; i < n_stages; i++)
        total += weight ? weight[i] : 1.0;
    begin[0] = 0;
    for (uint32_t i = 0; i < n_stages; i++) {
        sum += weight ? weight[i] : 1.0;
        begin[i + 1] = (uint32_t)lround(sum / total * n_layers);
        uint32_t least = begin[i] + 1, most = n_layers - (n_stages - 1 - i);
        if (n_layers < n_stages)
            continue;
        if (begin[i + 1] < least)
            begin[i + 1] = least;
        if (begin[i + 1] > most)
            begin[i + 1] = most;
    }
    begin[n_stages] = n_layers;
}
