/* Sums over the rows of each cluster, in double arithmetic. */
#include "kernel/reference.h"

void pv_ref_cluster_sum(const float *x, const uint32_t *first, const uint32_t *order, uint32_t n_clusters,
                        uint32_t n_cols, float *sums)
{
    for (size_t k = 0; k < n_clusters; k++) {
        for (size_t j = 0; j < n_cols; j++) {
            double sum = (double)sums[k * n_cols + j];

            for (uint32_t i = first[k]; i < first[k + 1]; i++)
                sum += (double)x[(size_t)order[i] * n_cols + j];
            sums[k * n_cols + j] = (float)sum;
        }
    }
}
