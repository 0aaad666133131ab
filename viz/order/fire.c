/* The order is one of reciprocal averaging (see viz/order/align.c) between neurons and up to SAMPLE tokens, spread over all
 * that were seen: when the sample is full, every other token goes. */
#include "viz/order/fire.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLE = 48, ROUNDS = 20, FIRST = 16 };

struct pv_fire {
    uint32_t n_layers, d_ffn, n_words;
    float *recent;      /* [L][F] weighed counts */
    double sum, weight; /* of all tokens, of the newest */
    uint32_t *order;    /* [L][F] place -> neuron */
    uint32_t *sample;   /* [SAMPLE][L][words] */
    uint32_t n_sample, stride;
    uint64_t n_seen, made_at;
};

void pv_fire_destroy(struct pv_fire *f)
{
    if (!f)
        return;
    free(f->recent);
    free(f->order);
    free(f->sample);
    free(f);
}

enum pv_status pv_fire_create(uint32_t n_layers, uint32_t d_ffn, struct pv_fire **out)
{
    struct pv_fire *f = calloc(1, sizeof *f);
    const size_t n = (size_t)n_layers * d_ffn;

    *out = NULL;
    if (!f)
        return PV_ERR_NOMEM;
    *f = (struct pv_fire){
        .n_layers = n_layers, .d_ffn = d_ffn, .n_words = (d_ffn + 31) / 32, .stride = 1, .weight = 1.0};
    f->recent = calloc(n, sizeof *f->recent);
    f->order = calloc(n, sizeof *f->order);
    f->sample = calloc((size_t)SAMPLE * n_layers * f->n_words, sizeof *f->sample);
    if (!f->recent || !f->order || !f->sample) {
        pv_fire_destroy(f);
        return PV_ERR_NOMEM;
    }
    for (size_t i = 0; i < n; i++)
        f->order[i] = (uint32_t)(i % d_ffn);
    *out = f;
    return PV_OK;
}

void pv_fire_forget(struct pv_fire *f)
{
    memset(f->recent, 0, (size_t)f->n_layers * f->d_ffn * sizeof *f->recent);
    f->sum = 0.0;
    f->weight = 1.0;
}

void pv_fire_add(struct pv_fire *f, const uint32_t *const *active, double factor)
{
    const size_t n = (size_t)f->n_layers * f->d_ffn;

    f->weight /= factor; /* the new one weighs more, instead of all the others less */
    if (f->weight > 1e12) {
        for (size_t i = 0; i < n; i++)
            f->recent[i] = (float)((double)f->recent[i] / f->weight);
        f->sum /= f->weight;
        f->weight = 1.0;
    }
    f->sum += f->weight;
    for (uint32_t l = 0; l < f->n_layers; l++) {
        float *recent = f->recent + (size_t)l * f->d_ffn;

        for (uint32_t j = 0; active[l] && j < f->d_ffn; j++) {
            if (active[l][j / 32] >> (j % 32) & 1u)
                recent[j] += (float)f->weight;
        }
    }
}

struct placed {
    double score;
    uint32_t neuron, times;
};

/* Neurons that fire for the same tokens side by side; those that never fired last. */
static int by_place(const void *a, const void *b)
{
    const struct placed *x = a, *y = b;

    if ((x->times == 0) != (y->times == 0))
        return x->times == 0 ? 1 : -1;
    if (x->score < y->score || x->score > y->score)
        return x->score < y->score ? -1 : 1;
    return (x->neuron > y->neuron) - (x->neuron < y->neuron);
}

