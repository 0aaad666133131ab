/* Linear probing over SipHash: a look-up reads one slot and a bit, whatever the keys. */
#include "format/tokenizer/str_map.h"

#include <string.h>
#include "base/hash.h"
#include "base/rng.h"

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
    map->secret[0] = pv_random_secret();
    map->secret[1] = pv_random_secret();
    return true;
}

static size_t find_slot(const struct pv_str_map *map, const char *data, size_t size_bytes)
{
    size_t slot = (size_t)pv_hash_keyed(data, size_bytes, map->secret) & (map->n_slots - 1);

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
