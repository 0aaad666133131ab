/* One round of the loop: slots whose clients have gone are freed, waiting choices take free slots, every slot's new tokens
 * are fed and its next token is picked, and the lock is taken again to hand the output over. A slot keeps the tokens that it
 * has fed, so a choice whose prompt begins like them feeds the rest alone. */
#include "serve/worker.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "serve/choose.h"
#include "stops.h"

#ifndef POLLRDHUP
#define POLLRDHUP 0
#endif

/* Output that a client has not taken, at most. */
static const size_t most_unread = (size_t)4 << 20;

struct slot {
    struct serve_choice *choice; /* NULL: free */
    struct pv_session *session;
    enum pv_ffn_mode mode; /* that the session's tokens were fed with */
    uint32_t *fed;         /* [n_ctx] the session's tokens */
    uint32_t n_fed;
    uint64_t last_used;
    /* of the round */
    struct serve_fed seen; /* the token of the answer that was fed, if it was one */
    struct pv_token_stats stats;
    bool has_seen;
    size_t n_ready; /* bytes of the text that may be shown */
    enum pv_status status;
};

struct serve_worker {
    struct serve_worker_params params;
    const struct pv_model *model;
    uint32_t n_vocab, n_ctx;
    pthread_mutex_t mutex;
    pthread_cond_t work;
    pthread_t thread;
    bool started, stopping, closed;
    struct slot *slots;                 /* [n_slots] */
    struct serve_choice *first, **last; /* the queue */
    float *room;                        /* [n_vocab] */
    uint64_t clock, seed;
    struct serve_counts counts, round; /* round: what the worker adds at its end */
};

void serve_worker_lock(struct serve_worker *w)
{
    pthread_mutex_lock(&w->mutex);
}

void serve_worker_unlock(struct serve_worker *w)
{
    pthread_mutex_unlock(&w->mutex);
}

/* --- ends ---------------------------------------------------------------------------------------------------------- */

static void end_job(struct serve_job *job)
{
    job->ended = true;
    if (job->wake)
        job->wake(job);
}

/* The worker lets go of a choice. With the lock. */
static void drop(struct serve_choice *c)
{
    c->job->n_open--;
    serve_job_release(c->job);
}

static void fail_job(struct serve_job *job, const struct serve_error *error)
{
    if (job->ended)
        return;
    serve_reply_fail(job, error);
    end_job(job);
}

static void fail_choice(struct serve_choice *c, const struct serve_error *error)
{
    fail_job(c->job, error);
    drop(c);
}

static struct serve_error server_error(unsigned http, const char *message)
{
    struct serve_error error;
    serve_error_set(&error, http, "", "%s", message);
    error.type = "server_error";
    return error;
}

/* Every choice there is ends with the error. */
static void fail_all(struct serve_worker *w, const struct serve_error *error)
{
    for (uint32_t i = 0; i < w->params.n_slots; i++)
        if (w->slots[i].choice) {
            fail_choice(w->slots[i].choice, error);
            w->slots[i].choice = NULL;
        }
    while (w->first) {
        struct serve_choice *c = w->first;
        w->first = c->next;
        fail_choice(c, error);
    }
    w->last = &w->first;
    w->counts.n_waiting = 0;
}

/* --- who works on what --------------------------------------------------------------------------------------------- */

/* A client that has closed its connection says so on its socket. */
static bool has_left(struct serve_job *job)
{
    struct pollfd p = {.fd = job->fd, .events = POLLRDHUP};
    if (!job->left && job->fd >= 0 && poll(&p, 1, 0) > 0 && p.revents & (POLLRDHUP | POLLHUP | POLLERR))
        job->left = true;
    return job->left || job->ended;
}

static void drop_left(struct serve_worker *w)
{
    for (uint32_t i = 0; i < w->params.n_slots; i++) {
        struct serve_choice *c = w->slots[i].choice;
        if (!c || !has_left(c->job))
            continue;
        w->slots[i].choice = NULL;
        w->counts.n_left++;
        if (!c->job->ended)
            end_job(c->job);
        drop(c);
    }
}

static uint32_t common_prefix(const struct slot *slot, const struct serve_choice *c)
{
    uint32_t n = 0;
    while (n < slot->n_fed && n + 1 < c->n_tokens && slot->fed[n] == c->tokens[n])
        n++;
    return n;
}

static enum pv_ffn_mode mode_of(const struct serve_worker *w, const struct serve_choice *c)
{
    return w->params.setup->clusters && c->job->request.mode != SERVE_MODE_DENSE ? PV_FFN_ROUTED
                                                                                 : PV_FFN_DENSE;
}

