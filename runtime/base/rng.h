/* Random numbers: xoshiro256** seeded by splitmix64, the same on every machine; and secrets. */
#ifndef PV_BASE_RNG_H
#define PV_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

struct pv_rng {
    uint64_t s[4];
};
void pv_rng_seed(struct pv_rng *rng, uint64_t seed);
uint64_t pv_rng_u64(struct pv_rng *rng);
uint32_t pv_rng_below(struct pv_rng *rng, uint32_t n); /* uniform in [0, n), n >= 1, unbiased */
float pv_rng_float(struct pv_rng *rng);                /* uniform in [0, 1) */
double pv_rng_double(struct pv_rng *rng);
float pv_rng_normal(struct pv_rng *rng);                            /* mean 0, variance 1 */
void pv_rng_shuffle(struct pv_rng *rng, uint32_t *items, size_t n); /* n below 2^32 */
/* A number that nobody can guess, from the system; for keys of hash tables. Without a source of the system it is made
 * of clock and address, which is harder to guess than nothing. */
uint64_t pv_random_secret(void);

#endif
