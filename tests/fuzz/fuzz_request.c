/* Any bytes as the body of a request for a completion, with messages and with a prompt. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "serve/request.h"

static void check(const struct serve_request *r)
{
    if (r->n < 1 || r->n > SERVE_MOST_CHOICES || r->n_stops > SERVE_MOST_STOPS || r->max_tokens == 0 ||
        r->top_logprobs > SERVE_MOST_TOP || r->n_biases > SERVE_MOST_BIASES || !(r->temperature >= 0) ||
        (r->chat ? r->n_messages == 0 : !r->prompt && r->n_tokens == 0))
        abort();
    for (uint32_t i = 0; i < r->n_stops; i++)
        if (strlen(r->stops[i]) == 0 || strlen(r->stops[i]) > SERVE_MOST_STOP_BYTES)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    char *copy = pv_fuzz_copy(data, size_bytes);
    for (int chat = 0; chat < 2; chat++) {
        struct serve_request request;
        struct serve_error error = {0};
        if (serve_request_parse(copy, size_bytes, chat == 1, &request, &error))
            check(&request);
        else if (error.http < 400 || !error.message[0] || request.n_messages > 0 || request.prompt)
            abort();
        serve_request_free(&request);
    }
    free(copy);
    return 0;
}
