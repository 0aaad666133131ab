/* What the files of the window's panels share. */
#ifndef PV_VIZ_PANELS_PANELS_IN_H
#define PV_VIZ_PANELS_PANELS_IN_H

#include "viz/panels/panels.h"
#include "viz/panels/prose.h"

enum what { NOTHING, HEAT, FIRE, WATERFALL, NEURONS };

struct spot { /* something that can be explained */
    enum what what;
    uint32_t layer, cluster, back, neuron;
};
struct pv_panels {
    struct pv_player *player;
    const struct pv_maskset *masks;
    struct pv_palette palette;
    uint32_t palette_index;
    bool light, palette_made, view_made;
    struct pv_neuron_view view;
    uint64_t view_tokens; /* tokens seen when the view was made */
    double width, height;
    struct pv_box heat, masks_box, pattern;
    struct pv_waterfall waterfall;
    struct pv_prose_cell cells[PV_PROSE_MOST]; /* instead of the waterfall, if there are any */
    uint32_t n_cells;
    double from, range; /* the part of the map's width that is shown, 0..1 */
    struct pv_columns columns;
    uint32_t *by_use; /* [L][K], NULL until it is asked for */
    uint64_t by_use_tokens;
    double mouse_x, mouse_y;
    struct spot pin;
};

bool panels_inside(struct pv_box box, double x, double y);
/* A panel's title and, in small print, what it shows. */
void panels_title(const struct pv_draw *d, double x, double y, double width, const char *title,
                  const char *what);
/* Which columns the map shows, and in which order. */
PV_MUST_USE enum pv_status panels_make_columns(struct pv_panels *p);
void panels_draw_map(struct pv_panels *p, const struct pv_draw *d, struct pv_box box, bool with_heat);
/* A frame on the map around a spot's cluster. */
void panels_outline(const struct pv_panels *p, const struct pv_draw *d, const struct spot *s,
                    struct pv_rgb colour);
/* What is known of a spot, in a box beside x, y. */
void panels_tell(const struct pv_panels *p, const struct pv_draw *d, const struct spot *s, double x, double y,
                 struct pv_rgb edge);

#endif
