// Rotary positions, in place: each invocation turns one pair of one head. Pairs are neighbours, or with NEOX one from each
// half of the rotated part; dimensions past rope_dim stay. theta^(-2i/n) is computed as a power of two, which all drivers do well.
// x [T][n_heads][head_dim], row stride x_stride.
#version 450
#include "access.glsl"
#include "turn.glsl"
layout(constant_id = PV_SPEC_NEOX) const uint NEOX = 0;
BUF(0, float, x);
BUF_IN(1, pv_step, step_info);
BUF_IN(2, float, factors);
PUSH(pv_pc_rope);

void main() {
	uint half_dim = pc.rope_dim / 2, t = gl_WorkGroupID.y;
	uint head = gl_GlobalInvocationID.x / half_dim, i = gl_GlobalInvocationID.x % half_dim;
	if (head >= pc.n_heads || t >= pc.n_tokens) return;
	float f = exp2(-pc.log2_theta * float(2 * i) / float(pc.rope_dim)) * pc.freq_scale;
	if ((pc.flags & PV_FLAG_FACTORS) != 0) f /= factors[i];
	float angle = float(step_info[0].pos + ((pc.flags & PV_FLAG_SEQS) != 0 ? 0 : t)) * f;
	vec2 cs = cos_sin(angle) * pc.amplitude;
	uint base = pc.x_offset + t * pc.x_stride + head * pc.head_dim;
	uint i0 = NEOX != 0 ? base + i : base + 2 * i, i1 = NEOX != 0 ? i0 + half_dim : i0 + 1;
	float x0 = x[i0], x1 = x[i1];
	x[i0] = x0 * cs.x - x1 * cs.y;
	x[i1] = x0 * cs.y + x1 * cs.x;
}
