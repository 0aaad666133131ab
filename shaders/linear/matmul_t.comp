// Y[t] = sum_j X[t][j] Wt[j] for a batch of tokens, the weights stored transposed (ffn_down). An invocation owns the W_E outputs
// of one uvec4 for TOKENS tokens and walks j by four: four reads of weights and TOKENS reads of x for 4 * W_E * TOKENS products.
// Keep TOKENS * W_E near 64 (f16 8, q8_0 4, q4_0 and q6_k 2): past 128 a driver compiles for seconds.
// lavapipe, f16 texel, T = 256, 256 x 1536: TOKENS 4 30, 8 42 GFLOP/s.
// X [T][x_stride], Wt [n_cols][w_stride] uvec4, Y [T][y_stride].
#version 450
#include "access.glsl"
#include "weights.glsl"
#include "act.glsl"
layout(constant_id = PV_SPEC_LANES) const uint LANES = 8;
layout(constant_id = PV_SPEC_TOKENS) const uint TOKENS = 4;
IN_UVEC4(0, w);
#ifdef W_SCALED
IN_SCALES(4, s);
#endif
IN_VEC4(1, x);
BUF(2, float, y);
BUF_IN(3, float, bias);
PUSH(pv_pc_matmul);

void main() {
	uint chunk = gl_WorkGroupID.x * LANES + gl_LocalInvocationID.x % LANES;
	uint t_first = (gl_WorkGroupID.y * (WG / LANES) + gl_LocalInvocationID.x / LANES) * TOKENS;
	if (chunk >= pc.w_stride || t_first >= pc.n_tokens) return;
	vec4 acc[TOKENS * W_NV];
	uint xs[TOKENS]; // clamped: surplus tokens are computed and dropped
	[[unroll]] for (uint i = 0; i < TOKENS * W_NV; i++) acc[i] = vec4(0.0);
	[[unroll]] for (uint t = 0; t < TOKENS; t++) xs[t] = (pc.x_offset + min(t_first + t, pc.n_tokens - 1) * pc.x_stride) / 4;
	for (uint q = 0; q < (pc.n_cols + 3) / 4; q++) {
		vec4 xv[TOKENS];
		[[unroll]] for (uint t = 0; t < TOKENS; t++) {
			xv[t] = LOAD4(x, xs[t] + q);
			if (q * 4 + 4 > pc.n_cols) xv[t] = keep_below(xv[t], q * 4, pc.n_cols);
		}
		[[unroll]] for (uint k = 0; k < 4; k++) {
			uint row = min(q * 4 + k, pc.n_cols - 1);
			vec4 wv[W_NV];
			W_UNPACK(LOADU4(w, row * pc.w_stride + chunk), s, row * pc.s_stride, chunk, wv, f);
			[[unroll]] for (uint t = 0; t < TOKENS; t++)
				[[unroll]] for (uint i = 0; i < W_NV; i++) acc[t * W_NV + i] += (xv[t][k] * f) * wv[i];
		}
	}
	[[unroll]] for (uint t = 0; t < TOKENS; t++) {
		if (t_first + t >= pc.n_tokens) break;
		[[unroll]] for (uint i = 0; i < W_E; i++) {
			uint col = chunk * W_E + i;
			if (col >= pc.n_rows) break;
			float v = acc[t * W_NV + i / 4][i % 4];
			if ((pc.flags & PV_FLAG_BIAS) != 0) v += bias[pc.y_offset + col];
			v = phi(v);
			uint o = pc.y_offset + (t_first + t) * pc.y_stride + col;
			y[o] = (pc.flags & PV_FLAG_ACCUMULATE) != 0 ? y[o] + v : v;
		}
	}
}
