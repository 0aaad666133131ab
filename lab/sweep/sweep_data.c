/* The engine's model is watched through a dense session, the calibration text in windows spread over it, the
 * other text from its beginning, as pv_eval measures it. */
#include "lab/sweep/sweep_data.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/log.h"
#include "base/mem.h"

static enum pv_status pass_on(void *user, const struct pv_capture *capture)
{
    struct pv_sweep_data *data = user;

    return data->fn(data->fn_user, capture);
}

static enum pv_status run_window(void *user, const uint32_t *tokens, uint32_t n, pv_capture_fn fn,
                                 void *fn_user)
{
    struct pv_sweep_data *data = user;

    data->fn = fn;
    data->fn_user = fn_user;
    pv_session_reset(data->session);
    return pv_session_prefill(data->session, tokens, n);
}

static enum pv_status capture(struct pv_sweep_data *data, struct pv_sweep_text *text, const char *name,
                              const struct pv_sweep_params *params)
{
    struct pv_capture_params how = {.active_share = params->active_share, .log = *data->engine->log};
    struct pv_steps steps = {.sink = params->progress, .stage = "capture", .total = text->windows.n_windows};
    char path[4096];
    struct pv_capture_state state;
    const int n = snprintf(path, sizeof path, "%s.%s", params->work_path, name);

    if (n < 0 || (size_t)n >= sizeof path)
        return pv_fail(data->engine->log, PV_ERR_ARG, "sweep: the name of the temporary files is too long");
    text->tau = pv_calloc(data->shape.n_layers, sizeof *text->tau);
    if (!text->tau)
        return pv_fail(data->engine->log, PV_ERR_NOMEM, "sweep: no memory for %u thresholds",
                       data->shape.n_layers);
    text->key = pv_capture_key(&data->source, &text->windows, &how);
    PV_TRY(pv_journal_open(&text->journal, path, text->key, data->engine->log));
    state.tau = text->tau;
    return pv_capture_text(&data->source, &text->windows, &how, &text->journal, &steps, &state);
}

static enum pv_status load(const struct pv_sweep_data *data, const struct pv_sweep_text *text, uint32_t layer,
                           bool with_z, struct pv_layer_data *out)
{
    const struct pv_captured captured = {
        .journal = &text->journal, .key = text->key, .source = &data->source, .windows = &text->windows};

    return pv_capture_load(&captured, layer, with_z, out);
}

/* One block of tokens in ten is held out; energies and activity of the others, layer by layer. */
static enum pv_status survey(struct pv_sweep_data *data)
{
    double sum = 0.0;

    data->scale = pv_calloc(data->shape.n_layers, sizeof *data->scale);
    if (!data->scale || pv_split_rows(data->fit.windows.n_tokens, NULL, NULL, &data->split) != PV_OK)
        return pv_fail(data->engine->log, PV_ERR_NOMEM, "sweep: no memory for %zu tokens",
                       data->fit.windows.n_tokens);
    for (uint32_t l = 0; l < data->shape.n_layers; l++) {
        struct pv_layer_data layer;
        double total = 0.0, active = 0.0;

        PV_TRY(load(data, &data->fit, l, false, &layer));
        for (size_t i = 0; i < data->split.n_train; i++) {
            const size_t row = data->split.train[i];

            active += (double)(layer.x.offset[row + 1] - layer.x.offset[row]);
            for (uint64_t p = layer.x.offset[row]; p < layer.x.offset[row + 1]; p++)
                total += pow((double)pv_root_to_float(layer.x.root[p]), 4.0);
        }
        pv_layer_data_free(&layer);
        sum += total / (double)data->split.n_train;
        data->scale[l] = sum > 0.0 ? (float)(1.0 / sum) : 1.0f;
        data->active += active / ((double)data->split.n_train * data->shape.d_ffn * data->shape.n_layers);
    }
    return PV_OK;
}

