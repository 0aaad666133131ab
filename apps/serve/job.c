/* A job's memory. */
#include "serve/job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void free_choice(struct serve_choice *c)
{
    pv_sampler_destroy(c->sampler);
    free(c->counts);
    free(c->tokens);
    text_free(&c->text);
    json_decref(c->logprobs);
}

static void destroy(struct serve_job *job)
{
    for (uint32_t i = 0; job->choices && i < job->request.n; i++)
        free_choice(&job->choices[i]);
    free(job->choices);
    free(job->prompt);
    text_free(&job->out);
    serve_request_free(&job->request);
    free(job);
}

static bool make_choice(struct serve_job *job, uint32_t index, size_t n_most)
{
    struct serve_choice *c = &job->choices[index];
    c->job = job;
    c->index = index;
    c->tokens = malloc(n_most * sizeof *c->tokens);
    c->logprobs = job->request.logprobs ? json_array() : NULL;
    if (!c->tokens || (job->request.logprobs && !c->logprobs) || !text_append(&c->text, "", 0))
        return false;
    memcpy(c->tokens, job->prompt, job->n_prompt * sizeof *c->tokens);
    c->n_tokens = job->n_prompt;
    return true;
}

struct serve_job *serve_job_create(struct serve_request *request, uint32_t *prompt, uint32_t n_prompt,
                                   uint32_t n_ctx)
{
    struct serve_job *job = calloc(1, sizeof *job);
    if (!job) {
        serve_request_free(request);
        free(prompt);
        return NULL;
    }
    job->request = *request;
    *request = (struct serve_request){.chat = request->chat};
    job->prompt = prompt;
    job->n_prompt = n_prompt;
    job->most_tokens = n_ctx + 1 - n_prompt; /* the last one need not be fed */
    if (job->request.max_tokens < job->most_tokens)
        job->most_tokens = job->request.max_tokens;
    job->created = time(NULL);
    job->fd = -1;
    job->http = 200;
    job->n_users = 1;
    job->n_open = job->request.n;
    for (uint32_t i = 0; i < job->request.n_stops; i++)
        job->stops.texts[job->stops.n++] = job->request.stops[i];
    bool good = text_append(&job->out, "", 0);
    job->choices = calloc(job->request.n, sizeof *job->choices);
    good = good && job->choices;
    for (uint32_t i = 0; good && i < job->request.n; i++)
        good = make_choice(job, i, (size_t)n_prompt + job->most_tokens);
    if (good)
        return job;
    destroy(job);
    return NULL;
}

void serve_job_release(struct serve_job *job)
{
    if (job && --job->n_users == 0)
        destroy(job);
}
