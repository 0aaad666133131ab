/* Vulkan devices: what is there, what each can do (caps), and what Parvin decided from it (plan).
 *
 * A context owns the Vulkan instance and one entry per physical device that meets the minimum (Vulkan 1.2, a
 * compute queue). Devices that do not are listed with the reason. Create one context per process. */
#ifndef PARVIN_DEVICE_H
#define PARVIN_DEVICE_H

#include <stddef.h>
#include <stdint.h>
#include "parvin/status.h"

PV_API_BEGIN

struct pv_context;

struct pv_context_params {
    struct pv_log log;
    /* load VK_LAYER_KHRONOS_validation; its messages go to the log and are counted */
    bool validation;
    /* existing or creatable folder for pipeline caches; NULL: no cache on disk */
    const char *cache_dir;
    /* "key=value,...", applied to every plan (docs/architecture.md); NULL: none */
    const char *plan_overrides;
};

struct pv_device_info {
    char name[256];
    /* driver name and its version text */
    char driver[256];
    char uuid[37];
    /* "discrete", "integrated", "virtual", "cpu", "other" */
    char type[16];
    uint32_t api_major, api_minor, api_patch;
    /* largest device-local heap */
    uint64_t memory_bytes;
    bool usable;
    /* pipelines can be built for it, even where it cannot run them (pv_conform_compile) */
    bool compiles;
    /* reason, if not usable */
    char why_not[128];
};

PV_MUST_USE enum pv_status pv_context_create(const struct pv_context_params *params, struct pv_context **out);
void pv_context_destroy(struct pv_context *context);

uint32_t pv_context_n_devices(const struct pv_context *context);
const struct pv_device_info *pv_context_device_info(const struct pv_context *context, uint32_t index);
/* Index of the device that `spec` names: a number, a UUID, or a case-insensitive part of the name or driver;
 * NULL or "" picks the best usable one (discrete, then integrated, virtual, cpu). PV_ERR_NO_DEVICE with the
 * list logged. */
PV_MUST_USE enum pv_status pv_context_find_device(const struct pv_context *context, const char *spec,
                                                  uint32_t *out);
/* The same among devices that pipelines can be built for. */
PV_MUST_USE enum pv_status pv_context_find_compiler(const struct pv_context *context, const char *spec,
                                                    uint32_t *out);
/* Caps and plan as a JSON object; malloc'ed, the caller frees. NULL when memory is out. */
char *pv_context_caps_json(const struct pv_context *context, uint32_t index);
char *pv_context_plan_json(const struct pv_context *context, uint32_t index);
/* The plan (JSON, malloc'ed, the caller frees) for a device that need not be here: `caps_json` is what
 * pv_context_caps_json says of it, or was written from a report; what it leaves out counts as not there.
 * `plan_overrides` as in pv_context_params. PV_ERR_FORMAT, PV_ERR_ARG. */
PV_MUST_USE enum pv_status pv_plan_for_caps(const char *caps_json, const char *plan_overrides,
                                            const struct pv_log *log, char **out);
/* Messages (warnings and errors) the validation layers have sent so far. */
uint64_t pv_context_validation_messages(const struct pv_context *context);

PV_API_END

#endif
