/* Answers as JSON: the objects of OpenAI's API, whole or as the events of a stream. */
#include "serve/job.h"

#include <stdlib.h>
#include <string.h>

static bool append_json(struct text *out, json_t *json)
{
    char *dumped = json ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    const bool good = dumped && text_append(out, dumped, strlen(dumped));
    free(dumped);
    json_decref(json);
    return good;
}

/* data: JSON, an empty line. */
static bool append_event(struct serve_job *job, json_t *json)
{
    return text_append(&job->out, "data: ", 6) && append_json(&job->out, json) &&
           text_append(&job->out, "\n\n", 2);
}

static json_t *error_json(const struct serve_error *e)
{
    json_t *inner = json_object(), *json = json_object();
    json_put_string(inner, "message", e->message);
    json_put_string(inner, "type", e->type);
    json_put(inner, "param", e->param[0] ? json_string(e->param) : NULL);
    json_put(inner, "code", e->code ? json_string(e->code) : NULL);
    json_put(json, "error", inner);
    return json;
}

char *serve_reply_error(const struct serve_error *error)
{
    struct text out = {0};
    if (append_json(&out, error_json(error)))
        return out.bytes;
    text_free(&out);
    return NULL;
}

/* What every object of the API begins with. */
static json_t *head(const struct serve_job *job, bool chunk)
{
    json_t *json = json_object();
    json_put_string(json, "id", job->id);
    json_put_string(json, "object",
                    !job->request.chat ? "text_completion"
                    : chunk            ? "chat.completion.chunk"
                                       : "chat.completion");
    json_put_count(json, "created", (uint64_t)job->created);
    json_put_string(json, "model", job->model);
    return json;
}

/* --- logprobs ------------------------------------------------------------------------------------------------------ */

/* The older form has arrays side by side. `offset`: where the first token begins in the text. */
static json_t *older_logprobs(const json_t *entries, size_t offset)
{
    json_t *json = json_object(), *tokens = json_array(), *values = json_array(), *tops = json_array(),
           *offsets = json_array();
    for (size_t i = 0; i < json_array_size(entries); i++) {
        const json_t *entry = json_array_get(entries, i), *top = json_object_get(entry, "top_logprobs");
        json_t *one = json_object();
        for (size_t k = 0; k < json_array_size(top); k++) {
            const json_t *other = json_array_get(top, k);
            json_object_set(one, json_string_value(json_object_get(other, "token")),
                            json_object_get(other, "logprob"));
        }
        json_array_append(tokens, json_object_get(entry, "token"));
        json_array_append(values, json_object_get(entry, "logprob"));
        json_array_append_new(tops, one);
        json_array_append_new(offsets, json_integer((json_int_t)offset));
        offset += json_array_size(json_object_get(entry, "bytes"));
    }
    json_put(json, "tokens", tokens);
    json_put(json, "token_logprobs", values);
    json_put(json, "top_logprobs", tops);
    json_put(json, "text_offset", offsets);
    return json;
}

/* null where none were asked for. Those of a stream are taken. */
static json_t *take_logprobs(const struct serve_job *job, const struct serve_choice *c, size_t offset)
{
    if (!c->logprobs)
        return NULL;
    json_t *json;
    if (job->request.chat) {
        json = json_object();
        json_put(json, "content", json_copy(c->logprobs));
    } else {
        json = older_logprobs(c->logprobs, offset);
    }
    json_array_clear(c->logprobs);
    return json;
}

/* --- streams ------------------------------------------------------------------------------------------------------- */

static bool append_chunk(struct serve_job *job, json_t *choice, json_t *own)
{
    json_t *json = head(job, true), *choices = json_array();
    json_array_append_new(choices, choice);
    json_put(json, "choices", choices);
    if (own)
        json_put(json, "parvin", own);
    return append_event(job, json);
}

/* A choice of a chunk: some of the text, or with `bytes` NULL none. */
static json_t *chunk_choice(const struct serve_job *job, const struct serve_choice *c, const char *bytes,
                            size_t n)
{
    json_t *json = json_object();
    json_put_count(json, "index", c->index);
    if (job->request.chat) {
        json_t *delta = json_object();
        if (bytes)
            json_put_text(delta, "content", bytes, n);
        json_put(json, "delta", delta);
    } else {
        json_put_text(json, "text", bytes ? bytes : "", n);
    }
    json_put(json, "logprobs", NULL);
    json_put(json, "finish_reason", c->finish && !bytes ? json_string(c->finish) : NULL);
    return json;
}

bool serve_reply_begin(struct serve_job *job, const struct serve_choice *choice)
{
    if (!job->request.chat)
        return true;
    json_t *json = chunk_choice(job, choice, "", 0);
    json_put_string(json_object_get(json, "delta"), "role", "assistant");
    return append_chunk(job, json, NULL);
}

