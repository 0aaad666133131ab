// Sparse rows spread out, so that the matrix kernels can take them. An invocation owns `segment` neighbouring columns of a row: it
// looks its first entry up by bisection and walks on from there, so nothing is written twice and no barrier is needed.
// offset [T + 1], entries, scale [T], x [T][x_stride].
#version 450
#include "access.glsl"
BUF_IN(0, uint, offset);
BUF_IN(1, uint, entries);
BUF_IN(2, float, scale);
BUF(3, float, x);
PUSH(pv_pc_sparse_rows);

void main() {
	uint begin = gl_GlobalInvocationID.x * pc.segment, t = gl_WorkGroupID.y;
	if (begin >= pc.n_cols || t >= pc.n_rows) return;
	uint low = offset[t], high = offset[t + 1], last = high;
	while (low < high) { // the first entry at or past `begin`
		uint middle = low + (high - low) / 2;
		if ((entries[middle] & 0xffffu) < begin) low = middle + 1;
		else high = middle;
	}
	uint end = min(begin + pc.segment, pc.n_cols), next = low < last ? entries[low] : 0u;
	for (uint j = begin; j < end; j++) {
		float v = 0.0;
		if (low < last && (next & 0xffffu) == j) {
			float root = unpackHalf2x16(next >> 16).x, c = root * root;
			v = scale[t] * ((pc.flags & PV_FLAG_ENERGY) != 0 ? c * c : root);
			low++;
			if (low < last) next = entries[low];
		}
		x[t * pc.x_stride + j] = v;
	}
}
