/* Where a model goes: which layers on which device, what they take there, and whether they fit. The same rule
 * decides when an engine is created; here it can be asked before anything is loaded.
 *
 * Bytes are what Parvin asks the driver for. Free memory is the driver's budget (VK_EXT_memory_budget), else
 * the size of the device's largest local heap; a software device has the host's free memory, which several
 * of them share. A tenth of it is left alone. The plan's memory_mib lowers it. */
#ifndef PARVIN_PLACEMENT_H
#define PARVIN_PLACEMENT_H

#include "parvin/session.h"

PV_API_BEGIN

enum { PV_PLACEMENT_MAX = 16 };

struct pv_placement_device {
    /* index into the context */
    uint32_t device;
    /* its layers in the split; n_layers is 0 where the model does not fit */
    uint32_t first_layer, n_layers;
    /* layers that would fit, beside what it holds anyway */
    uint32_t room;
    /* weights of its layers, clusters included */
    uint64_t layer_bytes;
    /* embedding and output matrix, if they are here */
    uint64_t other_bytes;
    /* cache of its layers, one session */
    uint64_t kv_bytes;
    /* activations, one session */
    uint64_t scratch_bytes;
    /* at the moment of asking */
    uint64_t free_bytes;
    /* the driver said so; else it is the size of the heap or of the host */
    bool free_is_budget;
    /* weights read in a matrix-vector product; 0: not measured (one device) */
    double bytes_per_s;
};
struct pv_placement {
    bool fits;
    uint32_t n_layers, n_ctx, n_batch;
    /* the longest context there is room for, within what one binding and one allocation can be; 0: none */
    uint32_t max_ctx;
    /* weights of the largest layer, clusters included */
    uint64_t layer_bytes;
    /* cache of one layer at n_ctx, on the first device */
    uint64_t kv_layer_bytes;
    uint32_t n_devices;
    struct pv_placement_device devices[PV_PLACEMENT_MAX];
};
/* Opens the devices of `params`, measures them if there are several, and closes them. A model that does not
 * fit is not a failure: see `fits`. */
PV_MUST_USE enum pv_status pv_place(struct pv_context *context, const struct pv_model *model,
                                    const struct pv_engine_params *params, struct pv_placement *out);

PV_API_END

#endif
