// What calibration keeps of a batch: the contribution |a_j| * ||W_down[:, j]|| of every neuron, as floats, as one bit (above tau),
// or both. An invocation makes one uint of 32 bits.
// a [T][a_stride], norm [F], c [T][c_stride], bits [T][bits_stride] uints.
#version 450
#include "access.glsl"
IN_VEC4(0, a);
IN_VEC4(1, norm);
BUF(2, float, c);
BUF(3, uint, bits);
PUSH(pv_pc_capture);

void main() {
	uint word = gl_GlobalInvocationID.x, t = gl_WorkGroupID.y, set = 0;
	if (word * 32 >= pc.n_cols || t >= pc.n_rows) return;
	for (uint i = 0; i < 8; i++) {
		uint q = word * 8 + i;
		if (q * 4 >= pc.n_cols) break;
		vec4 v = abs(LOAD4(a, t * (pc.a_stride / 4) + q)) * LOAD4(norm, q);
		[[unroll]] for (uint k = 0; k < 4; k++) {
			if (q * 4 + k >= pc.n_cols) break;
			if ((pc.flags & PV_FLAG_VALUES) != 0) c[t * pc.c_stride + q * 4 + k] = v[k];
			if (v[k] > pc.tau) set |= 1u << (i * 4 + k);
		}
	}
	if ((pc.flags & PV_FLAG_BITS) != 0) bits[t * pc.bits_stride + word] = set;
}
