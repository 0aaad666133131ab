/* Any text as a device's saved facts. What is read comes back the same from JSON, and has a plan. */
#include <stdlib.h>
#include <string.h>
#include "fuzz.h"
#include "vk/plan/caps.h"
#include "vk/plan/plan.h"
#include "vk/plan/quirks.h"

static void plan_for(const struct pv_caps *caps)
{
    struct pv_plan plan, again;
    char *text;

    if (pv_plan_make(caps, pv_quirks_find(caps), NULL, NULL, &plan) != PV_OK ||
        pv_plan_make(caps, pv_quirks_find(caps), NULL, NULL, &again) != PV_OK || !pv_plan_same(&plan, &again))
        abort();
    text = pv_plan_to_json(&plan);
    if (!text)
        abort();
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    char *text = calloc(size_bytes + 1, 1), *first, *second;
    struct pv_caps caps, again;

    if (!text)
        abort();
    if (size_bytes != 0)
        memcpy(text, data, size_bytes);
    if (pv_caps_from_json(text, NULL, &caps) == PV_OK) {
        first = pv_caps_to_json(&caps);
        if (!first || pv_caps_from_json(first, NULL, &again) != PV_OK)
            abort();
        second = pv_caps_to_json(&again);
        if (!second || strcmp(first, second) != 0)
            abort();
        free(first);
        free(second);
        plan_for(&caps);
    }
    free(text);
    return 0;
}
