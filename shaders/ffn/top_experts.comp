// A mixture's choice: the best n_used of a token's expert scores, their weights, and for one token the list of their neurons and
// what the masked kernels are to do with it, as `route` tells them for a cluster's. One workgroup makes a row. An expert's
// rank is the number of scores that beat its own; every invocation counts for its own experts, so that no order of
// reduction matters.
// scores [T][x_stride], weights [T][x_stride], route [1], list [n_used * n_neurons].
#version 450
#include "access.glsl"
#include "lanes.glsl"
#include "route.glsl"
BUF_IN(0, float, scores);
BUF(1, float, weights);
BUF(2, pv_route, routes);
BUF(3, uint, list);
PUSH(pv_pc_top_experts);
const float LOWEST = -3.4028234e38;
shared uint chosen[PV_MAX_EXPERTS_USED]; // by rank

float score(uint e) { // NaN is the lowest
	float v = scores[gl_WorkGroupID.x * pc.x_stride + e];
	return v >= LOWEST ? v : LOWEST;
}
uint rank(uint e) {
	float own = score(e);
	uint n = 0;
	for (uint i = 0; i < pc.n_experts; i++) {
		float v = score(i);
		if (v > own || (v == own && i < e)) n++;
	}
	return n;
}

void main() {
	uint local = gl_LocalInvocationID.x, dst = gl_WorkGroupID.x * pc.x_stride;
	float top = LOWEST, sum = 0.0;
	for (uint e = local; e < pc.n_experts; e += WG) top = max(top, score(e));
	top = lanes_max(top);
	for (uint e = local; e < pc.n_experts; e += WG) {
		uint r = rank(e);
		float w = (pc.flags & PV_FLAG_SIGMOID) != 0 ? 1.0 / (1.0 + exp(-score(e))) : exp(score(e) - top);
		if (r >= pc.n_used) w = 0.0;
		else chosen[r] = e;
		weights[dst + e] = w;
		sum += w;
	}
	sum = lanes_add(sum);
	for (uint e = local; e < pc.n_experts; e += WG) weights[dst + e] /= sum; // its own
	if ((pc.flags & PV_FLAG_LIST) == 0) return;
	barrier();
	uint n = pc.n_used * pc.n_neurons;
	for (uint i = local; i < n; i += WG) list[i] = chosen[i / pc.n_neurons] * pc.n_neurons + i % pc.n_neurons;
	if (local == 0)
		routes[0] = route_of(chosen[0], n, 0, 0.0, pc.up_rows_per_wg);
}
