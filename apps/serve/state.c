/* What the server says of itself: health, models, figures for Prometheus. */
#include "serve/routes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool serve_answer_health(const struct serve_route_input *in, struct serve_answer *out,
                         struct serve_error *error)
{
    struct serve_counts counts;
    json_t *json = json_object();
    serve_worker_counts(in->worker, &counts);
    out->http = counts.lost ? 503 : 200;
    json_put_string(json, "status", counts.lost ? "the device was lost" : "ok");
    return serve_give_json(json, out, error);
}

bool serve_answer_models(const struct serve_route_input *in, struct serve_answer *out,
                         struct serve_error *error)
{
    json_t *json = json_object(), *data = json_array(), *model = json_object();
    json_put_string(model, "id", in->name);
    json_put_string(model, "object", "model");
    json_put_count(model, "created", 0);
    json_put_string(model, "owned_by", "parvin");
    json_array_append_new(data, model);
    json_put_string(json, "object", "list");
    json_put(json, "data", data);
    return serve_give_json(json, out, error);
}

/* A line of the text, with what comes before it. False: no memory. */
static bool say(struct text *out, const char *name, const char *type, const char *help, double value)
{
    char line[512];
    const int n = snprintf(line, sizeof line, "# HELP parvin_%s %s\n# TYPE parvin_%s %s\nparvin_%s %.15g\n",
                           name, help, name, type, name, value);
    return n > 0 && text_append(out, line, (size_t)n);
}

bool serve_answer_metrics(const struct serve_route_input *in, struct serve_answer *out,
                          struct serve_error *error)
{
    struct serve_counts c;
    serve_worker_counts(in->worker, &c);
    const struct {
        const char *name, *type, *help;
        double value;
    } rows[] = {
        {"requests_total", "counter", "Completions that were taken.", (double)c.n_jobs},
        {"requests_refused_total", "counter", "Completions that found no room, or no device.",
         (double)c.n_refused},
        {"requests_left_total", "counter", "Answers whose client left before their end.", (double)c.n_left},
        {"prompt_tokens_total", "counter", "Tokens of prompts that were fed.", (double)c.n_prompt_tokens},
        {"reused_tokens_total", "counter", "Tokens of prompts that a sequence held already.",
         (double)c.n_reused_tokens},
        {"answer_tokens_total", "counter", "Tokens of answers.", (double)c.n_answer_tokens},
        {"steps_total", "counter", "Batches that were computed.", (double)c.n_steps},
        {"prompt_seconds_total", "counter", "Time in steps of prompts alone.", c.prompt_s},
        {"decode_seconds_total", "counter", "Time in steps with tokens of answers.", c.decode_s},
        {"decoded_tokens_total", "counter", "Tokens of answers that were fed.", (double)c.n_decoded},
        {"density_sum", "counter", "Density, the share of neurons computed, summed over decoded tokens.",
         c.density_sum},
        {"answers_waiting", "gauge", "Answers in the queue.", c.n_waiting},
        {"answers_active", "gauge", "Answers under way.", c.n_active},
        {"slots", "gauge", "Answers that can be under way at once.", c.n_slots},
        {"device_lost", "gauge", "1 once the device is lost.", c.lost},
        {"device_memory_bytes", "gauge", "Device memory in use.", (double)c.device_bytes},
    };
    out->type = "text/plain; version=0.0.4";
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (!say(&out->text, rows[i].name, rows[i].type, rows[i].help, rows[i].value))
            return serve_fail_memory(error);
    return true;
}
