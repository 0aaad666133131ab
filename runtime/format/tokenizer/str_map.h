/* Bytes -> token id: open addressing with a secret key, so that a file cannot choose texts that collide. */
#ifndef PV_FORMAT_TOKENIZER_STR_MAP_H
#define PV_FORMAT_TOKENIZER_STR_MAP_H

#include "base/mem.h"
#include "format/gguf/gguf.h"

#define PV_NO_TOKEN UINT32_MAX

struct pv_str_map {
    struct pv_str *keys; /* [n_slots] slices that the caller keeps; data NULL: free */
    uint32_t *ids;
    size_t n_slots; /* a power of two, at least twice the keys; 0: empty */
    uint64_t secret[2];
};
/* Room for n keys, in the arena. False when memory is out. */
bool pv_str_map_init(struct pv_str_map *map, struct pv_arena *arena, size_t n);
/* The first id added for a key stays. Empty keys are ignored. */
void pv_str_map_add(struct pv_str_map *map, struct pv_str key, uint32_t id);
/* The id of these bytes, or PV_NO_TOKEN. */
uint32_t pv_str_map_find(const struct pv_str_map *map, const char *data, size_t size_bytes);

#endif
