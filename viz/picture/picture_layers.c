/* The heatmap of all layers. Where there are few of them, words stand under the cells whose clusters they
 * pick, and one cluster of each is told in full, of those that are for more than one word. */
#include "viz/picture/picture_kinds.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SPOTS = 4, MAX_CAPTIONED = 8 };

struct spot {
    uint32_t layer, cluster;
    double score;
};

static double mean_density(const struct pv_heat *heat)
{
    const uint32_t n = pv_heat_header(heat)->n_layers;
    double sum = 0.0;

    for (uint32_t l = 0; l < n; l++)
        sum += pv_heat_density(heat, l);
    return sum / n;
}

static int by_layer(const void *a, const void *b)
{
    const struct spot *x = a, *y = b;

    return (x->layer > y->layer) - (x->layer < y->layer);
}

/* Whether a cluster's first word is also that of a spot. */
static bool told(const struct pv_heat *heat, const struct spot *spots, uint32_t n, const char *word)
{
    struct pv_heat_top top;

    for (uint32_t i = 0; i < n; i++) {
        if (pv_telling_tokens(heat, spots[i].layer, spots[i].cluster, &top, 1) > 0 &&
            strcmp(top.text, word) == 0)
            return true;
    }
    return false;
}

/* The cluster of a layer that tells most and is for other words than the spots are. */
static struct spot best_spot(const struct pv_heat *heat, uint32_t layer, const struct spot *spots, uint32_t n)
{
    const uint32_t n_clusters = pv_heat_header(heat)->n_clusters;
    struct spot best = {layer, 0, 0.0};
    struct pv_heat_top top;

    for (uint32_t k = 0; k < n_clusters; k++) {
        const double score = pv_heat_uses(heat, layer, k) > 1 ? pv_telling_score(heat, layer, k) : 0.0;

        if (score > best.score && pv_telling_tokens(heat, layer, k, &top, 1) > 0 &&
            !told(heat, spots, n, top.text))
            best = (struct spot){layer, k, score};
    }
    return best;
}

/* One spot a layer; of many layers those that tell most. In order of layers. */
static uint32_t find_spots(const struct pv_heat *heat, struct spot *spots)
{
    uint32_t found = 0, n_layers = pv_heat_header(heat)->n_layers;

    for (uint32_t l = 0; l < n_layers; l++) {
        const struct spot best = best_spot(heat, l, spots, found);
        uint32_t at = found;

        if (best.score <= 0.0 || (found == MAX_SPOTS && spots[found - 1].score >= best.score))
            continue;
        if (found == MAX_SPOTS)
            at = found - 1;
        else
            found++;
        for (; at > 0 && spots[at - 1].score < best.score; at--)
            spots[at] = spots[at - 1];
        spots[at] = best;
    }
    qsort(spots, found, sizeof *spots, by_layer);
    return found;
}

/* The middle of a cluster's cell. */
static double cell_x(const struct picture *p, struct pv_box box, uint32_t layer, uint32_t cluster)
{
    const uint32_t n = pv_heat_header(p->heat)->n_clusters;

    return box.x + box.w * (pv_heat_place(p->heat, layer, cluster) + 0.5) / n;
}

static void mark_spot(struct picture *p, double x, double y, double right, uint32_t number)
{
    const double side = x > right - 40 ? -13.0 : 13.0;
    char text[16];

    pv_draw_colour(&p->d, p->d.theme->background);
    cairo_set_line_width(p->d.cr, 4.0);
    cairo_new_sub_path(p->d.cr);
    cairo_arc(p->d.cr, x, y, 8.0, 0.0, 6.283185307179586);
    cairo_stroke_preserve(p->d.cr);
    pv_draw_colour(&p->d, p->d.theme->accent);
    cairo_set_line_width(p->d.cr, 1.8);
    cairo_stroke(p->d.cr);
    snprintf(text, sizeof text, "%u", number);
    pv_draw_rect(&p->d, (struct pv_box){side > 0 ? x + 11 : x - 23, y - 8, 12, 16}, p->d.theme->background);
    pv_draw_text(
        &p->d, x + (side > 0 ? 17 : -17), y + 4.5,
        &(struct pv_font){.size = 12, .colour = p->d.theme->accent, .bold = true, .align = PV_CENTRE}, text);
}

