/* parvin run: continue a prompt. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "generate.h"
#include "cli/text_print.h"
#include "observe.h"
#include "cli/setup.h"
#include "sampling.h"
#include "watch.h"
#include "commands/commands.h"

struct run_options {
    struct common_options common;
    struct device_options device;
    struct model_options model;
    struct view_options view;
    const char *prompt, *prompt_file, *trace, *trace_format;
    struct sampling_options sampling;
    uint32_t n_predict;
    bool prefill_dense, ignore_eos, oracle, dense;
    struct option_texts stop;
};

#define AT(field) offsetof(struct run_options, field)
static const struct option run_rows[] = {
    {'p', "prompt", OPTION_TEXT, AT(prompt), "TEXT", NULL, 0, 0, "what to continue ('-': standard input)"},
    {'f', "file", OPTION_INPUT, AT(prompt_file), "FILE", NULL, 0, 0,
     "read the prompt from a file ('-': standard input), without a byte order mark and its last line end"},
    {'n', "n-predict", OPTION_UNTIL, AT(n_predict), "N", "128", 0, OPTION_U32_MAX,
     "tokens to generate at most; -1: until the text ends or the context is full"},
    {0, "ignore-eos", OPTION_FLAG, AT(ignore_eos), NULL, NULL, 0, 0,
     "go on after a token that ends the text or the turn"},
    {0, "stop", OPTION_TEXTS, AT(stop), "TEXT", NULL, 0, 0,
     "stop before this text, which is not printed; may be given several times"},
    {0, "dense", OPTION_FLAG, AT(dense), NULL, NULL, 0, 0,
     "compute every neuron, even if MODEL.clusters.gguf is beside the model"},
    {0, "on-lost", OPTION_TEXT, AT(model.on_lost), "WHAT", "stop", 0, 0,
     "when one of --devices is lost or out of memory: stop, or continue on the others"},
    {0, "prefill-dense", OPTION_FLAG, AT(prefill_dense), NULL, NULL, 0, 0,
     "compute every neuron for the prompt, use clusters from the first new token on"},
    {0, "trace", OPTION_STREAM, AT(trace), "FILE", NULL, 0, 0,
     "write every token's clusters, router margins and times to a file"},
    {0, "trace-format", OPTION_TEXT, AT(trace_format), "FORMAT", "jsonl", 0, 0,
     "jsonl, or perfetto for ui.perfetto.dev"},
    {0, "oracle", OPTION_FLAG, AT(oracle), NULL, NULL, 0, 0,
     "also compute every layer in full and tell --trace and --view which neurons fire, and what masks missed; slow"},
};
#undef AT

static const struct option_group run_groups[] = {
    OPTION_OWN(run_rows),
    OPTION_GROUP(sampling_rows, struct run_options, sampling),
    OPTION_GROUP(view_rows, struct run_options, view),
    OPTION_GROUP(view_device_rows, struct run_options, view),
    OPTION_GROUP(half_life_rows, struct run_options, view),
    OPTION_GROUP(style_rows, struct run_options, view),
    OPTION_GROUP(clusters_rows, struct run_options, model),
    OPTION_GROUP(best_rows, struct run_options, model),
    OPTION_GROUP(ctx_rows, struct run_options, model),
    OPTION_GROUP(ffn_act_rows, struct run_options, model),
    OPTION_GROUP(pre_rows, struct run_options, model),
    OPTION_GROUP(device_rows, struct run_options, device),
    OPTION_GROUP(split_rows, struct run_options, device),
    OPTION_GROUP(driver_rows, struct run_options, device),
    OPTION_GROUP(force_rows, struct run_options, common),
    OPTION_GROUP(json_rows, struct run_options, common),
    OPTION_GROUP(common_rows, struct run_options, common),
};

static const struct run_options *options_of(const struct app *app)
{
    return app->options;
}

struct run {
    struct setup setup;
    struct setup_choice choice;
    struct pv_session *session;
    struct oracle *oracle; /* with --oracle, and for a view of a dense run */
    bool looks;            /* there is one */
    struct text prompt;
    uint32_t *tokens; /* of the prompt */
    size_t n_tokens;
    struct generate_params params;
    struct generate_result result;
};

