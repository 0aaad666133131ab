/* Bodies of requests as OpenAI's published API describes them: every field, its range, and what is refused. */
#include "serve/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "harness.h"

static struct serve_request request;
static struct serve_error error;

static bool parse(const char *body, bool chat)
{
    return serve_request_parse(body, strlen(body), chat, &request, &error);
}

START_TEST(a_prompt_alone_has_the_defaults)
{
    ck_assert(parse("{\"prompt\": \"Once\"}", false));
    ck_assert_str_eq(request.prompt, "Once");
    ck_assert_uint_eq(request.n_prompt_bytes, 4);
    ck_assert_uint_eq(request.max_tokens, 16);
    ck_assert_uint_eq(request.n, 1);
    ck_assert(request.temperature >= 1 && request.temperature <= 1);
    ck_assert(request.top_p >= 1 && request.top_p <= 1);
    ck_assert(!request.stream && !request.logprobs && !request.has_seed && !request.trace);
    ck_assert_int_eq(request.mode, SERVE_MODE_DEFAULT);
    serve_request_free(&request);
}
END_TEST

START_TEST(every_field_is_read)
{
    ck_assert(parse(
        "{\"messages\": [{\"role\": \"developer\", \"content\": \"S\"}, {\"role\": \"user\", \"content\":"
        " [{\"type\": \"text\", \"text\": \"a\\u0000\"}, {\"type\": \"text\", \"text\": \"b\"}]}],"
        "\"temperature\": 0.5, \"top_p\": 0.25, \"top_k\": 7, \"min_p\": 0.125, \"seed\": 42, \"n\": 3,"
        "\"max_completion_tokens\": 9, \"stop\": [\"x\", \"yz\"], \"logprobs\": true, \"top_logprobs\": 4,"
        "\"frequency_penalty\": -1.5, \"presence_penalty\": 2, \"logit_bias\": {\"17\": -100, \"3\": 1},"
        "\"stream\": true, \"stream_options\": {\"include_usage\": true}, \"user\": \"me\","
        "\"parvin\": {\"mode\": \"dense\", \"trace\": true}}",
        true));
    ck_assert_uint_eq(request.n_messages, 2);
    ck_assert_int_eq(request.messages[0].role, PV_CHAT_SYSTEM);
    ck_assert_uint_eq(request.messages[1].n_bytes, 3);
    ck_assert_mem_eq(request.messages[1].text, "a\0b", 4);
    ck_assert(request.temperature > 0.49 && request.temperature < 0.51 && request.top_p < 0.26 &&
              request.min_p < 0.13 && request.top_k == 7);
    ck_assert(request.has_seed && request.seed == 42 && request.n == 3 && request.max_tokens == 9);
    ck_assert_uint_eq(request.n_stops, 2);
    ck_assert_str_eq(request.stops[1], "yz");
    ck_assert(request.logprobs && request.top_logprobs == 4);
    ck_assert(request.frequency_penalty < -1.4 && request.presence_penalty > 1.9);
    ck_assert_uint_eq(request.n_biases, 2);
    ck_assert_uint_eq(request.biases[0].token, 17);
    ck_assert(request.biases[0].value <= -100);
    ck_assert(request.stream && request.include_usage && request.trace);
    ck_assert_int_eq(request.mode, SERVE_MODE_DENSE);
    serve_request_free(&request);
}
END_TEST

START_TEST(a_prompt_may_be_ids_and_null_means_missing)
{
    ck_assert(parse("{\"prompt\": [5, 6, 4294967294], \"stop\": null, \"max_tokens\": null, \"logprobs\": 0}",
                    false));
    ck_assert_uint_eq(request.n_tokens, 3);
    ck_assert_uint_eq(request.tokens[2], 4294967294u);
    ck_assert(request.logprobs && request.top_logprobs == 0 && !request.prompt);
    serve_request_free(&request);
    ck_assert(parse("{\"prompt\": [\"one\"], \"stop\": \".\"}", false));
    ck_assert_str_eq(request.prompt, "one");
    ck_assert_uint_eq(request.n_stops, 1);
    serve_request_free(&request);
    ck_assert(parse("{\"prompt\": [7]}", false));
    ck_assert_uint_eq(request.n_tokens, 1);
    serve_request_free(&request);
}
END_TEST

