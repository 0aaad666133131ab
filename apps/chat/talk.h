/* A conversation with a model: its messages, what of them the session holds, and answers. */
#ifndef CHAT_TALK_H
#define CHAT_TALK_H

#include "chat/thoughts.h"
#include "cli/output.h"
#include "cli/setup.h"
#include "sampling.h"
#include "view.h"

struct talk_message {
    enum pv_chat_role role;
    struct text text;
    uint32_t *tokens; /* of an answer as it was generated, or NULL */
    size_t n_tokens;
};

struct talk {
    /* Set before. */
    struct app *app;
    struct setup *setup;
    const struct pv_chat_template *form;
    enum thoughts_mode thoughts;
    struct view_options view; /* of the next answer */

    struct pv_session *session;
    struct talk_message
        *messages; /* the system prompt first, if there is one; then users and answers by turns */
    size_t n_messages;
    uint32_t *fed; /* the session's tokens; as many as pv_session_n_past */
    bool dense;    /* every neuron is computed, though there are clusters */
    /* What has happened so far. */
    uint64_t n_answers, n_tokens, n_decoded;
    double decode_s, density_sum; /* of the decoded tokens */
    uint32_t n_new, n_reused;     /* tokens of the last prompt: fed for it, and there already */
};

PV_MUST_USE enum pv_status talk_open(struct talk *talk);
void talk_close(struct talk *talk);

/* Appends a copy. */
PV_MUST_USE enum pv_status talk_add(struct talk *talk, enum pv_chat_role role, const char *text, size_t n);
/* Takes the last message away, if there is one that is no system prompt. */
bool talk_drop(struct talk *talk);
/* Takes all away but the system prompt. */
void talk_clear(struct talk *talk);
/* The system prompt from now on; "": none. */
PV_MUST_USE enum pv_status talk_set_system(struct talk *talk, const char *text);
const char *talk_system(const struct talk *talk); /* NULL: none */

/* Answers the last message, a user's, on stdout. A message that does not fit the context is taken back, with the reason;
 * where the conversation does not, its oldest turns leave. PV_OK also where Ctrl-C stopped the answer. */
PV_MUST_USE enum pv_status talk_answer(struct talk *talk, const struct sampling_options *sampling,
                                       uint32_t n_predict);

/* The conversation as JSON, and back. Messages are logged; the conversation is as it was on failure. */
PV_MUST_USE enum pv_status talk_save(struct talk *talk, const char *path);
PV_MUST_USE enum pv_status talk_load(struct talk *talk, const char *path);

#endif
