/* XXH64 by Yann Collet, after the specification
 * https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md, and SipHash by Aumasson and Bernstein. */
#include "base/hash.h"

static const uint64_t P1 = 0x9e3779b185ebca87u, P2 = 0xc2b2ae3d27d4eb4fu, P3 = 0x165667b19e3779f9u,
                      P4 = 0x85ebca77c2b2ae63u, P5 = 0x27d4eb2f165667c5u;

static uint64_t rotl(uint64_t x, unsigned k)
{
    return x << k | x >> (64 - k);
}

/* Spelled out: compilers turn this form into one load. */
static uint32_t load32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t load64(const uint8_t *p)
{
    return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 |
           (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 | (uint64_t)p[7] << 56;
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
            a = round_one(a, load64(p));
            b = round_one(b, load64(p + 8));
            c = round_one(c, load64(p + 16));
            d = round_one(d, load64(p + 24));
        }
        h = rotl(a, 1) + rotl(b, 7) + rotl(c, 12) + rotl(d, 18);
        h = merge(merge(merge(merge(h, a), b), c), d);
    } else {
        h = seed + P5;
    }
    h += (uint64_t)size_bytes;
    for (; left >= 8; left -= 8, p += 8)
        h = rotl(h ^ round_one(0, load64(p)), 27) * P1 + P4;
    for (; left >= 4; left -= 4, p += 4)
        h = rotl(h ^ load32(p) * P1, 23) * P2 + P3;
    for (; left != 0; left--, p++)
        h = rotl(h ^ *p * P5, 11) * P1;
    h = (h ^ (h >> 33)) * P2;
    h = (h ^ (h >> 29)) * P3;
    return h ^ (h >> 32);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] = rotl(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] = rotl(v[2], 32);
}

static void sip_word(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
}

uint64_t pv_hash_keyed(const void *data, size_t size_bytes, const uint64_t key[2])
{
    const uint8_t *p = data;
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du, key[0] ^ 0x6c7967656e657261u,
                     key[1] ^ 0x7465646279746573u};
    uint64_t last = (uint64_t)size_bytes << 56;

    for (size_t n = size_bytes; n >= 8; n -= 8, p += 8)
        sip_word(v, load64(p));
    for (size_t i = 0; i < size_bytes % 8; i++)
        last |= (uint64_t)p[i] << (8 * i);
    sip_word(v, last);
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
