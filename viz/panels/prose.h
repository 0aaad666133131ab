/* Tokens as running text, for models whose layers are too many for a table: every word tinted by its cluster in one
 * layer, under it a strip with a line for each layer, the first on top. */
#ifndef PV_VIZ_PANELS_PROSE_H
#define PV_VIZ_PANELS_PROSE_H

#include "viz/heat.h"
#include "viz/picture/draw.h"

enum { PV_PROSE_MOST = 1024 }; /* tokens shown at once */

struct pv_prose {
    struct pv_box box;
    uint32_t back;  /* tokens at the end that are left out */
    uint32_t most;  /* tokens shown; 0: all that fit */
    uint32_t layer; /* that tints the words */
};
/* Where a token is: its word over its strip. */
struct pv_prose_cell {
    struct pv_box box;
    uint32_t back;
};

/* Whether a table of that width has no room for the numbers of clusters. */
bool pv_prose_fits_better(const struct pv_heat *heat, double width);
/* Height of a line with its strip, and of the strip alone. */
double pv_prose_line(const struct pv_heat *heat);
double pv_prose_strip(const struct pv_heat *heat);
/* Draws the last lines that fit, the newest token at their end; where the tokens are goes to cells
 * [PV_PROSE_MOST]. Lines break where they did before one more token came. Returns how many there are; *height is what
 * they take. */
uint32_t pv_part_prose(const struct pv_draw *d, const struct pv_heat *heat, const struct pv_prose *prose,
                       struct pv_prose_cell *cells, double *height);

#endif
