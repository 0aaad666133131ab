/* Fields are read one by one, each with its range, and a field that is not known is left aside, as clients send many
 * that a server may ignore. Those that would change the answer and cannot be honoured are errors. */
#include "serve/request.h"

#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void serve_error_set(struct serve_error *error, unsigned http, const char *param, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    *error = (struct serve_error){.http = http, .type = "invalid_request_error"};
    vsnprintf(error->message, sizeof error->message, format, arguments);
    snprintf(error->param, sizeof error->param, "%s", param);
    va_end(arguments);
}

/* What the readers below share: the object that they read from, and where an error goes. */
struct reader {
    const json_t *json;
    struct serve_error *error;
};

#define REFUSE(reader, param, ...) (serve_error_set((reader)->error, 400, (param), __VA_ARGS__), false)

/* The field's value; NULL where it is missing or null, which mean the same. */
static const json_t *field(const struct reader *r, const char *key)
{
    const json_t *value = json_object_get(r->json, key);
    return json_is_null(value) ? NULL : value;
}

static bool read_real(const struct reader *r, const char *key, double min, double max, double *out)
{
    const json_t *value = field(r, key);
    if (!value)
        return true;
    const double number = json_number_value(value);
    if (!json_is_number(value) || !(number >= min && number <= max))
        return REFUSE(r, key, "'%s' must be a number from %g to %g", key, min, max);
    *out = number;
    return true;
}

static bool read_count(const struct reader *r, const char *key, uint32_t min, uint32_t max, uint32_t *out)
{
    const json_t *value = field(r, key);
    if (!value)
        return true;
    const json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < (json_int_t)min || number > (json_int_t)max)
        return REFUSE(r, key, "'%s' must be a whole number from %u to %u", key, min, max);
    *out = (uint32_t)number;
    return true;
}

static bool read_flag(const struct reader *r, const char *key, bool *out)
{
    const json_t *value = field(r, key);
    if (value && !json_is_boolean(value))
        return REFUSE(r, key, "'%s' must be true or false", key);
    if (value)
        *out = json_is_true(value);
    return true;
}

static char *copy_bytes(const char *bytes, size_t n)
{
    char *copy = malloc(n + 1);
    if (copy) {
        memcpy(copy, bytes, n);
        copy[n] = 0;
    }
    return copy;
}

static bool fail_memory(const struct reader *r)
{
    serve_error_set(r->error, 500, "", "the server is out of memory");
    r->error->type = "server_error";
    return false;
}

/* --- messages and prompts ------------------------------------------------------------------------------------------ */

static bool read_role(const struct reader *r, const json_t *message, enum pv_chat_role *out)
{
    static const struct {
        const char *name;
        enum pv_chat_role role;
    } roles[] = {{"system", PV_CHAT_SYSTEM},
                 {"developer", PV_CHAT_SYSTEM},
                 {"user", PV_CHAT_USER},
                 {"assistant", PV_CHAT_ASSISTANT}};
    const char *name = json_string_value(json_object_get(message, "role"));
    for (size_t i = 0; name && i < sizeof roles / sizeof roles[0]; i++)
        if (!strcmp(roles[i].name, name)) {
            *out = roles[i].role;
            return true;
        }
    return REFUSE(r, "messages", "a message's 'role' must be system, developer, user or assistant");
}

/* A content of several parts is their texts, one behind the other. */
static bool join_parts(const struct reader *r, const json_t *parts, struct serve_message *out)
{
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(parts); i++) {
        const json_t *part = json_array_get(parts, i);
        const char *type = json_string_value(json_object_get(part, "type"));
        const json_t *text = json_object_get(part, "text");
        if (!type || strcmp(type, "text") != 0 || !json_is_string(text))
            return REFUSE(r, "messages", "parts of a message's 'content' must be of type text");
        n += json_string_length(text);
    }
    out->text = malloc(n + 1);
    if (!out->text)
        return fail_memory(r);
    for (size_t i = 0; i < json_array_size(parts); i++) {
        const json_t *text = json_object_get(json_array_get(parts, i), "text");
        memcpy(out->text + out->n_bytes, json_string_value(text), json_string_length(text));
        out->n_bytes += json_string_length(text);
    }
    out->text[n] = 0;
    return true;
}

