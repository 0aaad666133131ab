// Negative log-likelihood of each row's target: logsumexp(x) - x[target], a row for LANES invocations. One pass with a running
// maximum; lanes are joined by their common maximum.
// x [T][x_stride], target [T], out [T].
#version 450
#include "access.glsl"
#include "lanes.glsl"
IN_VEC4(0, x);
BUF_IN(1, uint, targets);
BUF(2, float, result);
PUSH(pv_pc_nll_rows);

void main() {
	uint row = gl_WorkGroupID.x * N_GROUPS + GROUP, n = pc.n_cols;
	uint src = min(row, pc.n_rows - 1) * (pc.x_stride / 4);
	float top = -3.0e38, sum = 0.0;
	for (uint q = LANE; q * 4 < n; q += N_LANES) {
		vec4 v = LOAD4(x, src + q);
		bvec4 in_row = lessThan(q * 4 + uvec4(0, 1, 2, 3), uvec4(n));
		v = mix(vec4(-3.0e38), v, in_row);
		float m = max(max(max(v.x, v.y), max(v.z, v.w)), top);
		sum = sum * exp(top - m) + dot(exp(v - m), vec4(1.0));
		top = m;
	}
	float all_top = lanes_max(top);
	sum = lanes_add(sum * exp(top - all_top));
	if (LANE != 0 || row >= pc.n_rows) return;
	uint target = targets[pc.target_offset + row];
	float at = target < n ? LOAD4(x, src + target / 4)[target % 4] : 0.0;
	result[pc.out_offset + row] = target < n ? all_top + log(sum) - at : 0.0;
}
