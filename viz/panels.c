/* Layout: the heatmap and, under it, the neurons of a layer on the left; the waterfall and the strip charts
 * on the right. Hovering and pins are worked out from the same boxes that are drawn. */
#include "viz/panels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "viz/prose.h"

#define GAP   18.0
#define HEAD  46.0
#define SHOWN 24u /* clusters in the neuron view */

enum what { NOTHING, HEAT, FIRE, WATERFALL, NEURONS };

struct spot { /* something that can be explained */
    enum what what;
    uint32_t layer, cluster, back, neuron;
};
struct pv_panels {
    struct pv_player *player;
    const struct pv_maskset *masks;
    struct pv_palette palette;
    uint32_t palette_index;
    bool light, palette_made, view_made;
    struct pv_neuron_view view;
    uint64_t view_tokens; /* tokens seen when the view was made */
    double width, height;
    struct pv_box heat, masks_box, pattern;
    struct pv_waterfall waterfall;
    struct pv_prose_cell cells[PV_PROSE_MOST]; /* instead of the waterfall, if there are any */
    uint32_t n_cells;
    double from, range; /* the part of the map's width that is shown, 0..1 */
    struct pv_columns columns;
    uint32_t *by_use; /* [L][K], NULL until it is asked for */
    uint64_t by_use_tokens;
    double mouse_x, mouse_y;
    struct spot pin;
};

enum pv_status pv_panels_create(struct pv_player *player, const struct pv_maskset *masks,
                                struct pv_panels **out)
{
    struct pv_panels *p = calloc(1, sizeof *p);

    *out = p;
    if (!p)
        return PV_ERR_NOMEM;
    p->player = player;
    p->masks = masks;
    p->range = 1.0;
    p->columns.n = pv_heat_header(player->heat)->n_clusters;
    p->mouse_x = p->mouse_y = -1.0;
    return PV_OK;
}

void pv_panels_destroy(struct pv_panels *p)
{
    if (!p)
        return;
    if (p->view_made)
        pv_neuron_view_free(&p->view);
    free(p->by_use);
    free(p);
}

static bool inside(struct pv_box box, double x, double y)
{
    return x >= box.x && y >= box.y && x < box.x + box.w && y < box.y + box.h;
}

/* The cluster at a column of the map; of those within two pixels the one used most, since cells may be finer
 * than a hand. */
static uint32_t nearest_cluster(const struct pv_panels *p, uint32_t layer, double x)
{
    const struct pv_heat *heat = p->player->heat;
    const uint32_t n = p->columns.n;
    const double per_pixel = n / p->heat.w, at = (x - p->heat.x) * per_pixel;
    const uint32_t first = at > 2 * per_pixel ? (uint32_t)(at - 2 * per_pixel) : 0;
    const uint32_t last = (uint32_t)(at + 2 * per_pixel);
    uint32_t found = pv_column_cluster(heat, &p->columns, layer, at < n ? (uint32_t)at : n - 1);

    for (uint32_t k = first; k <= last && k < n; k++) {
        const uint32_t cluster = pv_column_cluster(heat, &p->columns, layer, k);

        if (pv_heat_share(heat, layer, cluster) > pv_heat_share(heat, layer, found))
            found = cluster;
    }
    return found;
}

static bool find_in_prose(const struct pv_panels *p, double x, double y, struct spot *out)
{
    const struct pv_trace_header *h = pv_heat_header(p->player->heat);
    const double strip = pv_prose_strip(p->player->heat);

    for (uint32_t i = 0; i < p->n_cells; i++) {
        const struct pv_box box = p->cells[i].box;
        const double down = y - (box.y + box.h - strip);

        if (!inside(box, x, y))
            continue;
        *out = (struct spot){.what = WATERFALL, .layer = p->player->layer, .back = p->cells[i].back};
        if (down >= 0.0 && down < strip)
            out->layer = (uint32_t)(down / strip * h->n_layers);
        if (out->back >= pv_heat_n_recent(p->player->heat))
            return false;
        out->cluster = pv_heat_recent(p->player->heat, out->back)->cluster[out->layer];
        return true;
    }
    return false;
}

