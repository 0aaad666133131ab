/* Pictures of a run, with titles, axes, legend and units, as PNG or SVG. The same heat gives the same bytes.
 */
#ifndef PV_VIZ_PICTURE_PICTURE_H
#define PV_VIZ_PICTURE_PICTURE_H

#include <stdbool.h>
#include <stddef.h>
#include "viz/heat.h"
#include "viz/masks.h"

enum pv_picture_kind {
    PV_PICTURE_LAYERS,    /* layers x clusters: how often each was used */
    PV_PICTURE_WATERFALL, /* token by token: the cluster of each layer */
    PV_PICTURE_NEURONS,   /* one layer: which neurons its clusters hold; needs masks */
    PV_PICTURE_TOKENS,    /* one layer: which tokens choose which cluster */
};
enum { PV_N_PICTURES = 4 };

struct pv_picture_params {
    enum pv_picture_kind kind;
    uint32_t palette; /* see pv_palette_name */
    bool light;
    uint32_t layer;                 /* neurons and tokens: UINT32_MAX: the middle one */
    uint32_t n_rows;                /* waterfall: tokens; neurons, tokens: clusters; 0: what reads well */
    uint32_t back;                  /* waterfall: tokens left out at the end */
    double width;                   /* pixels at scale 1; 0: 1200; at least 600 */
    double scale;                   /* of a PNG; 0: 2 */
    const struct pv_maskset *masks; /* NULL: none */
};

/* "layers", "waterfall", "neurons", "tokens"; -1 if it is none. */
int pv_picture_find(const char *name);
/* PV_ERR_ARG if a picture cannot have that name: it ends in .png or .svg. */
PV_MUST_USE enum pv_status pv_picture_check_name(const char *path, const struct pv_log *log);
/* The heat is settled (pv_heat_settle). Draws into a file, PNG or SVG by the end of its name; PV_ERR_ARG if it is
 * neither. Written whole or not at all. */
PV_MUST_USE enum pv_status pv_picture_write(const struct pv_heat *heat,
                                            const struct pv_picture_params *params, const char *path,
                                            const struct pv_log *log);
/* The same to memory: *out is malloc'ed. */
PV_MUST_USE enum pv_status pv_picture_bytes(const struct pv_heat *heat,
                                            const struct pv_picture_params *params, bool svg,
                                            const struct pv_log *log, char **out, size_t *n_out);

#endif
