/* What the window shows, drawn by cairo onto any surface; the heatmap's cells may be left to a shader. No
 * window here, so tests and the key that saves a picture use it too. */
#ifndef PV_VIZ_PANELS_PANELS_H
#define PV_VIZ_PANELS_PANELS_H

#include "viz/parts.h"
#include "viz/player.h"

struct pv_panels;

/* `masks` may be NULL: then there is no neuron view. Both stay the caller's. */
PV_MUST_USE enum pv_status pv_panels_create(struct pv_player *player, const struct pv_maskset *masks,
                                            struct pv_panels **out);
void pv_panels_destroy(struct pv_panels *panels);
/* Where the mouse is, in the units of pv_panels_draw; negative: elsewhere. */
void pv_panels_hover(struct pv_panels *panels, double x, double y);
/* Pins or unpins what is there; a click on a layer chooses it. */
void pv_panels_click(struct pv_panels *panels, double x, double y);
/* A turn of the mouse's wheel there: a nearer or, negative, a wider look at the columns of the map. */
void pv_panels_zoom(struct pv_panels *panels, double x, double y, double steps);
/* Moves the columns of the map with the mouse; false if the whole map is shown, and stays. */
bool pv_panels_drag(struct pv_panels *panels, double dx);
/* Whether the map of layers is there. */
bool pv_panels_on_map(const struct pv_panels *panels, double x, double y);
/* The columns of the map as last drawn, for the shader. */
const struct pv_columns *pv_panels_columns(const struct pv_panels *panels);
/* Draws all into `width` x `height` units at `scale` pixels a unit. `with_heat`: also the heatmap's cells. */
PV_MUST_USE enum pv_status pv_panels_draw(struct pv_panels *panels, cairo_surface_t *surface, double width,
                                          double height, double scale, bool with_heat);
/* The box of the heatmap's cells as last drawn, in units. */
struct pv_box pv_panels_heat_box(const struct pv_panels *panels);
/* A PNG of what is shown. */
PV_MUST_USE enum pv_status pv_panels_save(struct pv_panels *panels, const char *path, double width,
                                          double height, double scale);

#endif
