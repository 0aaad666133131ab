/* What a client asks for, out of the JSON of its request. The parser is a function of the text alone: it knows no
 * model, no connection and no thread. Numbers are checked here against the API's ranges and the limits below; whether
 * a prompt fits the context is found out later. */
#ifndef SERVE_REQUEST_H
#define SERVE_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "parvin/chat.h"

enum {
    SERVE_MOST_STOPS = 16,
    SERVE_MOST_STOP_BYTES = 256,
    SERVE_MOST_MESSAGES = 4096,
    SERVE_MOST_CHOICES = 16,
    SERVE_MOST_TOP = 20,
    SERVE_MOST_BIASES = 1024,
};

/* An error as OpenAI's API words it. */
struct serve_error {
    unsigned http;    /* status */
    const char *type; /* "invalid_request_error", ... */
    const char *code; /* or NULL */
    char param[48];   /* the field that is wrong; "": none */
    char message[256];
};
void serve_error_set(struct serve_error *error, unsigned http, const char *param, const char *format, ...)
    PV_PRINTF(4, 5);

enum serve_mode { SERVE_MODE_DEFAULT, SERVE_MODE_DENSE, SERVE_MODE_MASKED };

struct serve_message {
    enum pv_chat_role role;
    char *text; /* [n_bytes] */
    size_t n_bytes;
};

struct serve_bias {
    uint32_t token;
    float value;
};

struct serve_request {
    bool chat; /* messages, else a prompt */
    struct serve_message *messages;
    size_t n_messages;
    char *prompt; /* [n_prompt_bytes]; NULL with messages or tokens */
    size_t n_prompt_bytes;
    uint32_t *tokens; /* [n_tokens] the prompt as ids; not checked against a vocabulary */
    size_t n_tokens;

    double temperature, top_p, min_p, frequency_penalty, presence_penalty;
    uint32_t top_k;
    bool has_seed;
    uint64_t seed;
    struct serve_bias *biases; /* [n_biases] */
    size_t n_biases;
    uint32_t max_tokens; /* UINT32_MAX: until the answer ends or the context is full */
    uint32_t n;          /* choices */
    char *stops[SERVE_MOST_STOPS];
    uint32_t n_stops;
    bool logprobs;
    uint32_t top_logprobs;
    bool json; /* the answer is a JSON object */
    bool stream, include_usage;
    enum serve_mode mode;
    bool trace;
};

/* Reads a body for /v1/chat/completions (`chat`) or /v1/completions. False, with the error, where it is none, and
 * `out` is empty. Free with serve_request_free. */
bool serve_request_parse(const char *body, size_t n_bytes, bool chat, struct serve_request *out,
                         struct serve_error *error);
void serve_request_free(struct serve_request *request);

#endif
