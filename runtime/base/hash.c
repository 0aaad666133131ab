/* XXH64 by Yann Collet, after the specification
 * https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md. */
#include "base/hash.h"

static const uint64_t P1 = 0x9e3779b185ebca87u, P2 = 0xc2b2ae3d27d4eb4fu, P3 = 0x165667b19e3779f9u,
                      P4 = 0x85ebca77c2b2ae63u, P5 = 0x27d4eb2f165667c5u;

static uint64_t rotl(uint64_t x, unsigned k)
{
    return x << k | x >> (64 - k);
}

static uint64_t load_le(const uint8_t *p, unsigned n_bytes)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < n_bytes; i++)
        value |= (uint64_t)p[i] << (8 * i);
    return value;
}

static uint64_t round_one(uint64_t acc, uint64_t lane)
{
    return rotl(acc + lane * P2, 31) * P1;
}

static uint64_t merge(uint64_t acc, uint64_t lane_acc)
{
    return (acc ^ round_one(0, lane_acc)) * P1 + P4;
}

uint64_t pv_hash64(const void *data, size_t size_bytes, uint64_t seed)
{
    const uint8_t *p = data;
    size_t left = size_bytes;
    uint64_t h;

    if (left >= 32) {
        uint64_t a = seed + P1 + P2, b = seed + P2, c = seed, d = seed - P1;

        for (; left >= 32; left -= 32, p += 32) {
            a = round_one(a, load_le(p, 8));
            b = round_one(b, load_le(p + 8, 8));
            c = round_one(c, load_le(p + 16, 8));
            d = round_one(d, load_le(p + 24, 8));
        }
        h = rotl(a, 1) + rotl(b, 7) + rotl(c, 12) + rotl(d, 18);
        h = merge(merge(merge(merge(h, a), b), c), d);
    } else {
        h = seed + P5;
    }
    h += (uint64_t)size_bytes;
    for (; left >= 8; left -= 8, p += 8)
        h = rotl(h ^ round_one(0, load_le(p, 8)), 27) * P1 + P4;
    for (; left >= 4; left -= 4, p += 4)
        h = rotl(h ^ load_le(p, 4) * P1, 23) * P2 + P3;
    for (; left != 0; left--, p++)
        h = rotl(h ^ *p * P5, 11) * P1;
    h = (h ^ (h >> 33)) * P2;
    h = (h ^ (h >> 29)) * P3;
    return h ^ (h >> 32);
}
