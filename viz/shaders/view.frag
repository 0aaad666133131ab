#version 450
// The panels as drawn on the host, and over them the heatmap, coloured here: a texel a cluster, brightness 0..1.
layout(set = 0, binding = 0) uniform sampler2D panels;
layout(set = 0, binding = 1) uniform sampler2D heat;
layout(set = 0, binding = 2) uniform sampler2D palette; // 256 x 1

layout(push_constant) uniform Push {
	vec4 heat_box;    // x, y, width, height in pixels
	vec2 size;        // of the window, pixels
	vec2 cells;       // clusters, layers
	uint to_linear;   // 1: the window's images take linear light
} push;

layout(location = 0) out vec4 colour;

vec3 linear(vec3 c)
{
	return mix(c / 12.92, pow((c + 0.055) / 1.055, vec3(2.4)), greaterThan(c, vec3(0.04045)));
}

// Clusters narrower than a pixel share it: the brightest shows.
float brightness(vec2 at)
{
	float span = push.cells.x / push.heat_box.z;
	int first = int(at.x * push.cells.x), last = int(at.x * push.cells.x + max(span - 1.0, 0.0));
	int layer = min(int(at.y * push.cells.y), int(push.cells.y) - 1);
	float most = 0.0;
	for (int i = first; i <= min(last, int(push.cells.x) - 1); i++)
		most = max(most, texelFetch(heat, ivec2(i, layer), 0).r);
	return most;
}

void main()
{
	vec2 pixel = gl_FragCoord.xy;
	vec4 panel = texture(panels, pixel / push.size); // colour times alpha, as cairo keeps it
	vec2 at = (pixel - push.heat_box.xy) / push.heat_box.zw;
	vec3 c = panel.rgb;
	if (push.heat_box.z > 0.0 && all(greaterThanEqual(at, vec2(0.0))) && all(lessThan(at, vec2(1.0)))) {
		vec3 lit = texelFetch(palette, ivec2(int(brightness(at) * 255.0 + 0.5), 0), 0).rgb;
		c = panel.rgb + lit * (1.0 - panel.a);
	}
	colour = vec4(push.to_linear != 0u ? linear(c) : c, 1.0);
}
