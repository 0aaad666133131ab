// y = W x for one token. Decoding reads every weight once, so this kernel is about bytes: a group of LANES invocations takes
// ROWS rows and walks the columns by one uvec4 of weights a step. LANES = 1 needs no barrier (best on CPU drivers); LANES =
// 32 or more reads rows in one piece (best on GPUs).
// lavapipe, 11008 x 4096, ROWS 4 (f32: 2): texel f32 15.6, f16 11.7, bf16 13.8, q8_0 7.5 GB/s; storage 7.5, 6.1, 6.3, 3.5. SwiftShader
// (storage, f16): 0.9. More rows share each read of x until registers run out.
// W [n_rows][w_stride] uvec4, x [n_cols], y [n_rows].
#version 450
#include "access.glsl"
#include "weights.glsl"
#include "lanes.glsl"
#include "act.glsl"
IN_UVEC4(0, w);
#ifdef W_SCALED
IN_SCALES(7, s);
#endif
IN_VEC4(1, x);
BUF(2, float, y);
BUF_IN(3, float, bias);
IN_VEC4(4, stream);
BUF(5, float, next);
BUF_IN(6, float, next_weight);
PUSH(pv_pc_matvec);
#include "dot.glsl"
#include "norm.glsl"

void main() {
	uint rows_per_wg = N_GROUPS * ROWS;
	float factor = norm_factor(pc.n_cols, pc.eps);
	for (uint first = gl_WorkGroupID.x * rows_per_wg; first < pc.n_rows; first += gl_NumWorkGroups.x * rows_per_wg) {
		uint row[ROWS];
		float acc[ROWS];
		[[unroll]] for (uint r = 0; r < ROWS; r++) {
			row[r] = min(first + GROUP * ROWS + r, pc.n_rows - 1);
			acc[r] = 0.0;
		}
		DOT_ROWS(w, s, row, acc)
		[[unroll]] for (uint r = 0; r < ROWS; r++) {
			float v = lanes_add(acc[r]) * factor;
			uint i = first + GROUP * ROWS + r;
			if (LANE == 0 && i < pc.n_rows) {
				uint o = pc.y_offset + i;
				if ((pc.flags & PV_FLAG_BIAS) != 0) v += bias[o];
				v = phi(v);
				if ((pc.flags & PV_FLAG_ACCUMULATE) != 0) v += y[o];
				y[o] = v;
				if ((pc.flags & PV_FLAG_NEXT) != 0) next[o] = v * next_weight[o];
			}
		}
	}
}
