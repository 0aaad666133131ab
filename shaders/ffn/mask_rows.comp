// Zeroes the neurons outside each token's cluster: how a batch is evaluated as if it had been routed token by token. Only the
// cleared ones are written.
// a [T][a_stride], cluster [T], masks [K][mask_stride] uints.
#version 450
#include "access.glsl"
BUF(0, float, a);
BUF_IN(1, uint, cluster);
BUF_IN(2, uint, masks);
PUSH(pv_pc_mask_rows);

void main() {
	uint q = gl_GlobalInvocationID.x, t = gl_WorkGroupID.y;
	if (q * 4 >= pc.n_cols || t >= pc.n_rows) return;
	uint m = pc.cluster_first + cluster[pc.cluster_offset + t];
	uint bits = masks[m * pc.mask_stride + q / 8] >> (q % 8 * 4);
	[[unroll]] for (uint i = 0; i < 4; i++)
		if (q * 4 + i < pc.n_cols && (bits >> i & 1u) == 0u) a[t * pc.a_stride + q * 4 + i] = 0.0;
}