static struct spot find(const struct pv_panels *p, double x, double y)
{
    const struct pv_heat *heat = p->player->heat;
    const struct pv_trace_header *h = pv_heat_header(heat);
    struct pv_box cells = pv_waterfall_cells(&p->waterfall, heat);
    struct spot s = {.what = NOTHING};
    const uint32_t rows = pv_waterfall_rows(&p->waterfall, heat);

    cells.h = rows * p->waterfall.row_height;
    if (inside(p->heat, x, y) && h->n_clusters == 0) {
        if (pv_heat_has_fire(heat))
            s = (struct spot){.what = FIRE,
                              .layer = (uint32_t)((y - p->heat.y) / p->heat.h * h->n_layers),
                              .neuron =
                                  (uint32_t)((x - p->heat.x) / p->heat.w * pv_fire_groups(heat, p->heat.w)),
                              .cluster = PV_TRACE_NO_CLUSTER};
    } else if (inside(p->heat, x, y)) {
        s = (struct spot){.what = HEAT, .layer = (uint32_t)((y - p->heat.y) / p->heat.h * h->n_layers)};
        if (s.layer < h->n_layers)
            s.cluster = nearest_cluster(p, s.layer, x);
    } else if (find_in_prose(p, x, y, &s)) {
        return s;
    } else if (p->n_cells == 0 && inside(cells, x, y)) {
        uint32_t row = (uint32_t)((y - cells.y) / p->waterfall.row_height);

        s = (struct spot){.what = WATERFALL,
                          .layer = (uint32_t)((x - cells.x) / cells.w * h->n_layers),
                          .back = p->waterfall.back + rows - 1 - (row < rows ? row : rows - 1)};
        s.cluster = pv_heat_recent(heat, s.back)->cluster[s.layer];
    } else if (p->masks && p->view_made && (inside(p->masks_box, x, y) || inside(p->pattern, x, y))) {
        const uint32_t at = (uint32_t)((x - p->masks_box.x) / p->masks_box.w * h->d_ffn);
        const uint32_t row = (uint32_t)((y - p->masks_box.y) / p->masks_box.h * p->view.n_clusters);

        s = (struct spot){.what = NEURONS, .layer = p->view.layer, .cluster = PV_TRACE_NO_CLUSTER};
        s.neuron = p->view.neurons[at < h->d_ffn ? at : h->d_ffn - 1];
        if (inside(p->masks_box, x, y) && row < p->view.n_clusters)
            s.cluster = p->view.clusters[row];
    }
    if (s.layer >= h->n_layers)
        s.what = NOTHING;
    return s;
}

void pv_panels_hover(struct pv_panels *panels, double x, double y)
{
    panels->mouse_x = x;
    panels->mouse_y = y;
}

void pv_panels_click(struct pv_panels *p, double x, double y)
{
    const struct spot s = find(p, x, y);

    if (s.what == NOTHING || (p->pin.what == s.what && p->pin.layer == s.layer &&
                              p->pin.cluster == s.cluster && p->pin.back == s.back)) {
        p->pin.what = NOTHING;
        return;
    }
    p->pin = s;
    p->player->layer = s.layer;
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

    if (!inside(p->heat, x, y))
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
    return inside(panels->heat, x, y);
}

const struct pv_columns *pv_panels_columns(const struct pv_panels *panels)
{
    return &panels->columns;
}

struct pv_box pv_panels_heat_box(const struct pv_panels *panels)
{
    return panels->heat;
}

/* Lines of text on a spot; returns how many. */
enum { LINES = 9, LINE = 160 };
struct line {
    char text[LINE];
};

static uint32_t cluster_lines(const struct pv_panels *p, uint32_t layer, uint32_t cluster, struct line *lines)
{
    const struct pv_heat *heat = p->player->heat;
    struct pv_heat_top tops[8];
    const uint64_t uses = pv_heat_uses(heat, layer, cluster);
    uint32_t n = 0, n_tops = pv_telling_tokens(heat, layer, cluster, tops, 6);
    size_t used = 0;
    char share[16];

    snprintf(lines[n++].text, LINE, "layer %u, cluster %u", layer, cluster);
    snprintf(lines[n++].text, LINE, "picked by %s of the last tokens, %llu of %llu in all",
             pv_percent(pv_heat_share(heat, layer, cluster), share, sizeof share), (unsigned long long)uses,
             (unsigned long long)pv_heat_n_tokens(heat));
    if (p->masks)
        snprintf(lines[n++].text, LINE, "holds %u of the layer's %u neurons",
                 pv_maskset_size(p->masks, layer, cluster), pv_maskset_d_ffn(p->masks));
    else if (uses > 0)
        snprintf(lines[n++].text, LINE, "computes %.0f of the layer's %u neurons",
                 pv_heat_size(heat, layer, cluster), pv_heat_header(heat)->d_ffn);
    used = (size_t)snprintf(lines[n].text, LINE, n_tops > 0 ? "for" : "for no token yet");
    for (uint32_t i = 0; i < n_tops && used + 60 < LINE; i++)
        used +=
            (size_t)snprintf(lines[n].text + used, LINE - used, " \xe2\x80\x9c%s\xe2\x80\x9d", tops[i].text);
    return n + 1;
}

