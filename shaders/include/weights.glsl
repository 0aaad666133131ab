// Weight formats: the device layouts of runtime/format/gguf/types.h. One uvec4 holds W_E weights. Define WTYPE_* before
// including; with W_SCALED there are scales beside the weights (IN_SCALES declares them). What kernels use:
//   W_UNPACK(u, s, first, chunk, w, f)      all of a chunk: W_NV vec4 w in element order, to be multiplied by f
//   W_PART_OF(u, s, first, chunk, step, w, f)  one of its W_STEPS parts: W_PART vec4, the j-th is number W_PART_AT(step, j)
//   dot.glsl                                their products with x
// u is the chunk's uvec4, first = row * s_stride. W_CHUNK layouts have 32 weights a uvec4, and scales and minima in uvec4.
#if defined(WTYPE_F32)
#define W_NV 1
#elif defined(WTYPE_F16) || defined(WTYPE_BF16)
#define W_NV 2
#elif defined(WTYPE_Q8_0)
#define W_NV 4
#define W_SCALED 1
#define W_BLOCK_SHIFT 1 // two chunks of 16 weights share a scale
#elif defined(WTYPE_Q4_0)
#define W_NV 8
#define W_SCALED 1
#define W_BLOCK_SHIFT 0
#else
#define W_NV 8
#define W_SCALED 1
#define W_CHUNK 1
#endif
#define W_E (W_NV * 4)

#ifdef W_CHUNK
#include "chunk.glsl"
#else
void w_unpack(uvec4 u, out vec4 w[W_NV]) {
#if defined(WTYPE_F32)
	w[0] = uintBitsToFloat(u);
#elif defined(WTYPE_F16)
	w[0] = vec4(unpackHalf2x16(u.x), unpackHalf2x16(u.y));
	w[1] = vec4(unpackHalf2x16(u.z), unpackHalf2x16(u.w));
#elif defined(WTYPE_BF16)
	uvec4 lo = u << 16, hi = u & 0xffff0000u;
	w[0] = uintBitsToFloat(uvec4(lo.x, hi.x, lo.y, hi.y));
	w[1] = uintBitsToFloat(uvec4(lo.z, hi.z, lo.w, hi.w));
#elif defined(WTYPE_Q8_0)
	ivec4 s = ivec4(u), b0 = (s << 24) >> 24, b1 = (s << 16) >> 24, b2 = (s << 8) >> 24, b3 = s >> 24;
	w[0] = vec4(b0.x, b1.x, b2.x, b3.x);
	w[1] = vec4(b0.y, b1.y, b2.y, b3.y);
	w[2] = vec4(b0.z, b1.z, b2.z, b3.z);
	w[3] = vec4(b0.w, b1.w, b2.w, b3.w);
#else // Q4_0: byte i of the block holds element i (low nibble) and element i + 16 (high nibble), both minus 8
	[[unroll]] for (int i = 0; i < 4; i++) {
		uvec4 b = uvec4(u[i], u[i] >> 8, u[i] >> 16, u[i] >> 24);
		w[i] = vec4(b & 15u) - 8.0;
		w[i + 4] = vec4((b >> 4) & 15u) - 8.0;
	}
#endif
}

// A chunk in W_STEPS parts of W_PART vec4, for kernels whose code would grow too long with whole chunks of quantised weights:
// w_part gives part `step`, whose j-th vec4 is number W_PART_AT(step, j) of the chunk.
#if defined(WTYPE_Q8_0)
#define W_STEPS 2
#define W_PART 2
#define W_PART_AT(step, j) ((step) * 2 + (j))
#elif defined(WTYPE_Q4_0)
#define W_STEPS 4
#define W_PART 2
#define W_PART_AT(step, j) ((step) + 4 * (j))
#else
#define W_STEPS 1
#define W_PART W_NV
#define W_PART_AT(step, j) (j)
#endif
void w_part(uvec4 u, uint step, out vec4 w[W_PART]) {
#if defined(WTYPE_Q8_0)
	ivec2 s = ivec2(step == 0 ? u.xy : u.zw);
	w[0] = vec4((ivec4(s.x) << ivec4(24, 16, 8, 0)) >> 24);
	w[1] = vec4((ivec4(s.y) << ivec4(24, 16, 8, 0)) >> 24);
#elif defined(WTYPE_Q4_0)
	uvec4 b = uvec4(u[step]) >> uvec4(0, 8, 16, 24);
	w[0] = vec4(b & 15u) - 8.0;
	w[1] = vec4((b >> 4) & 15u) - 8.0;
#else
	w_unpack(u, w);
#endif
}

#ifdef W_SCALED
#define W_SCALE(name, row_first, chunk) w_half(LOADU(name, ((row_first) + ((chunk) >> W_BLOCK_SHIFT)) >> 1), (row_first) + ((chunk) >> W_BLOCK_SHIFT))
float w_half(uint pair, uint index) {
	return unpackHalf2x16((index & 1u) != 0u ? pair >> 16 : pair).x;
}
#define IN_SCALES(b, name) IN_UINT(b, name)
#else
#define W_SCALE(name, row_first, chunk) 1.0
#define IN_SCALES(b, name)
#endif
#define W_UNPACK(u, name, row_first, chunk, w, f) \
	w_unpack(u, w);                               \
	float f = W_SCALE(name, row_first, chunk)
#define W_PART_OF(u, name, row_first, chunk, step, w, f) \
	w_part(u, step, w);                                  \
	float f = W_SCALE(name, row_first, chunk)
#endif
