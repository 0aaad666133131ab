/* One round of the loop: slots whose clients have gone are freed, waiting choices take free slots, the new tokens of
 * all slots are fed in one step and each one's next token is picked, and the lock is taken again to hand the output
 * over. A slot keeps the tokens that it has fed, so a choice whose prompt begins like them feeds the rest alone. */
#include "serve/worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "serve/choose.h"
#include "stops.h"

/* PROMPT_ROWS: of a step that has tokens of answers too, which shall not wait for long. */
enum { STEP_ROWS = 1024, PROMPT_ROWS = 64 };

/* Output that a client has not taken, at most. */
static const size_t most_unread = (size_t)4 << 20;

struct slot {
    struct serve_choice *choice; /* NULL: free */
    enum pv_ffn_mode mode;       /* that its tokens were fed with */
    uint32_t *fed;               /* [n_ctx] the tokens that its sequence holds */
    uint32_t n_fed;
    uint64_t last_used;
    /* of the round */
    uint32_t n_rows, last_row;     /* its part of the step */
    bool picks;                    /* all of its tokens are fed: another one is chosen */
    uint32_t *cluster, *n_neurons; /* [n_layers], like margin: of `stats` */
    float *margin;
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
    struct slot *slots; /* [n_slots], each with the sequence of its number */
    struct pv_sequences *sequences;
    struct serve_words *words;              /* NULL without clusters */
    struct pv_sequence_row rows[STEP_ROWS]; /* of a step */
    uint32_t n_rows;
    uint32_t n_devices, n_failures;     /* failures: steps in a row */
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

/* Whether the client has closed its connection: then there is an end to read. What it may have sent on stays there. */
static bool is_closed(int fd)
{
    char byte;
    const ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

static bool has_left(struct serve_job *job)
{
    if (!job->left && job->fd >= 0 && is_closed(job->fd))
        job->left = true;
    return job->left || job->ended;
}

/* Its connection may wait for an end. */
static void leave(struct serve_worker *w, struct serve_choice *c)
{
    w->counts.n_left += c->job->left;
    if (!c->job->ended)
        end_job(c->job);
    drop(c);
}

static void drop_left(struct serve_worker *w)
{
    for (uint32_t i = 0; i < w->params.n_slots; i++) {
        struct serve_choice *c = w->slots[i].choice;
        if (!c || !has_left(c->job))
            continue;
        w->slots[i].choice = NULL;
        leave(w, c);
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

/* The choice takes the slot: what its sequence holds of the prompt stays. */
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
    return serve_choose_begin(c, w->seed += 0x9e3779b9u, w->n_vocab);
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
            leave(w, c);
            continue;
        }
        if (take_slot(w, slot, c) != PV_OK || (c->job->request.stream && !serve_reply_begin(c->job, c))) {
            const struct serve_error error = server_error(500, "the server is out of memory");
            slot->choice = NULL;
            fail_choice(c, &error);
        }
    }
}

/* --- a round, without the lock ------------------------------------------------------------------------------------- */

static uint32_t n_new(const struct slot *slot)
{
    return slot->choice ? slot->choice->n_tokens - slot->n_fed : 0;
}

/* `n` more tokens of the slot become rows; the last token's logits are wanted. */
static void add_rows(struct serve_worker *w, struct slot *slot, uint32_t n)
{
    slot->n_rows = n;
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t pos = slot->n_fed + i;
        w->rows[w->n_rows++] = (struct pv_sequence_row){.seq = (uint32_t)(slot - w->slots),
                                                        .pos = pos,
                                                        .token = slot->choice->tokens[pos],
                                                        .logits = pos + 1 == slot->choice->n_tokens};
    }
    slot->last_row = w->n_rows - 1;
}

/* The rows of a step: every answer's token, and as much of the prompts as there is room for, their slots by turns. */
static void gather(struct serve_worker *w, enum pv_ffn_mode mode)
{
    uint32_t most = pv_sequences_most_rows(w->sequences);
    most = most < STEP_ROWS ? most : STEP_ROWS;
    w->n_rows = 0;
    for (uint32_t i = 0; i < w->params.n_slots; i++) {
        struct slot *slot = &w->slots[(i + w->clock) % w->params.n_slots];
        slot->n_rows = 0;
        if (n_new(slot) == 1 && slot->mode == mode && w->n_rows < most)
            add_rows(w, slot, 1);
    }
    if (w->n_rows > 0 && most > w->n_rows + PROMPT_ROWS)
        most = w->n_rows + PROMPT_ROWS;
    for (uint32_t i = 0; i < w->params.n_slots; i++) {
        struct slot *slot = &w->slots[(i + w->clock) % w->params.n_slots];
        const uint32_t n = n_new(slot), room = most > w->n_rows ? most - w->n_rows : 0;
        if (n > 1 && room > 0 && slot->mode == mode)
            add_rows(w, slot, n < room ? n : room);
    }
    w->clock++;
}