static uint32_t fire_lines(const struct pv_panels *p, const struct spot *s, struct line *lines)
{
    const struct pv_heat *heat = p->player->heat;
    const uint32_t d_ffn = pv_heat_header(heat)->d_ffn, n_groups = pv_fire_groups(heat, p->heat.w);
    char share[16];

    snprintf(lines[0].text, LINE, "layer %u: about %u of its %u neurons, which fire for the same tokens",
             s->layer, d_ffn / n_groups, d_ffn);
    snprintf(lines[1].text, LINE, "%s of them fired for one of the last tokens, on average",
             pv_percent(pv_heat_fire(heat, s->layer, s->neuron, n_groups), share, sizeof share));
    return 2;
}

static uint32_t explain(const struct pv_panels *p, const struct spot *s, struct line *lines)
{
    const struct pv_heat *heat = p->player->heat;
    uint32_t n = 0, holders = 0;
    size_t n_used;

    if (s->what == HEAT)
        return cluster_lines(p, s->layer, s->cluster, lines);
    if (s->what == FIRE)
        return fire_lines(p, s, lines);
    if (s->what == WATERFALL) {
        const struct pv_heat_row *row = pv_heat_recent(heat, s->back);

        snprintf(lines[n++].text, LINE, "\xe2\x80\x9c%s\xe2\x80\x9d: %u of %u neurons%s", row->text,
                 row->n_neurons[s->layer], pv_heat_header(heat)->d_ffn,
                 s->cluster == PV_TRACE_NO_CLUSTER ? " computed, dense" : "");
        if (s->cluster == PV_TRACE_NO_CLUSTER && row->n_active)
            snprintf(lines[n++].text, LINE, "%u of them fired", row->n_active[s->layer]);
        if (row->margin && !isnan(row->margin[s->layer]))
            snprintf(lines[n++].text, LINE, "router's margin %.2f", (double)row->margin[s->layer]);
        if (s->cluster != PV_TRACE_NO_CLUSTER && row->n_active && row->n_hit && row->n_active[s->layer] > 0) {
            n_used = (size_t)snprintf(lines[n].text, LINE, "%u of its %u active neurons computed",
                                      row->n_hit[s->layer], row->n_active[s->layer]);
            if (row->energy_kept && !isnan(row->energy_kept[s->layer]))
                snprintf(lines[n].text + n_used, LINE - n_used, ", %.1f %% of the energy",
                         100.0 * (double)row->energy_kept[s->layer]);
            n++;
        }
        if (s->cluster != PV_TRACE_NO_CLUSTER)
            n += cluster_lines(p, s->layer, s->cluster, lines + n);
        return n;
    }
    for (uint32_t k = 0; k < pv_maskset_n_clusters(p->masks); k++)
        holders += (uint32_t)pv_maskset_bit(pv_maskset_row(p->masks, s->layer, k), s->neuron);
    snprintf(lines[n++].text, LINE, "neuron %u of layer %u, held by %u of %u clusters", s->neuron, s->layer,
             holders, pv_maskset_n_clusters(p->masks));
    if (s->cluster != PV_TRACE_NO_CLUSTER)
        n += cluster_lines(p, s->layer, s->cluster, lines + n);
    return n;
}

