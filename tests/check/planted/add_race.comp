// add, and every workgroup leaves its number in y[0]: which one stays depends on their order.
#version 450
#include "access.glsl"
IN_VEC4(0, x);
BUF(1, float, y);
PUSH(pv_pc_add);

void main() {
	uint q = gl_GlobalInvocationID.x;
	if (q * 4 >= pc.n) return;
	vec4 v = LOAD4(x, pc.x_offset / 4 + q);
	for (uint i = 0; i < 4; i++)
		if (q * 4 + i < pc.n && q + i > 0) y[pc.y_offset + q * 4 + i] += v[i];
	if (gl_LocalInvocationID.x == 0) y[pc.y_offset] = float(gl_WorkGroupID.x);
}
