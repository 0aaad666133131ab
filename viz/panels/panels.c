/* Layout: the heatmap and, under it, the neurons of a layer on the left; the waterfall and the strip charts
 * on the right. Hovering and pins are worked out from the same boxes that are drawn. */
#include "viz/panels/panels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "viz/panels/panels_in.h"

#define GAP   18.0
#define HEAD  46.0
#define SHOWN 24u /* clusters in the neuron view */

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

        if (!panels_inside(box, x, y))
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
    if (panels_inside(p->heat, x, y) && h->n_clusters == 0) {
        if (pv_heat_has_fire(heat))
            s = (struct spot){.what = FIRE,
                              .layer = (uint32_t)((y - p->heat.y) / p->heat.h * h->n_layers),
                              .neuron =
                                  (uint32_t)((x - p->heat.x) / p->heat.w * pv_fire_groups(heat, p->heat.w)),
                              .cluster = PV_TRACE_NO_CLUSTER};
    } else if (panels_inside(p->heat, x, y)) {
        s = (struct spot){.what = HEAT, .layer = (uint32_t)((y - p->heat.y) / p->heat.h * h->n_layers)};
        if (s.layer < h->n_layers)
            s.cluster = nearest_cluster(p, s.layer, x);
    } else if (find_in_prose(p, x, y, &s)) {
        return s;
    } else if (p->n_cells == 0 && panels_inside(cells, x, y)) {
        uint32_t row = (uint32_t)((y - cells.y) / p->waterfall.row_height);

        s = (struct spot){.what = WATERFALL,
                          .layer = (uint32_t)((x - cells.x) / cells.w * h->n_layers),
                          .back = p->waterfall.back + rows - 1 - (row < rows ? row : rows - 1)};
        s.cluster = pv_heat_recent(heat, s.back)->cluster[s.layer];
    } else if (p->masks && p->view_made &&
               (panels_inside(p->masks_box, x, y) || panels_inside(p->pattern, x, y))) {
        const uint32_t at = (uint32_t)((x - p->masks_box.x) / p->masks_box.w * h->d_ffn);
        const uint32_t row = (uint32_t)((y - p->masks_box.y) / p->masks_box.h * p->view.n_clusters);

        s = (struct spot){.what = NEURONS, .layer = p->view.layer, .cluster = PV_TRACE_NO_CLUSTER};
        s.neuron = p->view.neurons[at < h->d_ffn ? at : h->d_ffn - 1];
        if (panels_inside(p->masks_box, x, y) && row < p->view.n_clusters)
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
        panels_title(d, box.x, box.y + 14, box.w, title, "no token yet");
        p->masks_box = p->pattern = (struct pv_box){0, 0, 0, 0};
        return;
    }
    panels_title(d, box.x, box.y + 14, box.w, title,
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
    panels_title(d, box.x, box.y + 14, box.w, "Tokens", text);
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
    panels_title(d, box.x, box.y + 14, box.w, "Tokens",
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
    panels_draw_map(p, d, (struct pv_box){GAP, HEAD, left, p->masks ? upper : body}, with_heat);
    if (p->masks)
        draw_neurons(p, d, (struct pv_box){GAP, HEAD + upper + GAP, left, body - upper - GAP});
    draw_waterfall(p, d, (struct pv_box){2 * GAP + left, HEAD, right, body - strips - GAP});
    draw_strips(p, d, (struct pv_box){2 * GAP + left, p->height - GAP - strips, right, strips});
    panels_outline(p, d, &hover, d->theme->strong);
    panels_outline(p, d, &p->pin, d->theme->accent);
    if (p->pin.what != NOTHING)
        panels_tell(p, d, &p->pin, p->heat.x + p->heat.w - 350, p->height - 140, d->theme->accent);
    if (hover.what != NOTHING && !p->player->help)
        panels_tell(p, d, &hover, p->mouse_x + 16, p->mouse_y + 18, d->theme->line);
    if (p->player->help)
        draw_help(p, d);
}

enum pv_status pv_panels_draw(struct pv_panels *p, cairo_surface_t *surface, double width, double height,
                              double scale, bool with_heat)
{
    struct pv_draw d = {.theme = pv_theme_get(p->player->light), .palette = &p->palette};
    enum pv_status status = make_view(p);

    if (status == PV_OK)
        status = panels_make_columns(p);
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
