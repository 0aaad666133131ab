// The route of one token: its cluster, its list of neurons and the indirect dispatch of ffn_up that follows from it.
pv_route route_of(uint cluster, uint n_neurons, uint list_offset, float margin, uint up_rows_per_wg) {
	pv_route r;
	r.cluster = cluster;
	r.n_neurons = n_neurons;
	r.list_offset = list_offset;
	r.margin = margin;
	r.up_x = (n_neurons + up_rows_per_wg - 1) / up_rows_per_wg;
	r.up_y = 1;
	r.up_z = 1;
	r.reserved0 = 0;
	return r;
}
