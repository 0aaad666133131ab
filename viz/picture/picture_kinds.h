/* The four pictures: each draws itself from the top and returns how far down it came. */
#ifndef PV_VIZ_PICTURE_PICTURE_KINDS_H
#define PV_VIZ_PICTURE_PICTURE_KINDS_H

#include "viz/parts.h"
#include "viz/picture/picture.h"

struct picture {
    struct pv_draw d;
    const struct pv_heat *heat;
    const struct pv_picture_params *params;
    uint32_t layer;
    double width, y;                   /* y: where the next thing goes */
    bool lacks_something;              /* memory ran out on the way */
    const struct pv_neuron_view *view; /* neurons only */
};
#define MARGIN 36.0

/* Title, what there is to see, and the run's facts in small print. */
void picture_heading(struct picture *p, const char *title, const char *text);
/* A word in a box of a colour; returns the width drawn. `top` is the box's upper edge, its height 20. */
double picture_chip(struct picture *p, double x, double top, struct pv_rgb fill, const char *text);
void picture_layers(struct picture *p);
void picture_waterfall(struct picture *p);
void picture_neurons(struct picture *p);
void picture_tokens(struct picture *p);

#endif
