// Puts the batch's keys and values into the cache at pos. The cache keeps each head's positions together, since attention walks
// the positions of one head. CACHE_F16 packs two values into a uint (packHalf2x16, no 16-bit storage needed).
// k, v [T][n_kv_heads][head_dim]; cache [n_kv_heads][n_ctx][head_stride] floats or halves, the pad written as zeros; with
// PV_FLAG_SEQS a cache for each row.
#version 450
#include "access.glsl"
#ifdef CACHE_F16
#define CELL uint
#define CELL_PER_PAIR 1
#else
#define CELL float
#define CELL_PER_PAIR 2
#endif
BUF_IN(0, float, k);
BUF_IN(1, float, v);
BUF(2, CELL, k_cache);
BUF(3, CELL, v_cache);
BUF_IN(4, pv_step, step_info);
PUSH(pv_pc_kv_write);

void main() {
	uint pairs = pc.head_stride / 2, t = gl_WorkGroupID.y;
	uint head = gl_GlobalInvocationID.x / pairs, d = gl_GlobalInvocationID.x % pairs * 2;
	bool seqs = (pc.flags & PV_FLAG_SEQS) != 0;
	uint pos = step_info[0].pos + (seqs ? 0 : t), first = seqs ? t * pc.n_kv_heads : 0;
	if (head >= pc.n_kv_heads || t >= pc.n_tokens || pos >= pc.n_ctx) return;
	uint ks = pc.k_offset + t * pc.k_stride + head * pc.head_dim + d;
	uint vs = pc.v_offset + t * pc.v_stride + head * pc.head_dim + d;
	vec2 kk = vec2(0.0), vv = vec2(0.0);
	if (d < pc.head_dim) kk.x = k[ks], vv.x = v[vs];
	if (d + 1 < pc.head_dim) kk.y = k[ks + 1], vv.y = v[vs + 1];
	uint dst = (((first + head) * pc.n_ctx + pos) * pc.head_stride + d) / 2 * CELL_PER_PAIR;
#ifdef CACHE_F16
	k_cache[dst] = packHalf2x16(kk);
	v_cache[dst] = packHalf2x16(vv);
#else
	k_cache[dst] = kk.x;
	k_cache[dst + 1] = kk.y;
	v_cache[dst] = vv.x;
	v_cache[dst + 1] = vv.y;
#endif
}
