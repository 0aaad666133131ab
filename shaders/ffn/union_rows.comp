// The router's best two clusters of each token, and the neurons of either as one row of bits. A workgroup makes a row: it looks for
// the greatest score, once more for the greatest of the others, and joins the two masks.
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

best greatest_but(uint t, uint but) {
	best b = best_start();
	for (uint q = gl_LocalInvocationID.x; q * 4 < pc.n_clusters; q += WG) {
		vec4 v = LOAD4(scores, t * (pc.x_stride / 4) + q);
		[[unroll]] for (uint i = 0; i < 4; i++)
			if (q * 4 + i < pc.n_clusters && q * 4 + i != but) best_add(b, v[i], q * 4 + i);
	}
	return best_reduce(b, WG);
}

void main() {
	uint t = gl_WorkGroupID.x, i = gl_LocalInvocationID.x;
	best b = greatest_but(t, 0xffffffffu);
	uint first = b.index < pc.n_clusters ? b.index : 0;
	barrier(); // everyone has read the result
	uint second = greatest_but(t, first).index;
	if (second >= pc.n_clusters) second = first;
	for (uint w = i; w < pc.mask_stride; w += WG)
		bits[t * pc.mask_stride + w] = masks[first * pc.mask_stride + w] | masks[second * pc.mask_stride + w];
	if (i != 0) return;
	cluster[t] = first;
	margin[t] = b.second > BEST_NONE ? b.first - b.second : 0.0;
}
