/* parvin eval: perplexity of a text under every mode, in one table. */
#include <stdlib.h>
#include <string.h>

#include "reports/report.h"
#include "setup.h"
#include "sweep.h"

enum { LOGITS_CHUNK = 64 }; /* tokens whose logits are held at once */

struct eval {
    struct setup setup;
    struct text text;
    uint32_t *tokens;
    size_t n_tokens;
    struct pv_eval_result result;
};

static enum pv_status start(struct app *app, struct eval *eval)
{
    const struct pv_encode_params params = {0};
    if (!app->options.text) {
        console_error(&app->console, "give --text FILE: the text to measure on");
        return PV_ERR_ARG;
    }
    enum pv_status status = text_read(&app->console, app->options.text, &eval->text);
    if (!status)
        status = setup_all(app, &eval->setup);
    if (!status)
        status = pv_encode(eval->setup.model, eval->text.bytes, eval->text.n, &params, &eval->tokens,
                           &eval->n_tokens);
    if (!status && eval->n_tokens <= pv_engine_n_ctx(eval->setup.engine)) {
        console_error(&app->console,
                      "'%s' has %zu tokens; a window of %u needs %u: give a longer text or a smaller --ctx",
                      app->options.text, eval->n_tokens, pv_engine_n_ctx(eval->setup.engine),
                      pv_engine_n_ctx(eval->setup.engine) + 1);
        status = PV_ERR_ARG;
    }
    return status;
}

static enum pv_status write_logits(struct eval *eval, struct pv_session *session, FILE *file)
{
    const uint32_t n_vocab = pv_model_hparams(eval->setup.model)->n_vocab,
                   n = pv_engine_n_ctx(eval->setup.engine);
    float nll[LOGITS_CHUNK], *rows = malloc((size_t)LOGITS_CHUNK * n_vocab * sizeof *rows);
    enum pv_status status = rows ? PV_OK : PV_ERR_NOMEM;
    for (uint32_t i = 0; !status && i < n; i += LOGITS_CHUNK) {
        const uint32_t chunk = n - i < LOGITS_CHUNK ? n - i : LOGITS_CHUNK;
        status = pv_session_score(session, eval->tokens + i, eval->tokens + i + 1, chunk, nll, rows);
        if (!status && fwrite(rows, n_vocab * sizeof *rows, chunk, file) != chunk)
            break; /* output_close says why */
        if (console_interrupted())
            status = PV_ERR_INTERRUPTED;
    }
    free(rows);
    return status;
}

static enum pv_status save_logits(struct app *app, struct eval *eval)
{
    const struct pv_session_params params = {.ffn = eval->setup.clusters ? PV_FFN_ROUTED : PV_FFN_DENSE};
    struct pv_session *session = NULL;
    struct output_file out;
    enum pv_status status = output_open(&app->console, app->options.logits, &out);
    if (status)
        return status;
    status = pv_session_create(eval->setup.engine, &params, &session);
    if (!status)
        status = write_logits(eval, session, out.file);
    pv_session_destroy(session);
    const enum pv_status closed = output_close(&app->console, &out, status == PV_OK);
    return status ? status : closed;
}

static enum pv_status measure(struct app *app, struct eval *eval)
{
    struct pv_eval_params params = {
        .n_ctx = pv_engine_n_ctx(eval->setup.engine),
        .n_windows = app->options.windows,
        .progress = console_progress(&app->console),
    };
    params.n_modes = report_eval_modes(eval->setup.clusters != NULL, &params.modes);
    enum pv_status status = app->options.logits ? save_logits(app, eval) : PV_OK;
    if (!status)
        status = pv_eval(eval->setup.engine, eval->tokens, eval->n_tokens, &params, &eval->result);
    console_end_bar(&app->console);
    return status;
}

/* Tokens fed, which are the scored ones and one more. */
static size_t n_used(const struct eval *eval)
{
    const size_t used = (size_t)eval->result.n_tokens + 1;
    return used < eval->n_tokens ? used : eval->n_tokens;
}

static int print_json(struct app *app, const struct eval *eval)
{
    const struct options *o = &app->options;
    json_t *object = json_object();
    json_put_string(object, "model", o->argument);
    json_put_string(object, "text", o->text);
    if (o->clusters_path)
        json_put_string(object, "cluster_file", o->clusters_path);
    if (o->clusters_path)
        json_put_count(object, "best", o->best);
    json_put_string(object, "device", eval->setup.device_names);
    json_put_count(object, "text_tokens", eval->n_tokens);
    report_eval_json(&eval->result, object);
    if (o->dump_tokens) {
        json_t *ids = json_array();
        for (size_t i = 0; i < n_used(eval); i++)
            json_array_append_new(ids, json_integer(eval->tokens[i]));
        json_put(object, "token_ids", ids);
    }
    return json_finish(&app->console, object);
}

static int print_table(struct app *app, const struct eval *eval)
{
    if (app->options.dump_tokens) {
        for (size_t i = 0; i < n_used(eval); i++)
            printf("%s%u", i == 0 ? "" : i % 20 ? " " : "\n", eval->tokens[i]);
        puts("\n");
    }
    report_eval(&eval->result, app->options.verbose > 0);
    return EXIT_GOOD;
}

int cmd_eval(struct app *app)
{
    struct eval eval = {0};
    console_watch_interrupt();
    if (app->options.sweep)
        return cmd_sweep(app);
    enum pv_status status = start(app, &eval);
    if (!status)
        status = measure(app, &eval);
    int code = app_fail(app, status);
    if (!code)
        code = app->options.json ? print_json(app, &eval) : print_table(app, &eval);
    pv_eval_result_free(&eval.result);
    free(eval.tokens);
    text_free(&eval.text);
    status = setup_close(app, &eval.setup);
    return code ? code : app_fail(app, status);
}
