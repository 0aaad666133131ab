/* What each picture shows and says. The words are for people who have never heard of activation sparsity. */
#include "viz/picture/picture_kinds.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "viz/panels/prose.h"

void picture_heading(struct picture *p, const char *title, const char *text)
{
    const struct pv_theme *t = p->d.theme;
    const struct pv_trace_header *h = pv_heat_header(p->heat);
    char facts[512];

    p->y = 50;
    pv_draw_text(&p->d, MARGIN, p->y, &(struct pv_font){.size = 23, .colour = t->strong, .bold = true},
                 title);
    p->y = pv_draw_paragraph(&p->d, MARGIN, p->y + 28, p->width - 2 * MARGIN,
                             &(struct pv_font){.size = 13.5, .colour = t->text}, text);
    snprintf(facts, sizeof facts, "%s%s%s \xc2\xb7 %llu tokens", h->model, h->device[0] != '\0' ? " on " : "",
             h->device, (unsigned long long)pv_heat_n_tokens(p->heat));
    pv_draw_text(&p->d, MARGIN, p->y + 4,
                 &(struct pv_font){.size = 11.5, .colour = t->faint, .max_width = p->width - 2 * MARGIN},
                 facts);
    p->y += 28;
}

/* One column of tokens: heads above, then the rows. */
static void waterfall_column(struct picture *p, const struct pv_waterfall *w)
{
    const uint32_t n_layers = pv_heat_header(p->heat)->n_layers;
    struct pv_font label = {.size = 11, .colour = p->d.theme->faint, .align = PV_RIGHT};
    const struct pv_box cells = pv_waterfall_cells(w, p->heat);
    const double cell = cells.w / n_layers, y = w->box.y - 8;
    char name[32];

    pv_draw_text(&p->d, cells.x - 10, y, &label, "token");
    label.align = PV_CENTRE;
    for (uint32_t l = 0; l < n_layers; l++) {
        snprintf(name, sizeof name, cell >= 46 ? "layer %u" : "%u", l);
        if (cell >= 16 || l % 4 == 0)
            pv_draw_text(&p->d, cells.x + (l + 0.5) * cell, y, &label, name);
    }
    label.align = PV_LEFT;
    pv_draw_text(&p->d, cells.x + cells.w + 12, y, &label,
                 pv_heat_header(p->heat)->n_clusters > 0 ? "neurons computed" : "neurons that fired");
    pv_part_waterfall(&p->d, p->heat, w);
}

/* The colours of places, with words for their ends. */
static void place_legend(struct picture *p, bool numbers)
{
    const struct pv_theme *t = p->d.theme;
    struct pv_font font = {.size = 12, .colour = t->text};
    const double x =
        floor(MARGIN + pv_draw_text(&p->d, MARGIN, p->y, &font, "colour: clusters for like tokens") + 16);

    pv_part_places(&p->d, (struct pv_box){x, p->y - 11, 240, 14}, 0.0, 1.0);
    pv_draw_text(&p->d, x + 254, p->y, &font,
                 p->width > 800 && numbers ? "have like colours in every layer; the number is the cluster's"
                                           : "have like colours in every layer");
    p->y += 34;
}

/* Of many layers: running text. */
static void picture_prose(struct picture *p)
{
    const struct pv_trace_header *h = pv_heat_header(p->heat);
    struct pv_prose_cell *cells = calloc(PV_PROSE_MOST, sizeof *cells);
    const struct pv_prose prose = {.box = {MARGIN, 0, p->width - 2 * MARGIN, 1e6},
                                   .back = p->params->back,
                                   .most = p->params->n_rows > 0 ? p->params->n_rows : 160,
                                   .layer = p->layer};
    struct pv_prose at = prose;
    double height = 0.0;
    char text[700];

    if (h->n_clusters > 0)
        snprintf(
            text, sizeof text,
            "Read it as text. Under each token (a word, a piece of one or a sign) is a strip of the model's %u "
            "layers, the first on top: its colour is that of the cluster, of %u, which the layer picked, and where "
            "it changes the model changes its mind about the token. The word itself has the colour of layer %u.",
            h->n_layers, h->n_clusters, p->layer);
    else
        snprintf(
            text, sizeof text,
            "Read it as text. Under each token (a word, a piece of one or a sign) is a strip of the model's %u "
            "layers, the first on top: the brighter, the more of the layer's neurons fired. The word itself has the "
            "colour of layer %u.",
            h->n_layers, p->layer);
    picture_heading(
        p, h->n_clusters > 0 ? "A text and the clusters it takes" : "A text and the neurons that fire", text);
    if (h->n_clusters > 0)
        place_legend(p, false);
    at.box.y = p->y;
    if (cells)
        pv_part_prose(&p->d, p->heat, &at, cells, &height);
    p->lacks_something = p->lacks_something || !cells;
    free(cells);
    p->y += height + 24;
}

