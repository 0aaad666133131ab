/* The table of known driver troubles; nothing else in Parvin compares vendor or driver ids. A row is here
 * only if Parvin can hit it, names what was seen, and links a report of it or the driver's code that is the
 * reason. */
#include "vk/plan/quirks.h"

enum { /* VkDriverId, so that this file needs no Vulkan header */
       DRIVER_INTEL_MESA = 6,
       DRIVER_GOOGLE_SWIFTSHADER = 10,
       DRIVER_MESA_LLVMPIPE = 13,
};
#define MESA_SOURCE "https://gitlab.freedesktop.org/mesa/mesa/-/blob/mesa-22.3.6/src/gallium/"
#define SWIFTSHADER_SOURCE                                                                                   \
    "https://github.com/google/swiftshader/blob/25e06e06faef1adf6f1f4ba3fb1c45f938790e75/src/"

static const struct pv_quirk_row table[] = {
    {0, DRIVER_MESA_LLVMPIPE, 0, UINT32_MAX, PV_QUIRK_SLOW_STORAGE_READS,
     "one storage-buffer read in an inner loop keeps a matrix-vector product at 0.5 GB/s; texel reads reach "
     "5.2 GB/s",
     MESA_SOURCE "auxiliary/gallivm/lp_bld_nir_soa.c"},
    {0, DRIVER_MESA_LLVMPIPE, 0, UINT32_MAX, PV_QUIRK_NO_SUBGROUP_SPEEDUP,
     "a subgroup is one SIMD register of the host: reducing across it is slower than one row per invocation",
     "https://github.com/ggml-org/llama.cpp/pull/10809"},
    {0, DRIVER_MESA_LLVMPIPE, 0, UINT32_MAX, PV_QUIRK_SLOW_BARRIERS,
     "every barrier suspends and resumes each invocation of the workgroup as a coroutine",
     MESA_SOURCE "drivers/llvmpipe/lp_state_cs.c"},
    {0, DRIVER_INTEL_MESA, 0, UINT32_MAX, PV_QUIRK_WIDE_SUBGROUPS_SPILL,
     "with subgroups of 32, a register of a subgroup takes four of the GPU's 128 (Skylake to Meteor Lake): "
     "matvec and ffn_up of every quantised type spill, 1 to 136 registers; with 16 none does",
     "https://gitlab.freedesktop.org/mesa/mesa/-/blob/mesa-25.0.7/src/intel/vulkan/anv_pipeline.c"},
    {0, DRIVER_GOOGLE_SWIFTSHADER, 0, UINT32_MAX, PV_QUIRK_SLOW_BARRIERS,
     "every barrier suspends and resumes each subgroup as a coroutine: 0.2 GB/s with barriers, 3.1 GB/s "
     "without",
     SWIFTSHADER_SOURCE "Pipeline/ComputeProgram.cpp"},
    {0, DRIVER_GOOGLE_SWIFTSHADER, 0, UINT32_MAX, PV_QUIRK_NO_SUBGROUP_SPEEDUP,
     "a subgroup is four lanes of the host: reducing across it is slower than one row per invocation",
     SWIFTSHADER_SOURCE "Pipeline/ComputeProgram.cpp"},
};

const struct pv_quirk_row *pv_quirks_table(uint32_t *n_rows)
{
    *n_rows = sizeof table / sizeof table[0];
    return table;
}

uint32_t pv_quirks_find(const struct pv_caps *caps)
{
    uint32_t quirks = 0;
    for (uint32_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const struct pv_quirk_row *row = &table[i];
        if ((row->vendor_id == 0 || row->vendor_id == caps->vendor_id) &&
            (row->driver_id == 0 || row->driver_id == caps->driver_id) &&
            caps->driver_version >= row->min_version && caps->driver_version <= row->max_version)
            quirks |= row->quirk;
    }
    return quirks;
}
