// Attention of one token for drivers where shared memory is slow (CPU drivers): one workgroup for each head, and each invocation
// walks its own share of the positions, four at a time, with the sums of all HEAD_DIM dimensions in registers and an online
// softmax. Shared memory serves once, at the end, to join the invocations. WG * HEAD_DIM floats must fit in shared memory.
// lavapipe, 8 heads of 64, 1024 positions: 0.25 ms with WG 8; the tiled form takes 1.6 ms.
// q [n_heads][head_dim], caches [n_kv_heads][n_ctx][head_stride], y [n_heads][head_dim], each for every row; caches one a sequence.
#version 450
#include "access.glsl"
#include "cache.glsl"
#include "cap.glsl"
layout(constant_id = PV_SPEC_CAPPED) const uint CAPPED = 0;
layout(constant_id = PV_SPEC_HEAD_DIM) const uint HEAD_DIM = 64;
const uint D4 = HEAD_DIM / 4;
IN_VEC4(0, q);
IN_CACHE(1, k);
IN_CACHE(2, v);
BUF(3, float, y);
BUF_IN(4, pv_step, step_info);
PUSH(pv_pc_attn);
shared float tops[WG], totals[WG];
shared vec4 sums[WG * D4];

void main() {
	uint head = gl_WorkGroupID.x, row = gl_WorkGroupID.y, lane = gl_LocalInvocationID.x;
	uint n_pos = min(step_info[row].pos + 1, pc.n_ctx);
	uint n_first = pc.window != 0 && n_pos > pc.window ? n_pos - pc.window : 0;
	uint q_first = (pc.q_offset + row * pc.q_stride + head * HEAD_DIM) / 4;
	uint kv_first = (step_info[row].seq * pc.n_kv_heads + head / (pc.n_heads / pc.n_kv_heads)) * pc.n_ctx;
	vec4 acc[D4];
	[[unroll]] for (uint c = 0; c < D4; c++) acc[c] = vec4(0.0);
	float top = -3.0e38, total = 0.0;
	for (uint p = n_first + lane * 4; p < n_pos; p += WG * 4) {
		uvec4 p4 = p + uvec4(0, 1, 2, 3), at = kv_first + min(p4, uvec4(n_pos - 1)); // never past what was written
		vec4 s = vec4(0.0);
		[[unroll]] for (uint c = 0; c < D4; c++) {
			vec4 qv = LOAD4(q, q_first + c);
			[[unroll]] for (uint i = 0; i < 4; i++) s[i] += dot(qv, CACHE_LOAD(k, at[i], c));
		}
		bvec4 seen = lessThan(p4, uvec4(n_pos));
		s *= pc.scale;
		if (CAPPED != 0) s = soft_cap(s, pc.softcap);
		s = mix(vec4(-3.0e38), s, seen);
		float m = max(max(top, max(s.x, s.y)), max(s.z, s.w)), keep = exp(top - m);
		vec4 w = mix(vec4(0.0), exp(s - m), seen);
		total = total * keep + dot(w, vec4(1.0));
		top = m;
		[[unroll]] for (uint c = 0; c < D4; c++) {
			acc[c] *= keep;
			[[unroll]] for (uint i = 0; i < 4; i++) acc[c] += w[i] * CACHE_LOAD(v, at[i], c);
		}
	}
	tops[lane] = top;
	totals[lane] = total;
	barrier();
	float all_top = tops[0], all_total = 0.0;
	for (uint i = 1; i < WG; i++) all_top = max(all_top, tops[i]);
	for (uint i = 0; i < WG; i++) all_total += totals[i] * exp(tops[i] - all_top);
	float f = exp(top - all_top) / all_total;
	[[unroll]] for (uint c = 0; c < D4; c++) sums[lane * D4 + c] = acc[c] * f;
	barrier();
	for (uint c = lane; c < D4; c += WG) {
		vec4 r = vec4(0.0);
		for (uint i = 0; i < WG; i++) r += sums[i * D4 + c];
		uint o = pc.y_offset + row * pc.y_stride + head * HEAD_DIM + c * 4;
		[[unroll]] for (uint i = 0; i < 4; i++) y[o + i] = r[i];
	}
}