void picture_waterfall(struct picture *p)
{
    const struct pv_trace_header *h = pv_heat_header(p->heat);
    const uint32_t there = pv_heat_n_recent(p->heat),
                   back = p->params->back < there ? p->params->back : there;
    const double gap = 44, half = floor((p->width - 2 * MARGIN - gap) / 2);
    const uint32_t n_columns = half >= 130 + 44.0 * h->n_layers + 150 ? 2 : 1;
    uint32_t n = p->params->n_rows > 0 ? p->params->n_rows : 34 * n_columns, per_column;
    char text[700];

    if (pv_prose_fits_better(p->heat, p->width - 2 * MARGIN - 280)) {
        picture_prose(p);
        return;
    }
    n = n < there - back ? n : there - back;
    per_column = (n + n_columns - 1) / n_columns;
    if (h->n_clusters == 0)
        snprintf(
            text, sizeof text,
            "Read it downwards: each row is one token (a word, a piece of one or a sign), each column one layer of the "
            "model. A cell says how many of the layer's neurons fired for the token, in per cent, and the blue bar "
            "how many did in all layers. All of them were computed.");
    else
        snprintf(
            text, sizeof text,
            "Read it downwards: each row is one token (a word, a piece of one or a sign), each column one layer "
            "of the model. A cell says which of the layer's %u clusters was picked for the token. Words of "
            "one kind, such as \xe2\x80\x9che\xe2\x80\x9d and \xe2\x80\x9cthey\xe2\x80\x9d, take the same or "
            "like clusters, so the same neurons are computed for them. The blue bar is the share of all neurons "
            "that the token cost; without clusters every bar would be full.",
            h->n_clusters);
    picture_heading(p,
                    h->n_clusters > 0 ? "A text, token by token, and the clusters it takes"
                                      : "A text, token by token, and the neurons that fire",
                    text);
    if (h->n_clusters > 0)
        place_legend(p, true);
    p->y += 6;
    for (uint32_t c = 0; c < n_columns; c++) {
        const uint32_t first = c * per_column, rows = n - first < per_column ? n - first : per_column;
        struct pv_waterfall w = {.text_width = 130, .row_height = 22, .back = back + n - first - rows};

        w.box = (struct pv_box){MARGIN + c * (half + gap), p->y,
                                n_columns == 2 ? half : p->width - 2 * MARGIN, w.row_height * rows};
        w.bar_width = w.box.w - w.text_width - 56.0 * h->n_layers; /* what full-width cells leave */
        w.bar_width = w.bar_width < 150 ? 150 : w.bar_width > 420 ? 420 : w.bar_width;
        if (rows > 0)
            waterfall_column(p, &w);
    }
    p->y += 22.0 * per_column + 24;
}

static void neuron_legend(struct picture *p, double x, double right, bool active)
{
    const struct pv_theme *t = p->d.theme;
    const bool wide = right - x > 560;
    const struct {
        struct pv_rgb colour;
        const char *text;
    } items[] = {{t->hit, !active ? "computed"
                          : wide  ? "computed and active: a hit"
                                  : "hit"},
                 {t->miss, wide ? "active but left out: a miss" : "missed"},
                 {t->wasted, wide ? "computed in vain" : "in vain"}};

    for (int i = 0; i < (active ? 3 : 1); i++) {
        pv_draw_rect(&p->d, (struct pv_box){floor(x), p->y - 10, 12, 12}, items[i].colour);
        x += 38 + pv_draw_text(&p->d, floor(x) + 18, p->y, &(struct pv_font){.size = 12, .colour = t->text},
                               items[i].text);
    }
}

