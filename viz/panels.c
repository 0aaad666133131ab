/* Layout: the heatmap and, under it, the neurons of a layer on the left; the waterfall and the strip charts
 * on the right. Hovering and pins are worked out from the same boxes that are drawn. */
#include "viz/panels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GAP   18.0
#define HEAD  46.0
#define SHOWN 24u /* clusters in the neuron view */

enum what { NOTHING, HEAT, WATERFALL, NEURONS };

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
    p->mouse_x = p->mouse_y = -1.0;
    return PV_OK;
}

void pv_panels_destroy(struct pv_panels *p)
{
    if (!p)
        return;
    if (p->view_made)
        pv_neuron_view_free(&p->view);
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
    uint32_t n = pv_heat_header(heat)->n_clusters, found;
    const double per_pixel = n / p->heat.w, at = (x - p->heat.x) * per_pixel;
    const uint32_t first = at > 2 * per_pixel ? (uint32_t)(at - 2 * per_pixel) : 0;
    const uint32_t last = (uint32_t)(at + 2 * per_pixel);

    found = pv_heat_at(heat, layer, at < n ? (uint32_t)at : n - 1);
    for (uint32_t k = first; k <= last && k < n; k++) {
        const uint32_t cluster = pv_heat_at(heat, layer, k);

        if (pv_heat_share(heat, layer, cluster) > pv_heat_share(heat, layer, found))
            found = cluster;
    }
    return found;
}

static struct spot find(const struct pv_panels *p, double x, double y)
{
    const struct pv_heat *heat = p->player->heat;
    const struct pv_trace_header *h = pv_heat_header(heat);
    struct pv_box cells = pv_waterfall_cells(&p->waterfall, heat);
    struct spot s = {.what = NOTHING};
    const uint32_t rows = pv_waterfall_rows(&p->waterfall, heat);

    cells.h = rows * p->waterfall.row_height;
    if (inside(p->heat, x, y) && h->n_clusters > 0) {
        s = (struct spot){.what = HEAT, .layer = (uint32_t)((y - p->heat.y) / p->heat.h * h->n_layers)};
        if (s.layer < h->n_layers)
            s.cluster = nearest_cluster(p, s.layer, x);
    } else if (inside(cells, x, y)) {
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

static uint32_t explain(const struct pv_panels *p, const struct spot *s, struct line *lines)
{
    const struct pv_heat *heat = p->player->heat;
    uint32_t n = 0, holders = 0;
    size_t n_used;

    if (s->what == HEAT)
        return cluster_lines(p, s->layer, s->cluster, lines);
    if (s->what == WATERFALL) {
        const struct pv_heat_row *row = pv_heat_recent(heat, s->back);

        snprintf(lines[n++].text, LINE, "\xe2\x80\x9c%s\xe2\x80\x9d: %u of %u neurons%s", row->text,
                 row->n_neurons[s->layer], pv_heat_header(heat)->d_ffn,
                 s->cluster == PV_TRACE_NO_CLUSTER ? ", dense" : "");
        if (row->margin && !isnan(row->margin[s->layer]))
            snprintf(lines[n++].text, LINE, "router's margin %.2f", (double)row->margin[s->layer]);
        if (row->n_active && row->n_hit && row->n_active[s->layer] > 0) {
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

static void draw_heat(struct pv_panels *p, const struct pv_draw *d, struct pv_box box, bool with_heat)
{
    const struct pv_heat *heat = p->player->heat;
    const uint32_t n_layers = pv_heat_header(heat)->n_layers;
    double top_share = pv_heat_max_share(heat), row;

    panel_title(d, box.x, box.y + 14, box.w, "Layers and their clusters",
                p->player->light ? "dark: picked by many of the last tokens; like colours: like tokens"
                                 : "bright: picked by many of the last tokens; like colours: like tokens");
    p->heat = (struct pv_box){box.x + 58, box.y + 26, floor(box.w - 58), floor(box.h - 26 - 66)};
    row = floor(p->heat.h / n_layers);
    p->heat.h = row >= 1.0 ? (row > 56 ? 56 : row) * n_layers : p->heat.h;
    if (with_heat || pv_heat_header(heat)->n_clusters == 0) {
        pv_part_heat(d, heat, p->heat, top_share);
    } else { /* a hole for the shader */
        cairo_set_operator(d->cr, CAIRO_OPERATOR_CLEAR);
        cairo_rectangle(d->cr, p->heat.x, p->heat.y, p->heat.w, p->heat.h);
        cairo_fill(d->cr);
        cairo_set_operator(d->cr, CAIRO_OPERATOR_OVER);
    }
    pv_part_layer_names(d, heat, p->heat);
    if (pv_heat_header(heat)->n_clusters > 0)
        pv_part_places(d, (struct pv_box){p->heat.x, p->heat.y + p->heat.h + 4, p->heat.w, 5});
    pv_part_scale(d, (struct pv_box){p->heat.x, p->heat.y + p->heat.h + 28, p->heat.w > 420 ? 240 : 160, 12},
                  top_share, p->heat.w > 420 ? "of the last tokens picked it" : "of the last tokens");
}

static void outline(const struct pv_panels *p, const struct pv_draw *d, const struct spot *s,
                    struct pv_rgb colour)
{
    const struct pv_trace_header *h = pv_heat_header(p->player->heat);
    double x, y, w, row;
    uint32_t place;

    if (s->what == NOTHING || s->cluster >= h->n_clusters)
        return;
    place = pv_heat_place(p->player->heat, s->layer, s->cluster);
    x = pv_cell_edge(p->heat.x, p->heat.w, place, h->n_clusters);
    w = pv_cell_edge(p->heat.x, p->heat.w, place + 1, h->n_clusters) - x;
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
    if (!p->masks || !p->view_made) {
        panel_title(d, box.x, box.y + 14, box.w, title,
                    !p->masks ? "give the cluster file with -c to see them" : "no token yet");
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

static void draw_waterfall(struct pv_panels *p, const struct pv_draw *d, struct pv_box box)
{
    const struct pv_heat *heat = p->player->heat;
    const uint32_t n_layers = pv_heat_header(heat)->n_layers;
    struct pv_box cells;
    char name[32];

    panel_title(d, box.x, box.y + 14, box.w, "Tokens",
                "the cluster picked in each layer; like colours: clusters for like tokens");
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
                 box.w > 420 ? "neurons computed" : "computed");
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
    const double w = (box.w - 2 * GAP) / 3;

    for (int i = 0; i < 3; i++) {
        struct pv_strip strip = strips[i];

        strip.label = w >= 160 ? wide[i] : strip.label;
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
        {"] [", "faster, slower (a trace)"},
        {"p", "palette"},
        {"t", "light or dark"},
        {"s", "save a PNG"},
        {"click", "keep an explanation; again: let go"},
        {"h", "this help"},
        {"q", "quit"},
    };
    const uint32_t n = sizeof keys / sizeof keys[0];
    const struct pv_box box = {floor(p->width / 2 - 270), floor(p->height / 2 - 250), 540, 470};
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
    draw_heat(p, d, (struct pv_box){GAP, HEAD, left, upper}, with_heat);
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
