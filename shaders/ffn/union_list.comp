// The neurons of one token's row of bits as an ascending list, and what the masked kernels are to do with it: as `route` tells them
// for a cluster's own list. One workgroup: everyone counts a stretch of the row, sums tell where its neurons go.
// bits [n_words], cluster [1], margin [1], route [1], list [32 n_words].
#version 450
#include "access.glsl"
#include "route.glsl"
BUF_IN(0, uint, bits);
BUF_IN(1, uint, cluster);
BUF_IN(2, float, margin);
BUF(3, pv_route, routes);
BUF(4, uint, list);
PUSH(pv_pc_union_list);
shared uint sums[WG]; // of the stretches up to this one

void main() {
	uint i = gl_LocalInvocationID.x, per = (pc.n_words + WG - 1) / WG, n = 0;
	uint begin = min(i * per, pc.n_words), end = min(begin + per, pc.n_words);
	for (uint w = begin; w < end; w++) n += bitCount(bits[w]);
	sums[i] = n;
	barrier();
	for (uint k = 1; k < WG; k *= 2) {
		uint before = i >= k ? sums[i - k] : 0;
		barrier();
		sums[i] += before;
		barrier();
	}
	uint at = sums[i] - n;
	for (uint w = begin; w < end; w++)
		for (uint left = bits[w]; left != 0; left &= left - 1) list[at++] = w * 32 + findLSB(left);
	if (i == 0)
		routes[0] = route_of(cluster[0], sums[WG - 1], 0, margin[0], pc.up_rows_per_wg);
}
