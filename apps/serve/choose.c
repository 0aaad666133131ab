/* Biases and OpenAI's penalties are added to the logits, what a JSON object rules out is taken away, then the library's
 * sampler draws. Log probabilities are those of the model itself, before all of this. */
#include "serve/choose.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The API's 0 is the strictest choice, the sampler's is none. */
static const double least_top_p = 1e-6;

enum pv_status serve_choose_begin(struct serve_choice *c, uint64_t seed, uint32_t n_vocab)
{
    const struct serve_request *r = &c->job->request;
    const struct pv_sampler_params params = {.temperature = (float)r->temperature,
                                             .top_k = r->top_k,
                                             .top_p = (float)fmax(r->top_p, least_top_p),
                                             .min_p = (float)r->min_p,
                                             .seed = (r->has_seed ? r->seed : seed) + c->index};
    const bool penalties = r->frequency_penalty < 0 || r->frequency_penalty > 0 || r->presence_penalty < 0 ||
                           r->presence_penalty > 0;
    c->counts = penalties ? calloc(n_vocab, sizeof *c->counts) : NULL;
    if (penalties && !c->counts)
        return PV_ERR_NOMEM;
    return pv_sampler_create(&params, n_vocab, &c->sampler);
}

/* A token that cannot follow is impossible: also one without bytes, and so every token that ends a text. */
static void keep_json(const struct serve_choice *c, const struct pv_model *model, uint32_t n_vocab,
                      float *logits)
{
    for (uint32_t i = 0; i < n_vocab; i++) {
        struct serve_json json = c->json;
        const char *bytes = NULL;
        const size_t n = pv_token_bytes(model, i, false, &bytes);
        if (n == 0 || !serve_json_feed(&json, bytes, n))
            logits[i] = -INFINITY;
    }
}

static void adjust(const struct serve_choice *c, const struct pv_model *model, uint32_t n_vocab,
                   float *logits)
{
    const struct serve_request *r = &c->job->request;
    if (r->json)
        keep_json(c, model, n_vocab, logits);
    for (size_t i = 0; i < r->n_biases; i++)
        logits[r->biases[i].token] += r->biases[i].value;
    for (uint32_t i = 0; c->counts && i < n_vocab; i++)
        if (c->counts[i] > 0)
            logits[i] -= (float)(r->presence_penalty + c->counts[i] * r->frequency_penalty);
}

/* --- log probabilities --------------------------------------------------------------------------------------------- */

static double log_total(const float *logits, uint32_t n)
{
    float top = -INFINITY;
    double sum = 0.0;
    for (uint32_t i = 0; i < n; i++)
        top = fmaxf(top, logits[i]);
    for (uint32_t i = 0; i < n; i++)
        sum += exp((double)(logits[i] - top));
    return (double)top + log(fmax(sum, 1.0)); /* the top's own share is 1 */
}

/* The `n` likeliest tokens, in order; returns how many there are. */
static uint32_t find_top(const float *logits, uint32_t n_vocab, uint32_t n, uint32_t top[SERVE_MOST_TOP])
{
    uint32_t n_top = 0;
    for (uint32_t i = 0; n > 0 && i < n_vocab; i++) {
        uint32_t at = n_top;
        while (at > 0 && logits[top[at - 1]] < logits[i])
            at--;
        if (at == n)
            continue;
        if (n_top < n)
            n_top++;
        memmove(top + at + 1, top + at, (n_top - at - 1) * sizeof *top);
        top[at] = i;
    }
    return n_top;
}

/* A token that is impossible has the least number that clients can add up. */
static json_t *logprob_entry(const struct pv_model *model, uint32_t token, double value)
{
    const char *text = NULL;
    const size_t n = pv_token_bytes(model, token, true, &text);
    json_t *entry = json_object(), *bytes = json_array();
    json_put_text(entry, "token", text ? text : "", n);
    json_put_number(entry, "logprob", fmax(value, -9999.0));
    for (size_t i = 0; text && i < n; i++)
        json_array_append_new(bytes, json_integer((unsigned char)text[i]));
    json_put(entry, "bytes", bytes);
    return entry;
}

static void note_logprobs(struct serve_choice *c, const struct pv_model *model, const float *logits,
                          uint32_t token)
{
    const uint32_t n_vocab = pv_model_hparams(model)->n_vocab;
    const double total = log_total(logits, n_vocab);
    uint32_t top[SERVE_MOST_TOP];
    const uint32_t n = find_top(logits, n_vocab, c->job->request.top_logprobs, top);
    json_t *entry = logprob_entry(model, token, (double)logits[token] - total), *others = json_array();
    for (uint32_t i = 0; i < n; i++)
        json_array_append_new(others, logprob_entry(model, top[i], (double)logits[top[i]] - total));
    json_put(entry, "top_logprobs", others);
    json_array_append_new(c->logprobs, entry);
}

enum pv_status serve_choose(struct serve_choice *c, const struct pv_model *model, const float *logits,
                            float *room, uint32_t *token)
{
    const uint32_t n_vocab = pv_model_hparams(model)->n_vocab;
    const bool changed = c->counts || c->job->request.n_biases > 0 || c->job->request.json;
    if (changed) {
        memcpy(room, logits, n_vocab * sizeof *room);
        adjust(c, model, n_vocab, room);
    }
    const enum pv_status status = pv_sampler_pick(c->sampler, changed ? room : logits, token);
    if (status)
        return status;
    if (c->counts)
        c->counts[*token]++;
    if (c->logprobs)
        note_logprobs(c, model, logits, *token);
    return PV_OK;
}
