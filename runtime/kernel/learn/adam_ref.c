/* One step of Adam, in double arithmetic. */
#include <math.h>

#include "kernel/reference.h"

void pv_ref_adam(const struct pv_ref_adam *a, float *w, float *moment, float *square, const float *gradient)
{
    for (size_t i = 0; i < a->n; i++) {
        double g = (double)gradient[i], m = (double)moment[i], v = (double)square[i];

        m += (1.0 - 0.9) * (g - m);
        v += (1.0 - 0.999) * (g * g - v);
        moment[i] = (float)m;
        square[i] = (float)v;
        w[i] -= (float)((double)a->rate *
                        (m * (double)a->moment_scale / (sqrt(v * (double)a->square_scale) + 1e-8) +
                         (double)a->decay * (double)w[i]));
    }
}
