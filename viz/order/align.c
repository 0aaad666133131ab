/* Reciprocal averaging over all layers at once (correspondence analysis; M. O. Hill, 1973): a cluster's score is the
 * mean of its tokens', a token's the mean of its clusters'. It settles on the axis that parts the tokens best. A few
 * odd tokens may take that axis for themselves, so the last rounds go by ranks instead of scores. */
#include "viz/order/align.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 40, RANK_ROUNDS = 12 };

struct ranked {
    double score;
    uint32_t index;
};
struct work {
    const struct pv_chosen *a;
    double *score;        /* [L][K] of clusters */
    uint32_t *uses;       /* [L][K] */
    double *token;        /* [n] scores of tokens */
    struct ranked *order; /* room for n and for K */
};

static int by_score(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;

    if (x->score < y->score || x->score > y->score)
        return x->score < y->score ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

static void score_clusters(struct work *w)
{
    const struct pv_chosen *a = w->a;
    const size_t n_cells = (size_t)a->n_layers * a->n_clusters;

    memset(w->score, 0, n_cells * sizeof *w->score);
    for (uint32_t i = 0; i < a->n_tokens; i++) {
        const uint32_t *clusters = a->clusters + (size_t)i * a->n_layers;

        for (uint32_t l = 0; l < a->n_layers; l++) {
            if (clusters[l] < a->n_clusters)
                w->score[(size_t)l * a->n_clusters + clusters[l]] += w->token[i];
        }
    }
    for (size_t i = 0; i < n_cells; i++)
        w->score[i] = w->uses[i] > 0 ? w->score[i] / w->uses[i] : 0.0;
}

static void score_tokens(struct work *w)
{
    const struct pv_chosen *a = w->a;

    for (uint32_t i = 0; i < a->n_tokens; i++) {
        const uint32_t *clusters = a->clusters + (size_t)i * a->n_layers;

        w->token[i] = 0.0;
        for (uint32_t l = 0; l < a->n_layers; l++) {
            if (clusters[l] < a->n_clusters)
                w->token[i] += w->score[(size_t)l * a->n_clusters + clusters[l]];
        }
    }
}

/* All alike is a solution that says nothing: mean 0, variance 1. */
static void normalise(struct work *w)
{
    const uint32_t n = w->a->n_tokens;
    double mean = 0.0, square = 0.0;

    for (uint32_t i = 0; i < n; i++)
        mean += w->token[i] / n;
    for (uint32_t i = 0; i < n; i++)
        square += (w->token[i] - mean) * (w->token[i] - mean) / n;
    for (uint32_t i = 0; i < n; i++)
        w->token[i] = (w->token[i] - mean) / (square > 0.0 ? sqrt(square) : 1.0);
}

static void rank_tokens(struct work *w)
{
    const uint32_t n = w->a->n_tokens;

    for (uint32_t i = 0; i < n; i++)
        w->order[i] = (struct ranked){w->token[i], i};
    qsort(w->order, n, sizeof *w->order, by_score);
    for (uint32_t i = 0; i < n; i++)
        w->token[w->order[i].index] = (i + 0.5) / n;
}

/* The used clusters of a layer into w->order by their scores; returns how many. */
static uint32_t order_layer(struct work *w, uint32_t layer)
{
    const uint32_t n = w->a->n_clusters;
    uint32_t n_used = 0;

    for (uint32_t k = 0; k < n; k++) {
        if (w->uses[(size_t)layer * n + k] > 0)
            w->order[n_used++] = (struct ranked){w->score[(size_t)layer * n + k], k};
    }
    qsort(w->order, n_used, sizeof *w->order, by_score);
    return n_used;
}

/* A cluster's score becomes the share of tokens whose clusters stand before it. */
static void rank_clusters(struct work *w)
{
    const uint32_t n = w->a->n_clusters;

    for (uint32_t l = 0; l < w->a->n_layers; l++) {
        const uint32_t n_used = order_layer(w, l);
        double before = 0.0;

        for (uint32_t i = 0; i < n_used; i++) {
            const size_t cell = (size_t)l * n + w->order[i].index;

            w->score[cell] = (before + w->uses[cell] / 2.0) / w->a->n_tokens;
            before += w->uses[cell];
        }
    }
}

/* Used clusters evenly over all places, the others between them. */
static void write_places(struct work *w, uint32_t layer, uint32_t *place)
{
    const uint32_t n = w->a->n_clusters, n_used = order_layer(w, layer);
    uint32_t next_unused = 0, done = 0;

    for (uint32_t p = 0; p < n; p++) {
        if (done < n_used && (uint64_t)done * n <= (uint64_t)p * n_used) {
            place[w->order[done++].index] = p;
            continue;
        }
        while (w->uses[(size_t)layer * n + next_unused] > 0)
            next_unused++;
        place[next_unused++] = p;
    }
}

/* Which end is the first is open: the one that the first layer's most used cluster is nearer to. */
static void turn(struct work *w)
{
    uint32_t most = 0;

    score_clusters(w);
    for (uint32_t k = 1; k < w->a->n_clusters; k++)
        most = w->uses[k] > w->uses[most] ? k : most;
    for (uint32_t i = 0; w->score[most] > 0.0 && i < w->a->n_tokens; i++)
        w->token[i] = -w->token[i];
}

static void settle(struct work *w, bool again, uint32_t *place)
{
    const struct pv_chosen *a = w->a;
    const size_t n_cells = (size_t)a->n_layers * a->n_clusters;

    for (size_t i = 0; again && i < n_cells; i++)
        w->score[i] = place[i];
    if (again)
        score_tokens(w);
    for (uint32_t i = 0; !again && i < a->n_tokens; i++)
        w->token[i] = cos(2.4 * i); /* any start that is not all alike will do */
    for (int round = 0; !again && round < ROUNDS; round++) {
        normalise(w);
        score_clusters(w);
        score_tokens(w);
    }
    if (!again) {
        normalise(w);
        turn(w);
    }
    for (int round = 0; round < RANK_ROUNDS; round++) {
        rank_tokens(w);
        score_clusters(w);
        rank_clusters(w);
        score_tokens(w);
    }
    score_clusters(w);
    for (uint32_t l = 0; l < a->n_layers; l++)
        write_places(w, l, place + (size_t)l * a->n_clusters);
}

enum pv_status pv_align_places(const struct pv_chosen *a, bool again, uint32_t *place)
{
    const size_t n_cells = (size_t)a->n_layers * a->n_clusters;
    const size_t n_order = a->n_tokens > a->n_clusters ? a->n_tokens : a->n_clusters;
    struct work w = {.a = a};
    enum pv_status status = PV_ERR_NOMEM;

    w.score = calloc(n_cells + 1, sizeof *w.score);
    w.uses = calloc(n_cells + 1, sizeof *w.uses);
    w.token = calloc((size_t)a->n_tokens + 1, sizeof *w.token);
    w.order = calloc(n_order + 1, sizeof *w.order);
    if (w.score && w.uses && w.token && w.order) {
        for (uint32_t i = 0; i < a->n_tokens; i++) {
            for (uint32_t l = 0; l < a->n_layers; l++) {
                const uint32_t k = a->clusters[(size_t)i * a->n_layers + l];

                w.uses[(size_t)l * a->n_clusters + (k < a->n_clusters ? k : 0)] += k < a->n_clusters;
            }
        }
        settle(&w, again, place);
        status = PV_OK;
    }
    free(w.score);
    free(w.uses);
    free(w.token);
    free(w.order);
    return status;
}

double pv_align_steadiness(const struct pv_chosen *a, const uint32_t *place, double most)
{
    uint64_t n = 0, steady = 0;

    for (uint32_t i = 0; i < a->n_tokens; i++) {
        const uint32_t *clusters = a->clusters + (size_t)i * a->n_layers;

        for (uint32_t l = 0; l + 1 < a->n_layers; l++) {
            if (clusters[l] >= a->n_clusters || clusters[l + 1] >= a->n_clusters)
                continue;
            const double from = place[(size_t)l * a->n_clusters + clusters[l]],
                         to = place[(size_t)(l + 1) * a->n_clusters + clusters[l + 1]];

            n++;
            steady += fabs(to - from) / a->n_clusters < most;
        }
    }
    return n > 0 ? (double)steady / (double)n : 1.0;
}