/* The free slot that holds the most of the prompt; of equals, the one that was not used for the longest time. */
static struct slot *best_slot(struct serve_worker *w, const struct serve_choice *c)
{
    struct slot *best = NULL;
    uint32_t most = 0;
    for (uint32_t i = 0; i < w->params.n_slots; i++) {
        struct slot *s = &w->slots[i];
        if (s->choice)
            continue;
        const uint32_t n = s->mode == mode_of(w, c) ? common_prefix(s, c) : 0;
        if (!best || n > most || (n == most && s->last_used < best->last_used)) {
            best = s;
            most = n;
        }
    }
    return best;
}

/* The choice takes the slot: what the session holds of its prompt stays. */
static enum pv_status take_slot(struct serve_worker *w, struct slot *slot, struct serve_choice *c)
{
    const enum pv_ffn_mode mode = mode_of(w, c);
    const uint32_t kept = slot->mode == mode ? common_prefix(slot, c) : 0;
    slot->choice = c;
    slot->mode = mode;
    slot->n_fed = kept;
    slot->last_used = ++w->clock;
    slot->n_ready = 0;
    w->counts.n_reused_tokens += kept;
    enum pv_status status = pv_session_rewind(slot->session, kept);
    if (!status)
        status = pv_session_set_ffn(slot->session, mode);
    return status ? status : serve_choose_begin(c, w->seed += 0x9e3779b9u, w->n_vocab);
}

static void admit(struct serve_worker *w)
{
    while (w->first) {
        struct serve_choice *c = w->first;
        const bool left = has_left(c->job);
        struct slot *slot = left ? NULL : best_slot(w, c);
        if (!left && !slot)
            return;
        w->first = c->next;
        if (!w->first)
            w->last = &w->first;
        w->counts.n_waiting--;
        if (left) {
            drop(c);
            continue;
        }
        if (take_slot(w, slot, c) != PV_OK) {
            const struct serve_error error = server_error(500, "the server is out of memory");
            slot->choice = NULL;
            fail_choice(c, &error);
        } else if (c->job->request.stream) {
            serve_reply_begin(c->job, c);
        }
    }
}

/* --- a round ------------------------------------------------------------------------------------------------------- */

/* Feeds the slot's new tokens: a prompt, or the token that was picked last. Without the lock, like the next two. */
static enum pv_status feed(struct serve_worker *w, struct slot *slot)
{
    struct serve_choice *c = slot->choice;
    const uint32_t n = c->n_tokens - slot->n_fed;
    const bool answer = c->n_tokens > c->job->n_prompt;
    const double started = console_seconds();
    enum pv_status status = answer ? pv_session_decode(slot->session, c->tokens[slot->n_fed])
                                   : pv_session_prefill(slot->session, c->tokens + slot->n_fed, n);
    if (status)
        return status;
    memcpy(slot->fed + slot->n_fed, c->tokens + slot->n_fed, n * sizeof *slot->fed);
    slot->n_fed = c->n_tokens;
    const double seconds = console_seconds() - started;
    slot->has_seen = answer;
    if (!answer) {
        w->round.n_prompt_tokens += n;
        w->round.prompt_s += seconds;
        return PV_OK;
    }
    status = pv_session_token_stats(slot->session, &slot->stats);
    slot->seen = (struct serve_fed){.token = c->tokens[c->n_tokens - 1],
                                    .pos = c->n_tokens - 1,
                                    .ms = 1e3 * seconds,
                                    .stats = &slot->stats};
    c->n_fed++;
    c->density_sum += slot->stats.density;
    c->decode_s += seconds;
    w->round.n_decoded++;
    w->round.density_sum += slot->stats.density;
    w->round.decode_s += seconds;
    return status;
}

static bool append_token(struct serve_worker *w, struct serve_choice *c, uint32_t token)
{
    const char *bytes = NULL;
    const size_t n = pv_token_bytes(w->model, token, false, &bytes);
    c->tokens[c->n_tokens++] = token;
    pv_sampler_accept(c->sampler, token);
    w->round.n_answer_tokens++;
    return text_append(&c->text, bytes ? bytes : "", n);
}

static enum pv_status pick(struct serve_worker *w, struct slot *slot)
{
    struct serve_choice *c = slot->choice;
    const struct serve_job *job = c->job;
    uint32_t token = 0;
    const enum pv_status status =
        serve_choose(c, w->model, pv_session_logits(slot->session), w->room, &token);
    if (status)
        return status;
    if (pv_token_is_end(w->model, token)) {
        c->finish = "stop";
        return PV_OK;
    }
    const size_t before = c->text.n;
    if (!append_token(w, c, token))
        return PV_ERR_NOMEM;
    if (stops_cut(&job->stops, before, &c->text))
        c->finish = "stop";
    else if (c->n_tokens - job->n_prompt == job->most_tokens)
        c->finish = "length";
    return PV_OK;
}

