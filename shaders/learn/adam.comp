// One step of Adam (Kingma and Ba, 2015) with decoupled weight decay, its bias corrections given as factors. Each invocation does
// four neighbours.
// w, m, v, g [n].
#version 450
#include "access.glsl"
BUF(0, float, w);
BUF(1, float, m);
BUF(2, float, v);
IN_VEC4(3, g);
PUSH(pv_pc_adam);

void main() {
	uint q = gl_GlobalInvocationID.x;
	if (q * 4 >= pc.n) return;
	vec4 gv = LOAD4(g, q);
	[[unroll]] for (uint i = 0; i < 4; i++) {
		uint at = q * 4 + i;
		if (at >= pc.n) break;
		float mi = m[at] + 0.1 * (gv[i] - m[at]), vi = v[at] + 0.001 * (gv[i] * gv[i] - v[at]);
		m[at] = mi;
		v[at] = vi;
		w[at] -= pc.rate * (mi * pc.moment_scale / (sqrt(vi * pc.square_scale) + 1e-8) + pc.decay * w[at]);
	}
}
