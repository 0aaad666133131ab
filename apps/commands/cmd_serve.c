/* parvin serve: OpenAI's API over HTTP. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chat/form.h"
#include "cli/setup.h"
#include "commands/commands.h"
#ifdef PV_SERVE
#include "serve/http.h"
#endif

struct serve_options {
    struct common_options common;
    struct device_options device;
    struct model_options model;
    const char *host, *api_key, *template, *name;
    uint32_t port, parallel, queue, timeout_s, drain_s, connections, body_kib;
    bool dense;
};

#define AT(field) offsetof(struct serve_options, field)
static const struct option serve_rows[] = {
    {0, "port", OPTION_U32, AT(port), "N", "8080", 0, 65535, "port to listen on; 0: any that is free"},
    {0, "host", OPTION_TEXT, AT(host), "ADDRESS", "127.0.0.1", 0, 0,
     "address to listen on; 0.0.0.0 lets the whole network in: set --api-key"},
    {0, "api-key", OPTION_TEXT, AT(api_key), "KEY", "$PARVIN_API_KEY", 0, 0,
     "what clients must send as Authorization: Bearer KEY"},
    {0, "name", OPTION_TEXT, AT(name), "NAME", "the file's", 0, 0,
     "what clients are told the model is called"},
    {0, "chat-template", OPTION_TEXT, AT(template), "NAME|FILE.json", "the model's own", 0, 0,
     "texts around each turn: chatml, llama-3, ...; a JSON file; none: plain lines"},
    {0, "parallel", OPTION_U32, AT(parallel), "N", "4", 1, 256,
     "answers that are written at once, in one batch; each takes a context's memory"},
    {0, "queue", OPTION_U32, AT(queue), "N", "64", 0, 65536,
     "answers that may wait; further ones are refused (503)"},
    {0, "timeout", OPTION_U32, AT(timeout_s), "S", "30", 1, 86400,
     "seconds that a client has to send a request, and to take some of an answer"},
    {0, "drain", OPTION_U32, AT(drain_s), "S", "30", 0, 86400,
     "seconds that answers have to end after Ctrl-C or SIGTERM; a second signal ends them at once"},
    {0, "connections", OPTION_U32, AT(connections), "N", "512", 1, 65536, "clients at once"},
    {0, "body-kib", OPTION_U32, AT(body_kib), "KIB", "1024", 1, 1048576, "longest body of a request"},
    {0, "dense", OPTION_FLAG, AT(dense), NULL, NULL, 0, 0,
     "compute every neuron, even if MODEL.clusters.gguf is beside the model"},
};
#undef AT

static const struct option_group serve_groups[] = {
    OPTION_OWN(serve_rows),
    OPTION_GROUP(clusters_rows, struct serve_options, model),
    OPTION_GROUP(ctx_rows, struct serve_options, model),
    OPTION_GROUP(ffn_act_rows, struct serve_options, model),
    OPTION_GROUP(pre_rows, struct serve_options, model),
    OPTION_GROUP(device_rows, struct serve_options, device),
    OPTION_GROUP(split_rows, struct serve_options, device),
    OPTION_GROUP(driver_rows, struct serve_options, device),
    OPTION_GROUP(common_rows, struct serve_options, common),
};

#ifdef PV_SERVE
struct server {
    struct app *app;
    struct setup setup;
    struct setup_choice choice;
    struct pv_chat_template *form;
    struct serve_worker *worker;
    struct serve_http *http;
};

static const struct serve_options *options_of(const struct app *app)
{
    return app->options;
}

static volatile sig_atomic_t n_signals;

static void count_signal(int number)
{
    (void)number;
    n_signals++;
}

static void watch_signals(void)
{
    struct sigaction action = {.sa_handler = count_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* A model without a template goes on from plain lines; one whose template is not known answers no conversations. */
static enum pv_status choose_form(struct server *s)
{
    struct app *app = s->app;
    const char *word = options_of(app)->template;
    if (!word && !pv_model_has_chat_template(s->setup.model)) {
        console_note(&app->console,
                     "the model has no chat template: messages are plain lines that it goes on from");
        word = "none";
    }
    const enum pv_status status = chat_form_choose(app, word, s->setup.model, &s->form);
    if (status != PV_ERR_UNSUPPORTED)
        return status;
    console_note(&app->console, "conversations are refused, /v1/completions is answered");
    return PV_OK;
}

