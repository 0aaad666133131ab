// The activation phi, chosen by a specialization constant so that the driver folds the others away.
layout(constant_id = PV_SPEC_ACT) const uint ACT = PV_PHI_NONE;

float phi(float x) {
	if (ACT == PV_PHI_RELU || ACT == PV_PHI_DRELU) return max(x, 0.0);
	if (ACT == PV_PHI_RELU2) {
		float r = max(x, 0.0);
		return r * r;
	}
	if (ACT == PV_PHI_SILU) return x / (1.0 + exp(-x));
	if (ACT == PV_PHI_GELU) { // the argument is clamped: tanh of a large number is NaN on some drivers
		float u = clamp(0.7978845608 * x * (1.0 + 0.044715 * x * x), -15.0, 15.0);
		return 0.5 * x * (1.0 + tanh(u));
	}
	return x;
}

// Of a gated network.
float phi_gated(float gate, float up) {
	return phi(gate) * (ACT == PV_PHI_DRELU ? max(up, 0.0) : up);
}