static bool read_message(const struct reader *r, const json_t *json, struct serve_message *out)
{
    const json_t *content = json_object_get(json, "content");
    if (!json_is_object(json))
        return REFUSE(r, "messages", "a message must be an object with 'role' and 'content'");
    if (!read_role(r, json, &out->role))
        return false;
    if (json_is_array(content))
        return join_parts(r, content, out);
    if (!json_is_string(content))
        return REFUSE(r, "messages", "a message's 'content' must be a text");
    out->n_bytes = json_string_length(content);
    out->text = copy_bytes(json_string_value(content), out->n_bytes);
    return out->text || fail_memory(r);
}

/* The order that chat templates are made for. */
static bool check_turns(const struct reader *r, const struct serve_request *out)
{
    for (size_t i = 0; i < out->n_messages; i++) {
        const size_t first = out->messages[0].role == PV_CHAT_SYSTEM ? 1 : 0;
        const enum pv_chat_role expected = i < first         ? PV_CHAT_SYSTEM
                                           : (i - first) % 2 ? PV_CHAT_ASSISTANT
                                                             : PV_CHAT_USER;
        if (out->messages[i].role != expected)
            return REFUSE(r, "messages",
                          "message %zu is out of turn: one system message or none comes first, then user and "
                          "assistant by turns",
                          i);
    }
    return out->messages[out->n_messages - 1].role == PV_CHAT_USER ||
           REFUSE(r, "messages", "the last message must be the user's");
}

static bool read_messages(const struct reader *r, struct serve_request *out)
{
    const json_t *messages = field(r, "messages");
    const size_t n = json_array_size(messages);
    if (!json_is_array(messages) || n == 0 || n > SERVE_MOST_MESSAGES)
        return REFUSE(r, "messages", "'messages' must be an array of 1 to %d messages", SERVE_MOST_MESSAGES);
    out->messages = calloc(n, sizeof *out->messages);
    if (!out->messages)
        return fail_memory(r);
    for (; out->n_messages < n; out->n_messages++)
        if (!read_message(r, json_array_get(messages, out->n_messages), &out->messages[out->n_messages]))
            return false;
    return check_turns(r, out);
}

static bool read_tokens(const struct reader *r, const json_t *ids, struct serve_request *out)
{
    out->tokens = calloc(json_array_size(ids), sizeof *out->tokens);
    if (!out->tokens)
        return fail_memory(r);
    for (; out->n_tokens < json_array_size(ids); out->n_tokens++) {
        const json_t *id = json_array_get(ids, out->n_tokens);
        const json_int_t value = json_integer_value(id);
        if (!json_is_integer(id) || value < 0 || value >= (json_int_t)UINT32_MAX)
            return REFUSE(r, "prompt", "'prompt' must be one text, or one array of token ids");
        out->tokens[out->n_tokens] = (uint32_t)value;
    }
    return true;
}

static bool read_prompt(const struct reader *r, struct serve_request *out)
{
    const json_t *prompt = field(r, "prompt");
    if (json_array_size(prompt) == 1 && !json_is_integer(json_array_get(prompt, 0)))
        prompt = json_array_get(prompt, 0);
    if (json_is_array(prompt) && json_array_size(prompt) > 0)
        return read_tokens(r, prompt, out);
    if (!json_is_string(prompt))
        return REFUSE(r, "prompt", "'prompt' must be one text, or one array of token ids");
    out->n_prompt_bytes = json_string_length(prompt);
    out->prompt = copy_bytes(json_string_value(prompt), out->n_prompt_bytes);
    return out->prompt || fail_memory(r);
}

/* --- how the answer is chosen -------------------------------------------------------------------------------------- */