/* What an editor adds to a file is not part of the prompt: a byte order mark, and the end of the last line. */
static void trim_prompt(struct text *prompt)
{
    if (prompt->n >= 3 && !memcmp(prompt->bytes, "\xef\xbb\xbf", 3)) {
        prompt->n -= 3;
        memmove(prompt->bytes, prompt->bytes + 3, prompt->n + 1);
    }
    if (prompt->n && prompt->bytes[prompt->n - 1] == '\n')
        prompt->bytes[--prompt->n] = 0;
    if (prompt->n && prompt->bytes[prompt->n - 1] == '\r')
        prompt->bytes[--prompt->n] = 0;
}

static enum pv_status read_prompt(struct app *app, struct text *prompt)
{
    const struct run_options *o = options_of(app);
    if (o->prompt && o->prompt_file) {
        console_error(&app->console, "give --prompt or --file, not both");
        return PV_ERR_ARG;
    }
    if (o->prompt && strcmp(o->prompt, "-") != 0)
        return text_append(prompt, o->prompt, strlen(o->prompt)) ? PV_OK : PV_ERR_NOMEM;
    const bool piped = !o->prompt && !o->prompt_file;
    enum pv_status status = PV_OK;
    if (!piped || !isatty(STDIN_FILENO))
        status = text_read(&app->console, o->prompt_file ? o->prompt_file : "-", prompt);
    if (!status && piped && !prompt->n) {
        console_error(&app->console, "there is no prompt: give -p TEXT or -f FILE, or pipe one in");
        return PV_ERR_ARG;
    }
    trim_prompt(prompt);
    return status;
}

static enum pv_status encode_prompt(struct app *app, struct run *run)
{
    const struct pv_model *model = run->setup.model;
    const struct pv_encode_params params = {.add_bos = pv_model_wants_bos(model), .parse_special = true};
    const enum pv_status status =
        pv_encode(model, run->prompt.bytes, run->prompt.n, &params, &run->tokens, &run->n_tokens);
    if (status || run->n_tokens)
        return status;
    if (pv_token_bos(model) == UINT32_MAX) {
        console_error(&app->console,
                      "the prompt is empty and this model has no token to begin with; give it some text");
        return PV_ERR_ARG;
    }
    free(run->tokens);
    run->tokens = malloc(sizeof *run->tokens);
    if (!run->tokens)
        return PV_ERR_NOMEM;
    run->tokens[0] = pv_token_bos(model);
    run->n_tokens = 1;
    return PV_OK;
}

static enum pv_status check_fit(struct app *app, const struct run *run)
{
    const uint32_t n_ctx = pv_engine_n_ctx(run->setup.engine);
    const bool until_end = options_of(app)->n_predict == UINT32_MAX;
    if (run->n_tokens <= n_ctx)
        return PV_OK;
    console_error(&app->console,
                  "the prompt has %zu tokens, the context holds %u: shorten it or give --ctx %zu",
                  run->n_tokens, n_ctx, run->n_tokens + (until_end ? 0 : options_of(app)->n_predict));
    return PV_ERR_ARG;
}

static void set_params(struct app *app, struct run *run)
{
    const struct run_options *o = options_of(app);
    run->params = (struct generate_params){
        .prompt = run->tokens,
        .n_prompt = (uint32_t)run->n_tokens,
        .n_predict = o->n_predict,
        .sampler = sampling_params(&o->sampling),
        .ignore_end = o->ignore_eos,
        .stop = &o->stop,
        .console = o->view.view ? NULL : &app->console,
        .stream = !o->common.json,
        .echo = !o->common.json && isatty(STDOUT_FILENO) ? &run->prompt : NULL,
    };
}

