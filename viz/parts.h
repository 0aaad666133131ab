/* The parts that pictures and the window are put together from. Each draws into a box and nothing else. */
#ifndef PV_VIZ_PARTS_H
#define PV_VIZ_PARTS_H

#include "viz/picture/draw.h"
#include "viz/heat.h"
#include "viz/masks.h"

/* The colour of a cluster's place, see pv_heat_place: clusters that take the same tokens have like colours in every
 * layer. */
struct pv_rgb pv_cluster_colour(const struct pv_heat *heat, bool light, uint32_t layer, uint32_t cluster);
/* Layers x clusters, brightness by share of recent tokens; `top_share` is the brightest. Clusters narrower
 * than a pixel share a column, which then shows the largest of them. */
struct pv_columns {
    uint32_t first, n;  /* columns shown, of as many as there are clusters */
    const uint32_t *at; /* [L][K] the cluster of a column; NULL: that of the place */
};
/* The cluster in column 0..n - 1 of what is shown. */
uint32_t pv_column_cluster(const struct pv_heat *heat, const struct pv_columns *columns, uint32_t layer,
                           uint32_t column);
void pv_part_heat(const struct pv_draw *d, const struct pv_heat *heat, const struct pv_columns *columns,
                  struct pv_box box, double top_share);
/* Of the columns first..end - 1 of all layers the one that is used most, and a word for it; false if none is used. */
bool pv_region_word(const struct pv_heat *heat, const struct pv_columns *columns, uint32_t first,
                    uint32_t end, uint32_t *column, struct pv_heat_top *top);
/* Under a map whose columns are in order: a word for each region, of the cluster of any layer that is used most. `box`: the
 * map's; about 20 pixels high below `y`. */
void pv_part_region_words(const struct pv_draw *d, const struct pv_heat *heat,
                          const struct pv_columns *columns, struct pv_box box, double y);
/* All columns over all layers, the brightest of each, with a frame around those shown. */
void pv_part_minimap(const struct pv_draw *d, const struct pv_heat *heat, const struct pv_columns *columns,
                     struct pv_box box, double top_share);
/* Of a dense run: layers x groups of neurons that fire for the same tokens, brightness by the share that fired lately.
 * Without true patterns it says how to have them. */
void pv_part_fire(const struct pv_draw *d, const struct pv_heat *heat, struct pv_box box, double top_share);
/* Groups that fit a width; and the brightest of them. */
uint32_t pv_fire_groups(const struct pv_heat *heat, double width);
double pv_fire_max(const struct pv_heat *heat, uint32_t n_groups);
/* The same for one layer, over the whole box. */
void pv_part_heat_row(const struct pv_draw *d, const struct pv_heat *heat, uint32_t layer, struct pv_box box,
                      double top_share);
/* Brightness 0..1 of a share. */
double pv_brightness(double share, double top_share);
/* Names of layers left of a box of rows. */
void pv_part_layer_names(const struct pv_draw *d, const struct pv_heat *heat, struct pv_box box);
/* The colours of places, from `first` to `end` (0..1). */
void pv_part_places(const struct pv_draw *d, struct pv_box box, double first, double end);
/* The colour scale of pv_part_heat with its labels; about 34 pixels high. */
void pv_part_scale(const struct pv_draw *d, struct pv_box box, double top_share, const char *label);

/* Tokens from top to bottom, the newest last; per token its text, one cell a layer, the share computed.
 * `back` tokens at the end are left out. */
struct pv_waterfall {
    struct pv_box box;
    double text_width, row_height, bar_width;
    uint32_t back;
};
uint32_t pv_waterfall_rows(const struct pv_waterfall *w,
                           const struct pv_heat *heat); /* that fit and are there */
struct pv_box pv_waterfall_cells(const struct pv_waterfall *w, const struct pv_heat *heat);
void pv_part_waterfall(const struct pv_draw *d, const struct pv_heat *heat, const struct pv_waterfall *w);

/* Masks of a layer's clusters over its neurons, ordered so that masks form blocks. */
struct pv_neuron_view {
    uint32_t layer, n_clusters;
    uint32_t *clusters; /* in order of similarity */
    uint32_t *neurons;  /* [d_ffn] place -> neuron */
};
/* Of the n_clusters most used clusters or, with `spread`, of those that pv_spread finds. */
PV_MUST_USE enum pv_status pv_neuron_view_create(const struct pv_heat *heat, const struct pv_maskset *masks,
                                                 uint32_t layer, uint32_t n_clusters, bool spread,
                                                 struct pv_neuron_view *out);
void pv_neuron_view_free(struct pv_neuron_view *view);
void pv_part_masks(const struct pv_draw *d, const struct pv_heat *heat, const struct pv_maskset *masks,
                   const struct pv_neuron_view *view, struct pv_box box);
/* One row: the mask of the token's cluster and, where the trace has the true pattern, hit, missed and wasted.
 */
void pv_part_pattern(const struct pv_draw *d, const struct pv_maskset *masks,
                     const struct pv_neuron_view *view, const struct pv_heat_row *row, struct pv_box box);

/* A line chart of the recent tokens, the newest at the right edge. */
struct pv_strip {
    struct pv_box box;
    const char *label, *unit;
    double max;    /* 0: the largest value shown */
    double factor; /* of values when written as text */
    double (*value)(const struct pv_heat_row *row, uint32_t n_layers);
};
void pv_part_strip(const struct pv_draw *d, const struct pv_heat *heat, const struct pv_strip *strip,
                   uint32_t back);
double pv_strip_density(const struct pv_heat_row *row, uint32_t n_layers);
/* Share of the true patterns' neurons; 0: unknown. */
double pv_strip_firing(const struct pv_heat_row *row, uint32_t n_layers);
double pv_strip_margin(const struct pv_heat_row *row, uint32_t n_layers);
double pv_strip_speed(const struct pv_heat_row *row, uint32_t n_layers);

/* Sorted by use, most used first; returns how many of [n_clusters] were used. */
uint32_t pv_by_use(const struct pv_heat *heat, uint32_t layer, uint32_t *clusters);
/* The tokens of a cluster, those that come often and come nowhere else first; tokens that look alike count as
 * one, strays are left out where there is something better. */
uint32_t pv_telling_tokens(const struct pv_heat *heat, uint32_t layer, uint32_t cluster,
                           struct pv_heat_top *tops, uint32_t n);
/* How much a cluster tells that its first token alone does not: uses by other tokens that pick little else.
 */
double pv_telling_score(const struct pv_heat *heat, uint32_t layer, uint32_t cluster);
/* Of each of n stretches of places (see pv_heat_place) the used cluster that tells most, in order of
 * places; returns how many there are. Room for n. */
uint32_t pv_spread(const struct pv_heat *heat, uint32_t layer, uint32_t *clusters, uint32_t n);

#endif
