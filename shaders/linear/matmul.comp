// Y = X W^T for a batch of tokens. An invocation keeps TOKENS x ROWS sums in registers, so each read of a weight serves TOKENS
// products and each read of x serves ROWS: that ratio is the speed. No shared memory, no barrier.
// Quantised chunks go in parts (w_part), which keeps the code, and so the driver's compile time, near that of f16.
// lavapipe, f16 texel, T = 256, 1536 x 256: tile 4 x 4 24, 8 x 8 33, 16 x 8 38 GFLOP/s; 16 x 8 takes three times as long to compile.
// X [T][x_stride], W [n_rows][w_stride] uvec4, Y [T][y_stride].
#version 450
#include "access.glsl"
#include "weights.glsl"
#include "act.glsl"
layout(constant_id = PV_SPEC_LANES) const uint LANES = 8;
layout(constant_id = PV_SPEC_ROWS) const uint ROWS = 4;
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
	uint row_first = (gl_WorkGroupID.x * LANES + gl_LocalInvocationID.x % LANES) * ROWS;
	uint t_first = (gl_WorkGroupID.y * (WG / LANES) + gl_LocalInvocationID.x / LANES) * TOKENS;
	if (row_first >= pc.n_rows || t_first >= pc.n_tokens) return;
	float acc[TOKENS * ROWS];
	uint row[ROWS], xs[TOKENS]; // clamped: the surplus rows and tokens are computed and dropped
	[[unroll]] for (uint i = 0; i < TOKENS * ROWS; i++) acc[i] = 0.0;
	[[unroll]] for (uint r = 0; r < ROWS; r++) row[r] = min(row_first + r, pc.n_rows - 1);
	[[unroll]] for (uint t = 0; t < TOKENS; t++) xs[t] = (pc.x_offset + min(t_first + t, pc.n_tokens - 1) * pc.x_stride) / 4;
	uint n_chunks = (pc.n_cols + W_E - 1) / W_E;
	[[dont_unroll]] for (uint step = 0; step < n_chunks * W_STEPS; step++) {
		uint c = step / W_STEPS, part = step % W_STEPS;
		vec4 wv[ROWS * W_PART];
		[[unroll]] for (uint r = 0; r < ROWS; r++) {
			vec4 p[W_PART];
			W_PART_OF(LOADU4(w, row[r] * pc.w_stride + c), s, row[r] * pc.s_stride, c, part, p, f);
			[[unroll]] for (uint j = 0; j < W_PART; j++) wv[r * W_PART + j] = p[j] * f;
		}
		[[unroll]] for (uint j = 0; j < W_PART; j++) {
			uint at = c * W_NV + W_PART_AT(part, j), e = at * 4;
			if (e >= pc.n_cols) break;
			[[unroll]] for (uint t = 0; t < TOKENS; t++) {
				vec4 xv = LOAD4(x, xs[t] + at);
				if (e + 4 > pc.n_cols) xv = keep_below(xv, e, pc.n_cols);
				[[unroll]] for (uint r = 0; r < ROWS; r++) acc[t * ROWS + r] += dot(xv, wv[r * W_PART + j]);
			}
		}
	}
	[[unroll]] for (uint t = 0; t < TOKENS; t++) {
		[[unroll]] for (uint r = 0; r < ROWS; r++) {
			if (t_first + t >= pc.n_tokens || row_first + r >= pc.n_rows) continue;
			float v = acc[t * ROWS + r];
			if ((pc.flags & PV_FLAG_BIAS) != 0) v += bias[pc.y_offset + row_first + r];
			v = phi(v);
			uint o = pc.y_offset + (t_first + t) * pc.y_stride + row_first + r;
			y[o] = (pc.flags & PV_FLAG_ACCUMULATE) != 0 ? y[o] + v : v;
		}
	}
}