/* [[cluster, computed, active, margin], ...]; -1 for what is not known, and the cluster of a dense layer. */
static json_t *layers_json(const struct pv_token_stats *stats)
{
    json_t *layers = json_array();
    for (uint32_t i = 0; stats && i < stats->n_layers; i++) {
        const bool dense = stats->cluster[i] == UINT32_MAX;
        json_t *layer = json_array();
        json_array_append_new(layer, json_integer(dense ? -1 : (json_int_t)stats->cluster[i]));
        json_array_append_new(layer, json_integer((json_int_t)stats->n_neurons[i]));
        json_array_append_new(layer, json_integer(stats->n_rows ? (json_int_t)stats->n_rows[i] : -1));
        json_array_append_new(layer, json_real(dense ? 0.0 : (double)stats->margin[i]));
        json_array_append_new(layers, layer);
    }
    return layers;
}

static json_t *fed_json(const struct serve_fed *fed, const struct pv_model *model)
{
    const char *bytes = NULL;
    const size_t n = pv_token_bytes(model, fed->token, false, &bytes);
    json_t *json = json_object();
    json_put_count(json, "token", fed->token);
    json_put_text(json, "text", bytes ? bytes : "", n);
    json_put_count(json, "pos", fed->pos);
    json_put_number(json, "ms", fed->ms);
    json_put(json, "layers", layers_json(fed->stats));
    return json;
}

bool serve_reply_more(struct serve_job *job, struct serve_choice *choice, size_t n,
                      const struct pv_model *model, const struct serve_fed *fed)
{
    json_t *json = chunk_choice(job, choice, choice->text.bytes + choice->n_shown, n);
    if (json_array_size(choice->logprobs) > 0)
        json_put(json, "logprobs", take_logprobs(job, choice, choice->n_shown));
    choice->n_shown += n;
    return append_chunk(job, json, fed ? fed_json(fed, model) : NULL);
}

static json_t *summary_json(const struct serve_job *job, const struct serve_choice *c)
{
    json_t *summary = json_object(), *json = json_object();
    json_put(summary, "tok_s", c->decode_s > 0 ? json_real(c->n_fed / c->decode_s) : NULL);
    json_put(summary, "density", c->n_fed ? json_real(c->density_sum / c->n_fed) : NULL);
    json_put_count(summary, "n_tokens", c->n_tokens - job->n_prompt);
    json_put(json, "summary", summary);
    return json;
}

static json_t *usage_json(const struct serve_job *job)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < job->request.n; i++)
        n += job->choices[i].n_tokens - job->n_prompt;
    json_t *json = json_object();
    json_put_count(json, "prompt_tokens", job->n_prompt);
    json_put_count(json, "completion_tokens", n);
    json_put_count(json, "total_tokens", job->n_prompt + n);
    return json;
}

bool serve_reply_end(struct serve_job *job, const struct serve_choice *choice)
{
    bool good = append_chunk(job, chunk_choice(job, choice, NULL, 0), summary_json(job, choice));
    if (job->n_open > 0)
        return good;
    if (job->request.include_usage) {
        json_t *json = head(job, true);
        json_put(json, "choices", json_array());
        json_put(json, "usage", usage_json(job));
        good = good && append_event(job, json);
    }
    return good && text_append(&job->out, "data: [DONE]\n\n", 14);
}

/* --- whole answers ------------------------------------------------------------------------------------------------- */

static json_t *whole_choice(const struct serve_job *job, const struct serve_choice *c)
{
    json_t *json = json_object();
    json_put_count(json, "index", c->index);
    if (job->request.chat) {
        json_t *message = json_object();
        json_put_string(message, "role", "assistant");
        json_put_text(message, "content", c->text.bytes, c->text.n);
        json_put(json, "message", message);
    } else {
        json_put_text(json, "text", c->text.bytes, c->text.n);
    }
    json_put(json, "logprobs", take_logprobs(job, c, 0));
    json_put_string(json, "finish_reason", c->finish);
    return json;
}

bool serve_reply_whole(struct serve_job *job)
{
    json_t *json = head(job, false), *choices = json_array();
    for (uint32_t i = 0; i < job->request.n; i++)
        json_array_append_new(choices, whole_choice(job, &job->choices[i]));
    json_put(json, "choices", choices);
    json_put(json, "usage", usage_json(job));
    json_put(json, "parvin", summary_json(job, &job->choices[0]));
    return append_json(&job->out, json);
}

bool serve_reply_fail(struct serve_job *job, const struct serve_error *error)
{
    if (job->request.stream)
        return append_event(job, error_json(error));
    job->http = error->http;
    job->out.n = 0;
    return append_json(&job->out, error_json(error));
}
