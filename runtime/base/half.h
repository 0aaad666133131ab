/* float16 and bfloat16 bits to and from float32, round to nearest even. */
#ifndef PV_BASE_HALF_H
#define PV_BASE_HALF_H

#include <stdint.h>

float pv_half_to_float(uint16_t h);
uint16_t pv_float_to_half(float f);
float pv_bf16_to_float(uint16_t h);
uint16_t pv_float_to_bf16(float f);

#endif
