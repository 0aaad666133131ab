/* What both kinds of tokenizer merge with: symbols that join pair by pair, the best pair first, and a list of ids. */
#ifndef PV_FORMAT_TOKENIZER_MERGE_H
#define PV_FORMAT_TOKENIZER_MERGE_H

#include "format/tokenizer/str_map.h"

/* A growing list of token ids; after a failed growth `no_memory` stays set and additions are dropped. */
struct pv_ids {
    uint32_t *ids;
    size_t n, room;
    bool no_memory;
};
void pv_ids_add(struct pv_ids *list, uint32_t id);

/* A run of text that is one token so far. It is kept at the index of its first byte, in a list that is linked both
 * ways. */
struct pv_symbol {
    uint32_t n_bytes;    /* 0: merged into its left neighbour, or no symbol starts here */
    uint32_t prev, next; /* PV_NO_TOKEN at the ends */
    uint32_t id;         /* PV_NO_TOKEN: no such token */
    uint32_t merged;     /* what it and the next one become; PV_NO_TOKEN: they do not join */
    uint32_t rank;       /* of that: the least joins first, of equal ones the leftmost */
};
struct pv_merger {
    const char *text;
    struct pv_symbol *symbols; /* [room] */
    uint64_t *heap;            /* rank << 32 | index of the left symbol */
    size_t room, n_heap, heap_room;
    bool no_memory;
};

/* Whether two neighbours join, into which token, and at which rank. */
typedef bool pv_merge_pair(const void *user, const char *text, const struct pv_symbol *left,
                           const struct pv_symbol *right, uint32_t *merged, uint32_t *rank);
/* Joins until no pair does. `m->symbols` start as the caller made them in pv_merger_start's array, the first at 0. False:
 * memory ran out. O(n log n) for n symbols. */
bool pv_merger_run(struct pv_merger *m, pv_merge_pair *pair, const void *user);
/* Room for a text of `n_bytes`; the symbols are to be filled in. False: memory ran out. A merger serves many texts. */
bool pv_merger_start(struct pv_merger *m, const char *text, size_t n_bytes);
void pv_merger_free(struct pv_merger *m);

#endif
