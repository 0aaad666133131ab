// y_i = sum_j a_j Wt[j][i] for one token, Wt the transposed down matrix, so that a neuron is one row here too. An invocation owns
// the outputs of WORDS uvec4 and walks a slice of the neurons; slices run side by side and ffn_reduce sums them. MASKED
// looks the row of neuron r up in the router's list; order and arithmetic are those of the dense call.
// A masked row lies anywhere, so what it costs is waiting for memory: WG * WORDS uvec4 of it are read in a run, and a CPU
// driver's eight rows are loaded before any is used. lavapipe, d 1024, F 8192, f16 texel, WG 8, 8 slices, density 0.2: WORDS 1
// 0.43 ms, 8 0.28 ms; dense 1.1 and 0.93 ms (dense rows follow each other, and load by load is twice as fast there).
// With GROUPS the rows of activations that are zero are not read: a workgroup packs the others of WG * GROUPS * 4 neurons, in their
// order, into shared memory and walks those. What a zero would have added is zero, so the sums have the same bits.
// Wt [F][w_stride] uvec4, a [n], partials [n_splits][p_stride].
#version 450
#include "access.glsl"
#include "weights.glsl"
layout(constant_id = PV_SPEC_MASKED) const uint MASKED = 0;
layout(constant_id = PV_SPEC_ROWS) const uint WORDS = 1;
layout(constant_id = PV_SPEC_PARTS) const uint PARTS = 0;
layout(constant_id = PV_SPEC_GROUPS) const uint GROUPS = 0;
IN_UVEC4(0, w);
#ifdef W_SCALED
IN_SCALES(6, s);
#endif
IN_VEC4(1, a);
BUF(2, vec4, partials);
BUF_IN(3, pv_route, routes);
IN_UVEC4(4, list);
BUF(5, uint, rows_read);
PUSH(pv_pc_ffn_down);

#define SUMS (WORDS * W_NV)
vec4 acc[SUMS]; // this invocation's uvec4 lie a workgroup apart
const uint TILE = GROUPS == 0 ? 1 : WG * GROUPS * 4;
shared uint kept_row[TILE];
shared float kept[TILE];
shared uint n_kept[GROUPS == 0 ? 1 : WG]; // of each invocation's GROUPS

// The last run may reach past the row: what is there is read from its end, and never stored.
uint word(uint first, uint c) {
	return min(first + c * WG, pc.w_stride - 1);
}

void add(uvec4 u, uint row, uint c, uint at, float av) {
	vec4 wv[W_NV];
	W_UNPACK(u, s, row * pc.s_stride, at, wv, scale);
	float f = av * scale;
	[[unroll]] for (uint i = 0; i < W_NV; i++) acc[c * W_NV + i] += f * wv[i];
}

void add_row(uint row, uint first, float av) {
	[[unroll]] for (uint c = 0; c < WORDS; c++)
		add(LOADU4(w, row * pc.w_stride + word(first, c)), row, c, word(first, c), av);
}

void add_four(uvec4 row, uint first, vec4 av) {
	uint at = word(first, 0);
	uvec4 u[4];
	[[unroll]] for (uint k = 0; k < 4; k++) u[k] = LOADU4(w, row[k] * pc.w_stride + at);
	[[unroll]] for (uint k = 0; k < 4; k++) add(u[k], row[k], 0, at, av[k]);
}

const bool NARROW = WORDS == 1 && W_NV > 4; // a GPU whose registers would not hold eight rows beside the sums
void add_eight(uvec4 row, uvec4 next, uint first, vec4 av, vec4 next_av) {
	if (NARROW) {
		add_four(row, first, av);
		add_four(next, first, next_av);
		return;
	}
	[[unroll]] for (uint c = 0; c < WORDS; c++) {
		uint at = word(first, c);
		uvec4 u[8];
		[[unroll]] for (uint k = 0; k < 4; k++) u[k] = LOADU4(w, row[k] * pc.w_stride + at);
		[[unroll]] for (uint k = 0; k < 4; k++) u[4 + k] = LOADU4(w, next[k] * pc.w_stride + at);
		[[unroll]] for (uint k = 0; k < 4; k++) add(u[k], row[k], c, at, av[k]);
		[[unroll]] for (uint k = 0; k < 4; k++) add(u[4 + k], next[k], c, at, next_av[k]);
	}
}

uint n_read = 0; // rows
uvec4 listed(uint at) {
	return min(LOADU4(list, at), uvec4(pc.n_rows - 1));
}

// Activations of neurons that lie in this part; the others count nothing.
vec4 here(uvec4 neuron, vec4 av) {
	return PARTS != 0 ? mix(vec4(0.0), av, lessThan(neuron - pc.part_first, uvec4(pc.part_rows))) : av;
}
uvec4 row_of(uvec4 neuron) {
	return PARTS != 0 ? min(neuron - pc.part_first, uvec4(pc.part_rows - 1)) : neuron;
}

uvec4 neurons(uint q, uint list4) {
	return MASKED != 0 ? listed(list4 + q) : q * 4 + uvec4(0, 1, 2, 3);
}

vec4 activations(uint q, uint n, uvec4 neuron) {
	return here(neuron, keep_below(LOAD4(a, q), q * 4, n));
}

