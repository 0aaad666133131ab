/* libmicrohttpd reads requests and writes answers on one thread. A request that must wait for the worker suspends its
 * connection, and the worker's output resumes it, so that neither thread ever waits for a client. */
#include "serve/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "serve/routes.h"

enum { BLOCK_BYTES = 16 << 10, COMPACT_BYTES = 64 << 10 };

/* A connection; on a list, so that those whose request does not come can be found. */
struct client {
    struct client *next, **link;
    int fd;
    double since; /* it waits for its client's request; 0: the request is here */
};

struct serve_http {
    struct serve_http_params params;
    struct MHD_Daemon *daemon;
    int quiesced;          /* the listening socket, after serve_http_quiesce; else -1 */
    pthread_mutex_t mutex; /* of the list */
    struct client *clients;
    uint64_t n_made; /* ids of answers */
};

/* A request and its answer. */
struct exchange {
    struct serve_http *http;
    struct MHD_Connection *connection;
    struct text body;
    struct serve_job *job; /* NULL: the answer needs no worker */
    bool suspended;        /* with the worker's lock */
    bool routed;
};

/* --- answers ------------------------------------------------------------------------------------------------------- */

static enum MHD_Result queue(struct MHD_Connection *connection, unsigned status,
                             struct MHD_Response *response, const char *type)
{
    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    if (status == MHD_HTTP_SERVICE_UNAVAILABLE)
        MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, "1");
    if (status == MHD_HTTP_UNAUTHORIZED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
    const enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result send_copy(struct MHD_Connection *connection, unsigned status, const char *bytes,
                                 size_t n, const char *type)
{
    return queue(connection, status,
                 MHD_create_response_from_buffer(n, (void *)(uintptr_t)bytes, MHD_RESPMEM_MUST_COPY), type);
}

static enum MHD_Result send_error(struct MHD_Connection *connection, const struct serve_error *error)
{
    char *json = serve_reply_error(error);
    if (!json)
        return MHD_NO;
    const enum MHD_Result result = send_copy(connection, error->http, json, strlen(json), "application/json");
    free(json);
    return result;
}

/* --- jobs ---------------------------------------------------------------------------------------------------------- */

/* With the worker's lock. */
static void wake(struct serve_job *job)
{
    struct exchange *ex = job->wake_user;
    if (ex->suspended) {
        ex->suspended = false;
        MHD_resume_connection(ex->connection);
    }
}

static void suspend(struct exchange *ex)
{
    ex->suspended = true;
    MHD_suspend_connection(ex->connection);
}

/* The next bytes of a stream. */
static ssize_t read_stream(void *user, uint64_t pos, char *buffer, size_t most)
{
    struct exchange *ex = user;
    struct serve_job *job = ex->job;
    ssize_t n = 0;
    (void)pos;
    serve_worker_lock(ex->http->params.worker);
    const size_t there = job->out.n - job->n_taken;
    if (job->left) {
        n = MHD_CONTENT_READER_END_WITH_ERROR;
    } else if (there > 0) {
        n = (ssize_t)(there < most ? there : most);
        memcpy(buffer, job->out.bytes + job->n_taken, (size_t)n);
        job->n_taken += (size_t)n;
        if (job->n_taken == job->out.n || job->n_taken > COMPACT_BYTES) {
            memmove(job->out.bytes, job->out.bytes + job->n_taken, job->out.n - job->n_taken);
            job->out.n -= job->n_taken;
            job->n_taken = 0;
        }
    } else if (job->ended) {
        n = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        suspend(ex);
    }
    serve_worker_unlock(ex->http->params.worker);
    return n;
}

static enum MHD_Result answer_whole(struct exchange *ex)
{
    struct serve_job *job = ex->job;
    serve_worker_lock(ex->http->params.worker);
    const bool ended = job->ended;
    if (!ended)
        suspend(ex);
    serve_worker_unlock(ex->http->params.worker);
    if (!ended)
        return MHD_YES;
    return job->left ? MHD_NO
                     : send_copy(ex->connection, job->http, job->out.bytes, job->out.n, "application/json");
}

static enum MHD_Result answer_job(struct exchange *ex)
{
    if (!ex->job->request.stream)
        return answer_whole(ex);
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_stream, ex, NULL);
    if (response)
        MHD_add_response_header(response, "X-Accel-Buffering", "no");
    return queue(ex->connection, 200, response, "text/event-stream");
}

