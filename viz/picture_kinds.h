/* The four pictures: each draws itself from the top and returns how far down it came. */
#ifndef PV_VIZ_PICTURE_KINDS_H
#define PV_VIZ_PICTURE_KINDS_H

#include "parts.h"
#include "picture.h"

struct picture {
    struct pv_draw d;
    const struct pv_heat *heat;
    const struct pv_picture_params *params;
    uint32_t layer;
    double width, y;                   /* y: where the next thing goes */
    const struct pv_neuron_view *view; /* neurons only */
};
void picture_layers(struct picture *p);
void picture_waterfall(struct picture *p);
void picture_neurons(struct picture *p);
void picture_tokens(struct picture *p);

#endif