static void work(struct serve_worker *w)
{
    for (uint32_t i = 0; i < w->params.n_slots; i++) {
        struct slot *slot = &w->slots[i];
        if (!slot->choice)
            continue;
        slot->status = feed(w, slot);
        if (!slot->status)
            slot->status = pick(w, slot);
    }
    w->round.n_steps++;
}

/* --- handing over -------------------------------------------------------------------------------------------------- */

/* With a trace a token is shown once it has been fed, with what was seen; the last one, which is not, without. */
static bool show(struct serve_worker *w, struct slot *slot)
{
    struct serve_choice *c = slot->choice;
    struct serve_job *job = c->job;
    const bool trace = job->request.trace;
    bool good = true;
    if (trace && slot->has_seen)
        good = serve_reply_more(job, c, slot->n_ready - c->n_shown, w->model, &slot->seen);
    const size_t ready = c->finish ? c->text.n : c->text.n - stops_begun(&job->stops, &c->text);
    const size_t whole = c->finish ? ready : text_whole_utf8(c->text.bytes, ready);
    slot->n_ready = whole > c->n_shown ? whole : c->n_shown;
    const size_t n = slot->n_ready - c->n_shown;
    const struct serve_fed last = {.token = c->tokens[c->n_tokens - 1], .pos = c->n_tokens - 1};
    const bool answered = c->n_tokens > job->n_prompt;
    if (trace && c->finish && answered)
        good = good && serve_reply_more(job, c, n, w->model,
                                        slot->has_seen && slot->seen.pos == last.pos ? NULL : &last);
    else if (!trace && (n > 0 || (c->finish && json_array_size(c->logprobs) > 0)))
        good = good && serve_reply_more(job, c, n, w->model, NULL);
    return good;
}

static void hand_over(struct serve_worker *w, struct slot *slot)
{
    struct serve_choice *c = slot->choice;
    struct serve_job *job = c->job;
    bool good = !job->request.stream || show(w, slot);
    if (c->finish) {
        slot->choice = NULL;
        job->n_open--;
        if (job->request.stream)
            good = good && serve_reply_end(job, c);
        else if (job->n_open == 0)
            good = serve_reply_whole(job);
    }
    if (!good) {
        const struct serve_error error = server_error(500, "the server is out of memory");
        fail_job(job, &error);
    } else if (job->n_open == 0) {
        end_job(job);
    } else if (job->request.stream && job->out.n > job->n_taken) {
        job->left = job->left || job->out.n - job->n_taken > most_unread;
        if (job->wake)
            job->wake(job);
    }
    if (c->finish)
        serve_job_release(job);
}

static void add_round(struct serve_worker *w)
{
    const struct serve_counts *r = &w->round;
    w->counts.n_prompt_tokens += r->n_prompt_tokens;
    w->counts.n_answer_tokens += r->n_answer_tokens;
    w->counts.n_decoded += r->n_decoded;
    w->counts.n_steps += r->n_steps;
    w->counts.prompt_s += r->prompt_s;
    w->counts.decode_s += r->decode_s;
    w->counts.density_sum += r->density_sum;
    w->round = (struct serve_counts){0};
}

/* What went wrong: with the numbers of one answer, or with the device and so with all. */
static void settle(struct serve_worker *w)
{
    for (uint32_t i = 0; i < w->params.n_slots; i++) {
        struct slot *slot = &w->slots[i];
        if (!slot->choice)
            continue;
        if (slot->status == PV_OK) {
            hand_over(w, slot);
            continue;
        }
        slot->n_fed = 0;
        if (slot->status == PV_ERR_CHECK || slot->status == PV_ERR_NOMEM) {
            const struct serve_error error =
                server_error(500, slot->status == PV_ERR_CHECK
                                      ? "the model's output is not a number; the server's log says more"
                                      : "the server is out of memory");
            fail_choice(slot->choice, &error);
            slot->choice = NULL;
            continue;
        }
        const struct serve_error error = server_error(503, "the device was lost; the server's log says more");
        w->counts.lost = true;
        fail_all(w, &error);
        return;
    }
}

static uint32_t n_active(const struct serve_worker *w)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < w->params.n_slots; i++)
        n += w->slots[i].choice ? 1 : 0;
    return n;
}

static void *run(void *user)
{
    struct serve_worker *w = user;
    serve_worker_lock(w);
    while (!w->stopping) {
        drop_left(w);
        admit(w);
        w->counts.n_active = n_active(w);
        if (w->counts.n_active == 0) {
            pthread_cond_wait(&w->work, &w->mutex);
            continue;
        }
        serve_worker_unlock(w);
        work(w);
        serve_worker_lock(w);
        add_round(w);
        settle(w);
        w->counts.n_active = n_active(w);
    }
    serve_worker_unlock(w);
    return NULL;
}

/* --- from outside -------------------------------------------------------------------------------------------------- */

