// Rows of the embedding matrix for the batch's tokens, dequantised. Tokens are read on the device, so a decode step needs no
// new recording: with USE_POS the token of position pos is read. A token outside the vocabulary gives a row of zeros.
// W [n_vocab][w_stride] uvec4, tokens [.], y [T][y_stride].
#version 450
#include "access.glsl"
#include "weights.glsl"
IN_UVEC4(0, w);
#ifdef W_SCALED
IN_SCALES(4, s);
#endif
BUF_IN(1, uint, tokens);
BUF(2, float, y);
BUF_IN(3, pv_step, step_info);
PUSH(pv_pc_embed);

void main() {
	uint chunk = gl_GlobalInvocationID.x, t = gl_WorkGroupID.y;
	if (chunk >= pc.w_stride || t >= pc.n_tokens) return;
	uint at = pc.token_offset + t + ((pc.flags & PV_FLAG_USE_POS) != 0 ? step_info[0].pos : 0u);
	uint token = tokens[at];
	bool known = token < pc.n_vocab;
	uint count = pc.row_count == 0 ? pc.n_vocab : pc.row_count;
	if (known && (token < pc.row_first || token - pc.row_first >= count)) return; // in another binding
	uint row = known ? token - pc.row_first : 0;
	vec4 wv[W_NV];
	W_UNPACK(LOADU4(w, row * pc.w_stride + chunk), s, row * pc.s_stride, chunk, wv, f);
	[[unroll]] for (uint i = 0; i < W_E; i++) {
		uint c = chunk * W_E + i;
		if (c < pc.n_cols) y[t * pc.y_stride + c] = known ? pc.scale * f * wv[i / 4][i % 4] : 0.0;
	}
}
