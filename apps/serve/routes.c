/* Each address has one function here; the table is at the end. */
#include "serve/routes.h"

#include <stdlib.h>
#include <string.h>

#include "serve/page.h"

static bool fail_memory(struct serve_error *error)
{
    serve_error_set(error, 500, "", "the server is out of memory");
    error->type = "server_error";
    return false;
}

static bool give_json(json_t *json, struct serve_answer *out, struct serve_error *error)
{
    char *dumped = json_dumps(json, JSON_COMPACT);
    const bool good = dumped && text_append(&out->text, dumped, strlen(dumped));
    free(dumped);
    json_decref(json);
    return good || fail_memory(error);
}

/* --- state --------------------------------------------------------------------------------------------------------- */

static bool answer_health(const struct serve_route_input *in, struct serve_answer *out,
                          struct serve_error *error)
{
    struct serve_counts counts;
    json_t *json = json_object();
    serve_worker_counts(in->worker, &counts);
    out->http = counts.lost ? 503 : 200;
    json_put_string(json, "status", counts.lost ? "the device was lost" : "ok");
    return give_json(json, out, error);
}

static bool answer_models(const struct serve_route_input *in, struct serve_answer *out,
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
    return give_json(json, out, error);
}

/* --- completions --------------------------------------------------------------------------------------------------- */

/* The prompt's tokens, malloc'ed. */
static bool encode(const struct serve_route_input *in, struct serve_request *r, uint32_t **tokens, size_t *n,
                   struct serve_error *error)
{
    const struct pv_model *model = in->setup->model;
    const struct pv_encode_params params = {.add_bos = pv_model_wants_bos(model), .parse_special = true};
    enum pv_status status = PV_OK;
    if (r->chat) {
        struct pv_chat_message *messages = calloc(r->n_messages, sizeof *messages);
        for (size_t i = 0; messages && i < r->n_messages; i++)
            messages[i] = (struct pv_chat_message){
                .role = r->messages[i].role, .text = r->messages[i].text, .n_bytes = r->messages[i].n_bytes};
        status =
            messages ? pv_chat_encode(in->form, model, messages, r->n_messages, tokens, n) : PV_ERR_NOMEM;
        free(messages);
    } else if (r->tokens) {
        *tokens = r->tokens;
        *n = r->n_tokens;
        r->tokens = NULL;
    } else {
        status = pv_encode(model, r->prompt, r->n_prompt_bytes, &params, tokens, n);
    }
    return status == PV_OK || fail_memory(error);
}

static bool check_ids(const struct serve_route_input *in, const struct serve_request *r,
                      const uint32_t *tokens, size_t n, struct serve_error *error)
{
    const uint32_t n_vocab = pv_model_hparams(in->setup->model)->n_vocab,
                   n_ctx = pv_engine_n_ctx(in->setup->engine);
    const char *param = r->chat ? "messages" : "prompt";
    if (n == 0 || n >= n_ctx) {
        serve_error_set(error, 400, param,
                        n ? "the prompt has %zu tokens, the context holds %u: shorten it"
                          : "the prompt is empty (%zu tokens of %u)",
                        n, n_ctx);
        error->code = n ? "context_length_exceeded" : NULL;
        return false;
    }
    for (size_t i = 0; i < n; i++)
        if (tokens[i] >= n_vocab) {
            serve_error_set(error, 400, param, "there is no token %u: the vocabulary has %u", tokens[i],
                            n_vocab);
            return false;
        }
    for (size_t i = 0; i < r->n_biases; i++)
        if (r->biases[i].token >= n_vocab) {
            serve_error_set(error, 400, "logit_bias", "there is no token %u: the vocabulary has %u",
                            r->biases[i].token, n_vocab);
            return false;
        }
    return true;
}

static bool check_mode(const struct serve_route_input *in, const struct serve_request *r,
                       struct serve_error *error)
{
    if (r->chat && !in->form)
        serve_error_set(
            error, 400, "messages",
            "the model has no chat template that is known: use /v1/completions, or start the server with "
            "--chat-template");
    else if (r->mode == SERVE_MODE_MASKED && !in->setup->clusters)
        serve_error_set(error, 400, "parvin.mode", "the server has no clusters for this model");
    else
        return true;
    return false;
}

static void add_stops(const struct serve_route_input *in, struct serve_job *job)
{
    const char *stop;
    for (uint32_t i = 0; job->request.chat && (stop = pv_chat_template_stop(in->form, i)); i++)
        if (job->stops.n < OPTION_MOST_TEXTS)
            job->stops.texts[job->stops.n++] = stop;
}

static bool complete(const struct serve_route_input *in, bool chat, struct serve_answer *out,
                     struct serve_error *error)
{
    struct serve_request request;
    uint32_t *tokens = NULL;
    size_t n = 0;
    if (!serve_request_parse(in->body, in->n_bytes, chat, &request, error))
        return false;
    if (!check_mode(in, &request, error) || !encode(in, &request, &tokens, &n, error) ||
        !check_ids(in, &request, tokens, n, error)) {
        free(tokens);
        serve_request_free(&request);
        return false;
    }
    out->job = serve_job_create(&request, tokens, (uint32_t)n, pv_engine_n_ctx(in->setup->engine));
    if (!out->job)
        return fail_memory(error);
    add_stops(in, out->job);
    return true;
}

static bool answer_chat(const struct serve_route_input *in, struct serve_answer *out,
                        struct serve_error *error)
{
    return complete(in, true, out, error);
}

static bool answer_completion(const struct serve_route_input *in, struct serve_answer *out,
                              struct serve_error *error)
{
    return complete(in, false, out, error);
}

const struct serve_route serve_routes[] = {
    {"GET", "/", true, serve_answer_page},
    {"GET", "/parvin/model", false, serve_answer_about},
    {"GET", "/health", true, answer_health},
    {"GET", "/v1/models", false, answer_models},
    {"POST", "/v1/chat/completions", false, answer_chat},
    {"POST", "/v1/completions", false, answer_completion},
    {NULL, NULL, false, NULL},
};
