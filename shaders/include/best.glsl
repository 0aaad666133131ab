// Greatest value, its index and the runner-up over LANES invocations. The lowest index wins a tie; NaN never wins.
struct best {
	float first, second;
	uint index;
};
const float BEST_NONE = -3.4028234e38;

best best_start() {
	return best(BEST_NONE, BEST_NONE, 0xffffffffu);
}
bool best_beats(float a, uint ia, float b, uint ib) {
	return a > b || (a == b && ia < ib);
}
void best_add(inout best s, float v, uint i) {
	if (!(v >= BEST_NONE)) return; // NaN and -inf
	if (best_beats(v, i, s.first, s.index)) {
		s.second = s.first;
		s.first = v;
		s.index = i;
	} else if (v > s.second) s.second = v;
}
best best_join(best a, best b) {
	if (best_beats(b.first, b.index, a.first, a.index)) return best(b.first, max(b.second, a.first), b.index);
	return best(a.first, max(a.second, b.first), a.index);
}

shared float best_first[WG], best_second[WG];
shared uint best_index[WG];

best best_reduce(best s, uint n_lanes) { // groups of n_lanes neighbours; everyone gets the result
	if (n_lanes == 1) return s;
	uint i = gl_LocalInvocationID.x, lane = i % n_lanes;
	best_first[i] = s.first;
	best_second[i] = s.second;
	best_index[i] = s.index;
	barrier();
	for (uint k = n_lanes / 2; k > 0; k /= 2) {
		if (lane < k) {
			best r = best_join(best(best_first[i], best_second[i], best_index[i]),
			                   best(best_first[i + k], best_second[i + k], best_index[i + k]));
			best_first[i] = r.first;
			best_second[i] = r.second;
			best_index[i] = r.index;
		}
		barrier();
	}
	uint root = i - lane;
	return best(best_first[root], best_second[root], best_index[root]);
}
