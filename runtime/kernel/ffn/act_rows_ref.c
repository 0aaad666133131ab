/* The activations, and the reference of act_rows. */
#include "kernel/reference.h"

#include <math.h>

double pv_ref_act(enum pv_act act, double x)
{
    switch (act) {
    case PV_ACT_RELU2:
        return x > 0.0 ? x * x : 0.0;
    case PV_ACT_RELU:
    case PV_ACT_DRELU:
        return x > 0.0 ? x : 0.0;
    case PV_ACT_SILU:
        return x / (1.0 + exp(-x));
    case PV_ACT_GELU: /* the tanh form, 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) */
        return 0.5 * x * (1.0 + tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x)));
    }
    return x;
}

double pv_ref_act_gated(enum pv_act act, double gate, double up)
{
    return pv_ref_act(act, gate) * (act == PV_ACT_DRELU ? pv_ref_act(act, up) : up);
}

void pv_ref_act_rows(float *up, const float *gate, uint32_t n_tokens, uint32_t d_ffn, enum pv_act act)
{
    for (size_t i = 0; i < (size_t)n_tokens * d_ffn; i++) {
        const double u = (double)up[i];
        up[i] = (float)(gate ? pv_ref_act_gated(act, (double)gate[i], u) : pv_ref_act(act, u));
    }
}