/* What a token's mask caught of its active neurons, as numbers at the right of its row. */
static void pattern_numbers(struct picture *p, const struct pv_heat_row *row, double x)
{
    struct pv_font number = {.size = 11, .colour = p->d.theme->faint};
    char text[32];

    if (!row->n_active || !row->n_hit || row->n_active[p->layer] == 0)
        return;
    pv_draw_text(&p->d, x, p->y + 11, &number,
                 pv_percent((double)row->n_hit[p->layer] / row->n_active[p->layer], text, sizeof text));
    if (!row->energy_kept || isnan(row->energy_kept[p->layer]))
        return;
    snprintf(text, sizeof text, "%.1f %%", 100.0 * (double)row->energy_kept[p->layer]);
    pv_draw_text(&p->d, x + 54, p->y + 11, &number, text);
}

static void pattern_rows(struct picture *p, struct pv_box box)
{
    const struct pv_theme *t = p->d.theme;
    const uint32_t n = pv_heat_n_recent(p->heat), shown = n < 16 ? n : 16;
    const bool active = n > 0 && pv_heat_recent(p->heat, 0)->active;
    struct pv_font label = {.size = 11, .colour = t->faint};

    pv_draw_text(&p->d, MARGIN, p->y, &(struct pv_font){.size = 14, .colour = t->strong, .bold = true},
                 active ? "The last tokens: what the mask caught" : "The last tokens");
    if (active)
        p->y =
            pv_draw_paragraph(&p->d, MARGIN, p->y + 22, p->width - 2 * MARGIN,
                              &(struct pv_font){.size = 12, .colour = t->text},
                              "Caught: the share of the truly active neurons that was computed. Energy: the "
                              "share of all the neurons' effect that these carry.") -
            12;
    p->y += 24;
    neuron_legend(p, box.x, box.x + box.w, active);
    if (active) {
        pv_draw_text(&p->d, box.x + box.w + 12, p->y, &label, "caught");
        pv_draw_text(&p->d, box.x + box.w + 66, p->y, &label, "energy");
    }
    p->y += 14;
    for (uint32_t i = 0; i < shown; i++) {
        const struct pv_heat_row *row = pv_heat_recent(p->heat, shown - 1 - i);

        pv_draw_text(&p->d, box.x - 10, p->y + 11,
                     &(struct pv_font){.size = 11.5, .colour = t->text, .align = PV_RIGHT, .max_width = 110},
                     row->text);
        pv_part_pattern(&p->d, p->params->masks, p->view, row, (struct pv_box){box.x, p->y, box.w, 13});
        if (active)
            pattern_numbers(p, row, box.x + box.w + 12);
        p->y += 15;
    }
    p->y += 16;
}

/* What a row of the map is: the cluster's words and number at its left, share and size at its right. */
static void name_row(struct picture *p, struct pv_box box, double y, uint32_t cluster)
{
    const struct pv_theme *t = p->d.theme;
    const double of = (double)pv_heat_n_tokens(p->heat);
    struct pv_heat_top tops[4];
    const uint32_t n = pv_telling_tokens(p->heat, p->layer, cluster, tops, 4);
    struct pv_font right = {.size = 11, .colour = t->text, .align = PV_RIGHT};
    char text[256] = "", share[16];
    size_t used = 0;
    double width;

    snprintf(share, sizeof share, "%u", cluster);
    right.colour = t->faint;
    pv_draw_text(&p->d, box.x - 10, y, &right, share);
    width = box.x - 46 - MARGIN;
    right.colour = t->strong;
    right.size = 11.5;
    for (uint32_t i = 0; i < n; i++) { /* as many as fit */
        const size_t before = used;

        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i > 0 ? "  " : "", tops[i].text);
        if (i == 0 || pv_text_extent(&p->d, &right, text) <= width)
            continue;
        text[before] = '\0';
        break;
    }
    right.max_width = width;
    pv_draw_text(&p->d, box.x - 42, y, &right, text);
    snprintf(text, sizeof text, "%s",
             pv_percent((double)pv_heat_uses(p->heat, p->layer, cluster) / of, share, sizeof share));
    pv_draw_text(&p->d, box.x + box.w + 12, y, &(struct pv_font){.size = 11, .colour = t->faint}, text);
    snprintf(text, sizeof text, "%u", pv_maskset_size(p->params->masks, p->layer, cluster));
    pv_draw_text(&p->d, box.x + box.w + 66, y, &(struct pv_font){.size = 11, .colour = t->faint}, text);
}

