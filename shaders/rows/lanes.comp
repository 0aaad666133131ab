// How many invocations share a row, and the sum of a one of each, which must be as many: what lanes.glsl builds on.
// y [n][2], a pair for each invocation.
#version 450
#include "access.glsl"
#include "lanes.glsl"
BUF(0, uint, y);
PUSH(pv_pc_lanes);

void main() {
	uint i = gl_GlobalInvocationID.x;
	float sum = lanes_add(1.0);
	if (i >= pc.n) return;
	y[2 * i] = N_LANES;
	y[2 * i + 1] = uint(sum);
}
