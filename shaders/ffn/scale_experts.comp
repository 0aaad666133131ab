// The activations of a mixture's neurons times their expert's weight, in place; those of experts that were not chosen become 0. Of
// all neurons, or of the listed ones in list order.
// a [T][a_stride], weights [T][w_stride], list [n_cols].
#version 450
#include "access.glsl"
BUF(0, float, a);
BUF_IN(1, float, weights);
BUF_IN(2, uint, list);
PUSH(pv_pc_scale_experts);

void main() {
	uint r = gl_GlobalInvocationID.x, t = gl_WorkGroupID.y;
	if (r >= pc.n_cols || t >= pc.n_rows) return;
	uint neuron = (pc.flags & PV_FLAG_LIST) != 0 ? list[r] : r;
	float w = weights[t * pc.w_stride + neuron / pc.n_neurons];
	a[t * pc.a_stride + r] = w != 0.0 ? a[t * pc.a_stride + r] * w : 0.0;
}