static bool add_stop(const struct reader *r, const json_t *value, struct serve_request *out)
{
    const size_t n = json_string_length(value);
    if (!json_is_string(value) || n == 0 || n > SERVE_MOST_STOP_BYTES ||
        strlen(json_string_value(value)) != n)
        return REFUSE(r, "stop", "a text to stop at must have 1 to %d bytes and no NUL",
                      SERVE_MOST_STOP_BYTES);
    out->stops[out->n_stops] = copy_bytes(json_string_value(value), n);
    if (!out->stops[out->n_stops])
        return fail_memory(r);
    out->n_stops++;
    return true;
}

static bool read_stops(const struct reader *r, struct serve_request *out)
{
    const json_t *stop = field(r, "stop");
    if (!stop || json_is_string(stop))
        return !stop || add_stop(r, stop, out);
    if (!json_is_array(stop) || json_array_size(stop) > SERVE_MOST_STOPS)
        return REFUSE(r, "stop", "'stop' must be a text or an array of at most %d texts", SERVE_MOST_STOPS);
    for (size_t i = 0; i < json_array_size(stop); i++)
        if (!add_stop(r, json_array_get(stop, i), out))
            return false;
    return true;
}

static bool read_biases(const struct reader *r, struct serve_request *out)
{
    const json_t *biases = field(r, "logit_bias");
    const char *key;
    json_t *value;
    if (!biases)
        return true;
    if (!json_is_object(biases) || json_object_size(biases) > SERVE_MOST_BIASES)
        return REFUSE(r, "logit_bias", "'logit_bias' must be an object of at most %d token ids",
                      SERVE_MOST_BIASES);
    out->biases = calloc(json_object_size(biases) + 1, sizeof *out->biases);
    if (!out->biases)
        return fail_memory(r);
    json_object_foreach((json_t *)biases, key, value)
    {
        char *end = NULL;
        const unsigned long token = strtoul(key, &end, 10);
        const double bias = json_number_value(value);
        if (*key < '0' || *key > '9' || *end || token >= UINT32_MAX || !json_is_number(value) ||
            !(fabs(bias) <= 100.0))
            return REFUSE(r, "logit_bias", "'logit_bias' must give token ids numbers from -100 to 100");
        out->biases[out->n_biases++] = (struct serve_bias){(uint32_t)token, (float)bias};
    }
    return true;
}

static bool read_seed(const struct reader *r, struct serve_request *out)
{
    const json_t *seed = field(r, "seed");
    if (seed && !json_is_integer(seed))
        return REFUSE(r, "seed", "'seed' must be a whole number");
    out->has_seed = seed != NULL;
    out->seed = (uint64_t)json_integer_value(seed);
    return true;
}

static bool read_sampling(const struct reader *r, struct serve_request *out)
{
    return read_real(r, "temperature", 0, 2, &out->temperature) && read_real(r, "top_p", 0, 1, &out->top_p) &&
           read_real(r, "min_p", 0, 1, &out->min_p) &&
           read_real(r, "frequency_penalty", -2, 2, &out->frequency_penalty) &&
           read_real(r, "presence_penalty", -2, 2, &out->presence_penalty) &&
           read_count(r, "top_k", 0, INT32_MAX, &out->top_k) && read_seed(r, out) && read_biases(r, out) &&
           read_stops(r, out);
}

/* Chat says yes or no and how many alternatives; the older form says how many at once. */
static bool read_logprobs(const struct reader *r, struct serve_request *out)
{
    if (out->chat) {
        if (!read_flag(r, "logprobs", &out->logprobs) ||
            !read_count(r, "top_logprobs", 0, SERVE_MOST_TOP, &out->top_logprobs))
            return false;
        return out->logprobs || !out->top_logprobs ||
               REFUSE(r, "top_logprobs", "'top_logprobs' needs 'logprobs' to be true");
    }
    out->logprobs = field(r, "logprobs") != NULL;
    return read_count(r, "logprobs", 0, SERVE_MOST_TOP, &out->top_logprobs);
}

static bool read_length(const struct reader *r, struct serve_request *out)
{
    return read_count(r, "max_tokens", 1, INT32_MAX, &out->max_tokens) &&
           read_count(r, "max_completion_tokens", 1, INT32_MAX, &out->max_tokens) &&
           read_count(r, "n", 1, SERVE_MOST_CHOICES, &out->n);
}

