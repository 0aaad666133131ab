/* 64-bit hashes of bytes. */
#ifndef PV_BASE_HASH_H
#define PV_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* XXH64, for fingerprints and cache keys: the same on every machine, and anyone can make inputs that collide. */
uint64_t pv_hash64(const void *data, size_t size_bytes, uint64_t seed);
/* SipHash-1-3, for tables whose keys come from a file: with a key that nobody else knows, nobody can choose inputs
 * that collide. Source: https://www.aumasson.jp/siphash/siphash.pdf */
uint64_t pv_hash_keyed(const void *data, size_t size_bytes, const uint64_t key[2]);

#endif
