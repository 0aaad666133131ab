// Gradient of the mean cross-entropy over the scores, or of it and minus the expected gain, written transposed: the weights'
// gradient is then one matmul_t. A row is read by LANES invocations twice: once for its maximum and sums, once to write.
// x, gain [T][x_stride], target [T], g [n_cols][g_stride].
#version 450
#include "access.glsl"
#include "lanes.glsl"
IN_VEC4(0, x);
BUF_IN(1, uint, targets);
BUF(2, float, g);
IN_VEC4(3, gain);
PUSH(pv_pc_softmax_grad);

void main() {
	uint row = gl_WorkGroupID.x * N_GROUPS + GROUP, n = pc.n_cols;
	uint src = min(row, pc.n_rows - 1) * (pc.x_stride / 4);
	bool by_gain = (pc.flags & PV_FLAG_GAINS) != 0;
	float top = -3.0e38, sum = 0.0, gained = 0.0;
	for (uint q = LANE; q * 4 < n; q += N_LANES) {
		vec4 v = mix(vec4(-3.0e38), LOAD4(x, src + q), lessThan(q * 4 + uvec4(0, 1, 2, 3), uvec4(n)));
		float m = max(max(max(v.x, v.y), max(v.z, v.w)), top), fade = exp(top - m);
		vec4 p = exp(v - m);
		sum = sum * fade + dot(p, vec4(1.0));
		if (by_gain) gained = gained * fade + dot(p, keep_below(LOAD4(gain, src + q), q * 4, n));
		top = m;
	}
	float all_top = lanes_max(top), fade = exp(top - all_top);
	sum = lanes_add(sum * fade);
	if (by_gain) gained = lanes_add(gained * fade) / sum;
	if (row >= pc.n_rows) return;
	uint target = targets[row];
	float part = pc.scale / sum, own = pc.scale * pc.share;
	for (uint q = LANE; q * 4 < n; q += N_LANES) {
		vec4 v = exp(LOAD4(x, src + q) - all_top) * part;
		v *= by_gain ? gained - LOAD4(gain, src + q) + pc.share : vec4(pc.share);
		[[unroll]] for (uint i = 0; i < 4; i++) {
			uint k = q * 4 + i;
			if (k < n) g[k * pc.g_stride + row] = k == target ? v[i] - own : v[i];
		}
	}
}