enum pv_status pv_sweep_data_open(struct pv_sweep_data *data, struct pv_engine *engine, const uint32_t *fit,
                                  size_t n_fit, const uint32_t *test, size_t n_test,
                                  const struct pv_sweep_params *params)
{
    const struct pv_hparams *hp = &engine->hp;
    struct pv_session_params session = {.ffn = PV_FFN_DENSE, .capture = pass_on, .capture_user = data};
    const struct pv_gguf_tensor *up = engine->model->layers[0].ffn_up;
    size_t n_windows = n_test > 0 ? (n_test - 1) / params->n_ctx : 0;

    *data = (struct pv_sweep_data){.engine = engine, .fit.journal.fd = -1, .test.journal.fd = -1};
    data->shape = (struct pv_predict_shape){.n_layers = hp->n_layers,
                                            .d_model = hp->d_model,
                                            .d_ffn = hp->d_ffn,
                                            .act = hp->act,
                                            .gated = hp->gated,
                                            .matrix_bytes = (double)up->size_bytes};
    data->source = (struct pv_source){.n_layers = hp->n_layers,
                                      .d_model = hp->d_model,
                                      .d_ffn = hp->d_ffn,
                                      .n_ctx = engine->n_ctx,
                                      .fingerprint = pv_model_fingerprint(engine->model),
                                      .variant = (uint32_t)hp->act * 2 + hp->gated,
                                      .exact_zeros = pv_act_makes_zeros(hp->act),
                                      .run = run_window,
                                      .user = data};
    if (params->n_windows > 0 && params->n_windows < n_windows)
        n_windows = params->n_windows;
    data->fit.windows = pv_windows_plan(fit, n_fit, params->n_tokens, params->n_ctx);
    data->test.windows = pv_windows_plan(test, n_windows * params->n_ctx, 0, params->n_ctx);
    if (n_windows == 0 || data->fit.windows.n_tokens < params->n_ctx)
        return pv_fail(engine->log, PV_ERR_ARG,
                       "sweep: both texts need a window of %u tokens and one more; give longer texts",
                       params->n_ctx);
    PV_TRY(pv_session_create(engine, &session, &data->session));
    PV_TRY(capture(data, &data->fit, "fit", params));
    PV_TRY(capture(data, &data->test, "test", params));
    pv_session_destroy(data->session);
    data->session = NULL;
    return survey(data);
}

static void close_text(struct pv_sweep_text *text, bool remove_file)
{
    pv_journal_close(&text->journal, remove_file);
    free(text->tau);
    text->tau = NULL;
}

void pv_sweep_data_close(struct pv_sweep_data *data, bool remove_files)
{
    close_text(&data->fit, remove_files);
    close_text(&data->test, remove_files);
    pv_session_destroy(data->session);
    pv_split_free(&data->split);
    free(data->scale);
    *data = (struct pv_sweep_data){.fit.journal.fd = -1, .test.journal.fd = -1};
}

/* The matrix that decides what fires, and the length of every neuron's column of W_down. */
static enum pv_status load_weights(const struct pv_sweep_data *data, uint32_t l, struct pv_sweep_layer *out)
{
    const struct pv_model_layer *layer = &data->engine->model->layers[l];
    const struct pv_gguf_tensor *decides = data->shape.gated ? layer->ffn_gate : layer->ffn_up;
    const size_t d = data->shape.d_model, f = data->shape.d_ffn;
    float *row = pv_calloc(f, sizeof *row);

    out->w = pv_calloc(f * d, sizeof *out->w);
    out->norm = pv_calloc(f, sizeof *out->norm);
    if (!row || !out->w || !out->norm) {
        free(row);
        return pv_fail(data->engine->log, PV_ERR_NOMEM, "sweep: no memory for the weights of layer %u", l);
    }
    for (size_t j = 0; j < f; j++)
        pv_dequantize(decides->type, decides->data + j * pv_type_row_bytes(decides->type, d), out->w + j * d,
                      d);
    for (size_t i = 0; i < d; i++) {
        pv_dequantize(layer->ffn_down->type,
                      layer->ffn_down->data + i * pv_type_row_bytes(layer->ffn_down->type, f), row, f);
        for (size_t j = 0; j < f; j++)
            out->norm[j] += row[j] * row[j];
    }
    for (size_t j = 0; j < f; j++)
        out->norm[j] = sqrtf(out->norm[j]);
    free(row);
    return PV_OK;
}

enum pv_status pv_sweep_layer_load(const struct pv_sweep_data *data, uint32_t l, struct pv_sweep_layer *out)
{
    enum pv_status status;

    *out = (struct pv_sweep_layer){0};
    status = load_weights(data, l, out);
    if (status == PV_OK)
        status = load(data, &data->fit, l, true, &out->fit);
    if (status == PV_OK)
        status = load(data, &data->test, l, true, &out->test);
    if (status != PV_OK) {
        pv_sweep_layer_free(out);
        return status;
    }
    out->in = (struct pv_predict_layer){.layer = l,
                                        .x = &out->fit.x,
                                        .z = out->fit.z,
                                        .split = &data->split,
                                        .w = out->w,
                                        .norm = out->norm,
                                        .scale = data->scale[l],
                                        .test_x = &out->test.x,
                                        .test_z = out->test.z};
    return PV_OK;
}

void pv_sweep_layer_free(struct pv_sweep_layer *layer)
{
    pv_layer_data_free(&layer->fit);
    pv_layer_data_free(&layer->test);
    free(layer->w);
    free(layer->norm);
    *layer = (struct pv_sweep_layer){0};
}

enum pv_status pv_sweep_test_load(const struct pv_sweep_data *data, uint32_t layer, struct pv_layer_data *out)
{
    return load(data, &data->test, layer, false, out);
}
