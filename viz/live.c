/* A ring of slots between two counters. A slot is written before `head` passes it and read before `tail`
 * does. */
#include "viz/live.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_ROOM = 64 };

struct slot {
    struct pv_trace_token token; /* its arrays point into this ring */
    char text[TEXT_ROOM];
};
struct pv_live {
    uint32_t n_layers, n_slots, n_words; /* n_words: of a layer's pattern; 0: no oracle statistics */
    struct slot *slots;
    uint32_t *u32s;        /* [n_slots][4][L] */
    float *floats;         /* [n_slots][2][L] */
    uint32_t *bits;        /* [n_slots][L][n_words] */
    const uint32_t **rows; /* [n_slots][L] */
    atomic_uint_fast64_t head, tail, lost;
    atomic_bool ended;
};

static uint32_t default_slots(const struct pv_live *live)
{
    const size_t bytes = (size_t)live->n_layers * live->n_words * sizeof *live->bits;
    const size_t n = bytes > 0 ? ((size_t)64 << 20) / bytes : 8192;

    return n < 64 ? 64 : n > 8192 ? 8192 : (uint32_t)n;
}

enum pv_status pv_live_create(const struct pv_trace_header *header, uint32_t n_slots, bool oracle,
                              struct pv_live **out)
{
    struct pv_live *live = calloc(1, sizeof *live);
    size_t n;

    *out = NULL;
    if (!live)
        return PV_ERR_NOMEM;
    live->n_layers = header->n_layers;
    live->n_words = oracle ? (header->d_ffn + 31) / 32 : 0;
    live->n_slots = n_slots > 0 ? n_slots : default_slots(live);
    n = (size_t)live->n_slots * live->n_layers;
    live->slots = calloc(live->n_slots, sizeof *live->slots);
    live->u32s = calloc(n * 4, sizeof *live->u32s);
    live->floats = calloc(n * 2, sizeof *live->floats);
    live->bits = calloc(n * live->n_words + 1, sizeof *live->bits);
    live->rows = calloc(n, sizeof *live->rows);
    if (!live->slots || !live->u32s || !live->floats || !live->bits || !live->rows) {
        pv_live_destroy(live);
        return PV_ERR_NOMEM;
    }
    atomic_init(&live->head, 0);
    atomic_init(&live->tail, 0);
    atomic_init(&live->lost, 0);
    atomic_init(&live->ended, false);
    *out = live;
    return PV_OK;
}

void pv_live_destroy(struct pv_live *live)
{
    if (!live)
        return;
    free(live->slots);
    free(live->u32s);
    free(live->floats);
    free(live->bits);
    free(live->rows);
    free(live);
}

static const uint32_t *copy_u32s(uint32_t *to, const uint32_t *from, size_t n)
{
    return from ? memcpy(to, from, n * sizeof *to) : NULL;
}

static const float *copy_floats(float *to, const float *from, size_t n)
{
    return from ? memcpy(to, from, n * sizeof *to) : NULL;
}

void pv_live_push(struct pv_live *live, const struct pv_trace_token *token)
{
    const uint64_t head = atomic_load_explicit(&live->head, memory_order_relaxed);
    const size_t n = live->n_layers, i = (size_t)(head % live->n_slots);
    struct slot *slot = &live->slots[i];
    struct pv_trace_token *t = &slot->token;
    uint32_t *u32s = live->u32s + i * 4 * n, *bits = live->bits + i * n * live->n_words;
    const uint32_t **rows = live->rows + i * n;
    float *floats = live->floats + i * 2 * n;

    if (head - atomic_load_explicit(&live->tail, memory_order_acquire) >= live->n_slots) {
        atomic_fetch_add_explicit(&live->lost, 1, memory_order_relaxed);
        return;
    }
    *t = *token;
    t->text_bytes = token->text_bytes < TEXT_ROOM ? token->text_bytes : TEXT_ROOM;
    if (token->text)
        memcpy(slot->text, token->text, t->text_bytes);
    t->text = slot->text;
    t->cluster = copy_u32s(u32s, token->cluster, n);
    t->n_neurons = copy_u32s(u32s + n, token->n_neurons, n);
    t->n_active = copy_u32s(u32s + 2 * n, token->n_active, n);
    t->n_hit = copy_u32s(u32s + 3 * n, token->n_hit, n);
    t->margin = copy_floats(floats, token->margin, n);
    t->energy_kept = copy_floats(floats + n, token->energy_kept, n);
    t->active = live->n_words > 0 && token->active ? rows : NULL;
    for (size_t l = 0; t->active && l < n; l++)
        rows[l] = copy_u32s(bits + l * live->n_words, token->active[l], live->n_words);
    atomic_store_explicit(&live->head, head + 1, memory_order_release);
}

void pv_live_end(struct pv_live *live)
{
    atomic_store_explicit(&live->ended, true, memory_order_release);
}

uint64_t pv_live_lost(const struct pv_live *live)
{
    return atomic_load_explicit(&live->lost, memory_order_relaxed);
}

static enum pv_status pull_live(void *user, struct pv_heat *heat, uint32_t max, uint32_t *n, bool *ended)
{
    struct pv_live *live = user;
    const bool last = atomic_load_explicit(&live->ended, memory_order_acquire);
    uint64_t tail = atomic_load_explicit(&live->tail, memory_order_relaxed);
    const uint64_t head = atomic_load_explicit(&live->head, memory_order_acquire);

    *ended = false;
    for (*n = 0; tail < head && *n < max; ++*n) {
        const enum pv_status status = pv_heat_push(heat, &live->slots[tail % live->n_slots].token);

        atomic_store_explicit(&live->tail, ++tail, memory_order_release);
        if (status != PV_OK)
            return status;
    }
    *ended = last && tail == head;
    return PV_OK;
}

struct pv_source pv_live_source(struct pv_live *live)
{
    return (struct pv_source){.user = live, .pull = pull_live, .live = true};
}
