/* Before an answer the whole conversation is laid out as tokens, and compared with what the session holds: the common
 * beginning stays in the KV cache, the rest is fed. Undoing, another system prompt and turns that leave need no more. */
#include "chat/talk.h"

#include <stdlib.h>
#include <string.h>

#include "generate.h"
#include "watch.h"

enum pv_status talk_open(struct talk *t)
{
    const struct pv_session_params params = {.ffn = t->setup->clusters ? PV_FFN_ROUTED : PV_FFN_DENSE,
                                             .progress = console_progress(&t->app->console)};
    t->fed = calloc((size_t)pv_engine_n_ctx(t->setup->engine) + 1, sizeof *t->fed);
    return t->fed ? pv_session_create(t->setup->engine, &params, &t->session) : PV_ERR_NOMEM;
}

static void free_message(struct talk_message *m)
{
    text_free(&m->text);
    free(m->tokens);
}

void talk_close(struct talk *t)
{
    for (size_t i = 0; i < t->n_messages; i++)
        free_message(&t->messages[i]);
    free(t->messages);
    free(t->fed);
    pv_session_destroy(t->session);
}

static size_t first_turn(const struct talk *t)
{
    return t->n_messages && t->messages[0].role == PV_CHAT_SYSTEM ? 1 : 0;
}

enum pv_status talk_add(struct talk *t, enum pv_chat_role role, const char *text, size_t n)
{
    struct talk_message *grown = realloc(t->messages, (t->n_messages + 1) * sizeof *grown);
    if (!grown)
        return PV_ERR_NOMEM;
    t->messages = grown;
    grown[t->n_messages] = (struct talk_message){.role = role};
    if (!text_append(&grown[t->n_messages].text, text, n))
        return PV_ERR_NOMEM;
    t->n_messages++;
    return PV_OK;
}

bool talk_drop(struct talk *t)
{
    if (t->n_messages == first_turn(t))
        return false;
    free_message(&t->messages[--t->n_messages]);
    return true;
}

void talk_clear(struct talk *t)
{
    while (talk_drop(t))
        ;
}

static void remove_messages(struct talk *t, size_t at, size_t n)
{
    for (size_t i = at; i < at + n; i++)
        free_message(&t->messages[i]);
    t->n_messages -= n;
    memmove(t->messages + at, t->messages + at + n, (t->n_messages - at) * sizeof *t->messages);
}

enum pv_status talk_set_system(struct talk *t, const char *text)
{
    if (first_turn(t) == 1)
        remove_messages(t, 0, 1);
    if (!*text)
        return PV_OK;
    const enum pv_status status = talk_add(t, PV_CHAT_SYSTEM, text, strlen(text));
    if (status)
        return status;
    const struct talk_message system = t->messages[t->n_messages - 1];
    memmove(t->messages + 1, t->messages, (t->n_messages - 1) * sizeof *t->messages);
    t->messages[0] = system;
    return PV_OK;
}

const char *talk_system(const struct talk *t)
{
    return first_turn(t) == 1 ? t->messages[0].text.bytes : NULL;
}

/* The conversation's tokens without its first `n_left` messages behind the system prompt. */
static enum pv_status encode(const struct talk *t, size_t n_left, uint32_t **tokens, size_t *n)
{
    struct pv_chat_message *messages = calloc(t->n_messages + 1, sizeof *messages);
    size_t n_messages = 0;
    if (!messages)
        return PV_ERR_NOMEM;
    for (size_t i = 0; i < t->n_messages; i++) {
        const struct talk_message *m = &t->messages[i];
        if (i < first_turn(t) || i >= first_turn(t) + n_left)
            messages[n_messages++] =
                (struct pv_chat_message){m->role, m->text.bytes, m->text.n, m->tokens, m->n_tokens};
    }
    const enum pv_status status = pv_chat_encode(t->form, t->setup->model, messages, n_messages, tokens, n);
    free(messages);
    return status;
}

/* The conversation's tokens, without its oldest turns if they leave no room for an answer. As many as the context holds
 * or more: the last message does not fit, and nothing has left. */
static enum pv_status fit_context(struct talk *t, uint32_t n_predict, uint32_t **tokens, size_t *n)
{
    const uint32_t n_ctx = pv_engine_n_ctx(t->setup->engine);
    const uint32_t room = n_predict < n_ctx / 4 ? n_predict : n_ctx / 4;
    const size_t n_turns = (t->n_messages - first_turn(t) + 1) / 2;
    size_t n_left = 0;
    enum pv_status status = encode(t, 0, tokens, n);
    while (!status && *n + room > n_ctx && n_left + 1 < n_turns) {
        free(*tokens);
        *tokens = NULL;
        n_left++;
        status = encode(t, 2 * n_left, tokens, n);
    }
    if (status || n_left == 0 || *n >= n_ctx)
        return status;
    remove_messages(t, first_turn(t), 2 * n_left);
    console_note(&t->app->console, "the context of %u tokens is full: the oldest %zu of %zu turns %s left it",
                 n_ctx, n_left, n_turns, n_left > 1 ? "have" : "has");
    return PV_OK;
}