static enum pv_status check_oracle(struct app *app)
{
    const struct run_options *o = options_of(app);
    if (!o->oracle)
        return PV_OK;
    if (!o->trace && !o->view.view)
        console_error(&app->console, "--oracle goes with --trace FILE or --view, which show what it finds");
    else if (o->prefill_dense)
        console_error(&app->console,
                      "--oracle feeds tokens like a prompt: it does not go with --prefill-dense");
    else if (o->model.on_lost && !strcmp(o->model.on_lost, "continue"))
        console_error(&app->console, "--oracle does not go with --on-lost continue");
    else
        return PV_OK;
    return PV_ERR_ARG;
}

static enum pv_status check_on_lost(struct app *app)
{
    const char *what = options_of(app)->model.on_lost;
    if (!what || !strcmp(what, "stop") || !strcmp(what, "continue"))
        return PV_OK;
    console_error(&app->console, "--on-lost takes stop or continue, not '%s'", what);
    return PV_ERR_ARG;
}

/* Progress of a prompt while a view has the screen. */
static bool go_on(void *user, const char *stage, double done, double total)
{
    (void)user;
    (void)stage;
    return done > total || !console_interrupted();
}

static enum pv_status start(struct app *app, struct run *run)
{
    const struct run_options *o = options_of(app);
    enum pv_status status = check_on_lost(app);
    if (!status)
        status = watch_check(app, &o->view, o->trace_format);
    if (!status)
        status = setup_find_clusters(app, o->dense, &run->choice);
    if (!status)
        status = check_oracle(app);
    if (!status)
        status = read_prompt(app, &run->prompt);
    if (!status)
        status = setup_all(app, &run->setup);
    if (!status)
        status = encode_prompt(app, run);
    if (!status)
        status = check_fit(app, run);
    run->looks = o->oracle || (o->view.view && !run->setup.clusters &&
                               (!o->model.on_lost || !!strcmp(o->model.on_lost, "continue")));
    if (!status && run->looks && !o->oracle)
        console_note(&app->console,
                     "without clusters the view shows which neurons fire; to see them, every token is "
                     "computed like a prompt, which is slower");
    if (!status && run->looks)
        status = oracle_create(app, &run->setup, &run->oracle);
    if (status)
        return status;
    const struct pv_progress quiet = {.fn = go_on};
    const struct pv_session_params params = {
        .ffn = run->setup.clusters ? PV_FFN_ROUTED : PV_FFN_DENSE,
        .prefill_dense = o->prefill_dense,
        .capture = run->looks ? oracle_capture : NULL,
        .time_dispatches = o->trace && o->trace_format && !strcmp(o->trace_format, "perfetto"),
        .capture_user = run->oracle,
        .progress = o->view.view ? quiet : console_progress(&app->console)};
    set_params(app, run);
    return pv_session_create(run->setup.engine, &params, &run->session);
}

static double rate(double n, double seconds)
{
    return seconds > 0 ? n / seconds : 0;
}

static int print_json(struct app *app, const struct run *run)
{
    const struct generate_result *r = &run->result;
    json_t *object = json_object(), *ids = json_array();
    for (uint32_t i = 0; i < r->n_tokens; i++)
        json_array_append_new(ids, json_integer(r->tokens[i]));
    json_put_string(object, "model", app->common->argument);
    json_put_string(object, "device", run->setup.device_names);
    json_put_text(object, "prompt", run->prompt.bytes, run->prompt.n);
    json_put_text(object, "text", r->text.bytes, r->text.n);
    json_put_count(object, "prompt_tokens", run->n_tokens);
    json_put_count(object, "tokens", r->n_tokens);
    json_put(object, "token_ids", ids);
    json_put_number(object, "prefill_tok_s", rate((double)run->n_tokens, r->prefill_s));
    json_put_number(object, "decode_tok_s", rate(r->n_decoded, r->decode_s));
    json_put_number(object, "compile_s", r->compile_s);
    json_put_number(object, "ms_per_token", r->n_decoded ? 1e3 * r->decode_s / r->n_decoded : 0);
    json_put_number(object, "density", run->setup.clusters ? r->density : 1);
    if (run->setup.clusters)
        json_put_count(object, "best", options_of(app)->model.best);
    json_put_count(object, "seed", run->params.sampler.seed);
    json_put(object, "stopped", json_string(r->stopped));
    return json_finish(&app->console, object);
}

