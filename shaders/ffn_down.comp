// y_i = sum_j a_j Wt[j][i] for one token, Wt the transposed down matrix, so that a neuron is one row here too. An invocation owns
// the W_E outputs of one uvec4 and walks a slice of the neurons; slices run side by side and ffn_reduce sums them. MASKED
// looks the row of neuron r up in the router's list; order and arithmetic are those of the dense call.
// lavapipe, d 1024, F 8192, f16 texel, WG 8, 8 slices: dense 1.9 ms, masked at density 0.2 0.35 ms.
// Wt [F][w_stride] uvec4, a [n], partials [n_splits][p_stride].
#version 450
#include "access.glsl"
#include "weights.glsl"
layout(constant_id = PV_SPEC_MASKED) const uint MASKED = 0;
IN_UVEC4(0, w);
#ifdef W_SCALED
IN_SCALES(5, s);
#endif
IN_VEC4(1, a);
BUF(2, vec4, partials);
BUF_IN(3, pv_route, routes);
IN_UVEC4(4, list);
PUSH(pv_pc_ffn_down);

void add_row(uint row, uint chunk, float av, inout vec4 acc[W_NV]) {
	vec4 wv[W_NV];
	w_unpack(LOADU4(w, row * pc.w_stride + chunk), wv);
	float f = av * W_SCALE(s, row * pc.s_stride, chunk);
	[[unroll]] for (uint i = 0; i < W_NV; i++) acc[i] += f * wv[i];
}

void main() {
	uint chunk = gl_GlobalInvocationID.x, split = gl_WorkGroupID.y;
	if (chunk >= pc.w_stride) return;
	uint n = pc.n_rows, list4 = 0;
	if (MASKED != 0) {
		n = min(routes[pc.route_index].n_neurons, pc.n_rows);
		list4 = routes[pc.route_index].list_offset / 4;
	}
	uint per = ((n + pc.n_splits - 1) / pc.n_splits + 3) / 4; // groups of four neurons in a slice
	uint q = split * per, q_end = min(q + per, n / 4), last = pc.n_rows - 1;
	vec4 acc[W_NV];
	[[unroll]] for (uint i = 0; i < W_NV; i++) acc[i] = vec4(0.0);
	for (; q < q_end; q++) {
		vec4 av = LOAD4(a, q);
		uvec4 row = q * 4 + uvec4(0, 1, 2, 3);
		if (MASKED != 0) row = min(LOADU4(list, list4 + q), uvec4(last));
		add_row(row.x, chunk, av.x, acc);
		add_row(row.y, chunk, av.y, acc);
		add_row(row.z, chunk, av.z, acc);
		add_row(row.w, chunk, av.w, acc);
	}
	if (n % 4 != 0 && n / 4 >= split * per && n / 4 < (split + 1) * per) { // the last one to three neurons
		vec4 av = LOAD4(a, n / 4);
		uvec4 row = (n / 4) * 4 + uvec4(0, 1, 2, 3);
		if (MASKED != 0) row = min(LOADU4(list, list4 + n / 4), uvec4(last));
		[[unroll]] for (uint k = 0; k < 3; k++)
			if (k < n % 4) add_row(row[k], chunk, av[k], acc);
	}
	uint out4 = split * (pc.p_stride / 4) + chunk * W_NV;
	[[unroll]] for (uint i = 0; i < W_NV; i++) partials[out4 + i] = acc[i];
}
