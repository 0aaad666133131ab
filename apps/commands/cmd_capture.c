/* parvin capture and parvin merge: the first stage of a fit on its own, and in parts. */
#include <stdlib.h>
#include <string.h>

#include "calibration.h"

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
    const struct options *o = &app->options;
    if (o->json) {
        json_t *object = json_object();
        json_put_string(object, "model", o->argument);
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

int cmd_capture(struct app *app)
{
    const struct options *o = &app->options;
    struct pv_capture_options options = {.n_tokens = o->tokens,
                                         .thin = o->thin,
                                         .active_share = o->active_share,
                                         .seed = o->seed,
                                         .progress = console_progress(&app->console)};
    struct pv_capture_result result;
    struct calibration c = {0};
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
    enum pv_status status = calibration_open(app, false, &c);
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

int cmd_merge(struct app *app)
{
    const struct options *o = &app->options;
    const struct pv_log log = console_log(&app->console);
    if (!o->out) {
        console_error(&app->console, "give -o FILE: the capture file to write");
        return EXIT_USAGE;
    }
    const int code = app_fail(app, pv_capture_merge(o->arguments, o->n_arguments, o->out, &log));
    if (code)
        return code;
    if (o->json) {
        json_t *object = json_object();
        json_put_string(object, "out", o->out);
        json_put_count(object, "parts", o->n_arguments);
        return json_finish(&app->console, object);
    }
    printf("%s: %u parts\n", o->out, o->n_arguments);
    return EXIT_GOOD;
}