static enum pv_status open_model(struct server *s)
{
    struct app *app = s->app;
    enum pv_status status = setup_model(app, app->common->argument, &s->setup);
    if (!status)
        status = choose_form(s);
    if (!status)
        status = setup_find_clusters(app, options_of(app)->dense, &s->choice);
    return status ? status : setup_rest(app, &s->setup);
}

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static enum pv_status start(struct server *s)
{
    const struct serve_options *o = options_of(s->app);
    const char *key = o->api_key ? o->api_key : getenv("PARVIN_API_KEY");
    enum pv_status status = open_model(s);
    if (status)
        return status;
    setup_name_devices(&s->setup);
    const struct serve_worker_params worker = {
        .app = s->app, .setup = &s->setup, .n_slots = o->parallel, .n_queue = o->queue};
    status = serve_worker_create(&worker, &s->worker);
    if (status)
        return status;
    const struct serve_http_params http = {.app = s->app,
                                           .setup = &s->setup,
                                           .form = s->form,
                                           .worker = s->worker,
                                           .host = o->host ? o->host : "127.0.0.1",
                                           .api_key = key && *key ? key : NULL,
                                           .name = o->name ? o->name : file_name(s->app->common->argument),
                                           .port = o->port,
                                           .most_body_bytes = o->body_kib * 1024u,
                                           .most_connections = o->connections,
                                           .timeout_s = o->timeout_s};
    status = serve_http_start(&http, &s->http);
    if (!status)
        console_note(&s->app->console, "listening on http://%s:%u (%s, %s); Ctrl-C ends", http.host,
                     serve_http_port(s->http), s->setup.clusters ? "clusters" : "dense",
                     s->setup.device_names);
    return status;
}

/* Until a signal comes; then answers may end. */
static void serve(struct server *s)
{
    double deadline = 0;
    for (uint32_t tick = 0; n_signals < 2; tick++) {
        usleep(50000);
        if (tick % 20 == 0)
            serve_http_watch(s->http);
        if (n_signals == 0)
            continue;
        if (deadline <= 0) {
            deadline = console_seconds() + options_of(s->app)->drain_s;
            serve_worker_close(s->worker, false);
            serve_http_quiesce(s->http);
            console_note(&s->app->console, "no further requests are taken; answers under way end");
        }
        if (serve_worker_idle(s->worker) || console_seconds() > deadline)
            break;
    }
    serve_worker_close(s->worker, true);
    usleep(200000); /* what is ready is sent */
}

static int cmd_serve(struct app *app)
{
    struct server *s = calloc(1, sizeof *s);
    if (!s)
        return app_fail(app, PV_ERR_NOMEM);
    s->app = app;
    s->choice.model = options_of(app)->model;
    s->setup.device_options = &options_of(app)->device;
    s->setup.model_options = &s->choice.model;
    s->setup.decodes = options_of(app)->parallel == 1;
    watch_signals();
    enum pv_status status = start(s);
    if (!status)
        serve(s);
    const int code = app_fail(app, status);
    serve_http_stop(s->http);
    serve_worker_destroy(s->worker);
    pv_chat_template_free(s->form);
    status = setup_close(app, &s->setup);
    free(s);
    return code ? code : app_fail(app, status);
}
#else
static int cmd_serve(struct app *app)
{
    console_error(
        &app->console,
        "this parvin was built without libmicrohttpd, which 'serve' needs: install it and build again");
    return EXIT_FAILED;
}
#endif

const struct command command_serve = {
    .name = "serve",
    .argument = "MODEL.gguf",
    .summary = "Serve a model over HTTP, as OpenAI's API",
    .about =
        "Answers /v1/chat/completions, /v1/completions and /v1/models on this machine alone, unless --host says otherwise;\n"
        "docs/serve.md has examples and what is answered. A model without a chat template goes on from plain lines.",
    .examples = "  parvin serve model.gguf\n"
                "  parvin serve model.gguf -c model.clusters.gguf --port 9000\n"
                "  PARVIN_API_KEY=secret parvin serve model.gguf --host 0.0.0.0\n",
    .groups = serve_groups,
    .n_groups = sizeof serve_groups / sizeof serve_groups[0],
    .options_bytes = sizeof(struct serve_options),
    .run = cmd_serve,
};
