/* A request that is being answered. It has one or more choices, each an answer of its own to the same prompt. The HTTP side
 * makes a job and takes its output; the engine's thread (serve/worker.h) works on its choices. Everything behind the
 * first part of the struct belongs to whoever holds the worker's lock. */
#ifndef SERVE_JOB_H
#define SERVE_JOB_H

#include <time.h>

#include "cli/output.h"
#include "parvin/session.h"
#include "serve/json_mode.h"
#include "serve/request.h"

struct serve_job;

/* What is known of the token that was fed last; for traces. */
struct serve_fed {
    uint32_t token, pos;
    double ms;
    const struct pv_token_stats *stats; /* NULL: nothing is known */
};

struct serve_choice {
    struct serve_job *job;
    uint32_t index;
    struct serve_choice *next; /* in the queue */
    struct pv_sampler *sampler;
    uint32_t *counts; /* [n_vocab] of the generated tokens; NULL without penalties */
    uint32_t *tokens; /* [n_tokens] prompt and answer */
    uint32_t n_tokens;
    struct text text;       /* of the answer */
    size_t n_shown;         /* bytes of it that a stream has had */
    const char *finish;     /* "stop", "length"; NULL: under way */
    struct serve_json json; /* what there is of the object that was asked for */
    json_t *logprobs;       /* array of what is not sent yet; NULL if not asked for */
    uint32_t n_fed;         /* tokens of the answer whose statistics are known */
    double density_sum, decode_s;
};

struct serve_job {
    struct serve_request request;
    struct option_texts stops; /* the request's and the template's */
    char id[48];
    time_t created;
    const char *model;
    uint32_t *prompt; /* [n_prompt] */
    uint32_t n_prompt, most_tokens;
    int fd; /* the client's socket, to see whether it is still there; -1: it has gone */
    void (*wake)(struct serve_job *job); /* called with the lock when there is output, or the end of it */
    void *wake_user;

    struct serve_choice *choices; /* [request.n] */
    uint32_t n_open;              /* choices that are not over */
    struct text out;              /* a stream's bytes, or the whole answer */
    size_t n_taken;               /* of them */
    bool ended;                   /* nothing more will come */
    bool left;                    /* the client has gone, or is too slow */
    unsigned http;                /* of the answer as a whole */
    uint32_t n_users;             /* the connection, and each choice in the worker's hands */
};

/* Takes the request over, and the prompt [n_prompt], malloc'ed, in any case. NULL: no memory. */
struct serve_job *serve_job_create(struct serve_request *request, uint32_t *prompt, uint32_t n_prompt,
                                   uint32_t n_ctx);
/* One user fewer; the last frees it. */
void serve_job_release(struct serve_job *job);

/* --- output, as OpenAI's API words it; false: no memory --- */

/* The first chunk of a stream's choice. */
bool serve_reply_begin(struct serve_job *job, const struct serve_choice *choice);
/* `n` more bytes of the answer, with the logprobs that are waiting; `fed` may be NULL. */
bool serve_reply_more(struct serve_job *job, struct serve_choice *choice, size_t n,
                      const struct pv_model *model, const struct serve_fed *fed);
/* The end of a choice, and behind the last one of the job. */
bool serve_reply_end(struct serve_job *job, const struct serve_choice *choice);
/* An answer that does not stream, once all choices are over. */
bool serve_reply_whole(struct serve_job *job);
/* Ends the job with an error: as the whole answer, or as the stream's last event. */
bool serve_reply_fail(struct serve_job *job, const struct serve_error *error);
/* {"error": ...}, malloc'ed; NULL: no memory. */
char *serve_reply_error(const struct serve_error *error);

#endif
