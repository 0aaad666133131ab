// add, with sums that are kept in float16.
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
		if (q * 4 + i < pc.n) {
			uint at = pc.y_offset + q * 4 + i;
			y[at] = unpackHalf2x16(packHalf2x16(vec2(y[at] + v[i], 0))).x;
		}
}
