// Rotary positions and the KV cache in one dispatch, of rows that hold a token's queries, keys and values one behind the other.
// The first invocations of a row turn one pair of one query each, in place; the others put two neighbouring values of a key, turned,
// and of its value into the cache at pos. Pairs are neighbours, or with NEOX one from each half of the rotated part; dimensions past
// rope_dim stay. theta^(-2i/n) is computed as a power of two, which all drivers do well. The cache keeps each head's positions
// together, since attention walks the positions of one head. CACHE_F16 packs two values into a uint (packHalf2x16, no 16-bit
// storage needed).
// x [T][n_heads + 2 n_kv_heads][head_dim], row stride x_stride; cache [n_kv_heads][n_ctx][head_stride] floats or halves, the pad
// written as zeros; with PV_FLAG_SEQS one for each sequence.
#version 450
#include "access.glsl"
#include "turn.glsl"
layout(constant_id = PV_SPEC_NEOX) const uint NEOX = 0;
#ifdef CACHE_F16
#define CELL uint
#define CELL_PER_PAIR 1
#else
#define CELL float
#define CELL_PER_PAIR 2
#endif
BUF(0, float, x);
BUF(1, CELL, k_cache);
BUF(2, CELL, v_cache);
BUF_IN(3, pv_step, step_info);
BUF_IN(4, float, factors);
PUSH(pv_pc_rope_kv);

vec2 turn(uint pair, uint pos) {
	float f = exp2(-pc.log2_theta * float(2 * pair) / float(pc.rope_dim));
	if ((pc.flags & PV_FLAG_FACTORS) != 0) f /= factors[pair];
	return cos_sin(float(pos) * f) * pc.amplitude;
}

// Where in a head the pair's two values are.
uvec2 ends(uint pair) {
	return NEOX != 0 ? uvec2(pair, pair + pc.rope_dim / 2) : uvec2(2 * pair, 2 * pair + 1);
}

// Value d of the head at `head`, turned.
float turned(uint head, uint d, uint pos) {
	if (d >= pc.head_dim) return 0.0;
	if (d >= pc.rope_dim) return x[head + d];
	uint half_dim = pc.rope_dim / 2, pair = NEOX != 0 ? (d < half_dim ? d : d - half_dim) : d / 2;
	uvec2 at = head + ends(pair);
	vec2 cs = turn(pair, pos);
	float x0 = x[at.x], x1 = x[at.y];
	return head + d == at.x ? x0 * cs.x - x1 * cs.y : x0 * cs.y + x1 * cs.x;
}

void main() {
	uint i = gl_GlobalInvocationID.x, t = gl_WorkGroupID.y, row = t * pc.x_stride;
	if (t >= pc.n_tokens) return;
	bool seqs = (pc.flags & PV_FLAG_SEQS) != 0;
	uint pos = seqs ? step_info[t].pos : step_info[0].pos + t, n_turns = pc.n_heads * (pc.rope_dim / 2), pairs = pc.head_stride / 2;
	if (i < n_turns) {
		uint pair = i % (pc.rope_dim / 2);
		uvec2 at = row + i / (pc.rope_dim / 2) * pc.head_dim + ends(pair);
		vec2 cs = turn(pair, pos);
		float x0 = x[at.x], x1 = x[at.y];
		x[at.x] = x0 * cs.x - x1 * cs.y;
		x[at.y] = x0 * cs.y + x1 * cs.x;
		return;
	}
	uint head = (i - n_turns) / pairs, d = (i - n_turns) % pairs * 2;
	if (head >= pc.n_kv_heads || pos >= pc.n_ctx) return;
	uint ks = row + (pc.n_heads + head) * pc.head_dim, vs = ks + pc.n_kv_heads * pc.head_dim;
	vec2 k = vec2(turned(ks, d, pos), turned(ks, d + 1, pos));
	vec2 v = vec2(d < pc.head_dim ? x[vs + d] : 0.0, d + 1 < pc.head_dim ? x[vs + d + 1] : 0.0);
	uint dst = ((((seqs ? step_info[t].seq * pc.n_kv_heads : 0) + head) * pc.n_ctx + pos) * pc.head_stride + d) / 2 * CELL_PER_PAIR;
#ifdef CACHE_F16
	k_cache[dst] = packHalf2x16(k);
	v_cache[dst] = packHalf2x16(v);
#else
	k_cache[dst] = k.x;
	k_cache[dst + 1] = k.y;
	v_cache[dst] = v.x;
	v_cache[dst + 1] = v.y;
#endif
}