static enum pv_status make_slots(struct serve_worker *w)
{
    const struct serve_worker_params *p = &w->params;
    const struct pv_session_params session = {.ffn = p->setup->clusters ? PV_FFN_ROUTED : PV_FFN_DENSE};
    w->slots = calloc(p->n_slots, sizeof *w->slots);
    w->room = malloc(w->n_vocab * sizeof *w->room);
    if (!w->slots || !w->room)
        return PV_ERR_NOMEM;
    for (uint32_t i = 0; i < p->n_slots; i++) {
        w->slots[i].fed = malloc(w->n_ctx * sizeof *w->slots[i].fed);
        w->slots[i].mode = session.ffn;
        if (!w->slots[i].fed)
            return PV_ERR_NOMEM;
        const enum pv_status status = pv_session_create(p->setup->engine, &session, &w->slots[i].session);
        if (status)
            return status;
    }
    return PV_OK;
}

enum pv_status serve_worker_create(const struct serve_worker_params *params, struct serve_worker **out)
{
    struct serve_worker *w = calloc(1, sizeof *w);
    if (!w)
        return PV_ERR_NOMEM;
    w->params = *params;
    w->model = params->setup->model;
    w->n_vocab = pv_model_hparams(w->model)->n_vocab;
    w->n_ctx = pv_engine_n_ctx(params->setup->engine);
    w->last = &w->first;
    w->seed = (uint64_t)time(NULL);
    w->counts.n_slots = params->n_slots;
    pthread_mutex_init(&w->mutex, NULL);
    pthread_cond_init(&w->work, NULL);
    enum pv_status status = make_slots(w);
    if (!status && pthread_create(&w->thread, NULL, run, w) != 0)
        status = PV_ERR_NOMEM;
    w->started = !status;
    if (status)
        serve_worker_destroy(w);
    else
        *out = w;
    return status;
}

void serve_worker_destroy(struct serve_worker *w)
{
    if (!w)
        return;
    serve_worker_close(w, true);
    serve_worker_lock(w);
    w->stopping = true;
    pthread_cond_signal(&w->work);
    serve_worker_unlock(w);
    if (w->started)
        pthread_join(w->thread, NULL);
    for (struct serve_choice *c = w->first, *next; c; c = next) {
        next = c->next;
        drop(c);
    }
    for (uint32_t i = 0; w->slots && i < w->params.n_slots; i++) {
        if (w->slots[i].choice)
            drop(w->slots[i].choice);
        pv_session_destroy(w->slots[i].session);
        free(w->slots[i].fed);
    }
    free(w->slots);
    free(w->room);
    pthread_cond_destroy(&w->work);
    pthread_mutex_destroy(&w->mutex);
    free(w);
}

bool serve_worker_submit(struct serve_worker *w, struct serve_job *job, struct serve_error *error)
{
    serve_worker_lock(w);
    const uint32_t n = job->request.n, room = w->params.n_slots - w->counts.n_active + w->params.n_queue;
    const char *why = w->counts.lost                   ? "the device was lost"
                      : w->closed                      ? "the server is shutting down"
                      : w->counts.n_waiting + n > room ? "the queue is full: try again later"
                                                       : NULL;
    if (why) {
        w->counts.n_refused++;
        *error = server_error(503, why);
    } else {
        for (uint32_t i = 0; i < n; i++) {
            *w->last = &job->choices[i];
            w->last = &job->choices[i].next;
        }
        job->n_users += n;
        w->counts.n_waiting += n;
        w->counts.n_jobs++;
        pthread_cond_signal(&w->work);
    }
    serve_worker_unlock(w);
    return !why;
}

void serve_worker_leave(struct serve_worker *w, struct serve_job *job)
{
    job->left = true;
    job->fd = -1;
    job->wake = NULL;
    pthread_cond_signal(&w->work);
}

void serve_worker_close(struct serve_worker *w, bool now)
{
    serve_worker_lock(w);
    w->closed = true;
    for (uint32_t i = 0; now && w->slots && i < w->params.n_slots; i++)
        if (w->slots[i].choice) {
            const struct serve_error error = server_error(503, "the server is shutting down");
            fail_job(w->slots[i].choice->job, &error); /* the worker lets go of it in its next round */
        }
    for (struct serve_choice *c = w->first; now && c; c = c->next) {
        const struct serve_error error = server_error(503, "the server is shutting down");
        fail_job(c->job, &error);
    }
    pthread_cond_signal(&w->work);
    serve_worker_unlock(w);
}

bool serve_worker_idle(struct serve_worker *w)
{
    serve_worker_lock(w);
    const bool idle = w->counts.n_waiting == 0 && w->counts.n_active == 0;
    serve_worker_unlock(w);
    return idle;
}

void serve_worker_counts(struct serve_worker *w, struct serve_counts *out)
{
    serve_worker_lock(w);
    *out = w->counts;
    serve_worker_unlock(w);
}
