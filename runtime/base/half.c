/* Conversions on bit patterns alone, so that they are exact and the same on every machine. NaN stays NaN
 * (quiet). */
#include "base/half.h"

#include <string.h>

static uint32_t float_bits(float f)
{
    uint32_t bits;

    memcpy(&bits, &f, sizeof bits);
    return bits;
}

static float bits_float(uint32_t bits)
{
    float f;

    memcpy(&f, &bits, sizeof f);
    return f;
}

float pv_half_to_float(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
    const uint32_t exponent = (h >> 10) & 0x1fu;
    const uint32_t mantissa = h & 0x3ffu;

    if (exponent == 0x1f) {
        const uint32_t quiet = mantissa != 0 ? 0x400000u : 0;

        return bits_float(sign | 0x7f800000u | quiet | mantissa << 13);
    }
    if (exponent != 0)
        return bits_float(sign | (exponent + 112) << 23 | mantissa << 13);
    /* subnormal: mantissa x 2^-24, exact in float */
    return bits_float(sign | float_bits((float)mantissa * 0x1p-24f));
}

uint16_t pv_float_to_half(float f)
{
    const uint32_t bits = float_bits(f);
    const uint32_t sign = (bits >> 16) & 0x8000u;
    uint32_t magnitude = bits & 0x7fffffffu;
    uint32_t rest, half, shift, mantissa;

    if (magnitude > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu));
    if (magnitude >= 0x477ff000u) /* 65520 and above round to infinity */
        return (uint16_t)(sign | 0x7c00u);
    if (magnitude >=
        0x38800000u) { /* normal: a carry out of the mantissa raises the exponent, as it should */
        magnitude += 0xfffu + ((magnitude >> 13) & 1u);
        return (uint16_t)(sign | ((magnitude - 0x38000000u) >> 13));
    }
    if (magnitude < 0x33000000u) /* below half of the smallest subnormal */
        return (uint16_t)sign;
    mantissa = (magnitude & 0x7fffffu) | 0x800000u;
    shift = 126 - (magnitude >> 23);
    half = mantissa >> shift;
    rest = mantissa & (((uint32_t)1 << shift) - 1);
    if (rest > (uint32_t)1 << (shift - 1) || (rest == (uint32_t)1 << (shift - 1) && (half & 1u) != 0))
        half++;
    return (uint16_t)(sign | half);
}

float pv_bf16_to_float(uint16_t h)
{
    return bits_float((uint32_t)h << 16);
}

uint16_t pv_float_to_bf16(float f)
{
    const uint32_t bits = float_bits(f);

    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

bool pv_halves_finite(const uint16_t *h, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if ((h[i] & 0x7c00) == 0x7c00)
            return false;
    }
    return true;
}
