/* Showing a run: which view was asked for, the heatmap behind it, and what went wrong while it had the
 * screen. */
#ifndef VIEW_H
#define VIEW_H

#include "app.h"
#include "viz/masks.h"
#include "viz/player.h"

enum view_kind { VIEW_NONE, VIEW_TERM, VIEW_WINDOW };

/* Of --view; `otherwise` if it was not given. A message is on stderr if the word is unknown or the view was
 * not built. */
PV_MUST_USE enum pv_status view_choose(struct app *app, enum view_kind otherwise, enum view_kind *out);
/* What fits this place: a window where there is a display, else the terminal. */
enum view_kind view_best(void);
/* Applies --half-life, --palette, --light. */
PV_MUST_USE enum pv_status view_style(struct app *app, uint32_t *palette, bool *light);
struct view_params {
    enum view_kind kind;
    struct pv_heat *heat;
    struct pv_source source;
    const struct pv_maskset *masks; /* NULL: none */
    bool quit_at_end;               /* leave when the last token has been shown; else the user quits */
    uint64_t *n_frames;             /* set to how many were drawn; may be NULL */
};
/* Shows until it is left. */
PV_MUST_USE enum pv_status view_run(struct app *app, const struct view_params *params);
/* The masks of a cluster file. */
PV_MUST_USE enum pv_status view_masks(struct app *app, const struct pv_clusters *clusters,
                                      struct pv_maskset **out);

#endif
