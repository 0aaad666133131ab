// The neurons of one token: a = phi(W_up z), or phi(W_gate z) * (W_up z). MASKED takes the neurons from the list that the
// router chose on the device and writes a compactly, in list order; each masked row is a whole row of memory, so skipping a
// neuron skips its bytes. Same arithmetic dense and masked: an all-neurons list gives the same bits.
// lavapipe, d 1024, F 8192, f16 texel, ROWS 4: dense 2.1 ms, masked at density 0.2 0.37 ms.
// W_up, W_gate [n_rows = F][w_stride] uvec4, z [n_cols = d], a [F] or [n_neurons].
#version 450
#include "access.glsl"
#include "weights.glsl"
#include "lanes.glsl"
#include "act.glsl"
layout(constant_id = PV_SPEC_GATED) const uint GATED = 0;
layout(constant_id = PV_SPEC_MASKED) const uint MASKED = 0;
layout(constant_id = PV_SPEC_PARTS) const uint PARTS = 0;
IN_UVEC4(0, w);
IN_UVEC4(1, g);
#ifdef W_SCALED
IN_SCALES(8, s);
IN_SCALES(9, gs);
#endif
IN_VEC4(2, x);
BUF(3, float, a);
BUF_IN(4, pv_route, routes);
BUF_IN(5, uint, list);
BUF_IN(6, float, bias);
BUF_IN(7, float, gate_bias);
PUSH(pv_pc_ffn_up);
#include "dot.glsl"

void main() {
	uint n = PARTS != 0 ? pc.part_rows : pc.n_rows, list_offset = 0;
	if (MASKED != 0) {
		n = min(routes[pc.route_index].n_neurons, pc.n_rows);
		list_offset = routes[pc.route_index].list_offset;
	}
	uint rows_per_wg = N_GROUPS * ROWS;
	for (uint first = gl_WorkGroupID.x * rows_per_wg; first < n; first += gl_NumWorkGroups.x * rows_per_wg) {
		uint row[ROWS]; // of w; with PARTS a listed neuron may lie in another part: its row is past the end
		bool here[ROWS];
		float up[ROWS], gate[ROWS];
		[[unroll]] for (uint r = 0; r < ROWS; r++) {
			row[r] = min(first + GROUP * ROWS + r, n - 1);
			if (MASKED != 0) row[r] = min(list[list_offset + row[r]], pc.n_rows - 1) - (PARTS != 0 ? pc.part_first : 0);
			here[r] = PARTS == 0 || row[r] < pc.part_rows;
			if (PARTS != 0) row[r] = min(row[r], pc.part_rows - 1);
			up[r] = 0.0;
			gate[r] = 0.0;
		}
		DOT_ROWS(w, s, row, up)
		if (GATED != 0) DOT_ROWS(g, gs, row, gate)
		[[unroll]] for (uint r = 0; r < ROWS; r++) {
			float u = lanes_add(up[r]), v;
			uint neuron = row[r] + (PARTS != 0 ? pc.part_first : 0);
			if ((pc.flags & PV_FLAG_BIAS) != 0) u += bias[neuron];
			if (GATED != 0) {
				float g = lanes_add(gate[r]);
				if ((pc.flags & PV_FLAG_GATE_BIAS) != 0) g += gate_bias[neuron];
				v = phi(g) * u;
			} else v = phi(u);
			uint i = first + GROUP * ROWS + r;
			if (LANE == 0 && i < n && here[r]) a[PARTS != 0 && MASKED == 0 ? pc.part_first + i : i] = v;
		}
	}
}
