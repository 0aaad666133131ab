// The inner loop that matvec and ffn_up share: ROWS rows of weights against one x, chunk by chunk, so that each x read
// serves ROWS rows. Needs weights.glsl, lanes.glsl and an input named x. In the last chunk x is cut at n_cols: past it may
// lie anything, NaN included, and 0 * NaN is NaN.
layout(constant_id = PV_SPEC_ROWS) const uint ROWS = 1;

#ifdef W_CHUNK
// A part of a chunk at a time, so that few of x lie in registers; minima are multiplied by the sum of x.
#define DOT_ROWS(w, s, row, acc)                                                                          \
	for (uint c = LANE; c < pc.n_cols / W_E; c += N_LANES) {                                              \
		uvec4 u[ROWS];                                                                                    \
		w_head h[ROWS];                                                                                   \
		vec2 part[ROWS];                                                                                  \
		vec4 sum = vec4(0.0);                                                                             \
		[[unroll]] for (uint r = 0; r < ROWS; r++) {                                                      \
			u[r] = LOADU4(w, row[r] * pc.w_stride + c);                                                   \
			h[r] = W_HEAD(s, row[r] * pc.s_stride, c);                                                    \
			part[r] = vec2(0.0);                                                                          \
		}                                                                                                 \
		[[unroll]] for (uint i = 0; i < W_STEPS; i++) {                                                   \
			vec4 xa = LOAD4(x, pc.x_offset / 4 + c * W_NV + i), xb = LOAD4(x, pc.x_offset / 4 + c * W_NV + 4 + i); \
			DOT_SUM(sum, xa, xb)                                                                          \
			[[unroll]] for (uint r = 0; r < ROWS; r++) {                                                  \
				vec4 q[W_PART];                                                                           \
				w_quants(u[r][i], h[r], i, q);                                                            \
				DOT_PART(part[r], q, xa, xb)                                                              \
			}                                                                                             \
		}                                                                                                 \
		[[unroll]] for (uint r = 0; r < ROWS; r++) acc[r] += DOT_CHUNK(part[r], h[r], sum);               \
	}
#ifdef W_HALVES
#define DOT_PART(part, q, xa, xb) part += vec2(dot(q[0], xa), dot(q[1], xb));
#define DOT_SCALED(part, h) dot(part, h.scale)
#else
#define DOT_PART(part, q, xa, xb) part.x += dot(q[0], xa) + dot(q[1], xb);
#define DOT_SCALED(part, h) part.x * h.scale.x
#endif
#if defined(W_LOW) && defined(W_HALVES)
#define DOT_SUM(sum, xa, xb) sum += vec4(xa.xy + xa.zw, xb.xy + xb.zw);
#define DOT_CHUNK(part, h, sum) (DOT_SCALED(part, h) + dot(h.low, vec2(sum.x + sum.y, sum.z + sum.w)))
#elif defined(W_LOW)
#define DOT_SUM(sum, xa, xb) sum += xa + xb;
#define DOT_CHUNK(part, h, sum) (DOT_SCALED(part, h) + h.low.x * (sum.x + sum.y + sum.z + sum.w))
#else
#define DOT_SUM(sum, xa, xb)
#define DOT_CHUNK(part, h, sum) (DOT_SCALED(part, h))
#endif
#else
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
#endif