// Packs the neurons of groups [q, q_end) that are not zero, one tile at most; returns how many there are. All invocations call it.
uint pack(uint q, uint q_end, uint n, uint list4) {
	uint me = gl_LocalInvocationID.x, mine = 0, at = 0, total = 0;
	uint begin = q + me * GROUPS, end = min(begin + GROUPS, q_end);
	for (uint g = begin; g < end; g++) {
		uvec4 keeps = uvec4(notEqual(activations(g, n, neurons(g, list4)), vec4(0.0)));
		mine += keeps.x + keeps.y + keeps.z + keeps.w;
	}
	n_kept[me] = mine;
	barrier();
	for (uint i = 0; i < WG; i++) {
		at += i < me ? n_kept[i] : 0;
		total += n_kept[i];
	}
	for (uint g = begin; g < end; g++) {
		uvec4 neuron = neurons(g, list4), row = row_of(neuron);
		vec4 av = activations(g, n, neuron);
		[[unroll]] for (uint k = 0; k < 4; k++)
			if (av[k] != 0.0) {
				kept_row[at] = row[k];
				kept[at++] = av[k];
			}
	}
	barrier();
	return total;
}

void add_packed_eight(uint i, uint first) {
	add_eight(uvec4(kept_row[i], kept_row[i + 1], kept_row[i + 2], kept_row[i + 3]),
		uvec4(kept_row[i + 4], kept_row[i + 5], kept_row[i + 6], kept_row[i + 7]), first,
		vec4(kept[i], kept[i + 1], kept[i + 2], kept[i + 3]), vec4(kept[i + 4], kept[i + 5], kept[i + 6], kept[i + 7]));
}

void add_packed_two(uint i, uint first) {
	uint at = word(first, 0), a = kept_row[i], b = kept_row[i + 1];
	uvec4 u = LOADU4(w, a * pc.w_stride + at), v = LOADU4(w, b * pc.w_stride + at);
	add(u, a, 0, at, kept[i]);
	add(v, b, 0, at, kept[i + 1]);
}

// The groups [q, q_end) without the zeros. Two barriers a tile do: nobody packs again before all have walked.
void walk_packed(uint q, uint q_end, uint n, uint list4, uint first) {
	for (; q < q_end; q += WG * GROUPS) {
		uint n_rows = pack(q, q_end, n, list4), i = 0;
		n_read += n_rows;
		for (; !NARROW && i + 8 <= n_rows; i += 8) add_packed_eight(i, first);
		for (; NARROW && i + 2 <= n_rows; i += 2) add_packed_two(i, first);
		for (; i < n_rows; i++) add_row(kept_row[i], first, kept[i]);
	}
}

void add_listed_eight(uint at, uint a4, uint first) {
	uvec4 i = listed(at), j = listed(at + 1);
	add_eight(row_of(i), row_of(j), first, here(i, LOAD4(a, a4)), here(j, LOAD4(a, a4 + 1)));
}

// Every row of the groups [q, q_end), and of the group that ends at n.
void walk(uint q, uint q_end, bool tail, uint n, uint list4, uint first) {
	n_read = (max(q_end, q) - q) * 4 + (tail ? n % 4 : 0);
	if (MASKED != 0)
		for (; q + 1 < q_end; q += 2) add_listed_eight(list4 + q, q, first);
	for (; q < q_end; q++) {
		uvec4 neuron = neurons(q, list4), row = row_of(neuron);
		vec4 av = here(neuron, LOAD4(a, q));
		[[unroll]] for (uint k = 0; k < 4; k++) add_row(row[k], first, av[k]);
	}
	if (tail) {
		uvec4 neuron = neurons(n / 4, list4), row = row_of(neuron);
		vec4 av = here(neuron, LOAD4(a, n / 4));
		[[unroll]] for (uint k = 0; k < 3; k++)
			if (k < n % 4) add_row(row[k], first, av[k]);
	}
}

void main() {
	uint first = gl_WorkGroupID.x * WG * WORDS + gl_LocalInvocationID.x, split = gl_WorkGroupID.y;
	if (GROUPS == 0 && first >= pc.w_stride) return; // packing needs all invocations
	uint n = pc.n_rows, list4 = 0;
	if (MASKED != 0) {
		n = min(routes[0].n_neurons, pc.n_rows);
		list4 = routes[0].list_offset / 4;
	}
	uint per = ((n + pc.n_splits - 1) / pc.n_splits + 3) / 4; // groups of four neurons in a slice
	uint q = split * per, q_end = min(q + per, n / 4);
	bool tail = n % 4 != 0 && n / 4 >= split * per && n / 4 < (split + 1) * per; // the last one to three neurons
	if (PARTS != 0 && MASKED == 0) { // a group of four neurons lies in one part
		q = max(q, pc.part_first / 4);
		q_end = min(q_end, (pc.part_first + pc.part_rows) / 4);
		tail = tail && n / 4 * 4 >= pc.part_first && n / 4 * 4 < pc.part_first + pc.part_rows;
	}
	[[unroll]] for (uint i = 0; i < SUMS; i++) acc[i] = vec4(0.0);
	if (PARTS != 0 && pc.part_first > 0)
		[[unroll]] for (uint c = 0; c < WORDS; c++)
			[[unroll]] for (uint i = 0; i < W_NV; i++)
				acc[c * W_NV + i] = partials[split * (pc.p_stride / 4) + word(first, c) * W_NV + i];
	if (GROUPS != 0) walk_packed(q, tail ? q_end + 1 : q_end, n, list4, first);
	else walk(q, q_end, tail, n, list4, first);
	if ((pc.flags & PV_FLAG_COUNT) != 0 && gl_WorkGroupID.x == 0 && gl_LocalInvocationID.x == 0)
		rows_read[split] = PARTS != 0 && pc.part_first > 0 ? rows_read[split] + n_read : n_read;
	[[unroll]] for (uint c = 0; c < WORDS; c++) {
		if (first + c * WG >= pc.w_stride) break;
		uint out4 = split * (pc.p_stride / 4) + (first + c * WG) * W_NV;
		[[unroll]] for (uint i = 0; i < W_NV; i++) partials[out4 + i] = acc[c * W_NV + i];
	}
}
