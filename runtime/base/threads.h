/* Data-parallel loops over host threads (POSIX threads). The split of [0, n) into chunks depends on n and
 * `n_chunks` only, never on the number of threads, so results can be made independent of the machine. */
#ifndef PV_BASE_THREADS_H
#define PV_BASE_THREADS_H

#include <stddef.h>
#include <stdint.h>

/* Calls fn(user, chunk, begin, end) for each of n_chunks ranges that cover [0, n); returns when all are done.
 * Falls back to the calling thread where no thread can be started. n_threads 0: all cores. */
void pv_parallel_for(uint32_t n_threads, size_t n, size_t n_chunks,
                     void (*fn)(void *user, size_t chunk, size_t begin, size_t end), void *user);
uint32_t pv_n_cores(void);
double pv_now_s(void); /* monotonic clock, seconds */

#endif
