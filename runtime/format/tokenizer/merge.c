/* What both tokenizers merge with: a hash table of token texts, a binary heap of candidate merges and a
 * linked list of symbols. A merge costs O(log n), so a word of a million letters takes a million steps, not
 * their square. */
#include "format/tokenizer/tokenizer_impl.h"

#include <stdlib.h>
#include <string.h>
#include "base/hash.h"

bool pv_str_map_init(struct pv_str_map *map, struct pv_arena *arena, size_t n)
{
    size_t n_slots = 16;

    while (n_slots / 2 < n)
        n_slots *= 2;
    map->keys = pv_arena_alloc(arena, n_slots, sizeof map->keys[0]);
    map->ids = pv_arena_alloc(arena, n_slots, sizeof map->ids[0]);
    if (!map->keys || !map->ids)
        return false;
    map->n_slots = n_slots;
    return true;
}

static size_t find_slot(const struct pv_str_map *map, const char *data, size_t size_bytes)
{
    size_t slot = (size_t)pv_hash64(data, size_bytes, 0) & (map->n_slots - 1);

    while (map->keys[slot].data &&
           (map->keys[slot].size_bytes != size_bytes || memcmp(map->keys[slot].data, data, size_bytes) != 0))
        slot = (slot + 1) & (map->n_slots - 1);
    return slot;
}

void pv_str_map_add(struct pv_str_map *map, struct pv_str key, uint32_t id)
{
    size_t slot;

    if (key.size_bytes == 0)
        return;
    slot = find_slot(map, key.data, key.size_bytes);
    if (map->keys[slot].data)
        return;
    map->keys[slot] = key;
    map->ids[slot] = id;
}

uint32_t pv_str_map_find(const struct pv_str_map *map, const char *data, size_t size_bytes)
{
    size_t slot;

    if (map->n_slots == 0 || size_bytes == 0)
        return PV_NO_TOKEN;
    slot = find_slot(map, data, size_bytes);
    return map->keys[slot].data ? map->ids[slot] : PV_NO_TOKEN;
}

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

static bool before(const struct pv_candidate *a, const struct pv_candidate *b)
{
    return a->key < b->key || (a->key <= b->key && a->left < b->left);
}

void pv_heap_push(struct pv_heap *heap, struct pv_candidate item)
{
    size_t i = heap->n;

    if (heap->n == heap->room) {
        const size_t wanted = heap->room != 0 ? heap->room * 2 : 64;
        void *items = heap->items;

        if (heap->no_memory || !pv_grow(&items, wanted, sizeof item)) {
            heap->no_memory = true;
            return;
        }
        heap->items = items;
        heap->room = wanted;
    }
    heap->n++;
    while (i > 0 && before(&item, &heap->items[(i - 1) / 2])) {
        heap->items[i] = heap->items[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    heap->items[i] = item;
}

bool pv_heap_pop(struct pv_heap *heap, struct pv_candidate *out)
{
    struct pv_candidate last;
    size_t i = 0;

    if (heap->n == 0)
        return false;
    *out = heap->items[0];
    last = heap->items[--heap->n];
    while (2 * i + 1 < heap->n) {
        size_t child = 2 * i + 1;

        if (child + 1 < heap->n && before(&heap->items[child + 1], &heap->items[child]))
            child++;
        if (!before(&heap->items[child], &last))
            break;
        heap->items[i] = heap->items[child];
        i = child;
    }
    if (heap->n != 0)
        heap->items[i] = last;
    return true;
}

bool pv_merge_scratch_reserve(struct pv_merge_scratch *s, size_t n_symbols)
{
    void *symbols = s->symbols;

    if (n_symbols <= s->room)
        return true;
    if (!pv_grow(&symbols, n_symbols, sizeof s->symbols[0]))
        return false;
    s->symbols = symbols;
    s->room = n_symbols;
    return true;
}

void pv_merge_scratch_free(struct pv_merge_scratch *s)
{
    free(s->symbols);
    free(s->heap.items);
    *s = (struct pv_merge_scratch){0};
}

bool pv_symbols_join(struct pv_merge_scratch *s, const struct pv_candidate *c)
{
    struct pv_symbol *left = &s->symbols[c->left], *right = &s->symbols[c->right];

    if (left->n_bytes == 0 || right->n_bytes == 0 || left->n_bytes + right->n_bytes != c->n_bytes)
        return false;
    left->id = c->merged_id;
    left->n_bytes = c->n_bytes;
    left->next = right->next;
    right->n_bytes = 0;
    if (right->next != PV_NO_TOKEN)
        s->symbols[right->next].prev = c->left;
    return true;
}
