// Reading the KV cache as vec4: CACHE_F16 reads uvec4 of eight halves, else vec4 floats. CACHE_LOAD(name, row, stride, q) is
// the q-th vec4 of a row; rows are head_stride values long.
#ifdef CACHE_F16
#define IN_CACHE(b, name) IN_UVEC4(b, name)
#define CACHE_LOAD(name, row, q) cache_half(LOADU4(name, (row) * (pc.head_stride / 8) + (q) / 2), q)
vec4 cache_half(uvec4 u, uint q) {
	uvec2 p = (q & 1u) == 0u ? u.xy : u.zw;
	return vec4(unpackHalf2x16(p.x), unpackHalf2x16(p.y));
}
#else
#define IN_CACHE(b, name) IN_VEC4(b, name)
#define CACHE_LOAD(name, row, q) LOAD4(name, (row) * (pc.head_stride / 4) + (q))
#endif