static void bubble(const struct pv_panels *p, const struct pv_draw *d, const struct spot *s, double x,
                   double y, struct pv_rgb edge)
{
    struct line lines[LINES];
    const uint32_t n = explain(p, s, lines);
    struct pv_font font = {.size = 12.5, .colour = d->theme->strong, .max_width = 520};
    double w = 0.0, h = n * 19.0 + 14.0;

    for (uint32_t i = 0; i < n; i++) {
        const double extent = pv_text_extent(d, &font, lines[i].text);

        w = extent > w ? extent : w;
    }
    w = (w > 520 ? 520 : w) + 24;
    if (x + w > p->width - 8)
        x = p->width - 8 - w;
    if (y + h > p->height - 8)
        y = y - h - 32 > 8 ? y - h - 32 : 8;
    pv_draw_rect(d, (struct pv_box){floor(x), floor(y), floor(w), h}, d->theme->background);
    pv_draw_frame(d, (struct pv_box){floor(x), floor(y), floor(w), h}, edge);
    for (uint32_t i = 0; i < n; i++) {
        pv_draw_text(d, floor(x) + 12, floor(y) + 20 + 19 * i, &font, lines[i].text);
        font.colour = d->theme->text;
    }
}

static void panel_title(const struct pv_draw *d, double x, double y, double width, const char *title,
                        const char *what)
{
    struct pv_font font = {.size = 13.5, .colour = d->theme->strong, .bold = true, .max_width = width};
    const double used = pv_draw_text(d, x, y, &font, title);

    if (width > used + 30)
        pv_draw_text(d, x + used + 10, y,
                     &(struct pv_font){.size = 12, .colour = d->theme->faint, .max_width = width - used - 10},
                     what);
}

static void head(const struct pv_panels *p, const struct pv_draw *d)
{
    const struct pv_player *player = p->player;
    const struct pv_heat *heat = player->heat;
    const struct pv_theme *t = d->theme;
    const char *state = player->paused        ? "paused"
                        : player->ended       ? "at the end"
                        : player->source.live ? "live"
                                              : "";
    const double density =
        pv_heat_n_recent(heat) > player->back ? pv_heat_recent(heat, player->back)->density : 0.0;
    char text[256], share[16], speed[32];
    double x;

    pv_draw_rect(d, (struct pv_box){0, 0, p->width, HEAD - 8}, t->panel);
    x = GAP + 14 +
        pv_draw_text(d, GAP, 25, &(struct pv_font){.size = 16, .colour = t->strong, .bold = true}, "Parvin");
    x += 22 + pv_draw_text(d, x, 25, &(struct pv_font){.size = 13, .colour = t->text, .max_width = 300},
                           pv_heat_header(heat)->model);
    snprintf(text, sizeof text, "%llu tokens   %s of neurons   %s tok/s   half-life %.0f",
             (unsigned long long)(pv_heat_n_tokens(heat) - player->back),
             pv_percent(density, share, sizeof share),
             pv_number(pv_player_speed(player), speed, sizeof speed), pv_heat_half_life(heat));
    x += 22 + pv_draw_text(d, x, 25,
                           &(struct pv_font){.size = 13, .colour = t->text, .max_width = p->width - x - 180},
                           text);
    pv_draw_text(d, x, 25, &(struct pv_font){.size = 13, .colour = t->accent, .bold = true}, state);
    pv_draw_text(d, p->width - GAP, 25,
                 &(struct pv_font){.size = 13,
                                   .colour = player->note_left > 0 ? t->accent : t->faint,
                                   .align = PV_RIGHT,
                                   .max_width = 360},
                 player->note_left > 0 ? player->note : "h: help");
}

/* Which columns the map shows, and in which order. */
static enum pv_status make_columns(struct pv_panels *p)
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

