/* Each address has one function here; the table is at the end. */
#include "serve/routes.h"

#include <stdlib.h>
#include <string.h>

/* --- tokens -------------------------------------------------------------------------------------------------------- */

static json_t *read_object(const struct serve_route_input *in, struct serve_error *error)
{
    json_t *json = json_loadb(in->body, in->n_bytes, JSON_ALLOW_NUL, NULL);
    if (json_is_object(json))
        return json;
    json_decref(json);
    serve_error_set(error, 400, "", "the body must be a JSON object");
    return NULL;
}

/* {"content": text, "add_special": false, "parse_special": true} -> {"tokens": [...]} */
static bool answer_tokenize(const struct serve_route_input *in, struct serve_answer *out,
                            struct serve_error *error)
{
    json_t *json = read_object(in, error);
    if (!json)
        return false;
    const json_t *content = json_object_get(json, "content");
    const struct pv_encode_params params = {
        .add_bos = json_is_true(json_object_get(json, "add_special")) && pv_model_wants_bos(in->setup->model),
        .parse_special = !json_is_false(json_object_get(json, "parse_special"))};
    uint32_t *tokens = NULL;
    size_t n = 0;
    const bool text = json_is_string(content);
    const bool good = text && pv_encode(in->setup->model, json_string_value(content),
                                        json_string_length(content), &params, &tokens, &n) == PV_OK;
    json_decref(json);
    if (!text)
        serve_error_set(error, 400, "content", "'content' must be a text");
    if (!good)
        return text ? serve_fail_memory(error) : false;
    json_t *reply = json_object(), *ids = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(ids, json_integer(tokens[i]));
    free(tokens);
    json_put(reply, "tokens", ids);
    return serve_give_json(reply, out, error);
}

/* {"tokens": [...]} -> {"content": text} */
static bool answer_detokenize(const struct serve_route_input *in, struct serve_answer *out,
                              struct serve_error *error)
{
    json_t *json = read_object(in, error);
    if (!json)
        return false;
    const json_t *ids = json_object_get(json, "tokens");
    const uint32_t n_vocab = pv_model_hparams(in->setup->model)->n_vocab;
    struct text text = {0};
    bool good = json_is_array(ids), memory = text_append(&text, "", 0);
    for (size_t i = 0; good && memory && i < json_array_size(ids); i++) {
        const json_t *id = json_array_get(ids, i);
        const char *bytes = NULL;
        good = json_is_integer(id) && json_integer_value(id) >= 0 &&
               json_integer_value(id) < (json_int_t)n_vocab;
        const size_t n =
            good ? pv_token_bytes(in->setup->model, (uint32_t)json_integer_value(id), true, &bytes) : 0;
        memory = text_append(&text, bytes ? bytes : "", n);
    }
    json_decref(json);
    json_t *reply = json_object();
    if (good && memory)
        json_put_text(reply, "content", text.bytes, text.n);
    text_free(&text);
    if (good && memory)
        return serve_give_json(reply, out, error);
    json_decref(reply);
    if (good)
        return serve_fail_memory(error);
    serve_error_set(error, 400, "tokens", "'tokens' must be an array of token ids below %u", n_vocab);
    return false;
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
    return status == PV_OK || serve_fail_memory(error);
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
        return serve_fail_memory(error);
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
    {"GET", "/health", true, serve_answer_health},
    {"GET", "/metrics", false, serve_answer_metrics},
    {"GET", "/v1/models", false, serve_answer_models},
    {"POST", "/tokenize", false, answer_tokenize},
    {"POST", "/detokenize", false, answer_detokenize},
    {"POST", "/v1/chat/completions", false, answer_chat},
    {"POST", "/v1/completions", false, answer_completion},
    {NULL, NULL, false, NULL},
};
