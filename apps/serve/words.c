/* A few counters for each cluster. A token without one takes that of the rarest and counts on from there, so that frequent tokens
 * stay (Metwally, Agrawal, El Abbadi 2005, "space saving"). */
#include "serve/words.h"

#include <stdlib.h>
#include <string.h>

enum { COUNTERS = 2 * SERVE_WORDS };

struct counter {
    uint32_t token, n; /* n 0: free */
};

struct serve_words {
    uint32_t n_layers, n_clusters;
    struct counter counters[]; /* [n_layers][n_clusters][COUNTERS] */
};

static size_t size_of(uint32_t n_layers, uint32_t n_clusters)
{
    return sizeof(struct serve_words) + (size_t)n_layers * n_clusters * COUNTERS * sizeof(struct counter);
}

struct serve_words *serve_words_create(uint32_t n_layers, uint32_t n_clusters)
{
    struct serve_words *words = calloc(1, size_of(n_layers, n_clusters));
    if (words) {
        words->n_layers = n_layers;
        words->n_clusters = n_clusters;
    }
    return words;
}

struct serve_words *serve_words_copy(const struct serve_words *words)
{
    const size_t size = size_of(words->n_layers, words->n_clusters);
    struct serve_words *copy = malloc(size);
    if (copy)
        memcpy(copy, words, size);
    return copy;
}

void serve_words_destroy(struct serve_words *words)
{
    free(words);
}

static void count(struct counter *of, uint32_t token)
{
    struct counter *rarest = of;
    for (uint32_t i = 0; i < COUNTERS; i++) {
        if (of[i].n > 0 && of[i].token == token) {
            of[i].n++;
            return;
        }
        if (of[i].n < rarest->n)
            rarest = &of[i];
    }
    *rarest = (struct counter){.token = token, .n = rarest->n + 1};
}

void serve_words_add(struct serve_words *words, uint32_t token, const struct pv_token_stats *stats)
{
    for (uint32_t i = 0; i < words->n_layers && i < stats->n_layers; i++)
        if (stats->cluster[i] < words->n_clusters)
            count(words->counters + ((size_t)i * words->n_clusters + stats->cluster[i]) * COUNTERS, token);
}

static int by_count(const void *a, const void *b)
{
    const struct counter *x = a, *y = b;
    if (x->n != y->n)
        return x->n < y->n ? 1 : -1;
    return x->token < y->token ? -1 : x->token > y->token;
}

static json_t *texts_of(const struct counter *of, const struct pv_model *model)
{
    struct counter sorted[COUNTERS];
    json_t *texts = json_array(), *holder = json_object();
    memcpy(sorted, of, sizeof sorted);
    qsort(sorted, COUNTERS, sizeof *sorted, by_count);
    for (uint32_t i = 0; i < SERVE_WORDS && sorted[i].n > 0; i++) {
        const char *bytes = NULL;
        const size_t n = pv_token_bytes(model, sorted[i].token, true, &bytes);
        json_put_text(holder, "text", bytes ? bytes : "", n); /* clean UTF-8 */
        json_array_append(texts, json_object_get(holder, "text"));
    }
    json_decref(holder);
    return texts;
}

json_t *serve_words_json(const struct serve_words *words, const struct pv_model *model)
{
    json_t *layers = json_array();
    for (uint32_t i = 0; i < words->n_layers; i++) {
        json_t *clusters = json_array();
        for (uint32_t k = 0; k < words->n_clusters; k++)
            json_array_append_new(
                clusters, texts_of(words->counters + ((size_t)i * words->n_clusters + k) * COUNTERS, model));
        json_array_append_new(layers, clusters);
    }
    return layers;
}
