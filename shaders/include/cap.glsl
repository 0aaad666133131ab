// Soft capping: x where it is small, +-cap where it is large. The argument is clamped: tanh of a large number is NaN on some
// drivers.
float soft_cap(float x, float cap) {
	return cap * tanh(clamp(x / cap, -15.0, 15.0));
}
vec4 soft_cap(vec4 x, float cap) {
	return cap * tanh(clamp(x / cap, -15.0, 15.0));
}
