// Causal attention of a batch. An invocation owns TOKENS queries of one head, keeps their sums in registers (HEAD_DIM is a
// specialization constant, so all indices are known) and walks the positions by four with an online softmax: no shared memory,
// no barrier, and a read of K or V serves TOKENS queries.
// lavapipe, 8 heads of 64, T = 256, f16 cache: TOKENS 1 3.2 ms, 2 2.1 ms, 4 1.6 ms (42 GFLOP/s).
// q [T][n_heads][head_dim], caches [n_kv_heads][n_ctx][head_stride], y [T][n_heads][head_dim].
#version 450
#include "access.glsl"
#include "cache.glsl"
#include "cap.glsl"
layout(constant_id = PV_SPEC_CAPPED) const uint CAPPED = 0;
layout(constant_id = PV_SPEC_HEAD_DIM) const uint HEAD_DIM = 64;
layout(constant_id = PV_SPEC_TOKENS) const uint TOKENS = 1;
const uint D4 = HEAD_DIM / 4;
IN_VEC4(0, q);
IN_CACHE(1, k);
IN_CACHE(2, v);
BUF(3, float, y);
BUF_IN(4, pv_step, step_info);
PUSH(pv_pc_attn);

void main() {
	uint head = gl_WorkGroupID.y, t_first = gl_GlobalInvocationID.x * TOKENS;
	if (t_first >= pc.n_tokens) return;
	uint kv_first = (head / (pc.n_heads / pc.n_kv_heads)) * pc.n_ctx, pos = step_info[0].pos;
	uint n_last = min(pos + min(t_first + TOKENS, pc.n_tokens), pc.n_ctx); // positions that the last query sees
	vec4 qv[TOKENS * D4], acc[TOKENS * D4];
	float top[TOKENS], total[TOKENS];
	[[unroll]] for (uint t = 0; t < TOKENS; t++) {
		uint src = (pc.q_offset + min(t_first + t, pc.n_tokens - 1) * pc.q_stride + head * HEAD_DIM) / 4;
		[[unroll]] for (uint c = 0; c < D4; c++) {
			qv[t * D4 + c] = LOAD4(q, src + c) * pc.scale;
			acc[t * D4 + c] = vec4(0.0);
		}
		top[t] = -3.0e38;
		total[t] = 0.0;
	}
	uint n_first = pc.window != 0 && pos + t_first + 1 > pc.window ? pos + t_first + 1 - pc.window : 0; // seen by the first
	for (uint p = n_first; p < n_last; p += 4) {
		uvec4 at = kv_first + min(p + uvec4(0, 1, 2, 3), uvec4(n_last - 1)); // never past what was written
		vec4 w[TOKENS];
		[[unroll]] for (uint t = 0; t < TOKENS; t++) w[t] = vec4(0.0);
		[[unroll]] for (uint c = 0; c < D4; c++) {
			[[unroll]] for (uint i = 0; i < 4; i++) {
				vec4 kv = CACHE_LOAD(k, at[i], c);
				[[unroll]] for (uint t = 0; t < TOKENS; t++) w[t][i] += dot(qv[t * D4 + c], kv);
			}
		}
		[[unroll]] for (uint t = 0; t < TOKENS; t++) {
			uint sees = pos + t_first + t + 1;
			uvec4 p4 = p + uvec4(0, 1, 2, 3);
			bvec4 seen = lessThan(p4, uvec4(min(sees, n_last)));
			if (pc.window != 0 && sees > pc.window)
				seen = bvec4(uvec4(seen) & uvec4(greaterThanEqual(p4, uvec4(sees - pc.window))));
			vec4 s = CAPPED != 0 ? soft_cap(w[t], pc.softcap) : w[t];
			s = mix(vec4(-3.0e38), s, seen);
			float m = max(max(top[t], max(s.x, s.y)), max(s.z, s.w)), keep = exp(top[t] - m);
			w[t] = mix(vec4(0.0), exp(s - m), seen);
			total[t] = total[t] * keep + dot(w[t], vec4(1.0));
			top[t] = m;
			[[unroll]] for (uint c = 0; c < D4; c++) acc[t * D4 + c] *= keep;
		}
		[[unroll]] for (uint c = 0; c < D4; c++) {
			[[unroll]] for (uint i = 0; i < 4; i++) {
				vec4 vv = CACHE_LOAD(v, at[i], c);
				[[unroll]] for (uint t = 0; t < TOKENS; t++) acc[t * D4 + c] += w[t][i] * vv;
			}
		}
	}
	[[unroll]] for (uint t = 0; t < TOKENS; t++) {
		if (t_first + t >= pc.n_tokens) break;
		uint o = pc.y_offset + (t_first + t) * pc.y_stride + head * HEAD_DIM;
		[[unroll]] for (uint c = 0; c < D4; c++)
			[[unroll]] for (uint i = 0; i < 4; i++) y[o + c * 4 + i] = acc[t * D4 + c][i] / total[t];
	}
}
