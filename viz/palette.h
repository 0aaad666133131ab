/* Colours. Sequential palettes run in even steps of OKLab (so equal steps of a value look equal) with
 * steadily rising lightness (so they read in grey and to colour-blind eyes); the light theme runs them
 * backwards, from paper to ink. OKLab: Bjorn Ottosson, https://bottosson.github.io/posts/oklab/. Immutable
 * after pv_palette_init, thread-safe. */
#ifndef PV_VIZ_PALETTE_H
#define PV_VIZ_PALETTE_H

#include <stdbool.h>
#include <stdint.h>

struct pv_rgb {
    uint8_t r, g, b;
};
enum { PV_N_PALETTES = 4 };
#define PV_PLACE_TURN (290.0 / 360.0) /* of the circle of hues, that the places 0..1 run over */

struct pv_palette {
    struct pv_rgb colour[256]; /* of values 0..1 */
    bool light;
};
/* What things other than data are drawn in. */
struct pv_theme {
    struct pv_rgb background, panel, line, faint, text, strong, accent;
    struct pv_rgb hit, miss, wasted; /* blue, vermilion, grey: told apart by every kind of eye */
};

/* "night", "ember", "cividis", "grey"; NULL past the end. */
const char *pv_palette_name(uint32_t index);
/* Index of a name, or -1. */
int pv_palette_find(const char *name);
void pv_palette_init(struct pv_palette *palette, uint32_t index, bool light);
/* value outside 0..1 is clamped, NaN is 0. */
struct pv_rgb pv_palette_at(const struct pv_palette *palette, double value);
/* A colour for a place 0..1 in an order of similarity: places side by side look alike, and lightness falls
 * from 0 to 1, so that eyes that see few hues can follow too. */
struct pv_rgb pv_palette_place(double place, bool light);
const struct pv_theme *pv_theme_get(bool light);
/* OKLab of a colour: lightness 0..1, a, b. */
void pv_oklab(struct pv_rgb colour, double lab[3]);

#endif
