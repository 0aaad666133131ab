// Attention, one workgroup (WG a power of two) for each head of each token, any context length and head: positions come in tiles
// of WG. Few registers, so that a GPU keeps many workgroups at work. Each invocation scores one position; the tile's maximum rescales what was summed so far (online softmax); then the invocations turn round,
// each owning four output dimensions of every n_groups-th position of the tile. Groups are summed at the end.
// q [T][n_heads][head_dim], caches [n_kv_heads][n_ctx][head_stride] (with SEQS one a sequence), y [T][n_heads][head_dim].
#version 450
#include "access.glsl"
#include "cache.glsl"
#include "cap.glsl"
layout(constant_id = PV_SPEC_CAPPED) const uint CAPPED = 0;
IN_VEC4(0, q);
IN_CACHE(1, k);
IN_CACHE(2, v);
BUF(3, float, y);
BUF_IN(4, pv_step, step_info);
PUSH(pv_pc_attn);
shared float tile[WG];
shared vec4 sums[WG];

void main() {
	uint head = gl_WorkGroupID.x, token = gl_WorkGroupID.y, lane = gl_LocalInvocationID.x;
	bool seqs = (pc.flags & PV_FLAG_SEQS) != 0;
	uint n_pos = min((seqs ? step_info[token].pos : step_info[0].pos + token) + 1, pc.n_ctx), d4 = pc.head_dim / 4;
	uint n_first = pc.window != 0 && n_pos > pc.window ? n_pos - pc.window : 0;
	uint q_first = (pc.q_offset + token * pc.q_stride + head * pc.head_dim) / 4;
	uint kv_first = ((seqs ? step_info[token].seq * pc.n_kv_heads : 0) + head / (pc.n_heads / pc.n_kv_heads)) * pc.n_ctx;
	uint n_groups = WG / d4, group = lane / d4, own = lane % d4;
	vec4 acc = vec4(0.0);
	float top = -3.0e38, total = 0.0;
	for (uint first = n_first; first < n_pos; first += WG) {
		uint n = min(WG, n_pos - first);
		float score = -3.0e38;
		if (lane < n) {
			score = 0.0;
			for (uint c = 0; c < d4; c++) score += dot(LOAD4(q, q_first + c), CACHE_LOAD(k, kv_first + first + lane, c));
			score *= pc.scale;
			if (CAPPED != 0) score = soft_cap(score, pc.softcap);
		}
		barrier();
		tile[lane] = score;
		barrier();
		for (uint h = WG / 2; h > 0; h /= 2) {
			if (lane < h) tile[lane] = max(tile[lane], tile[lane + h]);
			barrier();
		}
		float tile_top = max(top, tile[0]);
		float keep = exp(top - tile_top);
		float p = lane < n ? exp(score - tile_top) : 0.0;
		acc *= keep;
		total = total * keep + p; // of this invocation's positions
		top = tile_top;
		barrier();
		tile[lane] = p;
		barrier();
		if (group < n_groups)
			for (uint i = group; i < n; i += n_groups) acc += tile[i] * CACHE_LOAD(v, kv_first + first + i, own);
	}
	barrier();
	sums[lane] = acc;
	tile[lane] = total;
	barrier();
	if (group != 0) return;
	total = 0.0;
	for (uint i = 0; i < WG; i++) total += tile[i];
	for (uint g = 1; g < n_groups; g++) acc += sums[g * d4 + own];
	acc /= total;
	uint o = pc.y_offset + token * pc.y_stride + head * pc.head_dim + own * 4;
	[[unroll]] for (uint i = 0; i < 4; i++) y[o + i] = acc[i];
}