/* Under a layer's row: for each stretch of it a word of the cluster that is used most. */
static void caption(struct picture *p, struct pv_box row, uint32_t layer)
{
    const struct pv_trace_header *h = pv_heat_header(p->heat);
    const struct pv_theme *t = p->d.theme;
    const uint32_t n_words = (uint32_t)(row.w / 76.0);
    const double room = row.w / n_words;
    struct pv_font font = {.size = 11.5, .colour = t->text, .align = PV_CENTRE, .max_width = room - 8};

    for (uint32_t i = 0; i < n_words; i++) {
        uint32_t first = (uint32_t)((uint64_t)i * h->n_clusters / n_words), best = UINT32_MAX;
        const uint32_t end = (uint32_t)((uint64_t)(i + 1) * h->n_clusters / n_words);
        struct pv_heat_top top;
        double x, middle = row.x + (i + 0.5) * room, most = 0.0, half;

        for (uint32_t k = first; k < end; k++) {
            const uint32_t cluster = pv_heat_at(p->heat, layer, k);

            if (pv_heat_share(p->heat, layer, cluster) > most) {
                most = pv_heat_share(p->heat, layer, cluster);
                best = cluster;
            }
        }
        if (best == UINT32_MAX || pv_telling_tokens(p->heat, layer, best, &top, 1) == 0)
            continue;
        x = cell_x(p, row, layer, best);
        half = pv_text_extent(&p->d, &font, top.text) / 2;
        half = half > room / 2 - 4 ? room / 2 - 4 : half;
        middle = x < middle - room / 2 + half + 4   ? middle - room / 2 + half + 4
                 : x > middle + room / 2 - half - 4 ? middle + room / 2 - half - 4
                                                    : x;
        pv_draw_line(&p->d, floor(x) + 0.5, row.y + row.h + 1, floor(x) + 0.5, row.y + row.h + 6, t->faint);
        pv_draw_text(&p->d, middle, row.y + row.h + 18, &font, top.text);
    }
}

static void density_bar(struct picture *p, struct pv_box box, uint32_t layer)
{
    const struct pv_theme *t = p->d.theme;
    const double share = pv_heat_density(p->heat, layer);
    char text[16];

    pv_draw_rect(&p->d, (struct pv_box){box.x, box.y, box.w - 44, box.h}, t->panel);
    pv_draw_rect(&p->d, (struct pv_box){box.x, box.y, floor((box.w - 44) * share + 0.5), box.h}, t->hit);
    if (box.h >= 9)
        pv_draw_text(&p->d, box.x + box.w - 38, box.y + box.h / 2 + 4,
                     &(struct pv_font){.size = 11, .colour = t->text}, pv_percent(share, text, sizeof text));
}

/* One line: number, what the cluster is, its words. */
static void tell_spot(struct picture *p, const struct spot *spot, uint32_t number)
{
    const struct pv_theme *t = p->d.theme;
    const struct pv_trace_header *h = pv_heat_header(p->heat);
    struct pv_heat_top tops[12];
    const uint32_t n = pv_telling_tokens(p->heat, spot->layer, spot->cluster, tops, 12);
    double x = MARGIN + 22, share = (double)pv_heat_uses(p->heat, spot->layer, spot->cluster) /
                                    (double)pv_heat_n_tokens(p->heat);
    char line[256], text[16];

    snprintf(text, sizeof text, "%u", number);
    pv_draw_text(&p->d, MARGIN, p->y + 15, &(struct pv_font){.size = 13, .colour = t->accent, .bold = true},
                 text);
    snprintf(line, sizeof line, "layer %u, cluster %u: %.0f of %u neurons, %s of tokens", spot->layer,
             spot->cluster, pv_heat_size(p->heat, spot->layer, spot->cluster), h->d_ffn,
             pv_percent(share, text, sizeof text));
    pv_draw_text(&p->d, x, p->y + 15, &(struct pv_font){.size = 13, .colour = t->text, .max_width = 420},
                 line);
    x += 432;
    for (uint32_t i = 0; i < n; i++) {
        const double w = pv_text_extent(&p->d, &(struct pv_font){.size = 12.5}, tops[i].text) + 12;

        if (x + w > p->width - MARGIN)
            break;
        x += 6 + picture_chip(p, x, p->y,
                              pv_cluster_colour(p->heat, p->params->light, spot->layer, spot->cluster),
                              tops[i].text);
    }
    p->y += 27;
}

static void introduce(struct picture *p)
{
    const struct pv_trace_header *h = pv_heat_header(p->heat);
    char text[700], share[16];

    if (h->n_clusters > 0)
        snprintf(
            text, sizeof text,
            "A language model's layers hold thousands of neurons, and each token needs only a few. Parvin "
            "has sorted each layer's %u neurons into %u overlapping groups that work together, called "
            "clusters. For every token a small router picks one cluster in each layer, and only that "
            "cluster's neurons are computed: here %s of them. The %s a cell, the more tokens picked that "
            "cluster; clusters for like tokens stand side by side, and above each other from layer to layer.",
            h->d_ffn, h->n_clusters, pv_percent(mean_density(p->heat), share, sizeof share),
            p->params->light ? "darker" : "brighter");
    else
        snprintf(
            text, sizeof text,
            "This run computed every one of each layer's %u neurons for every token, though most of them do little. "
            "The map shows groups of neurons that fire for the same tokens: the brighter a cell, the more of the "
            "group fired. With clusters ('parvin fit') a token takes only those that it needs.",
            h->d_ffn);
    picture_heading(p, h->n_clusters > 0 ? "Which clusters of neurons fire" : "Which neurons fire", text);
}

