/* Reference of the feed-forward kernels of one token. */
#include "kernel/reference.h"

static double dot_row(const struct pv_ref_matrix *w, size_t row, const float *x)
{
    double sum = 0.0;
    for (size_t i = 0; i < w->n_cols; i++)
        sum += (double)w->w[row * w->n_cols + i] * (double)x[i];
    return sum;
}

static double bias_of(const float *bias, size_t i)
{
    return bias ? (double)bias[i] : 0.0;
}

void pv_ref_ffn_up(const struct pv_ref_ffn *f, const float *z, float *a)
{
    for (size_t r = 0; r < f->n; r++) {
        const size_t neuron = f->list ? f->list[r] : r;
        const double u = dot_row(f->up, neuron, z) + bias_of(f->up_bias, neuron);
        const double g = f->gate ? dot_row(f->gate, neuron, z) + bias_of(f->gate_bias, neuron) : 0.0;
        a[r] = (float)(f->gate ? pv_ref_act_gated(f->act, g, u) : pv_ref_act(f->act, u));
    }
}

void pv_ref_ffn_down(const struct pv_ref_ffn *f, const float *a, float *y)
{
    const size_t d = f->down_t->n_cols;
    for (size_t i = 0; i < d; i++) {
        double sum = bias_of(f->down_bias, i);
        for (size_t r = 0; r < f->n; r++)
            sum += (double)a[r] * (double)f->down_t->w[(f->list ? f->list[r] : r) * d + i];
        y[i] = (float)(f->accumulate ? (double)y[i] + sum : sum);
    }
}
