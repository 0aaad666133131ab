// Sums of the rows of each cluster. The rows come sorted by cluster, so each sum has one owner who adds in a fixed order: the
// result is the same every time, which atomics would not give.
// x [T][x_stride], first [K + 1], order [T], y [K][y_stride].
#version 450
#include "access.glsl"
IN_VEC4(0, x);
BUF_IN(1, uint, first);
BUF_IN(2, uint, order);
BUF(3, float, y);
PUSH(pv_pc_cluster_sum);

void main() {
	uint q = gl_GlobalInvocationID.x, k = gl_WorkGroupID.y;
	if (q * 4 >= pc.n_cols || k >= pc.n_clusters) return;
	uint begin = first[k], end = first[k + 1];
	if (begin >= end) return;
	vec4 sum = vec4(0.0);
	for (uint i = begin; i < end; i++) sum += LOAD4(x, order[i] * (pc.x_stride / 4) + q);
	[[unroll]] for (uint i = 0; i < 4; i++)
		if (q * 4 + i < pc.n_cols) y[k * pc.y_stride + q * 4 + i] += sum[i];
}