static const struct {
    const char *body, *param, *message;
} refused[] = {
    {"", "", "not JSON"},
    {"{\"prompt\": \"a\"", "", "not JSON"},
    {"{\"prompt\": \"\xff\"}", "", "not JSON"},
    {"[1]", "", "a JSON object"},
    {"{}", "prompt", "one text"},
    {"{\"prompt\": []}", "prompt", "one text"},
    {"{\"prompt\": [\"a\", \"b\"]}", "prompt", "token ids"},
    {"{\"prompt\": [1, -1]}", "prompt", "token ids"},
    {"{\"prompt\": [1, 2.5]}", "prompt", "token ids"},
    {"{\"prompt\": \"a\", \"temperature\": -0.1}", "temperature", "from 0 to 2"},
    {"{\"prompt\": \"a\", \"temperature\": \"1\"}", "temperature", "a number"},
    {"{\"prompt\": \"a\", \"top_p\": 1.1}", "top_p", "from 0 to 1"},
    {"{\"prompt\": \"a\", \"max_tokens\": 0}", "max_tokens", "whole number"},
    {"{\"prompt\": \"a\", \"max_tokens\": 1e9}", "max_tokens", "whole number"},
    {"{\"prompt\": \"a\", \"n\": 17}", "n", "from 1 to 16"},
    {"{\"prompt\": \"a\", \"seed\": 1.5}", "seed", "whole number"},
    {"{\"prompt\": \"a\", \"stop\": \"\"}", "stop", "1 to 256 bytes"},
    {"{\"prompt\": \"a\", \"stop\": [\"a\\u0000\"]}", "stop", "no NUL"},
    {"{\"prompt\": \"a\", \"stop\": {\"a\": 1}}", "stop", "at most 16"},
    {"{\"prompt\": \"a\", \"stream\": 1}", "stream", "true or false"},
    {"{\"prompt\": \"a\", \"stream_options\": 1}", "stream_options", "an object"},
    {"{\"prompt\": \"a\", \"logprobs\": 21}", "logprobs", "from 0 to 20"},
    {"{\"prompt\": \"a\", \"logit_bias\": {\"a\": 1}}", "logit_bias", "token ids"},
    {"{\"prompt\": \"a\", \"logit_bias\": {\"1\": 101}}", "logit_bias", "from -100 to 100"},
    {"{\"prompt\": \"a\", \"logit_bias\": {\"4294967295\": 1}}", "logit_bias", "token ids"},
    {"{\"prompt\": \"a\", \"parvin\": {\"mode\": \"fast\"}}", "parvin.mode", "dense or masked"},
    {"{\"prompt\": \"a\", \"parvin\": []}", "parvin", "an object"},
    {"{\"prompt\": \"a\", \"echo\": true}", "echo", "not supported"},
    {"{\"prompt\": \"a\", \"best_of\": 2}", "best_of", "from 1 to 1"},
    {"{\"prompt\": \"a\", \"suffix\": \"b\"}", "suffix", "not supported"},
    {"{\"prompt\": \"a\", \"tools\": [{}]}", "tools", "not supported"},
    {"{\"prompt\": \"a\", \"response_format\": {\"type\": \"xml\"}}", "response_format", "of type"},
    {"{\"prompt\": \"a\", \"response_format\": {\"type\": \"json_schema\"}}", "response_format",
     "json_object"},
};

START_TEST(what_is_wrong_is_named)
{
    ck_assert(!parse(refused[_i].body, false));
    ck_assert_uint_eq(error.http, 400);
    ck_assert_str_eq(error.type, "invalid_request_error");
    ck_assert_msg(!strcmp(error.param, refused[_i].param) && strstr(error.message, refused[_i].message),
                  "%s: %s: %s", refused[_i].body, error.param, error.message);
}
END_TEST

static const struct {
    const char *messages, *message;
} turns[] = {
    {"[]", "1 to 4096"},
    {"[3]", "an object"},
    {"[{\"role\": \"user\"}]", "must be a text"},
    {"[{\"role\": \"tool\", \"content\": \"a\"}]", "'role' must be"},
    {"[{\"role\": \"user\", \"content\": [{\"type\": \"image_url\"}]}]", "of type text"},
    {"[{\"role\": \"system\", \"content\": \"a\"}]", "the user's"},
    {"[{\"role\": \"assistant\", \"content\": \"a\"}]", "message 0 is out of turn"},
    {"[{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"user\", \"content\": \"a\"}]",
     "message 1 is out of turn"},
    {"[{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", \"content\": \"a\"}]",
     "the user's"},
    {"[{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"system\", \"content\": \"a\"}]",
     "message 1 is out of turn"},
};

START_TEST(messages_take_turns)
{
    char body[512];
    snprintf(body, sizeof body, "{\"messages\": %s}", turns[_i].messages);
    ck_assert(!parse(body, true));
    ck_assert_msg(strstr(error.message, turns[_i].message), "%s: %s", body, error.message);
    ck_assert_str_eq(error.param, "messages");
}
END_TEST

/* 10,000 stop strings, 100,000 brackets, 100,000 biases: an error each, and nothing is kept. */
START_TEST(masses_are_refused)
{
    static const struct {
        const char *head, *item, *tail, *message;
        size_t n;
    } masses[] = {{"{\"prompt\": \"a\", \"stop\": [\"a\"", ", \"b\"", "]}", "at most 16", 10000},
                  {"{\"prompt\": ", "[", "", "not JSON", 100000},
                  {"{\"prompt\": \"a\", \"logit_bias\": {\"0\": 1", "", "}}", "at most 1024", 100000},
                  {"{\"messages\": [{}", ", {}", "]}", "1 to 4096", 10000}};
    for (size_t i = 0; i < sizeof masses / sizeof masses[0]; i++) {
        const size_t room = 64 + masses[i].n * 16;
        char *body = malloc(room);
        ck_assert_ptr_nonnull(body);
        size_t n = (size_t)snprintf(body, room, "%s", masses[i].head);
        for (size_t k = 1; k <= masses[i].n; k++)
            n += i == 2 ? (size_t)snprintf(body + n, room - n, ", \"%zu\": 1", k)
                        : (size_t)snprintf(body + n, room - n, "%s", masses[i].item);
        snprintf(body + n, room - n, "%s", masses[i].tail);
        ck_assert(!parse(body, i == 3));
        ck_assert_msg(strstr(error.message, masses[i].message), "%s", error.message);
        free(body);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("serve/request");
    TCase *tcase = tcase_create("request");

    tcase_add_test(tcase, a_prompt_alone_has_the_defaults);
    tcase_add_test(tcase, every_field_is_read);
    tcase_add_test(tcase, a_prompt_may_be_ids_and_null_means_missing);
    tcase_add_loop_test(tcase, what_is_wrong_is_named, 0, sizeof refused / sizeof refused[0]);
    tcase_add_loop_test(tcase, messages_take_turns, 0, sizeof turns / sizeof turns[0]);
    tcase_add_test(tcase, masses_are_refused);
    suite_add_tcase(suite, tcase);
    return pv_test_main(suite);
}