static size_t common_prefix(const uint32_t *a, size_t n_a, const uint32_t *b, size_t n_b)
{
    size_t n = 0;
    while (n < n_a && n < n_b && a[n] == b[n])
        n++;
    return n;
}

static enum pv_status add_answer(struct talk *t, const struct generate_result *r)
{
    const char *answer = thoughts_skip(r->text.bytes, pv_chat_template_thinks(t->form));
    const bool whole = answer == r->text.bytes && strcmp(r->stopped, "stop text") != 0;
    enum pv_status status =
        talk_add(t, PV_CHAT_ASSISTANT, answer, r->text.n - (size_t)(answer - r->text.bytes));
    if (status || !whole || !r->n_tokens)
        return status;
    struct talk_message *m = &t->messages[t->n_messages - 1];
    m->tokens = malloc(r->n_tokens * sizeof *m->tokens);
    if (!m->tokens)
        return PV_ERR_NOMEM;
    memcpy(m->tokens, r->tokens, r->n_tokens * sizeof *m->tokens);
    m->n_tokens = r->n_tokens;
    return PV_OK;
}

static void count(struct talk *t, const struct generate_result *r)
{
    t->n_answers++;
    t->n_tokens += r->n_tokens;
    t->n_decoded += r->n_decoded;
    t->decode_s += r->decode_s;
    if (r->n_decoded)
        t->density_sum += r->density * r->n_decoded;
}

/* The session's tokens are those of the prompt and of the answer, as far as they were fed. */
static void note_fed(struct talk *t, const uint32_t *tokens, size_t n, const struct generate_result *r)
{
    const size_t n_past = pv_session_n_past(t->session);
    for (size_t i = 0; i < n_past; i++)
        t->fed[i] = i < n ? tokens[i] : r->tokens[i - n];
}

static enum pv_status speak(struct talk *t, const struct sampling_options *sampling, uint32_t n_predict,
                            const uint32_t *tokens, size_t n, struct generate_result *result)
{
    struct thoughts thoughts = {
        .mode = t->thoughts, .within = pv_chat_template_thinks(t->form), .skip = true};
    struct option_texts stops = {.n = 0};
    for (const char *stop; (stop = pv_chat_template_stop(t->form, stops.n)); stops.n++)
        stops.texts[stops.n] = stop;
    struct generate_params params = {.prompt = tokens,
                                     .n_prompt = (uint32_t)n,
                                     .n_predict = n_predict,
                                     .n_fed = pv_session_n_past(t->session),
                                     .sampler = sampling_params(sampling),
                                     .stop = &stops,
                                     .stream = true,
                                     .print = thoughts_print,
                                     .print_user = &thoughts,
                                     .console = t->view.view ? NULL : &t->app->console};
    const struct watch_params watch = {.setup = t->setup, .session = t->session, .view = &t->view};
    params.sampler.seed += t->n_answers; /* another answer to the same question differs */
    const enum pv_status status = watch_generate(t->app, &watch, &params, result);
    thoughts_end(&thoughts);
    return status;
}

/* What an interrupted or failed answer leaves: what there is of it stays; a question without any is taken back. */
static enum pv_status settle(struct talk *t, enum pv_status status, const struct generate_result *r)
{
    const bool interrupted = status == PV_ERR_INTERRUPTED;
    if (status && !interrupted)
        return status;
    if (interrupted && !r->n_tokens) {
        talk_drop(t);
        console_note(&t->app->console, "stopped before the answer; the message is taken back");
        return PV_OK;
    }
    putchar('\n');
    fflush(stdout);
    count(t, r);
    if (interrupted)
        console_note(&t->app->console, "stopped; the answer so far stays in the conversation");
    else if (!strcmp(r->stopped, "context full"))
        console_note(
            &t->app->console,
            "the context of %u tokens is full, and the answer is cut: the oldest turns leave with your next "
            "message",
            pv_engine_n_ctx(t->setup->engine));
    return add_answer(t, r);
}

enum pv_status talk_answer(struct talk *t, const struct sampling_options *sampling, uint32_t n_predict)
{
    const uint32_t n_ctx = pv_engine_n_ctx(t->setup->engine);
    struct generate_result result = {.n_tokens = 0};
    uint32_t *tokens = NULL;
    size_t n = 0;
    enum pv_status status = fit_context(t, n_predict, &tokens, &n);
    if (!status && n >= n_ctx) {
        console_note(
            &t->app->console,
            "the message has %zu tokens with the system prompt, the context holds %u: it is taken back", n,
            n_ctx);
        free(tokens);
        talk_drop(t);
        return PV_OK;
    }
    if (!status) {
        const size_t kept = common_prefix(t->fed, pv_session_n_past(t->session), tokens, n - 1);
        t->n_reused = (uint32_t)kept;
        t->n_new = (uint32_t)(n - kept);
        status = pv_session_rewind(t->session, (uint32_t)kept);
    }
    if (!status) {
        console_take_interrupts();
        status = speak(t, sampling, n_predict, tokens, n, &result);
        note_fed(t, tokens, n, &result);
        status = settle(t, status, &result);
        console_take_interrupts();
    }
    generate_result_free(&result);
    free(tokens);
    return status;
}
