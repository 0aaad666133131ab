/* pv_eval feeds the text; the mask callback asks the method and counts how its choice meets the true pattern.
 */
#include "learn/lab/sweep_run.h"

#include <math.h>
#include <stdlib.h>
#include "base/bits.h"
#include "base/log.h"
#include "base/mem.h"
#include "parvin/eval.h"

struct tally {
    double n_tokens, computed, active, both, energy, energy_kept;
};
struct run {
    const struct pv_sweep_data *data;
    struct pv_predictor *method; /* NULL: every neuron */
    struct pv_sweep_progress *progress;
    double before; /* progress at the start */
    struct tally *layers;
};

bool pv_sweep_report(const struct pv_sweep_progress *p, const char *stage, double more)
{
    return !p->sink.fn || p->sink.fn(p->sink.user, stage, p->done + more, p->total);
}

double pv_sweep_run_tokens(const struct pv_sweep_data *data)
{
    return (double)data->test.windows.n_tokens;
}

static void count_token(struct tally *n, const uint32_t *mask, const float *c, float tau, uint32_t d_ffn)
{
    for (uint32_t j = 0; j < d_ffn; j++) {
        const bool kept = pv_bit_get(mask, j), active = c[j] > tau;
        const double energy = (double)c[j] * (double)c[j];

        n->active += active;
        n->both += active && kept;
        n->energy += energy;
        n->energy_kept += kept ? energy : 0.0;
    }
    n->computed += (double)pv_bit_count(mask, pv_bit_words(d_ffn));
    n->n_tokens += 1.0;
}

static enum pv_status on_mask(void *user, const struct pv_capture *tokens, uint32_t *bits)
{
    struct run *run = user;
    const uint32_t d_ffn = run->data->shape.d_ffn;
    const size_t words = pv_bit_words(d_ffn);
    enum pv_status status;

    if (tokens->layer == 0) {
        if (!pv_sweep_report(run->progress, "methods", 0.0))
            return PV_ERR_INTERRUPTED;
        run->progress->done += tokens->n_tokens;
    }
    status = run->method->ops->predict(run->method, tokens, bits);
    if (status != PV_OK)
        return pv_fail(run->data->engine->log, status, "sweep: no memory for the masks of %u tokens",
                       tokens->n_tokens);
    for (uint32_t t = 0; t < tokens->n_tokens; t++)
        count_token(&run->layers[tokens->layer], bits + t * words, tokens->contribution + (size_t)t * d_ffn,
                    run->data->fit.tau[tokens->layer], d_ffn);
    return PV_OK;
}

static enum pv_status evaluate(struct run *run, const struct pv_sweep_params *params, double *ppl)
{
    const struct pv_windows *test = &run->data->test.windows;
    enum pv_ffn_mode mode = run->method ? PV_FFN_CALLBACK : PV_FFN_DENSE;
    struct pv_eval_params eval = {.n_ctx = params->n_ctx,
                                  .n_windows = test->n_windows,
                                  .modes = &mode,
                                  .n_modes = 1,
                                  .mask = run->method ? on_mask : NULL,
                                  .mask_user = run};
    struct pv_eval_result result;

    PV_TRY(pv_eval(run->data->engine, test->text, test->n_tokens + 1, &eval, &result));
    *ppl = result.modes[0].ppl;
    pv_eval_result_free(&result);
    return PV_OK;
}

enum pv_status pv_sweep_run_dense(const struct pv_sweep_data *data, const struct pv_sweep_params *params,
                                  struct pv_sweep_progress *progress, double *ppl)
{
    struct run run = {.data = data, .progress = progress};

    if (!pv_sweep_report(progress, "methods", 0.0))
        return PV_ERR_INTERRUPTED;
    PV_TRY(evaluate(&run, params, ppl));
    progress->done += pv_sweep_run_tokens(data);
    return PV_OK;
}

static void summarise(const struct run *run, struct pv_sweep_row *row, double *layer_energy,
                      double *layer_density)
{
    const uint32_t n_layers = run->data->shape.n_layers;
    struct tally all = {0};

    row->weighted_recall = 0.0;
    for (uint32_t l = 0; l < n_layers; l++) {
        const struct tally *n = &run->layers[l];

        layer_energy[l] = n->energy > 0.0 ? n->energy_kept / n->energy : 1.0;
        layer_density[l] = n->computed / (n->n_tokens * run->data->shape.d_ffn);
        row->weighted_recall += layer_energy[l] / n_layers;
        all.n_tokens += n->n_tokens;
        all.computed += n->computed;
        all.active += n->active;
        all.both += n->both;
    }
    row->density = all.computed / (all.n_tokens * run->data->shape.d_ffn);
    row->precision = all.computed > 0.0 ? all.both / all.computed : 0.0;
    row->recall = all.active > 0.0 ? all.both / all.active : 1.0;
    row->predictor_bytes = run->method->ops->predictor_bytes(run->method);
    row->bytes = row->predictor_bytes + run->method->ops->neuron_bytes(run->method, row->density);
    row->layer_energy = layer_energy;
    row->layer_density = layer_density;
}

enum pv_status pv_sweep_run(const struct pv_sweep_data *data, const struct pv_sweep_params *params,
                            struct pv_predictor *method, double ppl_dense, struct pv_sweep_progress *progress,
                            struct pv_sweep_row *row, double *layer_energy, double *layer_density)
{
    struct run run = {.data = data, .method = method, .progress = progress};
    enum pv_status status;

    run.layers = pv_calloc(data->shape.n_layers, sizeof *run.layers);
    if (!run.layers)
        return pv_fail(data->engine->log, PV_ERR_NOMEM, "sweep: no memory for the counts");
    status = evaluate(&run, params, &row->ppl);
    if (status == PV_OK) {
        row->rise = row->ppl / ppl_dense - 1.0;
        summarise(&run, row, layer_energy, layer_density);
    }
    free(run.layers);
    return status;
}
