/* A 64-bit hash of bytes (XXH64), for fingerprints and cache keys; not cryptographic. */
#ifndef PV_BASE_HASH_H
#define PV_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t pv_hash64(const void *data, size_t size_bytes, uint64_t seed);

#endif
