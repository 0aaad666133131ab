/* What every fuzz target shares. A target is built twice: with replay.c, to run its corpus in any build, and
 * with libFuzzer (PV_FUZZ=ON, clang). */
#ifndef PV_TESTS_FUZZ_H
#define PV_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);
/* A copy in a block of its own: aligned as a map is, and with its end where a sanitizer sees it. Never NULL.
 */
void *pv_fuzz_copy(const uint8_t *data, size_t size_bytes);

#endif
