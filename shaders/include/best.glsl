// The greatest two values and their indices over LANES invocations. The lowest index wins a tie; NaN never wins.
struct best {
	float first, second;
	uint index, second_index;
};
const float BEST_NONE = -3.4028234e38;

best best_start() {
	return best(BEST_NONE, BEST_NONE, 0xffffffffu, 0xffffffffu);
}
bool best_beats(float a, uint ia, float b, uint ib) {
	return a > b || (a == b && ia < ib);
}
void best_add(inout best s, float v, uint i) {
	if (!(v >= BEST_NONE)) return; // NaN and -inf
	if (best_beats(v, i, s.first, s.index)) {
		s.second = s.first;
		s.second_index = s.index;
		s.first = v;
		s.index = i;
	} else if (best_beats(v, i, s.second, s.second_index)) {
		s.second = v;
		s.second_index = i;
	}
}
best best_join(best a, best b) {
	best_add(a, b.first, b.index);
	best_add(a, b.second, b.second_index);
	return a;
}

#ifndef BEST_N
#define BEST_N WG
#endif
shared float best_first[BEST_N], best_second[BEST_N];
shared uint best_index[BEST_N], best_second_index[BEST_N];

best best_at(uint i) {
	return best(best_first[i], best_second[i], best_index[i], best_second_index[i]);
}
void best_put(uint i, best b) {
	best_first[i] = b.first;
	best_second[i] = b.second;
	best_index[i] = b.index;
	best_second_index[i] = b.second_index;
}
best best_reduce(best s, uint n_lanes) { // groups of n_lanes neighbours; everyone gets the result
	if (n_lanes == 1) return s;
	uint i = gl_LocalInvocationID.x, lane = i % n_lanes;
	best_put(i, s);
	barrier();
	for (uint k = n_lanes / 2; k > 0; k /= 2) {
		if (lane < k) best_put(i, best_join(best_at(i), best_at(i + k)));
		barrier();
	}
	return best_at(i - lane);
}
best best_of_first(best s, uint n) { // the first n invocations of a workgroup of any size; everyone gets the result
	uint i = gl_LocalInvocationID.x, k = 1;
	best_put(i, s);
	while (k < n) k *= 2;
	barrier();
	for (k /= 2; k > 0; k /= 2) {
		if (i < k && i + k < n) best_put(i, best_join(best_at(i), best_at(i + k)));
		barrier();
	}
	return best_at(0);
}
