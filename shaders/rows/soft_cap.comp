// Soft-caps rows in place (the logits of models that ask for it).
// y [n_rows][y_stride].
#version 450
#include "access.glsl"
#include "cap.glsl"
BUF(0, float, y);
PUSH(pv_pc_soft_cap);

void main() {
	uint c = gl_GlobalInvocationID.x, row = gl_WorkGroupID.y;
	if (c >= pc.n_cols || row >= pc.n_rows) return;
	uint at = row * pc.y_stride + c;
	y[at] = soft_cap(y[at], pc.cap);
}
