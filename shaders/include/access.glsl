// How a kernel reads what it does not write: storage buffers, or uniform texel buffers (ACCESS_TEXEL). One name, two
// declarations; IN_*(binding, name) declares, LOAD*(name, i) reads element i. Texel reads carry the driver's own bounds check.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#define PV_GLSL 1
#include "iface.h"

#ifdef ACCESS_TEXEL
#define IN_VEC4(b, name) layout(set = 0, binding = b) uniform samplerBuffer name##_in
#define IN_UVEC4(b, name) layout(set = 0, binding = b) uniform usamplerBuffer name##_in
#define IN_UINT(b, name) layout(set = 0, binding = b) uniform usamplerBuffer name##_in
#define LOAD4(name, i) texelFetch(name##_in, int(i))
#define LOADU4(name, i) texelFetch(name##_in, int(i))
#define LOADU(name, i) texelFetch(name##_in, int(i)).x
#else
#define IN_VEC4(b, name) layout(set = 0, binding = b, std430) readonly buffer name##_block { vec4 name##_in[]; }
#define IN_UVEC4(b, name) layout(set = 0, binding = b, std430) readonly buffer name##_block { uvec4 name##_in[]; }
#define IN_UINT(b, name) layout(set = 0, binding = b, std430) readonly buffer name##_block { uint name##_in[]; }
#define LOAD4(name, i) name##_in[i]
#define LOADU4(name, i) name##_in[i]
#define LOADU(name, i) name##_in[i]
#endif

#define BUF(b, type, name) layout(set = 0, binding = b, std430) buffer name##_block { type name[]; }
#define BUF_IN(b, type, name) layout(set = 0, binding = b, std430) readonly buffer name##_block { type name[]; }
#define PUSH(type) layout(push_constant) uniform push_block { type pc; }

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;
layout(constant_id = PV_SPEC_WG) const uint WG = 64;

// The components of v whose index e + 0..3 is below n; the others are zero whatever they hold, NaN included.
vec4 keep_below(vec4 v, uint e, uint n) {
	return vec4(e < n ? v.x : 0.0, e + 1 < n ? v.y : 0.0, e + 2 < n ? v.z : 0.0, e + 3 < n ? v.w : 0.0);
}

#ifdef PV_BREAK
// For tests of the tests: the first workgroup does nothing.
#define main() whole(); void main() { if (gl_WorkGroupID != uvec3(0)) whole(); } void whole()
#endif
