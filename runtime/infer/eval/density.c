/* One reading of the text with every neuron computed counts the active ones and bins the contributions by size; one
 * more for each threshold leaves the weak ones out. All of them are pv_eval with masks from a callback. */
#include "parvin/density.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/log.h"
#include "base/mem.h"
#include "infer/load/engine.h"
#include "parvin/eval.h"

enum {
    RUN = 8,                          /* tokens of `in_8` */
    BIN_SHIFT = 16,                   /* contributions are binned by exponent and 7 bits of mantissa */
    N_BINS = 0x7f800000 >> BIN_SHIFT, /* of finite values */
    N_SHARES = 1001,                  /* tokens are counted by their active share, in thousandths */
};

struct layer_counts {
    uint64_t bins[N_BINS];
    uint64_t shares[N_SHARES];
    uint64_t n_tokens, n_active, n_runs, n_in_runs;
    uint32_t n_run; /* tokens of the run so far */
    uint32_t *run;  /* [words] active in it */
    uint32_t *seen; /* [words] active in the text */
};
struct density {
    const struct pv_engine *engine;
    struct layer_counts *layers; /* [n_layers] */
    uint32_t *bits;              /* [words] those of n_layers `run` and `seen` */
    float *tau;                  /* [n_layers] */
    size_t words;
};

static uint32_t bin_of(float contribution)
{
    uint32_t bits;

    memcpy(&bits, &contribution, sizeof bits);
    return (bits & 0x7fffffffu) >> BIN_SHIFT;
}

