/* The map of layers: which of its columns are shown, what stands below it, and where it is. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "viz/panels/panels_in.h"

bool panels_inside(struct pv_box box, double x, double y)
{
    return x >= box.x && y >= box.y && x < box.x + box.w && y < box.y + box.h;
}

static void keep_range(struct pv_panels *p)
{
    const double n = pv_heat_header(p->player->heat)->n_clusters, least = n > 8 ? 8 / n : 1.0;

    p->range = p->range < least ? least : p->range > 1.0 ? 1.0 : p->range;
    p->from = p->from < 0.0 ? 0.0 : p->from > 1.0 - p->range ? 1.0 - p->range : p->from;
}

void pv_panels_zoom(struct pv_panels *p, double x, double y, double steps)
{
    const double at = (x - p->heat.x) / p->heat.w, range = p->range;

    if (!panels_inside(p->heat, x, y))
        return;
    p->range *= pow(0.8, steps);
    keep_range(p);
    p->from += at * (range - p->range); /* what is under the mouse stays there */
    keep_range(p);
}

bool pv_panels_drag(struct pv_panels *p, double dx)
{
    if (p->range >= 1.0 || p->heat.w < 1.0)
        return false;
    p->from -= dx / p->heat.w * p->range;
    keep_range(p);
    return true;
}

bool pv_panels_on_map(const struct pv_panels *panels, double x, double y)
{
    return panels_inside(panels->heat, x, y);
}

const struct pv_columns *pv_panels_columns(const struct pv_panels *panels)
{
    return &panels->columns;
}

struct pv_box pv_panels_heat_box(const struct pv_panels *panels)
{
    return panels->heat;
}

enum pv_status panels_make_columns(struct pv_panels *p)
{
    const struct pv_heat *heat = p->player->heat;
    const struct pv_trace_header *h = pv_heat_header(heat);
    const uint64_t n_tokens = pv_heat_n_tokens(heat);
    const size_t n_cells = (size_t)h->n_layers * h->n_clusters;

    if (p->player->whole)
        p->range = 1.0;
    p->player->whole = false;
    keep_range(p);
    p->columns = (struct pv_columns){.first = (uint32_t)(p->from * h->n_clusters),
                                     .n = (uint32_t)ceil(p->range * h->n_clusters)};
    if (p->columns.n > h->n_clusters - p->columns.first)
        p->columns.n = h->n_clusters - p->columns.first;
    if (!p->player->by_use || h->n_clusters == 0)
        return PV_OK;
    if (!p->by_use) {
        p->by_use = malloc(n_cells * sizeof *p->by_use);
        if (!p->by_use)
            return PV_ERR_NOMEM;
        p->by_use_tokens = UINT64_MAX;
    }
    for (uint32_t l = 0; p->by_use_tokens != n_tokens && l < h->n_layers; l++)
        pv_by_use(heat, l, p->by_use + (size_t)l * h->n_clusters);
    p->by_use_tokens = n_tokens;
    p->columns.at = p->by_use;
    return PV_OK;
}

/* Below the map: which part of it is shown, colours, words, scale. */
static void heat_legend(const struct pv_panels *p, const struct pv_draw *d, double top_share)
{
    const struct pv_heat *heat = p->player->heat;
    const double n = pv_heat_header(heat)->n_clusters, below = p->heat.y + p->heat.h;

    if (p->range < 1.0)
        pv_part_minimap(d, heat, &p->columns, (struct pv_box){p->heat.x, below + 5, p->heat.w, 10},
                        top_share);
    else if (!p->columns.at)
        pv_part_places(d, (struct pv_box){p->heat.x, below + 4, p->heat.w, 5}, p->columns.first / n,
                       (p->columns.first + p->columns.n) / n);
    if (!p->columns.at)
        pv_part_region_words(d, heat, &p->columns, p->heat, below + 16);
    pv_part_scale(d, (struct pv_box){p->heat.x, below + 44, p->heat.w > 420 ? 240 : 160, 12}, top_share,
                  p->heat.w > 420 ? "of the last tokens picked it" : "of the last tokens");
}

