// Greedy sampling: the index of the greatest logit, written where embed will read the next token. One workgroup.
// x [n], out [.].
#version 450
#include "access.glsl"
#include "best.glsl"
IN_VEC4(0, x);
BUF(1, uint, result);
BUF_IN(2, pv_step, step_info);
PUSH(pv_pc_argmax);

void main() {
	best b = best_start();
	for (uint q = gl_LocalInvocationID.x; q * 4 < pc.n; q += WG) {
		vec4 v = LOAD4(x, pc.x_offset / 4 + q);
		[[unroll]] for (uint i = 0; i < 4; i++)
			if (q * 4 + i < pc.n) best_add(b, v[i], q * 4 + i);
	}
	b = best_reduce(b, WG);
	if (gl_LocalInvocationID.x != 0) return;
	uint at = pc.out_offset + ((pc.flags & PV_FLAG_USE_POS) != 0 ? step_info[0].pos : 0u);
	result[at] = b.index < pc.n ? b.index : 0;
}
