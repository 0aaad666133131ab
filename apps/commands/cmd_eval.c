/* parvin eval: perplexity of a text under every mode, in one table. */
#include <stdlib.h>
#include <string.h>

#include "reports/report.h"
#include "cli/setup.h"
#include "commands/commands.h"

struct eval_options {
    struct common_options common;
    struct device_options device;
    struct model_options model;
    const char *text, *logits;
    uint32_t windows;
    bool dump_tokens;
};

#define AT(field) offsetof(struct eval_options, field)
static const struct option eval_rows[] = {
    {0, "text", OPTION_INPUT, AT(text), "FILE", NULL, 0, 0,
     "text to measure on; needed ('-': standard input)"},
    {0, "windows", OPTION_U32, AT(windows), "N", "all", 1, OPTION_U32_MAX,
     "windows of the text to score at most"},
    {0, "logits", OPTION_OUTPUT, AT(logits), "FILE", NULL, 0, 0,
     "write the first window's logits: raw float32 [n][n_vocab], dense, or routed with -c"},
    {0, "dump-tokens", OPTION_FLAG, AT(dump_tokens), NULL, NULL, 0, 0,
     "print the token ids that were fed (token_ids in JSON)"},
    {0, "sweep", OPTION_MOVED, 0, NULL, NULL, 0, 0,
     "comparing methods is the lab's: parvin-lab sweep MODEL.gguf -k A,B,..."},
    {0, "fit-text", OPTION_MOVED, 0, NULL, NULL, 0, 0,
     "comparing methods is the lab's: parvin-lab sweep MODEL.gguf --fit-text FILE"},
};
#undef AT

static const struct option_group eval_groups[] = {
    OPTION_OWN(eval_rows),
    OPTION_GROUP(clusters_rows, struct eval_options, model),
    OPTION_GROUP(best_rows, struct eval_options, model),
    OPTION_GROUP(ctx_rows, struct eval_options, model),
    OPTION_GROUP(ffn_act_rows, struct eval_options, model),
    OPTION_GROUP(pre_rows, struct eval_options, model),
    OPTION_GROUP(device_rows, struct eval_options, device),
    OPTION_GROUP(split_rows, struct eval_options, device),
    OPTION_GROUP(driver_rows, struct eval_options, device),
    OPTION_GROUP(force_rows, struct eval_options, common),
    OPTION_GROUP(json_rows, struct eval_options, common),
    OPTION_GROUP(common_rows, struct eval_options, common),
};

static const struct eval_options *options_of(const struct app *app)
{
    return app->options;
}

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
    if (!options_of(app)->text) {
        console_error(&app->console, "give --text FILE: the text to measure on");
        return PV_ERR_ARG;
    }
    enum pv_status status = text_read(&app->console, options_of(app)->text, &eval->text);
    if (!status)
        status = setup_all(app, &eval->setup);
    if (!status)
        status = pv_encode(eval->setup.model, eval->text.bytes, eval->text.n, &params, &eval->tokens,
                           &eval->n_tokens);
    if (!status && eval->n_tokens <= pv_engine_n_ctx(eval->setup.engine)) {
        console_error(&app->console,
                      "'%s' has %zu tokens; a window of %u needs %u: give a longer text or a smaller --ctx",
                      options_of(app)->text, eval->n_tokens, pv_engine_n_ctx(eval->setup.engine),
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
    enum pv_status status = output_open(&app->console, options_of(app)->logits, &out);
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
        .n_windows = options_of(app)->windows,
        .progress = console_progress(&app->console),
    };
    params.n_modes = report_eval_modes(eval->setup.clusters != NULL, &params.modes);
    enum pv_status status = options_of(app)->logits ? save_logits(app, eval) : PV_OK;
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
    const struct eval_options *o = options_of(app);
    json_t *object = json_object();
    json_put_string(object, "model", o->common.argument);
    json_put_string(object, "text", o->text);
    if (o->model.clusters_path)
        json_put_string(object, "cluster_file", o->model.clusters_path);
    if (o->model.clusters_path)
        json_put_count(object, "best", o->model.best);
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
    if (options_of(app)->dump_tokens) {
        for (size_t i = 0; i < n_used(eval); i++)
            printf("%s%u", i == 0 ? "" : i % 20 ? " " : "\n", eval->tokens[i]);
        puts("\n");
    }
    report_eval(&eval->result, app->common->verbose > 0);
    return EXIT_GOOD;
}

static int cmd_eval(struct app *app)
{
    struct eval eval = {
        .setup = {.device_options = &options_of(app)->device, .model_options = &options_of(app)->model}};
    console_watch_interrupt();
    enum pv_status status = start(app, &eval);
    if (!status)
        status = measure(app, &eval);
    int code = app_fail(app, status);
    if (!code)
        code = app->common->json ? print_json(app, &eval) : print_table(app, &eval);
    pv_eval_result_free(&eval.result);
    free(eval.tokens);
    text_free(&eval.text);
    status = setup_close(app, &eval.setup);
    return code ? code : app_fail(app, status);
}

const struct command command_eval = {
    .name = "eval",
    .argument = "MODEL.gguf",
    .summary = "Measure perplexity: dense, and with -c also static, oracle and routed",
    .about =
        "The text, without BOS, is cut into windows of --ctx tokens; each is scored on its own. With -c one table holds\n"
        "the dense model, one static hot set for all tokens, each token's own top neurons (oracle mask), the mask of its\n"
        "true cluster (oracle cluster), and the mask the router picks.",
    .examples = "  parvin eval model.gguf --text test.txt --ctx 256 --windows 64\n"
                "  parvin eval model.gguf -c model.clusters.gguf --text test.txt --json\n",
    .groups = eval_groups,
    .n_groups = sizeof eval_groups / sizeof eval_groups[0],
    .options_bytes = sizeof(struct eval_options),
    .run = cmd_eval,
};