static void draw_heat(struct pv_panels *p, const struct pv_draw *d, struct pv_box box, bool with_heat)
{
    const struct pv_heat *heat = p->player->heat;
    const uint32_t n_layers = pv_heat_header(heat)->n_layers;
    double top_share = pv_heat_max_share(heat), row;

    panel_title(d, box.x, box.y + 14, box.w,
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

static void outline(const struct pv_panels *p, const struct pv_draw *d, const struct spot *s,
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

static enum pv_status make_view(struct pv_panels *p)
{
    const struct pv_heat *heat = p->player->heat;
    const uint64_t n = pv_heat_n_tokens(heat);
    enum pv_status status;

    if (!p->masks || n == 0)
        return PV_OK;
    if (p->view_made && p->view.layer == p->player->layer &&
        (p->player->ended ? n == p->view_tokens : n < p->view_tokens + p->view_tokens / 2 + 32))
        return PV_OK; /* an order that changes all the time is hard to read; the last is of all tokens */
    if (p->view_made)
        pv_neuron_view_free(&p->view);
    p->view_made = false;
    status = pv_neuron_view_create(heat, p->masks, p->player->layer, SHOWN, false, &p->view);
    p->view_made = status == PV_OK;
    p->view_tokens = n;
    return status;
}

static void neuron_key(const struct pv_draw *d, double x, double y, bool active)
{
    const struct pv_theme *t = d->theme;
    const struct {
        struct pv_rgb colour;
        const char *text;
    } items[] = {{t->hit, active ? "hit" : "computed"}, {t->miss, "missed"}, {t->wasted, "in vain"}};

    for (int i = 0; i < (active ? 3 : 1); i++) {
        pv_draw_rect(d, (struct pv_box){floor(x), y - 10, 11, 11}, items[i].colour);
        x += 30 +
             pv_draw_text(d, x + 16, y, &(struct pv_font){.size = 11.5, .colour = t->text}, items[i].text);
    }
}

static void draw_neurons(struct pv_panels *p, const struct pv_draw *d, struct pv_box box)
{
    const struct pv_heat *heat = p->player->heat;
    const struct pv_heat_row *row;
    char title[64], text[96];

    snprintf(title, sizeof title, "Neurons of layer %u", p->player->layer);
    if (!p->view_made) {
        panel_title(d, box.x, box.y + 14, box.w, title, "no token yet");
        p->masks_box = p->pattern = (struct pv_box){0, 0, 0, 0};
        return;
    }
    panel_title(d, box.x, box.y + 14, box.w, title,
                "this token's; under it, each row a cluster and a word for it, each column a neuron");
    row = pv_heat_recent(heat, p->player->back);
    p->pattern = (struct pv_box){box.x + 58, box.y + 28, floor(box.w - 58), 20};
    pv_part_pattern(d, p->masks, &p->view, row, p->pattern);
    pv_draw_text(
        d, box.x + 50, box.y + 43,
        &(struct pv_font){.size = 11.5, .colour = d->theme->strong, .align = PV_RIGHT, .max_width = 54},
        row->text);
    p->masks_box = (struct pv_box){box.x + 58, box.y + 58, floor(box.w - 58), floor(box.h - 58 - 24)};
    if (p->masks_box.h < 10)
        return;
    pv_part_masks(d, heat, p->masks, &p->view, p->masks_box);
    for (uint32_t i = 0; i < p->view.n_clusters; i++) {
        const double cell = p->masks_box.h / p->view.n_clusters;

        struct pv_heat_top top;

        if (cell < 10.5)
            break;
        snprintf(text, sizeof text, "%u", p->view.clusters[i]);
        if (pv_telling_tokens(heat, p->view.layer, p->view.clusters[i], &top, 1) > 0)
            snprintf(text, sizeof text, "%s", top.text);
        pv_draw_text(d, box.x + 50, p->masks_box.y + cell * (i + 0.5) + 4,
                     &(struct pv_font){.size = 10.5,
                                       .align = PV_RIGHT,
                                       .max_width = 54,
                                       .colour = p->view.clusters[i] == row->cluster[p->view.layer]
                                                     ? d->theme->accent
                                                     : d->theme->faint},
                     text);
    }
    neuron_key(d, p->masks_box.x, p->masks_box.y + p->masks_box.h + 18, row->active != NULL);
}

static void draw_prose(struct pv_panels *p, const struct pv_draw *d, struct pv_box box)
{
    const struct pv_heat *heat = p->player->heat;
    const struct pv_prose prose = {
        .box = {box.x, box.y + 28, box.w, box.h - 28}, .back = p->player->back, .layer = p->player->layer};
    char text[160];
    double height;

    if (pv_heat_header(heat)->n_clusters == 0)
        snprintf(text, sizeof text, "under each its layers, the first on top; bright: many neurons fired");
    else
        snprintf(text, sizeof text,
                 "under each its layers, the first on top; like colours: like tokens; words: layer %u",
                 p->player->layer);
    panel_title(d, box.x, box.y + 14, box.w, "Tokens", text);
    p->n_cells = pv_part_prose(d, heat, &prose, p->cells, &height);
}

static void draw_waterfall(struct pv_panels *p, const struct pv_draw *d, struct pv_box box)
{
    const struct pv_heat *heat = p->player->heat;
    const uint32_t n_layers = pv_heat_header(heat)->n_layers;
    struct pv_box cells;
    char name[32];

    p->n_cells = 0;
    if (pv_prose_fits_better(heat, box.w - (box.w > 420 ? 260 : 190))) {
        draw_prose(p, d, box);
        return;
    }
    panel_title(d, box.x, box.y + 14, box.w, "Tokens",
                pv_heat_header(heat)->n_clusters == 0
                    ? "the neurons that fired in each layer, in per cent"
                    : "the cluster picked in each layer; like colours: clusters for like tokens");
    p->waterfall = (struct pv_waterfall){
        .box = {box.x, box.y + 46, box.w, box.h - 46},
        .text_width = box.w > 400 ? 110 : 80,
        .row_height = 20,
        .bar_width = box.w > 420 ? 150 : 110,
        .back = p->player->back,
    };
    cells = pv_waterfall_cells(&p->waterfall, heat);
    for (uint32_t l = 0; l < n_layers; l++) {
        const double cell = cells.w / n_layers;

        snprintf(name, sizeof name, "%u", l);
        if (cell >= 16 || l % 4 == 0)
            pv_draw_text(d, cells.x + (l + 0.5) * cell, box.y + 40,
                         &(struct pv_font){.size = 11, .colour = d->theme->faint, .align = PV_CENTRE}, name);
    }
    pv_draw_text(d, cells.x + cells.w + 12, box.y + 40,
                 &(struct pv_font){.size = 11, .colour = d->theme->faint},
                 pv_heat_header(heat)->n_clusters == 0 ? "fired"
                 : box.w > 420                         ? "neurons computed"
                                                       : "computed");
    pv_part_waterfall(d, heat, &p->waterfall);
}

static void draw_strips(const struct pv_panels *p, const struct pv_draw *d, struct pv_box box)
{
    const struct pv_strip strips[3] = {
        {.label = "share", .unit = " %", .max = 0, .factor = 100.0, .value = pv_strip_density},
        {.label = "margin", .unit = "", .max = 0, .factor = 1.0, .value = pv_strip_margin},
        {.label = "speed", .unit = " tok/s", .max = 0, .factor = 1.0, .value = pv_strip_speed},
    };
    static const char *const wide[3] = {"neurons computed", "router's margin", "speed"};
    const struct pv_strip firing = {
        .label = "fired", .unit = " %", .max = 0, .factor = 100.0, .value = pv_strip_firing};
    const bool dense = pv_heat_header(p->player->heat)->n_clusters == 0; /* then there is no router */
    const double w = (box.w - 2 * GAP) / 3;

    for (int i = 0; i < 3; i++) {
        struct pv_strip strip = dense && i == 1 ? firing : strips[i];

        strip.label = w < 160 ? strip.label : dense && i == 1 ? "neurons that fired" : wide[i];
        strip.unit = w >= 110 || i == 0 ? strip.unit : "";
        strip.box = (struct pv_box){floor(box.x + i * (w + GAP)), box.y, floor(w), box.h};
        pv_part_strip(d, p->player->heat, &strip, p->player->back);
    }
}

static void draw_help(const struct pv_panels *p, const struct pv_draw *d)
{
    static const char *const keys[][2] = {
        {"space", "pause, go on"},
        {"\xe2\x86\x90 \xe2\x86\x92", "one token back, forward"},
        {"end", "to the newest token"},
        {"\xe2\x86\x91 \xe2\x86\x93", "the layer whose neurons are shown"},
        {"+ -", "longer, shorter memory of the heatmap"},
        {"wheel, drag", "a nearer look at the map, along it"},
        {"z o", "the whole map; its columns by use"},
        {"] [", "faster, slower (a trace)"},
        {"p", "palette"},
        {"t", "light or dark"},
        {"s", "save a PNG"},
        {"click", "keep an explanation; again: let go"},
        {"h", "this help"},
        {"q", "quit"},
    };
    const uint32_t n = sizeof keys / sizeof keys[0];
    const struct pv_box box = {floor(p->width / 2 - 270), floor(p->height / 2 - 270), 540, 518};
    double y = box.y + 40;

    pv_draw_rect(d, box, d->theme->background);
    pv_draw_frame(d, box, d->theme->accent);
    pv_draw_text(d, box.x + 30, y, &(struct pv_font){.size = 17, .colour = d->theme->strong, .bold = true},
                 "What you see");
    y = pv_draw_paragraph(
        d, box.x + 30, y + 28, box.w - 60, &(struct pv_font){.size = 13, .colour = d->theme->text},
        "For each token a router picks one cluster of neurons in every layer, and only that cluster "
        "is computed. The map shows which clusters were picked lately, the list which ones each token "
        "took, the lower map which neurons they hold.");
    y += 14;
    for (uint32_t i = 0; i < n; i++, y += 24) {
        pv_draw_text(
            d, box.x + 110, y,
            &(struct pv_font){.size = 13, .colour = d->theme->accent, .align = PV_RIGHT, .bold = true},
            keys[i][0]);
        pv_draw_text(d, box.x + 130, y, &(struct pv_font){.size = 13, .colour = d->theme->text}, keys[i][1]);
    }
}

static void draw_all(struct pv_panels *p, const struct pv_draw *d, bool with_heat)
{
    const double left = floor((p->width - 3 * GAP) * 0.56), right = p->width - 3 * GAP - left, strips = 96;
    const double upper = floor((p->height - HEAD - 2 * GAP) * 0.47), body = p->height - HEAD - GAP;
    struct spot hover = find(p, p->mouse_x, p->mouse_y);

    pv_draw_rect(d, (struct pv_box){0, 0, p->width, p->height}, d->theme->background);
    head(p, d);
    if (p->width < 360 || p->height < 260) /* too small for more */
        return;
    draw_heat(p, d, (struct pv_box){GAP, HEAD, left, p->masks ? upper : body}, with_heat);
    if (p->masks)
        draw_neurons(p, d, (struct pv_box){GAP, HEAD + upper + GAP, left, body - upper - GAP});
    draw_waterfall(p, d, (struct pv_box){2 * GAP + left, HEAD, right, body - strips - GAP});
    draw_strips(p, d, (struct pv_box){2 * GAP + left, p->height - GAP - strips, right, strips});
    outline(p, d, &hover, d->theme->strong);
    outline(p, d, &p->pin, d->theme->accent);
    if (p->pin.what != NOTHING)
        bubble(p, d, &p->pin, p->heat.x + p->heat.w - 350, p->height - 140, d->theme->accent);
    if (hover.what != NOTHING && !p->player->help)
        bubble(p, d, &hover, p->mouse_x + 16, p->mouse_y + 18, d->theme->line);
    if (p->player->help)
        draw_help(p, d);
}

enum pv_status pv_panels_draw(struct pv_panels *p, cairo_surface_t *surface, double width, double height,
                              double scale, bool with_heat)
{
    struct pv_draw d = {.theme = pv_theme_get(p->player->light), .palette = &p->palette};
    enum pv_status status = make_view(p);

    if (status == PV_OK)
        status = make_columns(p);
    if (status != PV_OK)
        return status;
    if (!p->palette_made || p->palette_index != p->player->palette || p->light != p->player->light) {
        pv_palette_init(&p->palette, p->player->palette, p->player->light);
        p->palette_index = p->player->palette;
        p->light = p->player->light;
        p->palette_made = true;
    }
    if (p->pin.what == WATERFALL && p->pin.back >= pv_heat_n_recent(p->player->heat))
        p->pin.what = NOTHING;
    p->width = width;
    p->height = height;
    d.cr = pv_draw_context(surface, scale);
    draw_all(p, &d, with_heat);
    status = cairo_status(d.cr) == CAIRO_STATUS_SUCCESS ? PV_OK : PV_ERR_NOMEM;
    cairo_destroy(d.cr);
    cairo_surface_flush(surface);
    return status;
}

enum pv_status pv_panels_save(struct pv_panels *panels, const char *path, double width, double height,
                              double scale)
{
    cairo_surface_t *surface =
        cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)(width * scale), (int)(height * scale));
    enum pv_status status = pv_panels_draw(panels, surface, width, height, scale, true);

    if (status == PV_OK && cairo_surface_write_to_png(surface, path) != CAIRO_STATUS_SUCCESS)
        status = PV_ERR_IO;
    cairo_surface_destroy(surface);
    return status;
}