static float bin_value(uint32_t bin, uint32_t low_bits)
{
    const uint32_t bits = bin << BIN_SHIFT | low_bits;
    float value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The lower bound of the bins that hold `kept` of the energy; *share: of the neurons in them. 0 where all are needed. */
static float threshold(const struct layer_counts *l, double kept, double n_neurons, double *share)
{
    double total = 0.0, held = 0.0, n = 0.0;
    uint32_t bin = N_BINS;

    for (uint32_t b = 1; b < N_BINS; b++)
        total += (double)l->bins[b] * pow((double)bin_value(b, 1u << (BIN_SHIFT - 1)), 2.0);
    while (bin > 1 && held < kept * total) {
        bin--;
        n += (double)l->bins[bin];
        held += (double)l->bins[bin] * pow((double)bin_value(bin, 1u << (BIN_SHIFT - 1)), 2.0);
    }
    *share = n_neurons > 0.0 ? n / n_neurons : 0.0;
    return bin > 1 ? bin_value(bin, 0) : 0.0f;
}

static void end_run(struct layer_counts *l, size_t words)
{
    if (l->n_run == RUN) {
        l->n_runs++;
        l->n_in_runs += pv_bit_count(l->run, words);
    }
    memset(l->run, 0, words * sizeof *l->run);
    l->n_run = 0;
}

static void count_token(struct layer_counts *l, const uint32_t *active, uint32_t d_ffn, size_t words)
{
    const size_t n = pv_bit_count(active, words);

    for (size_t i = 0; i < words; i++) {
        l->run[i] |= active[i];
        l->seen[i] |= active[i];
    }
    l->n_tokens++;
    l->n_active += n;
    l->shares[(size_t)ceil((double)(n * (N_SHARES - 1)) / d_ffn)]++;
    if (++l->n_run == RUN)
        end_run(l, words);
}

static enum pv_status fail_number(const struct density *d, uint32_t layer)
{
    return pv_fail(
        d->engine->log, PV_ERR_CHECK,
        "density: layer %u produced values that are not finite; try another device, or ffn_act if the file "
        "does not name its activation",
        layer);
}

/* pv_mask_fn: all neurons, counted. */
static enum pv_status count(void *user, const struct pv_capture *c, uint32_t *bits)
{
    struct density *d = user;
    struct layer_counts *l = &d->layers[c->layer];
    const uint32_t d_ffn = d->engine->hp.d_ffn;

    if (c->first_pos == 0)
        end_run(l, d->words);
    for (uint32_t t = 0; t < c->n_tokens; t++) {
        const float *contribution = c->contribution + (size_t)t * d_ffn;
        uint32_t *row = bits + t * d->words;

        for (uint32_t j = 0; j < d_ffn; j++) {
            if (!isfinite(contribution[j]))
                return fail_number(d, c->layer);
            l->bins[bin_of(contribution[j])]++;
            if (contribution[j] > 0.0f)
                pv_bit_set(row, j);
        }
        count_token(l, row, d_ffn, d->words);
        for (uint32_t j = 0; j < d_ffn; j++)
            pv_bit_set(row, j);
    }
    return PV_OK;
}

/* pv_mask_fn: the neurons above the layer's threshold. */
static enum pv_status choose(void *user, const struct pv_capture *c, uint32_t *bits)
{
    const struct density *d = user;
    const uint32_t d_ffn = d->engine->hp.d_ffn;

    for (uint32_t t = 0; t < c->n_tokens; t++) {
        for (uint32_t j = 0; j < d_ffn; j++) {
            if (c->contribution[(size_t)t * d_ffn + j] > d->tau[c->layer])
                pv_bit_set(bits + t * d->words, j);
        }
    }
    return PV_OK;
}

static double share_at(const struct layer_counts *l, double of_tokens)
{
    const double n = of_tokens * (double)l->n_tokens;
    uint64_t seen = 0;

    for (uint32_t i = 0; i < N_SHARES; i++) {
        seen += l->shares[i];
        if ((double)seen >= n)
            return (double)i / (N_SHARES - 1);
    }
    return 1.0;
}

static void summarise(const struct density *d, struct pv_density_result *out)
{
    const double d_ffn = d->engine->hp.d_ffn, n_layers = out->n_layers;

    for (uint32_t i = 0; i < out->n_layers; i++) {
        const struct layer_counts *l = &d->layers[i];
        const double n = (double)l->n_tokens * d_ffn;
        struct pv_density_layer *r = &out->layers[i], *m = &out->mean;

        r->active = (double)l->n_active / n;
        r->low = share_at(l, 0.05);
        r->high = share_at(l, 0.95);
        r->in_8 = l->n_runs > 0 ? (double)l->n_in_runs / ((double)l->n_runs * d_ffn) : (double)NAN;
        r->unused = 1.0 - (double)pv_bit_count(l->seen, d->words) / d_ffn;
        threshold(l, 0.5, n, &r->half_energy);
        threshold(l, 0.99, n, &r->most_energy);
        m->active += r->active / n_layers;
        m->low += r->low / n_layers;
        m->high += r->high / n_layers;
        m->in_8 += r->in_8 / n_layers;
        m->unused += r->unused / n_layers;
        m->half_energy += r->half_energy / n_layers;
        m->most_energy += r->most_energy / n_layers;
    }
}

static double matrix_bytes(const struct pv_tensor *tensor)
{
    return tensor->n_rows > 0 ? (double)pv_tensor_bytes(tensor) : 0.0;
}

static void count_bytes(const struct pv_engine *engine, struct pv_density_result *out)
{
    for (uint32_t s = 0; s < engine->n_stages; s++) {
        const struct pv_stage *stage = &engine->stages[s];

        for (uint32_t i = 0; i < stage->n_layers; i++) {
            const struct pv_layer *l = &stage->layers[i];

            out->down_bytes += matrix_bytes(&l->down_t);
            out->ffn_bytes += matrix_bytes(&l->up) + matrix_bytes(&l->gate) + matrix_bytes(&l->down_t);
            out->token_bytes += matrix_bytes(&l->o);
            for (uint32_t k = 0; k < 3; k++)
                out->token_bytes += matrix_bytes(&l->qkv[k]);
        }
        if (stage->has_output)
            out->token_bytes += matrix_bytes(stage->output);
    }
    out->token_bytes += out->ffn_bytes;
}

static enum pv_status check(const struct pv_engine *engine, const struct pv_density_params *params)
{
    if (engine->hp.n_experts > 0)
        return pv_fail(
            engine->log, PV_ERR_UNSUPPORTED,
            "density: of the %u experts of a layer a token computes %u; how sparse these are within is not "
            "measured",
            engine->hp.n_experts, engine->hp.n_experts_used);
    if (params->n_kept > PV_DENSITY_MOST_THRESHOLDS)
        return pv_fail(engine->log, PV_ERR_ARG, "%u thresholds: give %d at most", params->n_kept,
                       PV_DENSITY_MOST_THRESHOLDS);
    for (uint32_t i = 0; i < params->n_kept; i++) {
        if (!(params->kept[i] > 0.0 && params->kept[i] < 1.0))
            return pv_fail(engine->log, PV_ERR_ARG,
                           "a threshold that keeps %g of the energy: give a share between 0 and 1",
                           params->kept[i]);
    }
    return PV_OK;
}

static enum pv_status prepare(struct density *d, uint32_t n_layers)
{
    d->words = pv_bit_words(d->engine->hp.d_ffn);
    d->layers = pv_calloc(n_layers, sizeof *d->layers);
    d->bits = pv_calloc(2 * (size_t)n_layers * d->words, sizeof *d->bits);
    d->tau = pv_calloc(n_layers, sizeof *d->tau);
    if (!d->layers || !d->bits || !d->tau)
        return pv_fail(d->engine->log, PV_ERR_NOMEM, "no memory to count the neurons of %u layers", n_layers);
    for (uint32_t l = 0; l < n_layers; l++) {
        d->layers[l].run = d->bits + 2 * l * d->words;
        d->layers[l].seen = d->layers[l].run + d->words;
    }
    return PV_OK;
}

/* The text once more, without what is below the thresholds for params->kept[index]. */
static enum pv_status measure(struct density *d, struct pv_engine *engine, const uint32_t *tokens,
                              size_t n_tokens, const struct pv_eval_params *eval,
                              struct pv_density_threshold *out)
{
    struct pv_eval_result result;

    for (uint32_t l = 0; l < engine->hp.n_layers; l++) {
        double share;

        d->tau[l] =
            threshold(&d->layers[l], out->kept, (double)d->layers[l].n_tokens * engine->hp.d_ffn, &share);
    }
    PV_TRY(pv_eval(engine, tokens, n_tokens, eval, &result));
    out->density = result.modes[0].density;
    out->ppl = result.modes[0].ppl;
    pv_eval_result_free(&result);
    return PV_OK;
}

enum pv_status pv_density(struct pv_engine *engine, const uint32_t *tokens, size_t n_tokens,
                          const struct pv_density_params *params, struct pv_density_result *out)
{
    const enum pv_ffn_mode mode = PV_FFN_CALLBACK;
    struct density d = {.engine = engine};
    struct pv_eval_params eval = {.n_ctx = params->n_ctx,
                                  .n_windows = params->n_windows,
                                  .modes = &mode,
                                  .n_modes = 1,
                                  .mask = count,
                                  .mask_user = &d,
                                  .progress = params->progress};
    struct pv_eval_result result;
    enum pv_status status;

    *out = (struct pv_density_result){.n_layers = engine->hp.n_layers, .n_thresholds = params->n_kept};
    PV_TRY(check(engine, params));
    PV_TRY_GOTO(prepare(&d, out->n_layers));
    out->layers = pv_calloc(out->n_layers, sizeof *out->layers);
    if (!out->layers) {
        status = pv_fail(engine->log, PV_ERR_NOMEM, "no memory for %u layers' results", out->n_layers);
        goto fail;
    }
    PV_TRY_GOTO(pv_eval(engine, tokens, n_tokens, &eval, &result));
    out->n_tokens = result.n_tokens;
    out->n_ctx = result.n_ctx;
    out->n_windows = result.n_windows;
    out->ppl = result.modes[0].ppl;
    pv_eval_result_free(&result);
    summarise(&d, out);
    count_bytes(engine, out);
    eval.mask = choose;
    eval.n_windows = out->n_windows;
    for (uint32_t i = 0; i < params->n_kept; i++) {
        out->thresholds[i].kept = params->kept[i];
        PV_TRY_GOTO(measure(&d, engine, tokens, n_tokens, &eval, &out->thresholds[i]));
    }
fail:
    free(d.layers);
    free(d.bits);
    free(d.tau);
    if (status != PV_OK)
        pv_density_result_free(out);
    return status;
}

void pv_density_result_free(struct pv_density_result *result)
{
    free(result->layers);
    result->layers = NULL;
}
