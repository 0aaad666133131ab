/* A ring of slots between two counters. A slot is written before `head` passes it and read before `tail`
 * does. */
#include "live.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_ROOM = 64 };

struct slot {
    struct pv_trace_token token; /* its arrays point into this ring */
    char text[TEXT_ROOM];
};
struct pv_live {
    uint32_t n_layers, n_slots;
    struct slot *slots;
    uint32_t *u32s; /* [n_slots][2][L] */
    float *floats;  /* [n_slots][L] */
    atomic_uint_fast64_t head, tail, lost;
    atomic_bool ended;
};

enum pv_status pv_live_create(const struct pv_trace_header *header, uint32_t n_slots, struct pv_live **out)
{
    struct pv_live *live = calloc(1, sizeof(*live));

    *out = NULL;
    if (live == NULL)
        return PV_ERR_NOMEM;
    live->n_layers = header->n_layers;
    live->n_slots = n_slots > 0 ? n_slots : 8192;
    live->slots = calloc(live->n_slots, sizeof(*live->slots));
    live->u32s = calloc((size_t)live->n_slots * live->n_layers * 2, sizeof(*live->u32s));
    live->floats = calloc((size_t)live->n_slots * live->n_layers, sizeof(*live->floats));
    if (live->slots == NULL || live->u32s == NULL || live->floats == NULL) {
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
    if (live == NULL)
        return;
    free(live->slots);
    free(live->u32s);
    free(live->floats);
    free(live);
}

void pv_live_push(struct pv_live *live, const struct pv_trace_token *token)
{
    uint64_t head = atomic_load_explicit(&live->head, memory_order_relaxed);
    size_t n = live->n_layers, i = (size_t)(head % live->n_slots);
    struct slot *slot = &live->slots[i];
    uint32_t *u32s = live->u32s + i * 2 * n;
    float *floats = live->floats + i * n;

    if (head - atomic_load_explicit(&live->tail, memory_order_acquire) >= live->n_slots) {
        atomic_fetch_add_explicit(&live->lost, 1, memory_order_relaxed);
        return;
    }
    slot->token = *token;
    slot->token.text_bytes = token->text_bytes < TEXT_ROOM ? token->text_bytes : TEXT_ROOM;
    if (token->text != NULL)
        memcpy(slot->text, token->text, slot->token.text_bytes);
    slot->token.text = slot->text;
    memcpy(u32s, token->cluster, n * sizeof(*u32s));
    memcpy(u32s + n, token->n_neurons, n * sizeof(*u32s));
    slot->token.cluster = u32s;
    slot->token.n_neurons = u32s + n;
    if (token->margin != NULL) {
        memcpy(floats, token->margin, n * sizeof(*floats));
        slot->token.margin = floats;
    }
    slot->token.energy_kept = NULL;
    slot->token.n_active = slot->token.n_hit = NULL;
    slot->token.active = NULL;
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
    bool last = atomic_load_explicit(&live->ended, memory_order_acquire);
    uint64_t tail = atomic_load_explicit(&live->tail, memory_order_relaxed);
    uint64_t head = atomic_load_explicit(&live->head, memory_order_acquire);

    *ended = false;
    for (*n = 0; tail < head && *n < max; ++*n) {
        enum pv_status status = pv_heat_push(heat, &live->slots[tail % live->n_slots].token);

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
