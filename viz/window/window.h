/* The window: the heatmap, the waterfall, the neurons of a layer and strip charts, drawn by Vulkan on a
 * device and a queue of its own, so that it never holds up a run. */
#ifndef PV_VIZ_WINDOW_WINDOW_H
#define PV_VIZ_WINDOW_WINDOW_H

#include "viz/masks.h"
#include "viz/player.h"

struct pv_window_params {
    const struct pv_maskset *masks; /* NULL: no neuron view */
    const char *device;             /* part of a device's name; NULL: the first that can show */
    bool quit_at_end;               /* leave when the last token has been shown */
    uint32_t width, height;         /* 0: 1280 x 800 */
    const char *save_folder;        /* of the pictures that key s saves; NULL: the working folder */
    bool (*stop)(void *user);       /* asked every frame; true: leave. NULL: never */
    void *stop_user;
};

/* Whether this library was built with GLFW. */
bool pv_window_built(void);
/* Shows until it is closed. Must run on the program's first thread. PV_ERR_UNSUPPORTED, with a message,
 * without a display or if not built. */
PV_MUST_USE enum pv_status pv_window_run(struct pv_player *player, const struct pv_window_params *params,
                                         const struct pv_log *log);

#endif