/* --- what stands around it ----------------------------------------------------------------------------------------- */

static bool read_streaming(const struct reader *r, struct serve_request *out)
{
    const json_t *options = field(r, "stream_options");
    const struct reader inner = {.json = options, .error = r->error};
    if (options && !json_is_object(options))
        return REFUSE(r, "stream_options", "'stream_options' must be an object");
    return read_flag(r, "stream", &out->stream) &&
           (!options || read_flag(&inner, "include_usage", &out->include_usage));
}

static bool read_parvin(const struct reader *r, struct serve_request *out)
{
    const json_t *own = field(r, "parvin");
    const struct reader inner = {.json = own, .error = r->error};
    if (!own)
        return true;
    if (!json_is_object(own))
        return REFUSE(r, "parvin", "'parvin' must be an object");
    const json_t *mode = field(&inner, "mode");
    const char *word = json_string_value(mode);
    if (mode && (!word || (strcmp(word, "dense") != 0 && strcmp(word, "masked") != 0)))
        return REFUSE(r, "parvin.mode", "'mode' must be dense or masked");
    if (word)
        out->mode = !strcmp(word, "dense") ? SERVE_MODE_DENSE : SERVE_MODE_MASKED;
    return read_flag(&inner, "trace", &out->trace);
}

/* What would change the answer if it were left aside. */
static bool refuse_unsupported(const struct reader *r, struct serve_request *out)
{
    const char *format = json_string_value(json_object_get(field(r, "response_format"), "type"));
    uint32_t best_of = 1;
    bool echo = false;
    out->json = format && !strcmp(format, "json_object");
    if (field(r, "response_format") && (!format || (strcmp(format, "text") != 0 && !out->json)))
        return REFUSE(r, "response_format", "'response_format' must be of type text or json_object");
    if (json_array_size(field(r, "tools")) > 0 || json_array_size(field(r, "functions")) > 0)
        return REFUSE(r, "tools", "tools are not supported: leave 'tools' out");
    if (out->chat)
        return true;
    if (field(r, "suffix"))
        return REFUSE(r, "suffix", "'suffix' is not supported: leave it out");
    if (!read_count(r, "best_of", 1, 1, &best_of) || !read_flag(r, "echo", &echo))
        return false;
    return !echo || REFUSE(r, "echo", "'echo' is not supported: the client has the prompt");
}

static bool read_all(const struct reader *r, struct serve_request *out)
{
    return (out->chat ? read_messages(r, out) : read_prompt(r, out)) && read_sampling(r, out) &&
           read_logprobs(r, out) && read_length(r, out) && read_streaming(r, out) && read_parvin(r, out) &&
           refuse_unsupported(r, out);
}

bool serve_request_parse(const char *body, size_t n_bytes, bool chat, struct serve_request *out,
                         struct serve_error *error)
{
    json_error_t where;
    *out = (struct serve_request){
        .chat = chat, .temperature = 1.0, .top_p = 1.0, .max_tokens = chat ? UINT32_MAX : 16, .n = 1};
    json_t *json = json_loadb(body, n_bytes, JSON_ALLOW_NUL, &where);
    const struct reader reader = {.json = json, .error = error};
    bool good = json_is_object(json);
    if (!json)
        serve_error_set(error, 400, "", "the body is not JSON: line %d, column %d: %s", where.line,
                        where.column, where.text);
    else if (!good)
        serve_error_set(error, 400, "", "the body must be a JSON object");
    else
        good = read_all(&reader, out);
    json_decref(json);
    if (!good)
        serve_request_free(out);
    return good;
}

void serve_request_free(struct serve_request *request)
{
    for (size_t i = 0; request->messages && i < request->n_messages; i++)
        free(request->messages[i].text);
    for (uint32_t i = 0; i < request->n_stops; i++)
        free(request->stops[i]);
    free(request->messages);
    free(request->prompt);
    free(request->tokens);
    free(request->biases);
    *request = (struct serve_request){.chat = request->chat};
}
