/* The history is bounded: when it is full, every other token goes, and from then on fewer are kept. */
#include "viz/order/order.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "viz/order/align.h"

enum { MAX_TOKENS = 8192, MAX_WORDS = 1 << 20, FIRST = 32 };

void pv_order_init(struct pv_order *o, uint32_t n_layers, uint32_t n_clusters)
{
    *o = (struct pv_order){.n_layers = n_layers, .n_clusters = n_clusters, .stride = 1};
}

void pv_order_free(struct pv_order *o)
{
    free(o->history);
    free(o->place);
    free(o->at);
    *o = (struct pv_order){0};
}

static enum pv_status make_room(struct pv_order *o)
{
    const uint32_t fit = MAX_WORDS / o->n_layers, most = fit < MAX_TOKENS ? fit : MAX_TOKENS;

    if (o->n_kept < o->room)
        return PV_OK;
    if (o->room < most) {
        const uint32_t room = o->room == 0 ? 256 : o->room * 2 < most ? o->room * 2 : most;
        uint32_t *grown = realloc(o->history, (size_t)room * o->n_layers * sizeof *grown);

        if (!grown)
            return PV_ERR_NOMEM;
        o->history = grown;
        o->room = room;
        return PV_OK;
    }
    for (uint32_t i = 1; 2 * i < o->n_kept; i++)
        memcpy(o->history + (size_t)i * o->n_layers, o->history + (size_t)2 * i * o->n_layers,
               o->n_layers * sizeof *o->history);
    o->n_kept = (o->n_kept + 1) / 2;
    o->stride *= 2;
    return PV_OK;
}

enum pv_status pv_order_push(struct pv_order *o, const uint32_t *clusters)
{
    enum pv_status status;

    if (o->n_clusters == 0)
        return PV_OK;
    if (o->n_seen % o->stride == 0) {
        status = make_room(o);
        if (status != PV_OK)
            return status;
        if (o->n_seen % o->stride == 0)
            memcpy(o->history + (size_t)o->n_kept++ * o->n_layers, clusters,
                   o->n_layers * sizeof *o->history);
    }
    o->n_seen++;
    return o->n_seen >= FIRST && o->n_seen >= 2 * o->made_at ? pv_order_make(o) : PV_OK;
}

static struct pv_chosen align_of(const struct pv_order *o)
{
    return (struct pv_chosen){
        .clusters = o->history, .n_tokens = o->n_kept, .n_layers = o->n_layers, .n_clusters = o->n_clusters};
}

enum pv_status pv_order_make(struct pv_order *o)
{
    const size_t n_cells = (size_t)o->n_layers * o->n_clusters;
    const struct pv_chosen align = align_of(o);
    const bool again = o->place != NULL;
    enum pv_status status;

    if (o->made_at == o->n_seen || o->n_kept == 0)
        return PV_OK;
    if (!again) {
        o->place = calloc(n_cells, sizeof *o->place);
        o->at = calloc(n_cells, sizeof *o->at);
    }
    status = o->place && o->at ? pv_align_places(&align, again, o->place) : PV_ERR_NOMEM;
    if (status != PV_OK)
        return status;
    for (size_t i = 0; i < n_cells; i++)
        o->at[i / o->n_clusters * o->n_clusters + o->place[i]] = (uint32_t)(i % o->n_clusters);
    o->made_at = o->n_seen;
    return PV_OK;
}

double pv_order_steadiness(const struct pv_order *o, double most)
{
    const struct pv_chosen align = align_of(o);

    return o->place ? pv_align_steadiness(&align, o->place, most) : 1.0;
}
