// Gradient of the mean cross-entropy over the scores, written transposed: the weights' gradient is then one matmul_t. A row is
// read by LANES invocations twice: once for its maximum and sum, once to write.
// x [T][x_stride], target [T], g [n_cols][g_stride].
#version 450
#include "access.glsl"
#include "lanes.glsl"
IN_VEC4(0, x);
BUF_IN(1, uint, targets);
BUF(2, float, g);
PUSH(pv_pc_softmax_grad);

void main() {
	uint row = gl_WorkGroupID.x * N_GROUPS + GROUP, n = pc.n_cols;
	uint src = min(row, pc.n_rows - 1) * (pc.x_stride / 4);
	float top = -3.0e38, sum = 0.0;
	for (uint q = LANE; q * 4 < n; q += N_LANES) {
		vec4 v = mix(vec4(-3.0e38), LOAD4(x, src + q), lessThan(q * 4 + uvec4(0, 1, 2, 3), uvec4(n)));
		float m = max(max(max(v.x, v.y), max(v.z, v.w)), top);
		sum = sum * exp(top - m) + dot(exp(v - m), vec4(1.0));
		top = m;
	}
	float all_top = lanes_max(top);
	sum = lanes_add(sum * exp(top - all_top));
	if (row >= pc.n_rows) return;
	uint target = targets[row];
	float part = pc.scale / sum;
	for (uint q = LANE; q * 4 < n; q += N_LANES) {
		vec4 v = exp(LOAD4(x, src + q) - all_top) * part;
		[[unroll]] for (uint i = 0; i < 4; i++) {
			uint k = q * 4 + i;
			if (k < n) g[k * pc.g_stride + row] = k == target ? v[i] - pc.scale : v[i];
		}
	}
}
