/* The population count is the usual sum in halves (Warren, Hacker's Delight, 5-1): compilers know the
 * pattern. */
#include "base/bits.h"

uint32_t pv_popcount(uint32_t word)
{
    word -= (word >> 1) & 0x55555555u;
    word = (word & 0x33333333u) + ((word >> 2) & 0x33333333u);
    word = (word + (word >> 4)) & 0x0f0f0f0fu;
    return (uint32_t)(word * 0x01010101u) >> 24;
}

size_t pv_bit_count(const uint32_t *row, size_t n_words)
{
    size_t n = 0;

    for (size_t i = 0; i < n_words; i++)
        n += pv_popcount(row[i]);
    return n;
}

size_t pv_bit_count_and(const uint32_t *a, const uint32_t *b, size_t n_words)
{
    size_t n = 0;

    for (size_t i = 0; i < n_words; i++)
        n += pv_popcount(a[i] & b[i]);
    return n;
}

size_t pv_bit_count_xor(const uint32_t *a, const uint32_t *b, size_t n_words)
{
    size_t n = 0;

    for (size_t i = 0; i < n_words; i++)
        n += pv_popcount(a[i] ^ b[i]);
    return n;
}
