/* Checked allocation, and an arena of zeroed blocks that grow with use: the first is small, so that a small
 * file costs little, and a request larger than the next block gets a block of its own. */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif
#include "base/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { ARENA_ALIGN = 16, ARENA_FIRST = 1024, ARENA_LARGEST = 1 << 20 };

struct pv_arena_block {
    struct pv_arena_block *next;
    unsigned char *data; /* 16-byte aligned */
    size_t size_bytes, used_bytes;
};

bool pv_mul_size(size_t a, size_t b, size_t *out)
{
    if (b != 0 && a > SIZE_MAX / b)
        return false;
    *out = a * b;
    return true;
}

bool pv_add_size(size_t a, size_t b, size_t *out)
{
    if (a > SIZE_MAX - b)
        return false;
    *out = a + b;
    return true;
}

void *pv_calloc(size_t n, size_t size)
{
    size_t total;

    if (!pv_mul_size(n, size, &total))
        return NULL;
    return calloc(1, total != 0 ? total : 1);
}

bool pv_grow(void **ptr, size_t n, size_t size)
{
    size_t total;
    void *grown;

    if (!pv_mul_size(n, size, &total))
        return false;
    grown = realloc(*ptr, total != 0 ? total : 1);
    if (!grown)
        return false;
    *ptr = grown;
    return true;
}

char *pv_strndup(const char *s, size_t n)
{
    size_t total;
    char *copy;

    if (!pv_add_size(n, 1, &total))
        return NULL;
    copy = malloc(total);
    if (!copy)
        return NULL;
    if (n != 0)
        memcpy(copy, s, n);
    copy[n] = '\0';
    return copy;
}

static struct pv_arena_block *arena_block_create(size_t size_bytes)
{
    const size_t header = (sizeof(struct pv_arena_block) + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
    size_t total;
    struct pv_arena_block *block;

    if (!pv_add_size(size_bytes, header + ARENA_ALIGN, &total))
        return NULL;
    block = calloc(1, total);
    if (!block)
        return NULL;
    block->data = (unsigned char *)block + header;
    block->data += (ARENA_ALIGN - (uintptr_t)block->data % ARENA_ALIGN) % ARENA_ALIGN;
    block->size_bytes = size_bytes;
    return block;
}

void *pv_arena_alloc(struct pv_arena *arena, size_t n, size_t size)
{
    struct pv_arena_block *head = arena->head;
    size_t total, block_bytes;
    void *result;

    if (!pv_mul_size(n, size, &total) || total > SIZE_MAX - ARENA_ALIGN)
        return NULL;
    total = (total != 0 ? total + ARENA_ALIGN - 1 : ARENA_ALIGN) / ARENA_ALIGN * ARENA_ALIGN;
    if (!head || total > head->size_bytes - head->used_bytes) {
        block_bytes = !head ? ARENA_FIRST : head->size_bytes;
        if (head && block_bytes < ARENA_LARGEST)
            block_bytes *= 2;
        if (block_bytes > ARENA_LARGEST)
            block_bytes = ARENA_LARGEST;
        head = arena_block_create(total > block_bytes ? total : block_bytes);
        if (!head)
            return NULL;
        head->next = arena->head;
        arena->head = head;
    }
    result = head->data + head->used_bytes;
    head->used_bytes += total;
    return result;
}

char *pv_arena_strndup(struct pv_arena *arena, const char *s, size_t n)
{
    size_t total;
    char *copy;

    if (!pv_add_size(n, 1, &total))
        return NULL;
    copy = pv_arena_alloc(arena, total, 1);
    if (copy && n != 0)
        memcpy(copy, s, n);
    return copy;
}

void pv_arena_free(struct pv_arena *arena)
{
    struct pv_arena_block *block = arena->head, *next;

    for (; block; block = next) {
        next = block->next;
        free(block);
    }
    arena->head = NULL;
}

uint64_t pv_peak_memory(void)
{
    struct rusage usage;

    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return 0;
    return (uint64_t)usage.ru_maxrss * 1024; /* Linux counts kilobytes */
}

uint64_t pv_host_free_bytes(void)
{
    char line[128];
    unsigned long long kib = 0;
    FILE *file = fopen("/proc/meminfo", "r"); /* the one figure that counts what caches would give back */
    if (!file)
        return 0;
    while (kib == 0 && fgets(line, sizeof line, file))
        if (strncmp(line, "MemAvailable:", 13) == 0)
            kib = strtoull(line + 13, NULL, 10);
    fclose(file);
    return (uint64_t)kib * 1024;
}
