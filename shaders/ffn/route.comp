// Picks the token's cluster and tells the masked kernels what to do, all on the device: the greatest of K scores, then that
// cluster's neuron list and the two indirect dispatches. One workgroup.
// scores [K], clusters [.] {n_neurons, list_offset}, route slots [layers].
#version 450
#include "access.glsl"
#include "best.glsl"
#include "route.glsl"
IN_VEC4(0, scores);
BUF_IN(1, pv_cluster_entry, clusters);
BUF(2, pv_route, routes);
PUSH(pv_pc_route);

void main() {
	best b = best_start();
	for (uint q = gl_LocalInvocationID.x; q * 4 < pc.n_clusters; q += WG) {
		vec4 v = LOAD4(scores, pc.x_offset / 4 + q);
		[[unroll]] for (uint i = 0; i < 4; i++)
			if (q * 4 + i < pc.n_clusters) best_add(b, v[i], q * 4 + i);
	}
	b = best_reduce(b, WG);
	if (gl_LocalInvocationID.x != 0) return;
	uint k = b.index < pc.n_clusters ? b.index : 0;
	pv_cluster_entry e = clusters[pc.cluster_first + k];
	float margin = b.second > BEST_NONE ? b.first - b.second : 0.0;
	routes[pc.route_index] = route_of(k, e.n_neurons, e.list_offset, margin, pc.up_rows_per_wg,
	                                  uvec2(pc.down_groups_x, pc.down_groups_y));
}
