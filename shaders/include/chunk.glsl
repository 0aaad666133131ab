// Layouts of chunks: 32 weights in a uvec4 of nibbles, byte j of it element j low and element j + 16 high, and in the scales
// further bits of q, and per half of 16: weight = scale * q + low. Word-wide operations make four q in four bytes.
// W_HEAD(s, first, chunk) reads a chunk's scales; W_HALVES: the halves' scales differ; W_LOW: low is not zero.
struct w_head {
	vec2 scale, low;
	uvec2 high;
};
#define IN_SCALES(b, name) IN_UVEC4(b, name)

#if defined(WTYPE_Q4_1)
#define W_LOW 1
#define W_HEAD(s, first, c) w_head_of(LOADU4(s, (first) + ((c) >> 2)), c)
w_head w_head_of(uvec4 g, uint c) {
	vec2 d = unpackHalf2x16(g[c & 3u]);
	return w_head(d.xx, d.yy, uvec2(0));
}
#elif defined(WTYPE_Q5_1)
#define W_LOW 1
#define W_FIFTH 1
#define W_HEAD(s, first, c) w_head_of(LOADU4(s, (first) + ((c) >> 1)), c)
w_head w_head_of(uvec4 g, uint c) {
	uvec2 own = (c & 1u) == 0u ? g.xy : g.zw;
	vec2 d = unpackHalf2x16(own.y);
	return w_head(d.xx, d.yy, own.xx);
}
#elif defined(WTYPE_Q2_K)
#define W_LOW 1
#define W_HALVES 1
#define W_HEAD(s, first, c) w_head_of(LOADU4(s, (first) + ((c) >> 1)), c)
w_head w_head_of(uvec4 g, uint c) {
	uvec2 own = (c & 1u) == 0u ? g.xy : g.zw;
	vec2 d = unpackHalf2x16(own.x);
	ivec4 b = (ivec4(own.y) << ivec4(24, 16, 8, 0)) >> 24;
	return w_head(d.x * vec2(b.xy), -d.y * vec2(b.zw), uvec2(0));
}
#elif defined(WTYPE_Q4_K) || defined(WTYPE_Q5_K)
#define W_LOW 1
w_head w_k_head(uvec4 g, uint c, uint high) {
	uvec4 top = (g >> 24) << uvec4(0, 8, 16, 24);
	vec2 d = unpackHalf2x16(top.x | top.y | top.z | top.w);
	uint own = g[(c >> 1) & 3u] >> ((c & 1u) * 12u);
	return w_head(vec2(d.x * float(own & 63u)), vec2(-d.y * float((own >> 6) & 63u)), uvec2(high));
}
#if defined(WTYPE_Q4_K)
#define W_HEAD(s, first, c) w_k_head(LOADU4(s, (first) + ((c) >> 3)), c, 0u)
#else
#define W_FIFTH 1
#define W_HEAD(s, first, c) \
	w_k_head(LOADU4(s, (first) + ((c) >> 3) * 3u), c, LOADU4(s, (first) + ((c) >> 3) * 3u + 1u + (((c) >> 2) & 1u))[(c) & 3u])
#endif
#elif defined(WTYPE_Q6_K)
#define W_HALVES 1
#define W_HEAD(s, first, c) \
	w_head_of(LOADU4(s, (first) + ((c) >> 2) * 3u + (((c) >> 1) & 1u)), LOADU4(s, (first) + ((c) >> 2) * 3u + 2u), c)
w_head w_head_of(uvec4 high, uvec4 g, uint c) {
	int own = int(g[c & 3u]);
	float d = 0.25 * unpackHalf2x16(uint(own)).x; // q is left shifted by two
	return w_head(d * vec2((own << 8) >> 24, own >> 24), vec2(0.0), (c & 1u) == 0u ? high.xy : high.zw);
}
#else // IQ4_NL, MXFP4
#define W_HEAD(s, first, c) w_head_of(LOADU4(s, (first) + ((c) >> 2)), c)
w_head w_head_of(uvec4 g, uint c) {
	return w_head(uintBitsToFloat(g[c & 3u]).xx, vec2(0.0), uvec2(0));
}
#if defined(WTYPE_IQ4_NL)
const uvec4 table = uvec4(0xbfad9881u, 0xf6eaddcfu, 0x26190d01u, 0x71594535u);
#else
const uvec4 table = uvec4(0x03020100u, 0x0c080604u, 0xfdfeff00u, 0xf4f8fafcu);
#endif
#endif

vec4 w_bytes(uint b) {
#if defined(WTYPE_Q6_K)
	return vec4((ivec4(int(b ^ 0x80808080u)) << ivec4(24, 16, 8, 0)) >> 24);
#elif defined(WTYPE_IQ4_NL) || defined(WTYPE_MXFP4)
	uvec4 q = uvec4(b) >> uvec4(0, 8, 16, 24);
	uvec4 four = mix(mix(table.xxxx, table.yyyy, notEqual(q & 4u, uvec4(0))), mix(table.zzzz, table.wwww, notEqual(q & 4u, uvec4(0))),
			notEqual(q & 8u, uvec4(0)));
	return vec4(ivec4(four << (24u - (q & 3u) * 8u)) >> 24);
#else
	return vec4((uvec4(b) >> uvec4(0, 8, 16, 24)) & 255u);
#endif
}

// Elements 4 * step + 0..3 of both halves, of word `step` of the chunk, without scale and low.
void w_quants(uint word, w_head h, uint step, out vec4 w[2]) {
	uint a = word & 0x0f0f0f0fu, b = (word >> 4) & 0x0f0f0f0fu;
#if defined(W_FIFTH)
	a |= ((h.high.x >> step) & 0x01010101u) << 4;
	b |= ((h.high.x >> (step + 4u)) & 0x01010101u) << 4;
#elif defined(WTYPE_Q6_K)
	a = (a << 2) | (((h.high.x >> (step * 2u)) & 0x03030303u) << 6);
	b = (b << 2) | (((h.high.y >> (step * 2u)) & 0x03030303u) << 6);
#endif
	w[0] = w_bytes(a);
	w[1] = w_bytes(b);
}

#define W_STEPS 4
#define W_PART 2
#define W_PART_AT(step, j) ((step) + 4 * (j))
void w_chunk_part(uvec4 u, w_head h, uint step, out vec4 w[W_PART]) {
	w_quants(u[step], h, step, w);
	w[0] = w[0] * h.scale.x + h.low.x;
	w[1] = w[1] * h.scale.y + h.low.y;
}
void w_chunk(uvec4 u, w_head h, out vec4 w[W_NV]) {
	[[unroll]] for (uint i = 0; i < W_STEPS; i++) {
		vec4 p[W_PART];
		w_chunk_part(u, h, i, p);
		w[i] = p[0];
		w[i + 4] = p[1];
	}
}
#define W_UNPACK(u, name, row_first, chunk, w, f)     \
	w_chunk(u, W_HEAD(name, row_first, chunk), w);    \
	const float f = 1.0
#define W_PART_OF(u, name, row_first, chunk, step, w, f)    \
	w_chunk_part(u, W_HEAD(name, row_first, chunk), step, w); \
	const float f = 1.0
