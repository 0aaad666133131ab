// Sums the slices of ffn_down in their order, so that the result does not depend on timing, and adds the residual if asked.
// partials [n_splits][p_stride], y [n_cols].
#version 450
#include "access.glsl"
IN_VEC4(0, partials);
BUF(1, float, y);
BUF_IN(2, float, bias);
BUF(3, float, next);
BUF_IN(4, float, next_weight);
PUSH(pv_pc_ffn_reduce);

void main() {
	uint q = gl_GlobalInvocationID.x;
	if (q * 4 >= pc.n_cols) return;
	vec4 sum = vec4(0.0);
	for (uint s = 0; s < pc.n_splits; s++) sum += LOAD4(partials, s * (pc.p_stride / 4) + q);
	[[unroll]] for (uint i = 0; i < 4; i++) {
		uint c = q * 4 + i;
		if (c >= pc.n_cols) break;
		uint o = pc.y_offset + c;
		float v = sum[i];
		if ((pc.flags & PV_FLAG_BIAS) != 0) v += bias[c];
		if ((pc.flags & PV_FLAG_ACCUMULATE) != 0) v += y[o];
		y[o] = v;
		if ((pc.flags & PV_FLAG_NEXT) != 0) next[o] = v * next_weight[o];
	}
}
