// The inner loop that matvec and ffn_up share: ROWS rows of weights against one x, chunk by chunk, so that each x read
// serves ROWS rows. Needs weights.glsl, lanes.glsl and an input named x. In the last chunk x is cut at n_cols: past it may
// lie anything, NaN included, and 0 * NaN is NaN.
layout(constant_id = PV_SPEC_ROWS) const uint ROWS = 1;

void x_load(uint x_first, uint chunk, out vec4 xv[W_NV]) { // x_first in vec4
	[[unroll]] for (uint i = 0; i < W_NV; i++) xv[i] = LOAD4(x, x_first + chunk * W_NV + i);
}
void x_load_tail(uint x_first, uint chunk, uint n_cols, out vec4 xv[W_NV]) {
	[[unroll]] for (uint i = 0; i < W_NV; i++) {
		uint e = chunk * W_E + i * 4;
		xv[i] = vec4(0.0);
		if (e < n_cols) xv[i] = keep_below(LOAD4(x, x_first + chunk * W_NV + i), e, n_cols);
	}
}
float chunk_dot(uvec4 u, vec4 xv[W_NV]) {
	vec4 w[W_NV];
	w_unpack(u, w);
	float s = dot(w[0], xv[0]);
	[[unroll]] for (uint i = 1; i < W_NV; i++) s += dot(w[i], xv[i]);
	return s;
}

#define DOT_CHUNK(w, s, row, c, acc)                                                            \
	[[unroll]] for (uint r = 0; r < ROWS; r++)                                                  \
		acc[r] += chunk_dot(LOADU4(w, row[r] * pc.w_stride + (c)), xv) * W_SCALE(s, row[r] * pc.s_stride, c);

// acc[r] += W[row[r]] . x over this lane's share of the columns
#define DOT_ROWS(w, s, row, acc)                                              \
	{                                                                         \
		uint n_full = pc.n_cols / W_E;                                        \
		vec4 xv[W_NV];                                                        \
		for (uint c = LANE; c < n_full; c += N_LANES) {                       \
			x_load(pc.x_offset / 4, c, xv);                                   \
			DOT_CHUNK(w, s, row, c, acc)                                      \
		}                                                                     \
		if (n_full * W_E < pc.n_cols && LANE == n_full % N_LANES) {           \
			x_load_tail(pc.x_offset / 4, n_full, pc.n_cols, xv);              \
			DOT_CHUNK(w, s, row, n_full, acc)                                 \
		}                                                                     \
	}
