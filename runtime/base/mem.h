/* Host memory: checked allocation and an arena (one per lifetime, freed as a whole). */
#ifndef PV_BASE_MEM_H
#define PV_BASE_MEM_H

#include <stddef.h>
#include <stdint.h>
#include "parvin/status.h"

/* Zeroed array of n x size bytes; NULL on overflow or no memory; n = 0 gives a valid pointer. Release with
 * free. */
void *pv_calloc(size_t n, size_t size);
/* Grows *ptr to hold n x size bytes, content kept. Returns false, *ptr untouched, on overflow or no memory.
 */
bool pv_grow(void **ptr, size_t n, size_t size);
/* malloc'ed copy of `n` bytes plus a NUL. */
char *pv_strndup(const char *s, size_t n);
/* a * b and a + b; false on overflow, *out untouched. */
bool pv_mul_size(size_t a, size_t b, size_t *out);
bool pv_add_size(size_t a, size_t b, size_t *out);
/* Peak memory of this process so far, in bytes; 0 where the system does not say. */
uint64_t pv_peak_memory(void);

/* Memory the host could still give without swapping; 0 where it cannot be told. */
uint64_t pv_host_free_bytes(void);

struct pv_arena {
    struct pv_arena_block *head;
};
void *pv_arena_alloc(struct pv_arena *arena, size_t n,
                     size_t size); /* zeroed, 16-byte aligned; NULL if no memory */
char *pv_arena_strndup(struct pv_arena *arena, const char *s, size_t n);
void pv_arena_free(struct pv_arena *arena); /* everything; the arena may be used again */

#endif
