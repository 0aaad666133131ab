// With NORM the input x is weighted but not yet normalised: x = stream * weight of a root-mean-square norm, whose one factor a row
// is made here and multiplies the sums. So the norm needs no dispatch of its own, and costs a workgroup one read of the stream.
// Needs lanes.glsl and an input named stream.
layout(constant_id = PV_SPEC_NORM) const uint NORM = 0;
shared float norm_sums[NORM != 0 ? WG : 1];

// 1 / sqrt(mean(stream^2) + eps); 1 without NORM. All invocations of the workgroup call it.
float norm_factor(uint n_cols, float eps) {
	if (NORM == 0) return 1.0;
	float sum = 0.0, total = 0.0;
	for (uint q = gl_LocalInvocationID.x; q * 4 < n_cols; q += WG) {
		vec4 v = keep_below(LOAD4(stream, q), q * 4, n_cols);
		sum += dot(v, v);
	}
#ifdef USE_SUBGROUP
	sum = subgroupAdd(sum);
	if (LANE == 0) norm_sums[GROUP] = sum;
	barrier();
	for (uint i = 0; i < N_GROUPS; i++) total += norm_sums[i];
#else
	norm_sums[gl_LocalInvocationID.x] = sum;
	barrier();
	for (uint i = 0; i < WG; i++) total += norm_sums[i];
#endif
	return inversesqrt(total / float(n_cols) + eps);
}
