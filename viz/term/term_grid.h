/* Characters with colours, and the bytes that bring a terminal from one screenful to the next. */
#ifndef PV_VIZ_TERM_TERM_GRID_H
#define PV_VIZ_TERM_TERM_GRID_H

#include "viz/palette.h"
#include "viz/term/term.h"

struct term_cell {
    char glyph[24]; /* a character with its marks, UTF-8; "" in the second column of a wide one */
    struct pv_rgb ink, paper;
};
struct term_grid {
    uint32_t columns, rows;
    struct term_cell *cells, *shown; /* the frame being made, the one on the screen */
    bool all;                        /* the screen's content is unknown */
    char *bytes;
    size_t n, room;
    bool no_memory;
};

PV_MUST_USE enum pv_status term_grid_resize(struct term_grid *grid, uint32_t columns, uint32_t rows);
void term_grid_free(struct term_grid *grid);
void term_grid_clear(struct term_grid *grid, struct pv_rgb ink, struct pv_rgb paper);
/* Places text, cut at `columns` wide and at the edge; returns the columns taken. */
uint32_t term_grid_text(struct term_grid *grid, uint32_t row, uint32_t column, uint32_t columns,
                        struct pv_rgb ink, struct pv_rgb paper, const char *text);
void term_grid_glyph(struct term_grid *grid, uint32_t row, uint32_t column, struct pv_rgb ink,
                     struct pv_rgb paper, const char *glyph);
/* Fills bytes[n] with what changed. */
PV_MUST_USE enum pv_status term_grid_emit(struct term_grid *grid, enum pv_term_colour colour);

#endif
