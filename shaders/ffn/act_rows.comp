// The activation of many tokens at once: phi(u), or phi(g) * u. Each invocation does four neighbours; a may be u or g itself.
// u [T][u_stride], g [T][g_stride], a [T][y_stride].
#version 450
#include "access.glsl"
#include "act.glsl"
layout(constant_id = PV_SPEC_GATED) const uint GATED = 0;
IN_VEC4(0, u);
IN_VEC4(1, g);
BUF(2, float, a);
PUSH(pv_pc_act_rows);

void main() {
	uint q = gl_GlobalInvocationID.x, t = gl_WorkGroupID.y;
	if (q * 4 >= pc.n_cols || t >= pc.n_rows) return;
	vec4 uv = LOAD4(u, t * (pc.u_stride / 4) + q), gv = vec4(0.0);
	if (GATED != 0) gv = LOAD4(g, t * (pc.g_stride / 4) + q);
	[[unroll]] for (uint i = 0; i < 4; i++) {
		if (q * 4 + i >= pc.n_cols) break;
		a[t * pc.y_stride + q * 4 + i] = GATED != 0 ? phi_gated(gv[i], uv[i]) : phi(uv[i]);
	}
}