void picture_neurons(struct picture *p)
{
    const struct pv_trace_header *h = pv_heat_header(p->heat);
    const struct pv_theme *t = p->d.theme;
    const struct pv_neuron_view *v = p->view;
    struct pv_box box = {MARGIN + 204, 0, p->width - 2 * MARGIN - 204 - 116, 0};
    struct pv_font label = {.size = 11, .colour = t->faint};
    char title[128], text[700];
    const double row = v->n_clusters > 40 ? 9 : 15;

    snprintf(title, sizeof title, "The neurons behind the clusters of layer %u", p->layer);
    snprintf(text, sizeof text,
             "Each row is one cluster, named by words that pick it; each column is one of the layer's %u "
             "neurons; a cell is coloured where the cluster holds the neuron. Clusters for like words are "
             "neighbours and have like colours. Neurons that work together stand together, at the right "
             "those that none of these %u clusters needs. A token computes the neurons of one row and leaves "
             "the rest of the layer alone.",
             h->d_ffn, v->n_clusters);
    picture_heading(p, title, text);
    box.y = p->y + 18;
    box.h = row * v->n_clusters;
    pv_draw_text(&p->d, box.x + box.w + 12, box.y - 7, &label, "picked");
    pv_draw_text(&p->d, box.x + box.w + 66, box.y - 7, &label, "neurons");
    label.align = PV_RIGHT;
    if (row >= 12)
        pv_draw_text(&p->d, box.x - 10, box.y - 7, &label, "words, cluster");
    pv_part_masks(&p->d, p->heat, p->params->masks, v, box);
    for (uint32_t i = 0; i < v->n_clusters && row >= 12; i++)
        name_row(p, box, box.y + row * (i + 0.5) + 4, v->clusters[i]);
    snprintf(text, sizeof text, "the layer's %u neurons, those that work together side by side", h->d_ffn);
    pv_draw_text(&p->d, box.x + box.w / 2, box.y + box.h + 20,
                 &(struct pv_font){.size = 12, .colour = t->text, .align = PV_CENTRE}, text);
    p->y = box.y + box.h + 56;
    pattern_rows(p, box);
}

double picture_chip(struct picture *p, double x, double top, struct pv_rgb fill, const char *text)
{
    struct pv_font font = {.size = 12.5, .colour = pv_ink_on(fill)};
    const double w = floor(pv_text_extent(&p->d, &font, text) + 12);

    pv_draw_rect(&p->d, (struct pv_box){floor(x), top, w, 20}, fill);
    pv_draw_text(&p->d, floor(x) + 6, top + 14, &font, text);
    return w;
}

static double use_share(const struct picture *p, uint32_t cluster)
{
    return (double)pv_heat_uses(p->heat, p->layer, cluster) / (double)pv_heat_n_tokens(p->heat);
}

/* Of all the times that a token comes, the share in which it picks the cluster. */
static struct pv_rgb chip_colour(const struct picture *p, double share)
{
    return pv_palette_at(p->d.palette, 0.12 + 0.75 * (share > 1.0 ? 1.0 : share));
}

