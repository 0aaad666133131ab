/* parvin capture and parvin merge: the first stage of a fit on its own, and in parts. */
#include <stdlib.h>
#include <string.h>

#include "cli/setup.h"
#include "commands/commands.h"

struct capture_options {
    struct common_options common;
    struct device_options device;
    struct model_options model;
    const char *out, *shard, *text;
    uint32_t thin;
    double active_share;
    uint64_t tokens, seed;
};

#define AT(field) offsetof(struct capture_options, field)
static const struct option capture_rows[] = {
    {'o', "out", OPTION_OUTPUT, AT(out), "FILE", NULL, 0, 0, "the capture file to write; needed"},
    {0, "shard", OPTION_TEXT, AT(shard), "I/N", "the whole", 0, 0,
     "capture part I of N only, for 'parvin merge'"},
    {0, "text", OPTION_INPUT, AT(text), "FILE", "written by the model", 0, 0,
     "text to learn from, like the text to be generated later ('-': standard input)"},
    {0, "active-share", OPTION_SHARE, AT(active_share), "SHARE", "0.5 or the density", 0.001, 1,
     "neurons that count as active where none are exactly zero (SwiGLU, GELU)"},
    {0, "tokens", OPTION_U64, AT(tokens), "N", "all; 65536 without --text", 1, 1e12,
     "maximum number of calibration tokens, spread over the text"},
    {0, "thin", OPTION_U32, AT(thin), "R", "no thinning", 1, 1048576,
     "run R times as many tokens and keep one in R: more of the text for the same memory"},
    {0, "seed", OPTION_U64, AT(seed), "N", "1", 0, OPTION_U64_MAX, "seed of the model's own text"},
};
#undef AT

static const struct option_group capture_groups[] = {
    OPTION_OWN(capture_rows),
    OPTION_GROUP(ctx_rows, struct capture_options, model),
    OPTION_GROUP(ffn_act_rows, struct capture_options, model),
    OPTION_GROUP(pre_rows, struct capture_options, model),
    OPTION_GROUP(device_rows, struct capture_options, device),
    OPTION_GROUP(split_rows, struct capture_options, device),
    OPTION_GROUP(driver_rows, struct capture_options, device),
    OPTION_GROUP(force_rows, struct capture_options, common),
    OPTION_GROUP(json_rows, struct capture_options, common),
    OPTION_GROUP(common_rows, struct capture_options, common),
};

static const struct capture_options *options_of(const struct app *app)
{
    return app->options;
}

/* "i/n" with 1 <= i <= n. */
static bool parse_shard(const char *text, uint32_t *shard, uint32_t *n_shards)
{
    char *end = NULL;
    if (text[0] < '1' || text[0] > '9')
        return false;
    unsigned long i = strtoul(text, &end, 10);
    if (*end != '/' || end[1] < '1' || end[1] > '9')
        return false;
    unsigned long n = strtoul(end + 1, &end, 10);
    if (*end || i > n || n > 65536)
        return false;
    *shard = (uint32_t)i - 1;
    *n_shards = (uint32_t)n;
    return true;
}

static int print_capture(struct app *app, const struct calibration *c, const struct pv_capture_result *r)
{
    const struct capture_options *o = options_of(app);
    if (o->common.json) {
        json_t *object = json_object();
        json_put_string(object, "model", o->common.argument);
        json_put_string(object, "out", o->out);
        json_put_string(object, "device", c->setup.device_names);
        json_put_count(object, "tokens", r->n_tokens);
        json_put_count(object, "windows", r->n_windows);
        json_put_count(object, "captured", r->n_captured);
        json_put_number(object, "seconds", r->seconds);
        json_put(object, "resumed", json_boolean(r->resumed));
        return json_finish(&app->console, object);
    }
    printf("%s: %u of %u windows, %llu tokens in all, %.1f s%s\n", o->out, r->n_captured, r->n_windows,
           (unsigned long long)r->n_tokens, r->seconds, r->resumed ? " (resumed)" : "");
    return EXIT_GOOD;
}

static int cmd_capture(struct app *app)
{
    const struct capture_options *o = options_of(app);
    struct pv_capture_options options = {.n_tokens = o->tokens,
                                         .thin = o->thin,
                                         .active_share = o->active_share,
                                         .seed = o->seed,
                                         .progress = console_progress(&app->console)};
    struct pv_capture_result result;
    struct calibration c = {.setup = {.device_options = &o->device, .model_options = &o->model}};
    if (!o->out) {
        console_error(&app->console, "give -o FILE: the capture file to write");
        return EXIT_USAGE;
    }
    if (o->shard && !parse_shard(o->shard, &options.shard, &options.n_shards)) {
        console_error(&app->console, "--shard takes I/N, as in 2/4 for the second of four parts");
        return EXIT_USAGE;
    }
    if (o->shard && !o->text) {
        console_error(&app->console, "--shard shares one text among machines: give --text");
        return EXIT_USAGE;
    }
    console_watch_interrupt();
    enum pv_status status = calibration_open(app, o->text, false, &c);
    if (!status && console_interrupted())
        status = PV_ERR_INTERRUPTED;
    if (!status)
        status = pv_capture_write(c.setup.engine, c.tokens, c.n_tokens, o->out, &options, &result);
    if (status == PV_ERR_INTERRUPTED) {
        console_end_bar(&app->console);
        console_note(&app->console, "stopped; the same command goes on from %s.resume", o->out);
    }
    int code = app_fail(app, status);
    if (!code)
        code = print_capture(app, &c, &result);
    status = calibration_close(app, &c);
    return code ? code : app_fail(app, status);
}

const struct command command_capture = {
    .name = "capture",
    .argument = "MODEL.gguf",
    .summary = "Capture what a model does with a text, for 'fit --capture'",
    .about =
        "The first stage of fit on its own: from one capture, clusters can be learned many times without running the\n"
        "model. It holds one window in memory, however long the text is. --shard shares the work between machines.\n"
        "An interrupted capture leaves FILE.resume; the same command continues from there.",
    .examples = "  parvin capture model.gguf --text book.txt --tokens 100000 -o book.capture\n"
                "  parvin capture model.gguf --text book.txt --shard 2/4 -o part2.capture\n"
                "  parvin fit model.gguf --capture book.capture -k 1024\n",
    .groups = capture_groups,
    .n_groups = sizeof capture_groups / sizeof capture_groups[0],
    .options_bytes = sizeof(struct capture_options),
    .run = cmd_capture,
};
