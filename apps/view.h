/* Showing a run: which view was asked for, the heatmap behind it, and what went wrong while it had the
 * screen. */
#ifndef VIEW_H
#define VIEW_H

#include "cli/app.h"
#include "viz/masks.h"
#include "viz/player.h"

enum view_kind { VIEW_NONE, VIEW_TERM, VIEW_WINDOW };

struct view_options {
    const char *view, *view_device, *palette;
    double half_life;
    bool light;
};
extern const struct option view_rows[1];        /* --view */
extern const struct option view_device_rows[1]; /* --view-device */
extern const struct option half_life_rows[1];   /* --half-life */
extern const struct option style_rows[2];       /* --palette, --light */

/* The view that `word`, the value of --view, names; `otherwise` if it is NULL. A message is on stderr if the word is
 * unknown or the view was not built. */
PV_MUST_USE enum pv_status view_choose(struct app *app, const char *word, enum view_kind otherwise,
                                       enum view_kind *out);
/* What fits this place: a window where there is a display, else the terminal. */
enum view_kind view_best(void);
/* What --palette and --light say. */
PV_MUST_USE enum pv_status view_style(struct app *app, const struct view_options *options, uint32_t *palette,
                                      bool *light);
struct view_params {
    const struct view_options *options;
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
