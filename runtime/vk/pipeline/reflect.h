/* What a compute shader binds, read from its SPIR-V: enough to build layouts without repeating the shader by
 * hand. */
#ifndef PV_VK_PIPELINE_REFLECT_H
#define PV_VK_PIPELINE_REFLECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "parvin/status.h"

enum { PV_REFLECT_BINDINGS = 16 };
enum pv_binding_kind { PV_BINDING_NONE, PV_BINDING_STORAGE, PV_BINDING_UNIFORM, PV_BINDING_TEXEL };

struct pv_reflection {
    uint32_t n_bindings; /* highest binding number used, plus one */
    struct {
        enum pv_binding_kind kind;
        bool writes; /* storage buffer not declared readonly */
    } bindings[PV_REFLECT_BINDINGS];
    uint32_t push_bytes;
    uint32_t local_size[3]; /* with the given specialization */
    bool subgroups;         /* uses subgroup operations */
    bool counts_workgroups; /* knows how many a dispatch has (gl_NumWorkGroups) */
};
/* spec[i] is the value of constant_id i, for i < n_spec; the others keep their defaults. `name` appears in
 * errors. Malformed code is PV_ERR_FORMAT; a resource that Parvin does not bind (an image, a second set)
 * PV_ERR_UNSUPPORTED. */
PV_MUST_USE enum pv_status pv_reflect(const uint32_t *words, size_t size_bytes, const uint32_t *spec,
                                      uint32_t n_spec, const char *name, const struct pv_log *log,
                                      struct pv_reflection *out);

#endif
