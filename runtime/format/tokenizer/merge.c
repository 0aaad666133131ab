/* Each symbol knows what it and its right neighbour become, and a heap holds the ranks of all such pairs. What the heap
 * holds may be out of date: it counts where the symbol's pair has that rank still. Four children a node, and eight
 * bytes an entry, keep the heap of a word of a million letters within the processor's caches. */
#include "format/tokenizer/merge.h"

#include <stdlib.h>

void pv_ids_add(struct pv_ids *list, uint32_t id)
{
    if (list->n == list->room) {
        const size_t wanted = list->room != 0 ? list->room * 2 : 64;
        void *ids = list->ids;

        if (list->no_memory || !pv_grow(&ids, wanted, sizeof id)) {
            list->no_memory = true;
            return;
        }
        list->ids = ids;
        list->room = wanted;
    }
    list->ids[list->n++] = id;
}

static void push(struct pv_merger *m, uint64_t entry)
{
    size_t i = m->n_heap;

    if (i == m->heap_room) {
        const size_t wanted = m->heap_room != 0 ? m->heap_room * 2 : 64;
        void *heap = m->heap;

        if (m->no_memory || !pv_grow(&heap, wanted, sizeof m->heap[0])) {
            m->no_memory = true;
            return;
        }
        m->heap = heap;
        m->heap_room = wanted;
    }
    m->n_heap++;
    for (; i > 0 && entry < m->heap[(i - 1) / 4]; i = (i - 1) / 4)
        m->heap[i] = m->heap[(i - 1) / 4];
    m->heap[i] = entry;
}

static uint64_t pop(struct pv_merger *m)
{
    const uint64_t top = m->heap[0], last = m->heap[--m->n_heap];
    size_t i = 0;

    while (4 * i + 1 < m->n_heap) {
        const size_t first = 4 * i + 1, end = first + 4 < m->n_heap ? first + 4 : m->n_heap;
        size_t least = first;

        for (size_t child = first + 1; child < end; child++)
            if (m->heap[child] < m->heap[least])
                least = child;
        if (m->heap[least] >= last)
            break;
        m->heap[i] = m->heap[least];
        i = least;
    }
    m->heap[i] = last;
    return top;
}

bool pv_merger_start(struct pv_merger *m, const char *text, size_t n_bytes)
{
    void *symbols = m->symbols;

    m->text = text;
    m->n_heap = 0;
    if (n_bytes <= m->room)
        return true;
    if (!pv_grow(&symbols, n_bytes, sizeof m->symbols[0]))
        return false;
    m->symbols = symbols;
    m->room = n_bytes;
    return true;
}

void pv_merger_free(struct pv_merger *m)
{
    free(m->symbols);
    free(m->heap);
    *m = (struct pv_merger){0};
}

static void look_at(struct pv_merger *m, pv_merge_pair *pair, const void *user, uint32_t left)
{
    struct pv_symbol *l = &m->symbols[left];

    l->merged = PV_NO_TOKEN;
    if (l->next != PV_NO_TOKEN && pair(user, m->text + left, l, &m->symbols[l->next], &l->merged, &l->rank))
        push(m, (uint64_t)l->rank << 32 | left);
}

static void join(struct pv_merger *m, uint32_t left)
{
    struct pv_symbol *l = &m->symbols[left], *r = &m->symbols[l->next];

    l->id = l->merged;
    l->n_bytes += r->n_bytes;
    l->next = r->next;
    r->n_bytes = 0;
    r->merged = PV_NO_TOKEN;
    if (r->next != PV_NO_TOKEN)
        m->symbols[r->next].prev = left;
}

bool pv_merger_run(struct pv_merger *m, pv_merge_pair *pair, const void *user)
{
    for (uint32_t i = 0; i != PV_NO_TOKEN; i = m->symbols[i].next)
        look_at(m, pair, user, i);
    while (m->n_heap != 0) {
        const uint64_t top = pop(m);
        const uint32_t left = (uint32_t)top;
        const struct pv_symbol *l = &m->symbols[left];

        if (l->merged == PV_NO_TOKEN || l->rank != top >> 32)
            continue;
        join(m, left);
        if (l->prev != PV_NO_TOKEN)
            look_at(m, pair, user, l->prev);
        look_at(m, pair, user, left);
    }
    return !m->no_memory;
}
