// Sine and cosine to float precision. The built-in ones may be off by 2^-11 within [-pi, pi] and by anything beyond it
// (Vulkan specification, "Precision and Operation of SPIR-V Instructions"); positions reach many turns. On SwiftShader
// the built-in ones moved a model's logits by 1e-7 of their power, these by 1e-12.

// cos and sin of `angle`, right up to about 10,000 radians. A quarter turn is taken off in three parts: the products of the
// first two with the whole number of quarters are exact, so they must not be merged with the subtraction.
vec2 cos_sin(float angle) {
	float quarters = floor(angle * 0.63661977 + 0.5); // 2 / pi
	precise float r = angle - quarters * 1.5703125;
	r = r - quarters * 0.00048375129699707031;
	r = r - quarters * 7.5497899549e-8;
	float z = r * r; // Taylor series: |r| <= pi / 4
	float s = r + r * z * (-1.0 / 6.0 + z * (1.0 / 120.0 + z * (-1.0 / 5040.0 + z / 362880.0)));
	float c = 1.0 + z * (-0.5 + z * (1.0 / 24.0 + z * (-1.0 / 720.0 + z / 40320.0)));
	uint q = uint(int(quarters)) & 3u;
	vec2 turned = (q & 1u) != 0 ? vec2(-s, c) : vec2(c, s);
	return q >= 2u ? -turned : turned;
}
