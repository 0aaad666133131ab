// The route slot of one token: its cluster, its list of neurons and the two indirect dispatches that follow from it.
pv_route route_of(uint cluster, uint n_neurons, uint list_offset, float margin, uint up_rows_per_wg, uvec2 down_groups) {
	pv_route r;
	r.cluster = cluster;
	r.n_neurons = n_neurons;
	r.list_offset = list_offset;
	r.margin = margin;
	r.up_x = (n_neurons + up_rows_per_wg - 1) / up_rows_per_wg;
	r.up_y = 1;
	r.up_z = 1;
	r.reserved0 = 0;
	r.down_x = down_groups.x;
	r.down_y = down_groups.y;
	r.down_z = 1;
	r.reserved1 = 0;
	return r;
}