/* What the slot's part of a step has brought. */
static enum pv_status note_step(struct serve_worker *w, struct slot *slot, double seconds)
{
    struct serve_choice *c = slot->choice;
    struct pv_token_stats stats;
    memcpy(slot->fed + slot->n_fed, c->tokens + slot->n_fed, slot->n_rows * sizeof *slot->fed);
    slot->n_fed += slot->n_rows;
    slot->picks = slot->n_fed == c->n_tokens;
    slot->has_seen = slot->n_rows == 1 && slot->picks && c->n_tokens > c->job->n_prompt;
    if (!slot->has_seen) {
        w->round.n_prompt_tokens += slot->n_rows;
        return PV_OK;
    }
    const enum pv_status status = pv_sequences_stats(w->sequences, slot->last_row, &stats);
    if (status)
        return status;
    memcpy(slot->cluster, stats.cluster, stats.n_layers * sizeof *slot->cluster);
    memcpy(slot->n_neurons, stats.n_neurons, stats.n_layers * sizeof *slot->n_neurons);
    memcpy(slot->margin, stats.margin, stats.n_layers * sizeof *slot->margin);
    slot->stats = (struct pv_token_stats){.n_layers = stats.n_layers,
                                          .cluster = slot->cluster,
                                          .n_neurons = slot->n_neurons,
                                          .margin = slot->margin,
                                          .density = stats.density};
    slot->seen = (struct serve_fed){.token = c->tokens[c->n_tokens - 1],
                                    .pos = c->n_tokens - 1,
                                    .ms = 1e3 * seconds,
                                    .stats = &slot->stats};
    c->n_fed++;
    c->density_sum += stats.density;
    c->decode_s += seconds;
    w->round.n_decoded++;
    w->round.density_sum += stats.density;
    return PV_OK;
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
    const float *logits;
    enum pv_status status = pv_sequences_logits(w->sequences, slot->last_row, &logits);
    if (!status)
        status = serve_choose(c, w->model, logits, w->room, &token);
    if (status)
        return status;
    if (!job->request.json && pv_token_is_end(w->model, token)) {
        c->finish = "stop";
        return PV_OK;
    }
    const size_t before = c->text.n;
    if (!append_token(w, c, token))
        return PV_ERR_NOMEM;
    /* Where the vocabulary has no token that goes on with the object, it ends too. */
    const bool closes =
        job->request.json && (!serve_json_feed(&c->json, c->text.bytes + before, c->text.n - before) ||
                              serve_json_closed(&c->json));
    if (closes || stops_cut(&job->stops, before, &c->text))
        c->finish = "stop";
    else if (c->n_tokens - job->n_prompt == job->most_tokens)
        c->finish = "length";
    return PV_OK;
}

/* A step of all slots of a mode. What goes wrong with the numbers of a single row is that slot's; everything else is the
 * device's. */
static enum pv_status step(struct serve_worker *w, enum pv_ffn_mode mode)
{
    gather(w, mode);
    if (w->n_rows == 0)
        return PV_OK;
    const double started = console_seconds();
    const enum pv_status status = pv_sequences_step(w->sequences, w->rows, w->n_rows, mode);
    const double seconds = console_seconds() - started;
    if (status && status != PV_ERR_CHECK)
        return status;
    bool answers = false;
    for (uint32_t i = 0; i < w->params.n_slots; i++) {
        struct slot *slot = &w->slots[i];
        if (slot->n_rows == 0)
            continue;
        slot->status = status ? status : note_step(w, slot, seconds);
        if (!slot->status && slot->picks)
            slot->status = pick(w, slot);
        answers = answers || slot->has_seen;
    }
    w->round.n_steps++;
    *(answers ? &w->round.decode_s : &w->round.prompt_s) += seconds;
    return PV_OK;
}

