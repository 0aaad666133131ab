// The router's answer for many tokens: greatest score and its lead over the second, one row for LANES invocations.
// scores [T][x_stride], cluster [T], margin [T].
#version 450
#include "access.glsl"
#include "best.glsl"
layout(constant_id = PV_SPEC_LANES) const uint LANES = 1;
IN_VEC4(0, scores);
BUF(1, uint, cluster);
BUF(2, float, margin);
PUSH(pv_pc_route_rows);

void main() {
	uint lane = gl_LocalInvocationID.x % LANES, row = gl_WorkGroupID.x * (WG / LANES) + gl_LocalInvocationID.x / LANES;
	uint src = min(row, pc.n_rows - 1) * (pc.x_stride / 4);
	best b = best_start();
	for (uint q = lane; q * 4 < pc.n_clusters; q += LANES) {
		vec4 v = LOAD4(scores, src + q);
		[[unroll]] for (uint i = 0; i < 4; i++)
			if (q * 4 + i < pc.n_clusters) best_add(b, v[i], q * 4 + i);
	}
	b = best_reduce(b, LANES);
	if (lane != 0 || row >= pc.n_rows) return;
	cluster[pc.y_offset + row] = b.index < pc.n_clusters ? b.index : 0;
	margin[pc.y_offset + row] = b.second > BEST_NONE ? b.first - b.second : 0.0;
}
