/* Stands in for the window where GLFW is missing. */
#include "viz/say.h"
#include "viz/window/window.h"

bool pv_window_built(void)
{
    return false;
}

enum pv_status pv_window_run(struct pv_player *player, const struct pv_window_params *params,
                             const struct pv_log *log)
{
    (void)player;
    (void)params;
    return pv_say_fail(
        log, PV_ERR_UNSUPPORTED,
        "built without the window: install GLFW (Debian: libglfw3-dev) and build with -DPV_WINDOW=ON; "
        "--view term works as it is");
}