/* Hands the job to the worker; it is the exchange's from here on. */
static bool start_job(struct exchange *ex, struct serve_job *job, struct serve_error *error)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(ex->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    job->fd = info ? info->connect_fd : -1;
    job->wake = wake;
    job->wake_user = ex;
    snprintf(job->id, sizeof job->id, "%s-%llx%04llx", job->request.chat ? "chatcmpl" : "cmpl",
             (unsigned long long)job->created, (unsigned long long)++ex->http->n_made);
    job->model = ex->http->params.name;
    ex->job = job;
    if (serve_worker_submit(ex->http->params.worker, job, error))
        return true;
    ex->job = NULL;
    serve_job_release(job);
    return false;
}

/* --- requests ------------------------------------------------------------------------------------------------------ */

/* Takes as long for a wrong key as for the right one. */
static bool same_key(const char *given, const char *key)
{
    const size_t n_given = strlen(given), n = strlen(key);
    unsigned difference = n_given != n;
    for (size_t i = 0; i < n_given; i++)
        difference |= (unsigned char)given[i] ^ (unsigned char)key[i < n ? i : 0];
    return difference == 0;
}

static bool check_key(const struct exchange *ex, struct serve_error *error)
{
    static const char bearer[] = "Bearer ";
    const char *key = ex->http->params.api_key;
    const char *given =
        MHD_lookup_connection_value(ex->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);
    if (!key ||
        (given && !strncasecmp(given, bearer, sizeof bearer - 1) && same_key(given + sizeof bearer - 1, key)))
        return true;
    serve_error_set(error, MHD_HTTP_UNAUTHORIZED, "", "a valid API key is needed: Authorization: Bearer KEY");
    error->code = "invalid_api_key";
    return false;
}

/* A page of another origin can send text or a form without asking, but not JSON. */
static bool check_type(const struct exchange *ex, struct serve_error *error)
{
    static const char json[] = "application/json";
    const char *type =
        MHD_lookup_connection_value(ex->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_TYPE);
    if (type && !strncasecmp(type, json, sizeof json - 1))
        return true;
    serve_error_set(error, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE, "",
                    "send JSON, with Content-Type: application/json");
    return false;
}

/* The name that the client called must be an address, `localhost`, or the name that the server listens at. Else a page on
 * the web could point a name of its own at this machine, and its visitor's browser would let it read the answers. */
static bool check_name(const struct exchange *ex, struct serve_error *error)
{
    const struct serve_http_params *p = &ex->http->params;
    const char *given = MHD_lookup_connection_value(ex->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);
    char name[256];
    struct in6_addr address;
    if (p->api_key || !given)
        return true;
    const bool bracketed = *given == '[';
    const size_t n = strcspn(given + bracketed, bracketed ? "]" : ":");
    if (n < sizeof name && (!bracketed || given[n + 1] == ']')) {
        memcpy(name, given + bracketed, n);
        name[n] = '\0';
        if (inet_pton(bracketed ? AF_INET6 : AF_INET, name, &address) == 1 ||
            !strcasecmp(name, "localhost") || !strcasecmp(name, p->host))
            return true;
    }
    serve_error_set(
        error, MHD_HTTP_FORBIDDEN, "",
        "without an API key this server is called by an address or as localhost, not by another name");
    return false;
}

