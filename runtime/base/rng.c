/* xoshiro256** 1.0 and splitmix64 by Blackman and Vigna, https://prng.di.unimi.it (public domain). */
#include "base/rng.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

static uint64_t rotl(uint64_t x, unsigned k)
{
    return x << k | x >> (64 - k);
}

void pv_rng_seed(struct pv_rng *rng, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        uint64_t z = seed += 0x9e3779b97f4a7c15u;

        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        rng->s[i] = z ^ (z >> 31);
    }
}

uint64_t pv_rng_u64(struct pv_rng *rng)
{
    uint64_t *s = rng->s;
    const uint64_t result = rotl(s[1] * 5, 7) * 9;
    const uint64_t t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

/* Lemire, "Fast random integer generation in an interval", arXiv 1805.10941, algorithm 5. */
uint32_t pv_rng_below(struct pv_rng *rng, uint32_t n)
{
    uint64_t product = (pv_rng_u64(rng) >> 32) * n;
    const uint32_t threshold = (uint32_t)(0u - n) % n;

    while ((uint32_t)product < threshold)
        product = (pv_rng_u64(rng) >> 32) * n;
    return (uint32_t)(product >> 32);
}

float pv_rng_float(struct pv_rng *rng)
{
    return (float)(pv_rng_u64(rng) >> 40) * 0x1p-24f;
}

double pv_rng_double(struct pv_rng *rng)
{
    return (double)(pv_rng_u64(rng) >> 11) * 0x1p-53;
}

/* Marsaglia's polar method in double; the second value is dropped, so that the state is the four words alone.
 */
float pv_rng_normal(struct pv_rng *rng)
{
    double x, y, r2;

    do {
        x = 2.0 * pv_rng_double(rng) - 1.0;
        y = 2.0 * pv_rng_double(rng) - 1.0;
        r2 = x * x + y * y;
    } while (r2 >= 1.0 || r2 <= 0.0);
    return (float)(x * sqrt(-2.0 * log(r2) / r2));
}

uint64_t pv_random_secret(void)
{
    uint64_t secret = 0;
    FILE *source = fopen("/dev/urandom", "rb");
    size_t n = 0;

    if (source) {
        setvbuf(source, NULL, _IONBF, 0);
        n = fread(&secret, sizeof secret, 1, source);
        fclose(source);
    }
    if (n != 1)
        secret = (uint64_t)time(NULL) * 0x9e3779b97f4a7c15u ^ (uint64_t)clock() << 32 ^
                 (uint64_t)(uintptr_t)&secret;
    return secret;
}

void pv_rng_shuffle(struct pv_rng *rng, uint32_t *items, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        const size_t other = pv_rng_below(rng, (uint32_t)i);
        const uint32_t item = items[i - 1];

        items[i - 1] = items[other];
        items[other] = item;
    }
}
