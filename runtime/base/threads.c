/* Threads take chunks from one atomic counter until none is left; the caller is one of them. Threads live for
 * one call: starting one costs some tens of microseconds, and the loops here run for milliseconds and more.
 */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "base/threads.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { MAX_THREADS = 256 };

struct loop {
    atomic_size_t next_chunk;
    size_t n, n_chunks;
    void (*fn)(void *user, size_t chunk, size_t begin, size_t end);
    void *user;
};

static void *loop_run(void *user)
{
    struct loop *loop = user;
    const size_t quotient = loop->n / loop->n_chunks, rest = loop->n % loop->n_chunks;

    for (;;) {
        const size_t chunk = atomic_fetch_add(&loop->next_chunk, 1);
        size_t begin;

        if (chunk >= loop->n_chunks)
            return NULL;
        begin = chunk * quotient + (chunk < rest ? chunk : rest);
        loop->fn(loop->user, chunk, begin, begin + quotient + (chunk < rest ? 1 : 0));
    }
}

void pv_parallel_for(uint32_t n_threads, size_t n, size_t n_chunks,
                     void (*fn)(void *user, size_t chunk, size_t begin, size_t end), void *user)
{
    struct loop loop = {.n = n, .n_chunks = n_chunks, .fn = fn, .user = user};
    pthread_t threads[MAX_THREADS];
    size_t n_wanted = n_threads != 0 ? n_threads : pv_n_cores();
    size_t n_started = 0;

    if (n_chunks == 0)
        return;
    if (n_wanted > n_chunks)
        n_wanted = n_chunks;
    if (n_wanted > MAX_THREADS)
        n_wanted = MAX_THREADS;
    atomic_init(&loop.next_chunk, 0);
    while (n_started + 1 < n_wanted && pthread_create(&threads[n_started], NULL, loop_run, &loop) == 0)
        n_started++;
    loop_run(&loop);
    for (size_t i = 0; i < n_started; i++)
        pthread_join(threads[i], NULL);
}

uint32_t pv_n_cores(void)
{
    const long n = sysconf(_SC_NPROCESSORS_ONLN);

    return n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : (uint32_t)n;
}

double pv_now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
