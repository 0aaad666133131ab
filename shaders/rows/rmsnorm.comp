// Root-mean-square normalisation, or layer normalisation (PV_NORM_LAYER), of rows, one row for LANES invocations. The layer
// form takes the mean first and then the squared differences: two passes are exact where one would cancel.
// x, y [n_rows / n_inner][outer_stride], in that [n_inner][inner_stride]; weight [n_cols].
#version 450
#include "access.glsl"
#include "lanes.glsl"
layout(constant_id = PV_SPEC_NORM) const uint NORM = PV_NORM_RMS;
IN_VEC4(0, x);
IN_VEC4(1, weight);
BUF(2, float, y);
IN_VEC4(3, bias);
PUSH(pv_pc_norm);

void main() {
	uint row = gl_WorkGroupID.x * N_GROUPS + GROUP;
	uint own = min(row, pc.n_rows - 1); // rows past the end have lanes that must not leave before the others
	uint dst = pc.offset + own / pc.n_inner * pc.outer_stride + own % pc.n_inner * pc.inner_stride, src = dst / 4;
	uint n4 = (pc.n_cols + 3) / 4;
	float mean = 0.0, sum = 0.0;
	if (NORM == PV_NORM_LAYER) {
		for (uint q = LANE; q < n4; q += N_LANES) mean += dot(keep_below(LOAD4(x, src + q), q * 4, pc.n_cols), vec4(1.0));
		mean = lanes_add(mean) / float(pc.n_cols);
	}
	for (uint q = LANE; q < n4; q += N_LANES) {
		vec4 v = keep_below(LOAD4(x, src + q) - mean, q * 4, pc.n_cols);
		sum += dot(v, v);
	}
	float f = inversesqrt(lanes_add(sum) / float(pc.n_cols) + pc.eps);
	if (row >= pc.n_rows) return;
	for (uint q = LANE; q < n4; q += N_LANES) {
		vec4 v = (LOAD4(x, src + q) - mean) * f * LOAD4(weight, q);
		if (NORM == PV_NORM_LAYER && (pc.flags & PV_FLAG_BIAS) != 0) v += LOAD4(bias, q);
		[[unroll]] for (uint i = 0; i < 4; i++)
			if (q * 4 + i < pc.n_cols) y[dst + q * 4 + i] = (pc.flags & PV_FLAG_ACCUMULATE) != 0 ? y[dst + q * 4 + i] + v[i] : v[i];
	}
}
