/* The thread that runs the model: a queue of choices, and slots that work on some of them.
 *
 * Thread-safety: every function may be called from any thread but the worker's own. Output and ends of jobs belong to whoever
 * holds the lock. */
#ifndef SERVE_WORKER_H
#define SERVE_WORKER_H

#include "cli/setup.h"
#include "parvin/sequences.h"
#include "serve/job.h"
#include "serve/words.h"

struct serve_worker;

struct serve_worker_params {
    struct app *app;
    const struct setup *setup; /* all open */
    uint32_t n_slots;          /* choices that are worked on at once */
    uint32_t n_queue;          /* choices that may wait */
};

PV_MUST_USE enum pv_status serve_worker_create(const struct serve_worker_params *params,
                                               struct serve_worker **out);
/* Waits for what is under way to stop; jobs must have been let go. */
void serve_worker_destroy(struct serve_worker *worker);

void serve_worker_lock(struct serve_worker *worker);
void serve_worker_unlock(struct serve_worker *worker);

/* Puts all choices of the job into the queue, or none and says why. */
bool serve_worker_submit(struct serve_worker *worker, struct serve_job *job, struct serve_error *error);
/* The job's client has gone: its choices end within a token. With the lock. */
void serve_worker_leave(struct serve_worker *worker, struct serve_job *job);
/* No more jobs are taken. `now`: those under way end with an error. */
void serve_worker_close(struct serve_worker *worker, bool now);
/* True once nothing waits and nothing is worked on. */
bool serve_worker_idle(struct serve_worker *worker);

/* What has happened so far. */
struct serve_counts {
    uint64_t n_jobs, n_refused, n_left;
    uint64_t n_prompt_tokens, n_reused_tokens, n_answer_tokens, n_steps, n_decoded;
    double prompt_s, decode_s, density_sum; /* the last of n_decoded tokens */
    uint32_t n_waiting, n_active, n_slots;
    uint64_t device_bytes;
    bool lost; /* the device is gone */
};
void serve_worker_counts(struct serve_worker *worker, struct serve_counts *out);
/* A copy of what is known of clusters; NULL without clusters or memory. */
struct serve_words *serve_worker_words(struct serve_worker *worker);

#endif