/* The rows, from p->y on; returns the box around them. */
static struct pv_box draw_rows(struct picture *p, double top_share, const struct spot *spots,
                               uint32_t n_spots)
{
    const struct pv_trace_header *h = pv_heat_header(p->heat);
    const bool captioned = h->n_clusters > 0 && h->n_layers <= MAX_CAPTIONED;
    double height = captioned ? 32 : floor(340.0 / h->n_layers), pitch;
    struct pv_box box = {MARGIN + 62, p->y + 14, p->width - 2 * MARGIN - 62 - 180, 0};
    struct pv_font name = {.size = 11.5, .colour = p->d.theme->text, .align = PV_RIGHT};
    char text[32];

    height = height < 8 ? 8 : height > 34 ? 34 : height;
    pitch = height + (captioned ? 28 : 0);
    box.h = pitch * h->n_layers;
    if (h->n_clusters == 0 || !captioned) {
        if (h->n_clusters > 0)
            pv_part_heat(&p->d, p->heat, &(struct pv_columns){.n = h->n_clusters}, box, top_share);
        else
            pv_part_fire(&p->d, p->heat, box, pv_fire_max(p->heat, pv_fire_groups(p->heat, box.w)));
        pv_part_layer_names(&p->d, p->heat, box);
    }
    pv_draw_text(&p->d, box.x + box.w + 26, box.y - 8,
                 &(struct pv_font){.size = 11, .colour = p->d.theme->faint}, "neurons computed");
    for (uint32_t l = 0; l < h->n_layers; l++) {
        const struct pv_box row = {box.x, box.y + pitch * l, box.w, height};

        density_bar(p, (struct pv_box){box.x + box.w + 26, row.y + 1, 154, height - 2}, l);
        if (!captioned)
            continue;
        pv_part_heat_row(&p->d, p->heat, l, row, top_share);
        pv_draw_frame(&p->d, row, p->d.theme->line);
        snprintf(text, sizeof text, "layer %u", l);
        pv_draw_text(&p->d, row.x - 10, row.y + height / 2 + 4, &name, text);
        caption(p, row, l);
    }
    if (!captioned)
        pv_draw_frame(&p->d, box, p->d.theme->line);
    for (uint32_t i = 0; i < n_spots; i++)
        mark_spot(p, cell_x(p, box, spots[i].layer, spots[i].cluster),
                  box.y + pitch * spots[i].layer + height / 2, box.x + box.w, i + 1);
    return box;
}

void picture_layers(struct picture *p)
{
    const struct pv_trace_header *h = pv_heat_header(p->heat);
    const double top_share = pv_heat_max_share(p->heat);
    struct spot spots[MAX_SPOTS] = {{0, 0, 0.0}};
    const uint32_t n_spots = find_spots(p->heat, spots);
    struct pv_font axis = {.size = 12, .colour = p->d.theme->text, .align = PV_CENTRE};
    struct pv_box box;
    char text[128];

    introduce(p);
    box = draw_rows(p, top_share, spots, n_spots);
    p->y = box.y + box.h + 16;
    if (h->n_clusters == 0) {
        if (pv_heat_has_fire(p->heat))
            pv_part_scale(&p->d, (struct pv_box){box.x, p->y, 300, 12},
                          pv_fire_max(p->heat, pv_fire_groups(p->heat, box.w)),
                          "of the group fired for a token, on average");
        p->y += pv_heat_has_fire(p->heat) ? 50 : 0;
        return;
    }
    pv_part_places(&p->d, (struct pv_box){box.x, box.y + box.h + 4, box.w, 5}, 0.0, 1.0);
    if (h->n_layers > MAX_CAPTIONED) {
        pv_part_region_words(&p->d, p->heat, &(struct pv_columns){.n = h->n_clusters}, box,
                             box.y + box.h + 8);
        p->y += 22;
    }
    snprintf(text, sizeof text,
             "the %u clusters of a layer; those for like tokens stand side by side, and above each other",
             h->n_clusters);
    p->y += 12;
    pv_draw_text(&p->d, box.x + box.w / 2, p->y, &axis, text);
    p->y += 22;
    pv_part_scale(&p->d, (struct pv_box){box.x, p->y, 300, 12}, top_share,
                  "of the tokens picked the cluster");
    p->y += 50;
    for (uint32_t i = 0; i < n_spots; i++)
        tell_spot(p, &spots[i], i + 1);
    p->y += 18;
}
