/* Reference of matvec, matmul and matmul_t. */
#include "kernel/reference.h"

void pv_ref_linear(const struct pv_ref_matrix *w, const float *bias, const float *x, uint32_t n_tokens,
                   bool accumulate, float *y)
{
    for (size_t t = 0; t < n_tokens; t++)
        for (size_t i = 0; i < w->n_rows; i++) {
            const float *row = w->w + i * w->n_cols, *in = x + t * w->n_cols;
            double sum = bias ? (double)bias[i] : 0.0;
            for (size_t j = 0; j < w->n_cols; j++)
                sum += (double)row[j] * (double)in[j];
            float *out = &y[t * w->n_rows + i];
            *out = (float)(accumulate ? (double)*out + sum : sum);
        }
}

void pv_ref_linear_t(const struct pv_ref_matrix *w, const float *bias, const float *x, uint32_t n_tokens,
                     bool accumulate, float *y)
{
    for (size_t t = 0; t < n_tokens; t++)
        for (size_t i = 0; i < w->n_cols; i++) {
            double sum = bias ? (double)bias[i] : 0.0;
            for (size_t j = 0; j < w->n_rows; j++)
                sum += (double)w->w[j * w->n_cols + i] * (double)x[t * w->n_rows + j];
            float *out = &y[t * w->n_cols + i];
            *out = (float)(accumulate ? (double)*out + sum : sum);
        }
}
