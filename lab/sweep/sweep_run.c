/* pv_eval feeds the text; the mask callback asks the method and counts how its choice meets the true pattern.
 */
#include "lab/sweep/sweep_run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "infer/eval/mask_score.h"
#include "parvin/eval.h"

struct run {
    const struct pv_sweep_data *data;
    struct pv_predictor *method; /* NULL: every neuron */
    struct pv_sweep_progress *progress;
    double before; /* progress at the start */
    struct pv_mask_score *layers;
    uint32_t *pattern; /* [words] of a token */
};

bool pv_sweep_report(const struct pv_sweep_progress *p, const char *stage, double more)
{
    return !p->sink.fn || p->sink.fn(p->sink.user, stage, p->done + more, p->total);
}

double pv_sweep_run_tokens(const struct pv_sweep_data *data)
{
    return (double)data->test.windows.n_tokens;
}

/* A token's pattern, at the thresholds of the calibration text. */
static void find_pattern(const float *c, float tau, uint32_t d_ffn, uint32_t *pattern)
{
    memset(pattern, 0, pv_bit_words(d_ffn) * sizeof *pattern);
    for (uint32_t j = 0; j < d_ffn; j++) {
        if (c[j] > tau)
            pv_bit_set(pattern, j);
    }
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
    for (uint32_t t = 0; t < tokens->n_tokens; t++) {
        const float *c = tokens->contribution + (size_t)t * d_ffn;

        find_pattern(c, run->data->fit.tau[tokens->layer], d_ffn, run->pattern);
        pv_mask_score_add(&run->layers[tokens->layer], bits + t * words, run->pattern, c, d_ffn);
    }
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
    struct pv_mask_score all = {0};

    row->weighted_recall = 0.0;
    for (uint32_t l = 0; l < n_layers; l++) {
        const struct pv_mask_score *n = &run->layers[l];

        layer_energy[l] = pv_mask_weighted_recall(n);
        layer_density[l] = n->computed / (n->n_tokens * run->data->shape.d_ffn);
        row->weighted_recall += layer_energy[l] / n_layers;
        pv_mask_score_merge(&all, n);
    }
    row->density = all.computed / (all.n_tokens * run->data->shape.d_ffn);
    row->precision = pv_mask_precision(&all);
    row->recall = pv_mask_recall(&all);
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
    run.pattern = pv_calloc(pv_bit_words(data->shape.d_ffn), sizeof *run.pattern);
    if (run.layers && run.pattern)
        status = evaluate(&run, params, &row->ppl);
    else
        status = pv_fail(data->engine->log, PV_ERR_NOMEM, "sweep: no memory for the counts");
    if (status == PV_OK) {
        row->rise = row->ppl / ppl_dense - 1.0;
        summarise(&run, row, layer_energy, layer_density);
    }
    free(run.layers);
    free(run.pattern);
    return status;
}
