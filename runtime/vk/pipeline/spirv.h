/* The compiled shaders, embedded by shaders/CMakeLists.txt. Names are kernel[.type][.access][.sg], as
   shaders/iface.h says; the table is sorted by name. Read-only, so any thread may use it. */
#ifndef PV_VK_PIPELINE_SPIRV_H
#define PV_VK_PIPELINE_SPIRV_H

#include <stddef.h>
#include <stdint.h>

struct pv_spirv {
    const char *name;
    const uint32_t *words; /* SPIR-V 1.5, host byte order */
    size_t size_bytes;     /* a multiple of 4 */
};

extern const struct pv_spirv pv_spirv_table[];
extern const size_t pv_spirv_count;

#endif