/* A token's score is the mean of its neurons', and all tokens' are of mean 0 and variance 1. */
static void score_tokens(const struct pv_fire *f, uint32_t layer, const struct placed *p, double *token)
{
    double mean = 0.0, square = 0.0;

    for (uint32_t t = 0; t < f->n_sample; t++) {
        const uint32_t *bits = f->sample + ((size_t)t * f->n_layers + layer) * f->n_words;
        uint32_t n = 0;

        token[t] = 0.0;
        for (uint32_t j = 0; j < f->d_ffn; j++) {
            if (bits[j / 32] >> (j % 32) & 1u) {
                token[t] += p[j].score;
                n++;
            }
        }
        token[t] = n > 0 ? token[t] / n : 0.0;
        mean += token[t] / f->n_sample;
    }
    for (uint32_t t = 0; t < f->n_sample; t++)
        square += (token[t] - mean) * (token[t] - mean) / f->n_sample;
    for (uint32_t t = 0; t < f->n_sample; t++)
        token[t] = (token[t] - mean) / (square > 0.0 ? sqrt(square) : 1.0);
}

static void score_neurons(const struct pv_fire *f, uint32_t layer, const double *token, struct placed *p)
{
    for (uint32_t j = 0; j < f->d_ffn; j++)
        p[j] = (struct placed){.neuron = j};
    for (uint32_t t = 0; t < f->n_sample; t++) {
        const uint32_t *bits = f->sample + ((size_t)t * f->n_layers + layer) * f->n_words;

        for (uint32_t j = 0; j < f->d_ffn; j++) {
            if (bits[j / 32] >> (j % 32) & 1u) {
                p[j].score += token[t];
                p[j].times++;
            }
        }
    }
    for (uint32_t j = 0; j < f->d_ffn; j++)
        p[j].score = p[j].times > 0 ? p[j].score / p[j].times : 0.0;
}

enum pv_status pv_fire_settle(struct pv_fire *f)
{
    struct placed *places;
    double token[SAMPLE];

    if (f->made_at == f->n_seen || f->n_sample == 0)
        return PV_OK;
    places = calloc(f->d_ffn, sizeof *places);
    if (!places)
        return PV_ERR_NOMEM;
    for (uint32_t l = 0; l < f->n_layers; l++) {
        for (uint32_t t = 0; t < f->n_sample; t++)
            token[t] = cos(2.4 * t);
        for (int round = 0; round < ROUNDS; round++) {
            score_neurons(f, l, token, places);
            score_tokens(f, l, places, token);
        }
        score_neurons(f, l, token, places);
        qsort(places, f->d_ffn, sizeof *places, by_place);
        for (uint32_t j = 0; j < f->d_ffn; j++)
            f->order[(size_t)l * f->d_ffn + j] = places[j].neuron;
    }
    free(places);
    f->made_at = f->n_seen;
    return PV_OK;
}

enum pv_status pv_fire_learn(struct pv_fire *f, const uint32_t *const *active)
{
    const size_t n = (size_t)f->n_layers * f->n_words;

    if (f->n_seen % f->stride == 0 && f->n_sample == SAMPLE) {
        for (uint32_t i = 1; i < SAMPLE / 2; i++)
            memcpy(f->sample + i * n, f->sample + 2 * i * n, n * sizeof *f->sample);
        f->n_sample = SAMPLE / 2;
        f->stride *= 2;
    }
    if (f->n_seen % f->stride == 0) {
        uint32_t *to = f->sample + f->n_sample++ * n;

        memset(to, 0, n * sizeof *to);
        for (uint32_t l = 0; l < f->n_layers; l++) {
            if (active[l])
                memcpy(to + (size_t)l * f->n_words, active[l], f->n_words * sizeof *to);
        }
    }
    f->n_seen++;
    return f->n_seen >= FIRST && f->n_seen >= 2 * f->made_at ? pv_fire_settle(f) : PV_OK;
}

double pv_fire_share(const struct pv_fire *f, uint32_t layer, uint32_t group, uint32_t n_groups)
{
    const uint32_t first = (uint32_t)((uint64_t)group * f->d_ffn / n_groups),
                   end = (uint32_t)((uint64_t)(group + 1) * f->d_ffn / n_groups);
    const float *recent = f->recent + (size_t)layer * f->d_ffn;
    const uint32_t *order = f->order + (size_t)layer * f->d_ffn;
    double sum = 0.0;

    for (uint32_t i = first; i < end; i++)
        sum += (double)recent[order[i]];
    return end > first && f->sum > 0.0 ? sum / (end - first) / f->sum : 0.0;
}
