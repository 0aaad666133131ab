/* float16 and bfloat16 bits to and from float32, round to nearest even. */
#ifndef PV_BASE_HALF_H
#define PV_BASE_HALF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

float pv_half_to_float(uint16_t h);
uint16_t pv_float_to_half(float f);
/* That none of float16 h [n] is infinite or no number. */
bool pv_halves_finite(const uint16_t *h, size_t n);
float pv_bf16_to_float(uint16_t h);
uint16_t pv_float_to_bf16(float f);

#endif