static void token_row(struct picture *p, uint32_t cluster, double most)
{
    const struct pv_theme *t = p->d.theme;
    double share = use_share(p, cluster), x = MARGIN + 262;
    struct pv_heat_top tops[24];
    const uint32_t n = pv_telling_tokens(p->heat, p->layer, cluster, tops, 24);
    char text[64], percent[16];

    pv_draw_rect(&p->d, (struct pv_box){MARGIN, p->y + 3, 8, 20},
                 pv_cluster_colour(p->heat, p->params->light, p->layer, cluster));
    snprintf(text, sizeof text, "cluster %u", cluster);
    pv_draw_text(&p->d, MARGIN + 18, p->y + 17, &(struct pv_font){.size = 12.5, .colour = t->strong}, text);
    pv_draw_rect(&p->d, (struct pv_box){MARGIN + 108, p->y + 5, floor(84 * share / most + 0.5), 16}, t->hit);
    pv_draw_text(&p->d, MARGIN + 108 + 84 * share / most + 6, p->y + 17,
                 &(struct pv_font){.size = 11, .colour = t->text},
                 pv_percent(share, percent, sizeof percent));
    for (uint32_t i = 0; i < n; i++) {
        const double only = (double)tops[i].count / (double)tops[i].count_all;
        const struct pv_rgb fill = chip_colour(p, only);
        struct pv_font count = {.size = 10, .colour = t->faint};
        double w = floor(pv_text_extent(&p->d, &(struct pv_font){.size = 12.5}, tops[i].text) + 12), w_count;

        snprintf(text, sizeof text, "\xc3\x97%llu", (unsigned long long)tops[i].count);
        w_count = pv_text_extent(&p->d, &count, text) + 14;
        if (x + w + w_count > p->width - MARGIN)
            break;
        picture_chip(p, x, p->y + 3, fill, tops[i].text);
        pv_draw_text(&p->d, x + w + 3, p->y + 17, &count, text);
        x = floor(x + w + w_count);
    }
    p->y += 30;
}

static struct pv_rgb legend_colour(void *user, double share)
{
    return chip_colour(user, share);
}

static void token_legend(struct picture *p)
{
    struct pv_font font = {.size = 11, .colour = p->d.theme->faint, .align = PV_CENTRE};
    const struct pv_box bar = {MARGIN + 262, p->y, 200, 12};
    char text[16];

    pv_draw_gradient(&p->d, bar, legend_colour, p);
    for (int i = 0; i <= 4; i++) {
        pv_draw_line(&p->d, bar.x + 50 * i, bar.y + 12, bar.x + 50 * i, bar.y + 16, p->d.theme->faint);
        pv_draw_text(&p->d, bar.x + 50 * i, bar.y + 27, &font, pv_percent(i / 4.0, text, sizeof text));
    }
    font.align = PV_LEFT;
    font.max_width = p->width - MARGIN - bar.x - 216;
    pv_draw_text(
        &p->d, bar.x + 216, p->y + 10, &font,
        "of the times that the token comes, it picks this cluster; \xc3\x97 8: eight times in this text");
    p->y += 46;
}

void picture_tokens(struct picture *p)
{
    const struct pv_theme *t = p->d.theme;
    uint32_t n_clusters = pv_heat_header(p->heat)->n_clusters, n;
    uint32_t *clusters = calloc((size_t)n_clusters + 1, sizeof *clusters);
    char title[128], text[700];
    double most = 0.0;

    snprintf(title, sizeof title, "What the clusters of layer %u are for", p->layer);
    snprintf(
        text, sizeof text,
        "Each row is one cluster of neurons (clusters for like words are neighbours; of each group of neighbours, the "
        "one that is for most words), with the tokens that picked it and how often they did. "
        "Nobody told the clusters what words mean: they come from which neurons fire together. A %s token "
        "picks this cluster nearly every time it comes, a %s one spreads over several. A hyphen marks a "
        "piece of a word.",
        p->params->light ? "dark" : "bright", p->params->light ? "pale" : "dark");
    picture_heading(p, title, text);
    if (!clusters) {
        p->lacks_something = true;
        return;
    }
    n = p->params->n_rows > 0 ? p->params->n_rows : 20;
    n = pv_spread(p->heat, p->layer, clusters, n);
    pv_draw_text(&p->d, MARGIN + 108, p->y, &(struct pv_font){.size = 11, .colour = t->faint},
                 "share of all tokens");
    pv_draw_text(&p->d, MARGIN + 262, p->y, &(struct pv_font){.size = 11, .colour = t->faint},
                 "tokens that picked it, the most telling first");
    p->y += 8;
    for (uint32_t i = 0; i < n; i++)
        most = use_share(p, clusters[i]) > most ? use_share(p, clusters[i]) : most;
    for (uint32_t i = 0; i < n; i++)
        token_row(p, clusters[i], most);
    p->y += 18;
    token_legend(p);
    free(clusters);
}