static void print_summary(struct app *app, const struct run *run)
{
    const struct generate_result *r = &run->result;
    char density[64] = "dense";
    if (run->setup.clusters)
        snprintf(density, sizeof density, "density %.3f", r->density);
    if (r->n_decoded)
        console_note(&app->console,
                     "%u tokens, %.1f tok/s, %.2f ms a token, %s; prompt of %zu at %.1f tok/s; on %s",
                     r->n_tokens, rate(r->n_decoded, r->decode_s), 1e3 * r->decode_s / r->n_decoded, density,
                     run->n_tokens, rate((double)run->n_tokens, r->prefill_s), run->setup.device_names);
    if (r->compile_s >= 0.1)
        console_note(&app->console, "and %.1f s to compile shaders", r->compile_s);
    if (strcmp(r->stopped, "length") != 0 || run->params.sampler.temperature > 0)
        console_note(&app->console, "stopped by %s; --seed %llu", r->stopped,
                     (unsigned long long)run->params.sampler.seed);
}

static int cmd_run(struct app *app)
{
    struct run run = {.choice = {.model = options_of(app)->model},
                      .setup = {.device_options = &options_of(app)->device, .decodes = true}};
    run.setup.model_options = &run.choice.model;
    enum pv_status status = start(app, &run);
    int code;
    if (!status) {
        console_watch_interrupt();
        const struct run_options *o = options_of(app);
        const struct watch_params watch = {.setup = &run.setup,
                                           .session = run.session,
                                           .oracle = run.oracle,
                                           .view = &o->view,
                                           .trace_path = o->trace,
                                           .trace_format = o->trace_format};
        status = watch_generate(app, &watch, &run.params, &run.result);
    }
    if (status && !options_of(app)->model.on_lost && run.setup.n_devices > 1 &&
        (status == PV_ERR_DEVICE_LOST || status == PV_ERR_DEVICE_MEMORY))
        console_note(&app->console, "'--on-lost continue' would go on with the other devices");
    if (run.setup.engine)
        setup_name_devices(&run.setup); /* one may have been lost */
    code = app_fail(app, status);
    if (run.result.stopped && (!status || status == PV_ERR_INTERRUPTED)) {
        if (app->common->json) {
            const int printed = print_json(app, &run);
            code = code ? code : printed;
        } else {
            putchar('\n');
            fflush(stdout);
            print_summary(app, &run);
        }
    }
    generate_result_free(&run.result);
    pv_session_destroy(run.session);
    oracle_destroy(run.oracle);
    free(run.tokens);
    text_free(&run.prompt);
    status = setup_close(app, &run.setup);
    return code ? code : app_fail(app, status);
}

const struct command command_run = {
    .name = "run",
    .argument = "MODEL.gguf",
    .summary = "Continue a prompt, streaming the text",
    .about =
        "Text goes to stdout, speed and density to stderr. -c computes only the neurons that the router asks for.",
    .examples = "  parvin run model.gguf -p 'Once upon a time'\n"
                "  parvin run model.gguf -c model.clusters.gguf -p 'Once upon a time' -n 64 --temp 0\n"
                "  parvin run model.gguf -f prompt.txt --devices 0,1 --json\n"
                "  parvin run model.gguf -p 'Once upon a time' --devices 0,1 --on-lost continue\n",
    .groups = run_groups,
    .n_groups = sizeof run_groups / sizeof run_groups[0],
    .options_bytes = sizeof(struct run_options),
    .run = cmd_run,
};
