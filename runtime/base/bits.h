/* Packed rows of bits: bit j of a row is word j / 32, bit j % 32. Unused high bits of the last word are zero.
 */
#ifndef PV_BASE_BITS_H
#define PV_BASE_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline size_t pv_bit_words(size_t n_bits)
{
    return (n_bits + 31) / 32;
}
static inline bool pv_bit_get(const uint32_t *row, size_t j)
{
    return (row[j / 32] >> (j % 32)) & 1u;
}
static inline void pv_bit_set(uint32_t *row, size_t j)
{
    row[j / 32] |= (uint32_t)1 << (j % 32);
}
uint32_t pv_popcount(uint32_t word);
size_t pv_bit_count(const uint32_t *row, size_t n_words);
size_t pv_bit_count_and(const uint32_t *a, const uint32_t *b, size_t n_words); /* |a & b| */
size_t pv_bit_count_xor(const uint32_t *a, const uint32_t *b, size_t n_words); /* Hamming distance */

#endif
