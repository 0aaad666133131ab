/* The server: OpenAI's API over HTTP, in front of a worker. */
#ifndef SERVE_HTTP_H
#define SERVE_HTTP_H

#include "cli/setup.h"
#include "serve/worker.h"

struct serve_http_params {
    struct app *app;
    const struct setup *setup;           /* all open */
    const struct pv_chat_template *form; /* NULL: the model has none, and conversations are refused */
    struct serve_worker *worker;
    const char *host, *api_key; /* api_key NULL: whoever reaches the server may use it */
    const char *name;           /* of the model */
    uint32_t port;              /* 0: any that is free */
    uint32_t most_body_bytes, most_connections;
    uint32_t timeout_s; /* for a request to arrive, and for an answer to be taken */
};

struct serve_http;

/* Listens, and answers from threads of its own. Failures are logged. */
PV_MUST_USE enum pv_status serve_http_start(const struct serve_http_params *params, struct serve_http **out);
uint32_t serve_http_port(const struct serve_http *http);
/* Closes connections whose request does not arrive in time. To be called every second or so. */
void serve_http_watch(struct serve_http *http);
/* No new connections; the worker must be closed before. Those there are go on until serve_http_stop. */
void serve_http_quiesce(struct serve_http *http);
void serve_http_stop(struct serve_http *http);

#endif