static enum pv_status work(struct serve_worker *w)
{
    for (uint32_t i = 0; i < w->params.n_slots; i++) {
        w->slots[i].picks = w->slots[i].has_seen = false;
        w->slots[i].status = PV_OK;
    }
    const enum pv_status status = step(w, PV_FFN_DENSE);
    return status || !w->params.setup->clusters ? status : step(w, PV_FFN_ROUTED);
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
    if (job->ended) /* while the lock was away; drop_left frees the slot */
        return;
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

/* The device has failed: what is under way is fed once more to those that are left, unless that has failed too. */
static void survive(struct serve_worker *w)
{
    for (uint32_t i = 0; i < w->params.n_slots; i++)
        w->slots[i].n_fed = 0;
    if (w->n_failures++ < w->n_devices)
        return;
    const struct serve_error error = server_error(503, "the device was lost; the server's log says more");
    w->counts.lost = true;
    fail_all(w, &error);
}

static void settle(struct serve_worker *w)
{
    for (uint32_t i = 0; i < w->params.n_slots; i++) {
        struct slot *slot = &w->slots[i];
        if (!slot->choice)
            continue;
        if (slot->status == PV_OK) {
            if (slot->has_seen && w->words)
                serve_words_add(w->words, slot->seen.token, &slot->stats);
            if (slot->picks)
                hand_over(w, slot);
            continue;
        }
        const struct serve_error error = server_error(
            500, slot->status == PV_ERR_CHECK ? "the model's output is not a number; the server's log "
                                                "says more"
                                              : "the server is out of memory");
        slot->n_fed = 0;
        fail_choice(slot->choice, &error);
        slot->choice = NULL;
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
        const enum pv_status status = work(w);
        const uint64_t device_bytes = pv_engine_device_bytes(w->params.setup->engine);
        serve_worker_lock(w);
        w->counts.device_bytes = device_bytes;
        add_round(w);
        settle(w);
        if (status)
            survive(w);
        else
            w->n_failures = 0;
        w->counts.n_active = n_active(w);
    }
    serve_worker_unlock(w);
    return NULL;
}

/* --- from outside -------------------------------------------------------------------------------------------------- */

static bool make_slot(const struct serve_worker *w, struct slot *slot)
{
    const uint32_t n_layers = pv_model_hparams(w->model)->n_layers;
    slot->mode = w->params.setup->clusters ? PV_FFN_ROUTED : PV_FFN_DENSE;
    slot->fed = malloc(w->n_ctx * sizeof *slot->fed);
    slot->cluster = malloc(n_layers * sizeof *slot->cluster);
    slot->n_neurons = malloc(n_layers * sizeof *slot->n_neurons);
    slot->margin = malloc(n_layers * sizeof *slot->margin);
    return slot->fed && slot->cluster && slot->n_neurons && slot->margin;
}

static enum pv_status make_slots(struct serve_worker *w)
{
    struct pv_engine *engine = w->params.setup->engine;
    const uint32_t n = w->params.n_slots;
    const enum pv_status status = pv_sequences_create(engine, n, w->n_ctx, &w->sequences);
    if (status) {
        console_note(&w->params.app->console,
                     "%u answers at once, of up to %u tokens each: lower --parallel or --ctx", n, w->n_ctx);
        return status;
    }
    w->n_devices = pv_engine_n_stages(engine);
    w->slots = calloc(n, sizeof *w->slots);
    w->room = malloc(w->n_vocab * sizeof *w->room);
    const struct pv_clusters *clusters = w->params.setup->clusters;
    if (clusters)
        w->words =
            serve_words_create(pv_clusters_info(clusters)->n_layers, pv_clusters_info(clusters)->n_clusters);
    bool good = w->slots && w->room && (w->words || !clusters);
    for (uint32_t i = 0; good && i < n; i++)
        good = make_slot(w, &w->slots[i]);
    return good ? PV_OK : PV_ERR_NOMEM;
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
    w->counts.device_bytes = pv_engine_device_bytes(params->setup->engine);
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
        free(w->slots[i].fed);
        free(w->slots[i].cluster);
        free(w->slots[i].n_neurons);
        free(w->slots[i].margin);
    }
    free(w->slots);
    free(w->room);
    pv_sequences_destroy(w->sequences);
    serve_words_destroy(w->words);
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

struct serve_words *serve_worker_words(struct serve_worker *w)
{
    serve_worker_lock(w);
    struct serve_words *copy = w->words ? serve_words_copy(w->words) : NULL;
    serve_worker_unlock(w);
    return copy;
}

void serve_worker_counts(struct serve_worker *w, struct serve_counts *out)
{
    serve_worker_lock(w);
    *out = w->counts;
    serve_worker_unlock(w);
}
