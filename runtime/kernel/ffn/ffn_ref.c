/* Reference of the feed-forward kernels of one token. */
#include "kernel/reference.h"

static double dot_row(const struct pv_ref_matrix *w, size_t row, const float *x)
{
    double sum = 0.0;
    for (size_t i = 0; i < w->n_cols; i++)
        sum += (double)w->w[row * w->n_cols + i] * (double)x[i];
    return sum;
}

void pv_ref_ffn_up(const struct pv_ref_matrix *up, const struct pv_ref_matrix *gate, enum pv_act act,
                   const uint32_t *list, uint32_t n, const float *z, float *a)
{
    for (size_t r = 0; r < n; r++) {
        const size_t neuron = list ? list[r] : r;
        const double u = dot_row(up, neuron, z);
        a[r] = (float)(gate ? pv_ref_act(act, dot_row(gate, neuron, z)) * u : pv_ref_act(act, u));
    }
}

void pv_ref_ffn_down(const struct pv_ref_matrix *down_t, const uint32_t *list, uint32_t n, const float *a,
                     bool accumulate, float *y)
{
    for (size_t i = 0; i < down_t->n_cols; i++) {
        double sum = 0.0;
        for (size_t r = 0; r < n; r++)
            sum += (double)a[r] * (double)down_t->w[(list ? list[r] : r) * down_t->n_cols + i];
        y[i] = (float)(accumulate ? (double)y[i] + sum : sum);
    }
}
