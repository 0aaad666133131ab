/* The server's addresses. A route is a function from a request's body to an answer, or to a job that will have one; it knows
 * nothing of connections. */
#ifndef SERVE_ROUTES_H
#define SERVE_ROUTES_H

#include "cli/setup.h"
#include "serve/worker.h"

struct serve_route_input {
    const struct setup *setup;
    const struct pv_chat_template *form; /* or NULL */
    struct serve_worker *worker;
    const char *name; /* of the model */
    const char *body; /* [n_bytes] */
    size_t n_bytes;
};

struct serve_answer {
    unsigned http;
    const char *type; /* of the content */
    struct text text;
    struct serve_job *job; /* set: the answer is the job's, once a worker has it */
};

struct serve_route {
    const char *method, *path; /* path NULL: the table's end */
    bool open;                 /* to clients without a key too */
    bool (*answer)(const struct serve_route_input *input, struct serve_answer *out,
                   struct serve_error *error);
};
extern const struct serve_route serve_routes[];

/* Of page.c. The page itself (viz/web). */
bool serve_answer_page(const struct serve_route_input *in, struct serve_answer *out,
                       struct serve_error *error);
/* What it needs to know: the model, its device and its clusters (docs/serve.md). */
bool serve_answer_about(const struct serve_route_input *in, struct serve_answer *out,
                        struct serve_error *error);
/* Of state.c. */
bool serve_answer_health(const struct serve_route_input *input, struct serve_answer *out,
                         struct serve_error *error);
bool serve_answer_models(const struct serve_route_input *input, struct serve_answer *out,
                         struct serve_error *error);
bool serve_answer_metrics(const struct serve_route_input *input, struct serve_answer *out,
                          struct serve_error *error);

/* Of answer.c. The answer is this JSON, which is released; false, with the error, where memory is short. */
bool serve_give_json(json_t *json, struct serve_answer *out, struct serve_error *error);
/* The error of a server without memory; false. */
bool serve_fail_memory(struct serve_error *error);

#endif