static const struct serve_route *find_route(const struct exchange *ex, const char *method, const char *url,
                                            struct serve_error *error)
{
    bool known = false;
    if (!check_name(ex, error))
        return NULL;
    for (const struct serve_route *route = serve_routes; route->path; route++) {
        if (strcmp(route->path, url) != 0)
            continue;
        if (!strcmp(route->method, method) || (!strcmp(route->method, "GET") && !strcmp(method, "HEAD")))
            return (route->open || check_key(ex, error)) &&
                           (strcmp(route->method, "POST") != 0 || check_type(ex, error))
                       ? route
                       : NULL;
        known = true;
    }
    if (known)
        serve_error_set(error, MHD_HTTP_METHOD_NOT_ALLOWED, "",
                        "this address takes another method than %.16s", method);
    else
        serve_error_set(error, MHD_HTTP_NOT_FOUND, "", "there is nothing at this address");
    return NULL;
}

static enum MHD_Result answer(struct exchange *ex, const char *method, const char *url)
{
    const struct serve_http_params *p = &ex->http->params;
    struct serve_error error;
    struct serve_answer reply = {.http = 200, .type = "application/json"};
    const struct serve_route *route = find_route(ex, method, url, &error);
    const struct serve_route_input input = {.setup = p->setup,
                                            .form = p->form,
                                            .worker = p->worker,
                                            .name = p->name,
                                            .body = ex->body.bytes ? ex->body.bytes : "",
                                            .n_bytes = ex->body.n};
    const bool good = route && route->answer(&input, &reply, &error);
    if (good && reply.job)
        return start_job(ex, reply.job, &error) ? answer_job(ex) : send_error(ex->connection, &error);
    const enum MHD_Result result =
        good ? send_copy(ex->connection, reply.http, reply.text.bytes, reply.text.n, reply.type)
             : send_error(ex->connection, &error);
    text_free(&reply.text);
    return result;
}

static struct client *client_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

static void set_since(struct exchange *ex, double since)
{
    struct client *client = client_of(ex->connection);
    pthread_mutex_lock(&ex->http->mutex);
    if (client)
        client->since = since;
    pthread_mutex_unlock(&ex->http->mutex);
}

/* The request line and headers are here. */
static enum MHD_Result begin(struct serve_http *http, struct MHD_Connection *connection, void **user)
{
    const char *length =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    struct exchange *ex = calloc(1, sizeof *ex);
    if (!ex)
        return MHD_NO;
    ex->http = http;
    ex->connection = connection;
    *user = ex;
    if (!length || strtoull(length, NULL, 10) <= http->params.most_body_bytes)
        return MHD_YES;
    struct serve_error error;
    serve_error_set(&error, MHD_HTTP_CONTENT_TOO_LARGE, "", "the body is longer than %u bytes",
                    http->params.most_body_bytes);
    ex->routed = true;
    return send_error(connection, &error);
}

static enum MHD_Result take(void *user, struct MHD_Connection *connection, const char *url,
                            const char *method, const char *version, const char *bytes, size_t *n,
                            void **state)
{
    struct serve_http *http = user;
    struct exchange *ex = *state;
    (void)version;
    if (!ex)
        return begin(http, connection, state);
    if (*n > 0) {
        const bool fits =
            *n <= http->params.most_body_bytes - ex->body.n && text_append(&ex->body, bytes, *n);
        *n = 0;
        return fits ? MHD_YES
                    : MHD_NO; /* a length that was not announced: there is no answer while it comes */
    }
    if (ex->job) /* resumed */
        return answer_job(ex);
    if (ex->routed)
        return MHD_YES;
    ex->routed = true;
    set_since(ex, 0);
    return answer(ex, method, url);
}

static void finish(void *user, struct MHD_Connection *connection, void **state,
                   enum MHD_RequestTerminationCode why)
{
    struct serve_http *http = user;
    struct exchange *ex = *state;
    (void)connection;
    (void)why;
    if (!ex)
        return;
    set_since(ex, console_seconds());
    if (ex->job) {
        serve_worker_lock(http->params.worker);
        serve_worker_leave(http->params.worker, ex->job);
        serve_job_release(ex->job);
        serve_worker_unlock(http->params.worker);
    }
    text_free(&ex->body);
    free(ex);
    *state = NULL;
}