/* Of a dense run. */
static void draw_fire(const struct pv_panels *p, const struct pv_draw *d)
{
    const struct pv_heat *heat = p->player->heat;
    const double most = pv_fire_max(heat, pv_fire_groups(heat, p->heat.w)), below = p->heat.y + p->heat.h;

    pv_part_fire(d, heat, p->heat, most);
    pv_part_layer_names(d, heat, p->heat);
    if (pv_heat_has_fire(heat))
        pv_part_scale(d, (struct pv_box){p->heat.x, below + 14, p->heat.w > 420 ? 240 : 160, 12}, most,
                      p->heat.w > 420 ? "of the group fired for one of the last tokens"
                                      : "of the group fired");
}

void panels_draw_map(struct pv_panels *p, const struct pv_draw *d, struct pv_box box, bool with_heat)
{
    const struct pv_heat *heat = p->player->heat;
    const uint32_t n_layers = pv_heat_header(heat)->n_layers;
    double top_share = pv_heat_max_share(heat), row;

    panels_title(d, box.x, box.y + 14, box.w,
                 pv_heat_header(heat)->n_clusters > 0 ? "Layers and their clusters"
                                                      : "Layers and their neurons",
                 pv_heat_header(heat)->n_clusters == 0
                     ? "groups of neurons that fire for the same tokens, and how many fired lately"
                 : p->player->light ? "dark: picked by many of the last tokens; like colours: like tokens"
                                    : "bright: picked by many of the last tokens; like colours: like tokens");
    p->heat = (struct pv_box){box.x + 58, box.y + 26, floor(box.w - 58), floor(box.h - 26 - 82)};
    row = floor(p->heat.h / n_layers);
    row = p->masks && row > 56 ? 56 : row;
    p->heat.h = row >= 1.0 ? row * n_layers : p->heat.h;
    if (pv_heat_header(heat)->n_clusters == 0) {
        draw_fire(p, d);
        return;
    }
    if (with_heat) {
        pv_part_heat(d, heat, &p->columns, p->heat, top_share);
    } else { /* a hole for the shader */
        cairo_set_operator(d->cr, CAIRO_OPERATOR_CLEAR);
        cairo_rectangle(d->cr, p->heat.x, p->heat.y, p->heat.w, p->heat.h);
        cairo_fill(d->cr);
        cairo_set_operator(d->cr, CAIRO_OPERATOR_OVER);
    }
    pv_part_layer_names(d, heat, p->heat);
    if (pv_heat_header(heat)->n_clusters > 0)
        heat_legend(p, d, top_share);
}

void panels_outline(const struct pv_panels *p, const struct pv_draw *d, const struct spot *s,
                    struct pv_rgb colour)
{
    const struct pv_trace_header *h = pv_heat_header(p->player->heat);
    double x, y, w, row;
    uint32_t column = 0;

    if (s->what == NOTHING || s->cluster >= h->n_clusters)
        return;
    while (column < p->columns.n &&
           pv_column_cluster(p->player->heat, &p->columns, s->layer, column) != s->cluster)
        column++;
    if (column == p->columns.n)
        return;
    x = pv_cell_edge(p->heat.x, p->heat.w, column, p->columns.n);
    w = pv_cell_edge(p->heat.x, p->heat.w, column + 1, p->columns.n) - x;
    y = pv_cell_edge(p->heat.y, p->heat.h, s->layer, h->n_layers);
    row = pv_cell_edge(p->heat.y, p->heat.h, s->layer + 1, h->n_layers) - y;
    pv_draw_frame(d, (struct pv_box){x - 2, y - 1, w + 4, row + 2}, colour);
    pv_draw_frame(d, (struct pv_box){x - 3, y - 2, w + 6, row + 4}, colour);
}
