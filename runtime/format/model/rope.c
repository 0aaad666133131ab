/* All the ways in which models stretch their rotary positions come down to one list: what each frequency is
 * divided by. Linear scaling divides all by one factor; YaRN (arXiv 2309.00071) those that turn rarely within
 * the original context; Llama 3 and long rope bring the list with them. */
#include "format/model/model.h"

#include <math.h>

/* Is this the layer of its period that differs from the others? */
static bool is_other(const struct pv_hparams *hp, uint32_t layer, uint32_t period)
{
    return period != 0 && layer % period == (hp->first_of_period ? 0 : period - 1);
}

struct pv_layer_traits pv_layer_traits(const struct pv_hparams *hp, uint32_t layer)
{
    struct pv_layer_traits t = {.rope = !is_other(hp, layer, hp->rope_period)};
    if (hp->window > 0 && !is_other(hp, layer, hp->window_period))
        t.window = hp->window;
    t.windowed_rope = t.window > 0 && hp->windowed_rope_freq_base > 0.0f;
    return t;
}

/* The pair whose frequency turns n_turns times within the original context. */
static double pair_of(const struct pv_hparams *hp, double n_turns)
{
    const double pi = 3.14159265358979323846;
    return hp->rope_dim * log(hp->rope_scaling.original_ctx / (n_turns * 2.0 * pi)) /
           (2.0 * log((double)hp->rope_freq_base));
}

/* The share of pair i that is scaled: 0 below `first`, 1 above `last`, a ramp between. */
static double yarn_share(const struct pv_hparams *hp, uint32_t i)
{
    const struct pv_rope_scaling *s = &hp->rope_scaling;
    const double first = fmax(0.0, floor(pair_of(hp, (double)s->fast)));
    const double last = fmin(hp->rope_dim - 1.0, ceil(pair_of(hp, (double)s->slow)));
    const double at = (i - first) / fmax(0.001, last - first);
    return at < 0.0 ? 0.0 : at > 1.0 ? 1.0 : at;
}

bool pv_model_rope_factors(const struct pv_model *m, uint32_t n_ctx, float *factors, float *amplitude)
{
    const struct pv_hparams *hp = &m->hp;
    const struct pv_rope_scaling *s = &hp->rope_scaling;
    const double factor = (double)s->factor, yarn = (double)s->yarn;
    const bool is_long = n_ctx > s->original_ctx;
    const struct pv_gguf_tensor *given = m->rope_freqs ? m->rope_freqs
                                         : is_long     ? m->rope_long
                                                       : m->rope_short;
    bool any = given != NULL;
    for (uint32_t i = 0; i < hp->rope_dim / 2; i++)
        factors[i] = 1.0f;
    if (given)
        pv_dequantize(given->type, given->data, factors, hp->rope_dim / 2);
    for (uint32_t i = 0; i < hp->rope_dim / 2; i++) {
        /* frequencies are mixed, so the factors' reciprocals are */
        const double kept = yarn > 0.0 ? yarn * (1.0 - yarn_share(hp, i)) : 0.0;
        const double frequency = ((1.0 - kept) / factor + kept) / (double)factors[i];
        factors[i] = (float)(1.0 / frequency);
        any = any || factor != 1.0;
    }
    *amplitude = (float)((double)s->amplitude * (yarn > 0.0 && factor > 1.0 ? 1.0 + 0.1 * log(factor) : 1.0));
    return any || s->amplitude != 1.0f;
}