/* --- connections --------------------------------------------------------------------------------------------------- */

static void notice(void *user, struct MHD_Connection *connection, void **context,
                   enum MHD_ConnectionNotificationCode what)
{
    struct serve_http *http = user;
    pthread_mutex_lock(&http->mutex);
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        struct client *client = info ? calloc(1, sizeof *client) : NULL;
        if (client) {
            *client = (struct client){.next = http->clients,
                                      .link = &http->clients,
                                      .fd = info->connect_fd,
                                      .since = console_seconds()};
            if (client->next)
                client->next->link = &client->next;
            http->clients = client;
        }
        *context = client;
    } else if (*context) {
        struct client *client = *context;
        *client->link = client->next;
        if (client->next)
            client->next->link = client->link;
        free(client);
        *context = NULL;
    }
    pthread_mutex_unlock(&http->mutex);
}

void serve_http_watch(struct serve_http *http)
{
    const double latest = console_seconds() - http->params.timeout_s;
    pthread_mutex_lock(&http->mutex);
    for (struct client *client = http->clients; client; client = client->next)
        if (client->since > 0 && client->since < latest)
            shutdown(client->fd, SHUT_RDWR);
    pthread_mutex_unlock(&http->mutex);
}

/* --- the life of the server ---------------------------------------------------------------------------------------- */

static struct MHD_Daemon *listen_at(struct serve_http *http, const struct addrinfo *at)
{
    const struct serve_http_params *p = &http->params;
    const unsigned flags = MHD_USE_AUTO_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC |
                           (at->ai_family == AF_INET6 ? MHD_USE_IPv6 : 0u);
    return MHD_start_daemon(
        flags, (uint16_t)p->port, NULL, NULL, take, http, MHD_OPTION_SOCK_ADDR, at->ai_addr,
        MHD_OPTION_CONNECTION_LIMIT, p->most_connections, MHD_OPTION_CONNECTION_TIMEOUT, p->timeout_s,
        MHD_OPTION_NOTIFY_COMPLETED, finish, http, MHD_OPTION_NOTIFY_CONNECTION, notice, http,
        MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
}

enum pv_status serve_http_start(const struct serve_http_params *params, struct serve_http **out)
{
    struct console *console = &params->app->console;
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    char port[16];
    snprintf(port, sizeof port, "%u", params->port);
    const int code = getaddrinfo(params->host, port, &hints, &found);
    if (code != 0) {
        console_error(console, "--host %s: %s", params->host, gai_strerror(code));
        return PV_ERR_ARG;
    }
    struct serve_http *http = calloc(1, sizeof *http);
    if (http) {
        http->params = *params;
        http->quiesced = -1;
        pthread_mutex_init(&http->mutex, NULL);
        errno = 0;
        http->daemon = listen_at(http, found);
    }
    freeaddrinfo(found);
    if (!http)
        return PV_ERR_NOMEM;
    *out = http;
    if (http->daemon)
        return PV_OK;
    console_error(console, "cannot listen on %s port %u: %s; choose another with --port", params->host,
                  params->port, errno ? strerror(errno) : "it is taken, or not this machine's");
    return PV_ERR_IO;
}

uint32_t serve_http_port(const struct serve_http *http)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_BIND_PORT);
    return info ? info->port : http->params.port;
}

void serve_http_quiesce(struct serve_http *http)
{
    if (http->quiesced < 0)
        http->quiesced = MHD_quiesce_daemon(http->daemon);
}

void serve_http_stop(struct serve_http *http)
{
    if (!http)
        return;
    if (http->daemon)
        MHD_stop_daemon(http->daemon);
    if (http->quiesced >= 0)
        close(http->quiesced);
    pthread_mutex_destroy(&http->mutex);
    free(http);
}
