/* parvin run: continue a prompt. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "generate.h"
#include "observe.h"
#include "setup.h"
#include "watch.h"

struct run {
    struct setup setup;
    struct pv_session *session;
    struct oracle *oracle; /* with --oracle */
    struct text prompt;
    uint32_t *tokens; /* of the prompt */
    size_t n_tokens;
    struct generate_params params;
    struct generate_result result;
};

static enum pv_status read_prompt(struct app *app, struct text *prompt)
{
    const struct options *o = &app->options;
    if (!o->prompt == !o->prompt_file) {
        console_error(&app->console,
                      o->prompt ? "give --prompt or --file, not both"
                                : "there is no prompt: give -p TEXT or -f FILE ('-p -' reads stdin)");
        return PV_ERR_ARG;
    }
    if (o->prompt && strcmp(o->prompt, "-") != 0)
        return text_append(prompt, o->prompt, strlen(o->prompt)) ? PV_OK : PV_ERR_NOMEM;
    return text_read(&app->console, o->prompt ? "-" : o->prompt_file, prompt);
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
    if (run->n_tokens <= n_ctx)
        return PV_OK;
    console_error(&app->console,
                  "the prompt has %zu tokens, the context holds %u: shorten it or give --ctx %zu",
                  run->n_tokens, n_ctx, run->n_tokens + app->options.n_predict);
    return PV_ERR_ARG;
}

static uint64_t choose_seed(uint64_t wanted)
{
    struct timespec now;
    if (wanted)
        return wanted;
    clock_gettime(CLOCK_REALTIME, &now);
    return 1 + ((uint64_t)now.tv_nsec * 2654435761u ^ (uint64_t)now.tv_sec ^ (uint64_t)getpid() << 20) %
                   1000000000u;
}

static void set_params(const struct options *o, struct run *run)
{
    run->params = (struct generate_params){
        .prompt = run->tokens,
        .n_prompt = (uint32_t)run->n_tokens,
        .n_predict = o->n_predict,
        .sampler = {.temperature = (float)o->temp,
                    .top_k = o->top_k,
                    .top_p = (float)o->top_p,
                    .min_p = (float)o->min_p,
                    .repeat_penalty = (float)o->repeat_penalty,
                    .repeat_last = o->repeat_last,
                    .seed = choose_seed(o->seed)},
        .ignore_eos = o->ignore_eos,
        .stream = !o->json,
    };
}

static enum pv_status check_oracle(struct app *app)
{
    const struct options *o = &app->options;
    if (!o->oracle)
        return PV_OK;
    if (!o->clusters_path)
        console_error(&app->console, "--oracle says what the masks miss: give the cluster file with -c");
    else if (!o->trace && !o->view)
        console_error(&app->console, "--oracle goes with --trace FILE or --view, which show what it finds");
    else if (o->prefill_dense)
        console_error(&app->console,
                      "--oracle feeds tokens like a prompt: it does not go with --prefill-dense");
    else if (o->on_lost && !strcmp(o->on_lost, "continue"))
        console_error(&app->console, "--oracle does not go with --on-lost continue");
    else
        return PV_OK;
    return PV_ERR_ARG;
}

static enum pv_status check_on_lost(struct app *app)
{
    const char *what = app->options.on_lost;
    if (!what || !strcmp(what, "stop") || !strcmp(what, "continue"))
        return PV_OK;
    console_error(&app->console, "--on-lost takes stop or continue, not '%s'", what);
    return PV_ERR_ARG;
}

static enum pv_status start(struct app *app, struct run *run)
{
    const struct options *o = &app->options;
    enum pv_status status = check_on_lost(app);
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
    if (!status && o->oracle)
        status = oracle_create(app, &run->setup, &run->oracle);
    if (status)
        return status;
    const struct pv_session_params params = {.ffn = run->setup.clusters ? PV_FFN_ROUTED : PV_FFN_DENSE,
                                             .prefill_dense = o->prefill_dense,
                                             .capture = o->oracle ? oracle_capture : NULL,
                                             .time_dispatches = o->trace && o->trace_format &&
                                                                !strcmp(o->trace_format, "perfetto"),
                                             .capture_user = run->oracle};
    set_params(o, run);
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
    json_put_string(object, "model", app->options.argument);
    json_put_string(object, "device", run->setup.device_names);
    json_put_text(object, "prompt", run->prompt.bytes, run->prompt.n);
    json_put_text(object, "text", r->text.bytes, r->text.n);
    json_put_count(object, "prompt_tokens", run->n_tokens);
    json_put_count(object, "tokens", r->n_tokens);
    json_put(object, "token_ids", ids);
    json_put_number(object, "prefill_tok_s", rate((double)run->n_tokens, r->prefill_s));
    json_put_number(object, "decode_tok_s", rate(r->n_decoded, r->decode_s));
    json_put_number(object, "ms_per_token", r->n_decoded ? 1e3 * r->decode_s / r->n_decoded : 0);
    json_put_number(object, "density", run->setup.clusters ? r->density : 1);
    if (run->setup.clusters)
        json_put_count(object, "best", app->options.best);
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
    if (strcmp(r->stopped, "length") != 0 || run->params.sampler.temperature > 0)
        console_note(&app->console, "stopped by %s; --seed %llu", r->stopped,
                     (unsigned long long)run->params.sampler.seed);
}

int cmd_run(struct app *app)
{
    struct run run = {0};
    enum pv_status status = start(app, &run);
    int code;
    if (!status) {
        console_watch_interrupt();
        if (run.params.stream && isatty(STDOUT_FILENO))
            fwrite(run.prompt.bytes, 1, run.prompt.n,
                   stdout); /* a reader wants the whole text, a pipe the new one */
        status = watch_generate(app, &run.setup, run.session, run.oracle, &run.params, &run.result);
    }
    if (status && !app->options.on_lost && run.setup.n_devices > 1 &&
        (status == PV_ERR_DEVICE_LOST || status == PV_ERR_DEVICE_MEMORY))
        console_note(&app->console, "'--on-lost continue' would go on with the other devices");
    if (run.setup.engine)
        setup_name_devices(&run.setup); /* one may have been lost */
    code = app_fail(app, status);
    if (run.result.stopped && (!status || status == PV_ERR_INTERRUPTED)) {
        if (app->options.json) {
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
