/* Drawing on cairo in Parvin's look: one code for PNG, SVG and the window. Text is DejaVu Sans, and any
 * other font of the machine for scripts that it lacks. Coordinates are pixels at scale 1, y downwards; text
 * positions are baselines, and the left end of text of either direction. */
#ifndef PV_VIZ_PICTURE_DRAW_H
#define PV_VIZ_PICTURE_DRAW_H

#include <cairo.h>
#include <stdbool.h>
#include <stddef.h>
#include "viz/palette.h"

struct pv_draw {
    cairo_t *cr;
    const struct pv_theme *theme;
    const struct pv_palette *palette;
    bool *lacks_something; /* set where memory for a part ran out; NULL: nobody asks */
};
struct pv_box {
    double x, y, w, h;
};
enum pv_align { PV_LEFT, PV_CENTRE, PV_RIGHT };

/* A cairo context with Parvin's settings (text the same on every machine). The caller destroys it. */
cairo_t *pv_draw_context(cairo_surface_t *surface, double scale);
void pv_draw_colour(const struct pv_draw *d, struct pv_rgb colour);
void pv_draw_rect(const struct pv_draw *d, struct pv_box box, struct pv_rgb colour);
/* An outline of one pixel, inside the box. */
void pv_draw_frame(const struct pv_draw *d, struct pv_box box, struct pv_rgb colour);
void pv_draw_line(const struct pv_draw *d, double x0, double y0, double x1, double y1, struct pv_rgb colour);

struct pv_font {
    double size;
    struct pv_rgb colour;
    enum pv_align align;
    bool bold;
    double max_width; /* 0: none; longer text is cut with an ellipsis */
};
/* Returns the width drawn. */
double pv_draw_text(const struct pv_draw *d, double x, double y, const struct pv_font *font,
                    const char *text);
double pv_text_extent(const struct pv_draw *d, const struct pv_font *font, const char *text);
/* Wraps at spaces to `width`; returns the baseline that a next line would have. */
double pv_draw_paragraph(const struct pv_draw *d, double x, double y, double width,
                         const struct pv_font *font, const char *text);
/* A grid of cells that fills the box to whole pixels; colour(user, column, row). */
void pv_draw_cells(const struct pv_draw *d, struct pv_box box, uint32_t n_columns, uint32_t n_rows,
                   struct pv_rgb (*colour)(void *user, uint32_t column, uint32_t row), void *user);
/* A smooth run of colours from left to right: colour(user, place) for places 0..1. */
void pv_draw_gradient(const struct pv_draw *d, struct pv_box box,
                      struct pv_rgb (*colour)(void *user, double place), void *user);
/* Edge i of n cells along `length` from `start`, on a whole pixel. */
double pv_cell_edge(double start, double length, uint32_t i, uint32_t n);
struct pv_rgb pv_mix(struct pv_rgb a, struct pv_rgb b, double t);
/* Black or white, whichever reads better on `colour`. */
struct pv_rgb pv_ink_on(struct pv_rgb colour);
/* "0.4 %", "12 %": a share in words; `room` at least 16. */
const char *pv_percent(double share, char *out, size_t room);
/* "4.27", "138", "1384": three digits or a whole number. */
const char *pv_number(double value, char *out, size_t room);

#endif
