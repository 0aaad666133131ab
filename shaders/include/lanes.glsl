// A workgroup is cut into groups of LANES invocations; a group makes one result. LANES == 1 needs no barrier, else the group
// sums through shared memory (a tree, so the order is fixed), and with USE_SUBGROUP the group is the subgroup.
// Every invocation of the workgroup must call lanes_add together.
#ifdef USE_SUBGROUP
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#define LANE gl_SubgroupInvocationID
#define N_LANES gl_SubgroupSize
#define GROUP gl_SubgroupID
#define N_GROUPS gl_NumSubgroups

float lanes_add(float v) {
	return subgroupAdd(v);
}
float lanes_max(float v) {
	return subgroupMax(v);
}
#else
layout(constant_id = PV_SPEC_LANES) const uint LANES = 1;
#define LANE (gl_LocalInvocationID.x % LANES)
#define N_LANES LANES
#define GROUP (gl_LocalInvocationID.x / LANES)
#define N_GROUPS (WG / LANES)
shared float lanes_scratch[WG];

float lanes_add(float v) {
	if (LANES == 1) return v;
	uint i = gl_LocalInvocationID.x;
	barrier();
	lanes_scratch[i] = v;
	barrier();
	for (uint s = LANES / 2; s > 0; s /= 2) {
		if (LANE < s) lanes_scratch[i] += lanes_scratch[i + s];
		barrier();
	}
	return lanes_scratch[i - LANE];
}
float lanes_max(float v) {
	if (LANES == 1) return v;
	uint i = gl_LocalInvocationID.x;
	barrier();
	lanes_scratch[i] = v;
	barrier();
	for (uint s = LANES / 2; s > 0; s /= 2) {
		if (LANE < s) lanes_scratch[i] = max(lanes_scratch[i], lanes_scratch[i + s]);
		barrier();
	}
	return lanes_scratch[i - LANE];
}
#endif
