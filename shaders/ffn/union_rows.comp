// The router's best two clusters of each token, and the neurons of either as one row of bits. A workgroup makes a row: it finds the
// greatest two scores in one loop (two loops that read a texel crash lavapipe 26.1.6), and joins the two masks.
// scores [T][x_stride], masks [K][mask_stride] uints, cluster [T], margin [T], bits [T][mask_stride] uints.
#version 450
#include "access.glsl"
#include "best.glsl"
IN_VEC4(0, scores);
BUF_IN(1, uint, masks);
BUF(2, uint, cluster);
BUF(3, float, margin);
BUF(4, uint, bits);
PUSH(pv_pc_union_rows);

void main() {
	uint t = gl_WorkGroupID.x, i = gl_LocalInvocationID.x;
	best b = best_start();
	for (uint q = i; q * 4 < pc.n_clusters; q += WG) {
		vec4 v = LOAD4(scores, t * (pc.x_stride / 4) + q);
		[[unroll]] for (uint e = 0; e < 4; e++)
			if (q * 4 + e < pc.n_clusters) best_add(b, v[e], q * 4 + e);
	}
	b = best_reduce(b, WG);
	uint first = b.index < pc.n_clusters ? b.index : 0;
	uint second = b.second_index < pc.n_clusters ? b.second_index : first;
	for (uint w = i; w < pc.mask_stride; w += WG)
		bits[t * pc.mask_stride + w] = masks[first * pc.mask_stride + w] | masks[second * pc.mask_stride + w];
	if (i != 0) return;
	cluster[t] = first;
	margin[t] = b.second > BEST_NONE ? b.first - b.second : 0.0;
}
