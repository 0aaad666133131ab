// The neurons of one token: a = phi(W_up z), or phi(W_gate z) * (W_up z), where rows of W_up whose gate is zero are not read. MASKED takes the neurons from a list and writes a
// compactly, in list order; each masked row is a whole row of memory, so skipping a neuron skips its bytes. The list is the one
// of the route, or (2) that of the cluster with the greatest score: each workgroup finds it, and the first one writes the route. Same arithmetic dense and masked: an all-neurons list gives the same bits.
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
IN_SCALES(11, s);
IN_SCALES(12, gs);
#endif
IN_VEC4(2, x);
BUF(3, float, a);
BUF(4, pv_route, routes);
BUF_IN(5, uint, list);
BUF_IN(6, float, bias);
BUF_IN(7, float, gate_bias);
IN_VEC4(8, stream);
IN_VEC4(9, scores);
BUF_IN(10, pv_cluster_entry, clusters);
PUSH(pv_pc_ffn_up);
#include "dot.glsl"
#include "norm.glsl"
#include "route.glsl"
#define BEST_N (MASKED == 2 ? WG : 1)
#include "best.glsl"

// Number and first of the neurons of the cluster that the scores choose.
uvec2 choose(uint rows_per_wg) {
	best b = best_start();
	uint me = gl_LocalInvocationID.x;
	for (uint q = me; q * 4 < pc.n_clusters; q += WG) {
		vec4 v = LOAD4(scores, q);
		[[unroll]] for (uint i = 0; i < 4; i++)
			if (q * 4 + i < pc.n_clusters) best_add(b, v[i], q * 4 + i);
	}
	b = best_of_first(b, min(WG, (pc.n_clusters + 3) / 4));
	uint k = b.index < pc.n_clusters ? b.index : 0;
	pv_cluster_entry e = clusters[k];
	if (gl_WorkGroupID.x == 0 && me == 0) {
		float margin = b.second > BEST_NONE ? b.first - b.second : 0.0;
		routes[0] = route_of(k, e.n_neurons, e.list_offset, margin, rows_per_wg);
	}
	return uvec2(min(e.n_neurons, pc.n_rows), e.list_offset);
}

// GATED 2: gates first, which may be zero, and W_up for the others only. A workgroup packs these, in their order, into shared memory.
const uint TILE = GATED == 2 ? WG * ROWS : 1;
shared uint kept_row[TILE], kept_at[TILE]; // of W_up and of a
shared float kept_gate[TILE];
shared uint n_kept[GATED == 2 ? WG : 1]; // of each group

// The neuron of a row of this part.
uint neuron_of(uint row) {
	return row + (PARTS != 0 ? pc.part_first : 0);
}

// a of the rows from `at` on that are kept, of this group; all invocations call it.
void up_of_kept(uint at, uint total, float factor) {
	uint row[ROWS];
	float up[ROWS];
	[[unroll]] for (uint r = 0; r < ROWS; r++) {
		row[r] = kept_row[min(at + r, total - 1)];
		up[r] = 0.0;
	}
	if (at < total) DOT_ROWS(w, s, row, up)
	[[unroll]] for (uint r = 0; r < ROWS; r++) {
		float u = lanes_add(up[r]) * factor;
		if ((pc.flags & PV_FLAG_BIAS) != 0) u += bias[neuron_of(row[r])];
		if (LANE == 0 && at + r < total) a[kept_at[at + r]] = phi_gated(kept_gate[at + r], u);
	}
}

void main() {
	uint n = PARTS != 0 ? pc.part_rows : pc.n_rows, list_offset = 0, rows_per_wg = N_GROUPS * ROWS;
	if (MASKED == 1) {
		n = min(routes[0].n_neurons, pc.n_rows);
		list_offset = routes[0].list_offset;
	} else if (MASKED == 2) {
		uvec2 chosen = choose(rows_per_wg);
		n = chosen.x;
		list_offset = chosen.y;
	}
	float factor = norm_factor(pc.n_cols, pc.eps);
	uint a_first = PARTS != 0 && MASKED == 0 ? pc.part_first : 0;
	for (uint first = gl_WorkGroupID.x * rows_per_wg; first < n; first += gl_NumWorkGroups.x * rows_per_wg) {
		uint row[ROWS]; // of w; with PARTS a listed neuron may lie in another part: its row is past the end
		bool here[ROWS];
		float up[ROWS], gate[ROWS];
		[[unroll]] for (uint r = 0; r < ROWS; r++) {
			uint i = first + GROUP * ROWS + r;
			row[r] = min(i, n - 1);
			if (MASKED != 0) row[r] = min(list[list_offset + row[r]], pc.n_rows - 1) - (PARTS != 0 ? pc.part_first : 0);
			here[r] = i < n && (PARTS == 0 || row[r] < pc.part_rows);
			if (PARTS != 0) row[r] = min(row[r], pc.part_rows - 1);
			up[r] = 0.0;
			gate[r] = 0.0;
		}
		if (GATED != 0) {
			DOT_ROWS(g, gs, row, gate)
			[[unroll]] for (uint r = 0; r < ROWS; r++) {
				gate[r] = lanes_add(gate[r]) * factor;
				if ((pc.flags & PV_FLAG_GATE_BIAS) != 0) gate[r] += gate_bias[neuron_of(row[r])];
			}
		}
		if (GATED == 2) {
			uint mine = 0, at = 0, total = 0;
			[[unroll]] for (uint r = 0; r < ROWS; r++) mine += here[r] && phi(gate[r]) != 0.0 ? 1 : 0;
			if (LANE == 0) n_kept[GROUP] = mine;
			barrier();
			for (uint i = 0; i < N_GROUPS; i++) {
				at += i < GROUP ? n_kept[i] : 0;
				total += n_kept[i];
			}
			[[unroll]] for (uint r = 0; r < ROWS; r++) {
				if (LANE != 0 || !here[r]) continue;
				uint i = a_first + first + GROUP * ROWS + r;
				if (phi(gate[r]) != 0.0) {
					kept_row[at] = row[r];
					kept_gate[at] = gate[r];
					kept_at[at++] = i;
				} else a[i] = 0.0;
			}
			barrier(); // nobody packs again before all have passed the one above
			for (uint i = 0; i < total; i += rows_per_wg) up_of_kept(i + GROUP * ROWS, total, factor);
			continue;
		}
		DOT_ROWS(w, s, row, up)
		[[unroll]] for (uint r = 0; r < ROWS; r++) {
			float u = lanes_add(up[r]) * factor;
			if ((pc.flags & PV_FLAG_BIAS) != 0) u += bias[neuron_of(row[r])];
			if (LANE == 0 && here[r]) a[a_first + first + GROUP * ROWS + r] = GATED != 0 ? phi_gated(gate[r], u) : phi(u);
		}
	}
}
