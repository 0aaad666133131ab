/* One run of the case table over the devices that the options name, told as events: in this process, or in
 * children that a driver may crash in. */
#ifndef PV_APPS_CONFORM_RUN_H
#define PV_APPS_CONFORM_RUN_H

#include "cli/setup.h"

struct conform_options {
    struct common_options common;
    struct device_options device;
    const char *filter, *variant, *junit, *markdown, *report, *table, *against;
    uint64_t seed;
    double minutes;
    bool quick, list_variants, compile_only, isolate, record_only, repeat;
};

struct conform_events {
    void *user;
    /* A device begins; `until` on the clock of console_seconds: when no further round is begun. */
    void (*device)(void *user, uint32_t index, const struct pv_device_info *info, double until);
    /* Before a row is made; false: it is left out. NULL: none is. */
    bool (*starting)(void *user, uint64_t seed, const struct pv_conform_row *row);
    void (*row)(void *user, uint64_t seed, const struct pv_conform_row *row);
    void (*device_end)(void *user);
};

/* Where a run is taken up again; all 0: at its beginning. */
struct conform_place {
    uint32_t device;
    uint64_t seed;
    uint32_t row; /* of the device under that seed: the first that is made */
    double until; /* of the device at hand */
};

/* Calls `one` for the device that --device names, or for every one that can do what is asked, from `first` on. The
 * status is that of the last device that failed; `stop` ends with the first. PV_ERR_NO_DEVICE, with a message, if there
 * is none. */
PV_MUST_USE enum pv_status conform_each_device(struct app *app, struct setup *setup, uint32_t first,
                                               bool stop, enum pv_status (*one)(void *user, uint32_t index),
                                               void *user);
/* The run. `from` NULL: from the beginning, every device whatever happens to another; else it ends with the
 * first device that fails. */
PV_MUST_USE enum pv_status conform_run(struct app *app, const struct conform_place *from,
                                       const struct conform_events *events);
/* The same in a child process. Where it dies, or loses the device, the row at hand has failed and another child
 * goes on behind it. No Vulkan object may be open. */
PV_MUST_USE enum pv_status conform_isolated(struct app *app, const struct conform_events *events);

#endif
