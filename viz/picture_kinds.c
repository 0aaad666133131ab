/* What each picture shows and says. The words are for people who have never heard of activation sparsity. */
#include "picture_kinds.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARGIN 36.0

static void heading(struct picture *p, const char *title, const char *text)
{
    const struct pv_theme *t = p->d.theme;
    const struct pv_trace_header *h = pv_heat_header(p->heat);
    char facts[512];

    p->y = 50;
    pv_draw_text(&p->d, MARGIN, p->y, &(struct pv_font){.size = 23, .colour = t->strong, .bold = true},
                 title);
    p->y = pv_draw_paragraph(&p->d, MARGIN, p->y + 28, p->width - 2 * MARGIN,
                             &(struct pv_font){.size = 13.5, .colour = t->text}, text);
    snprintf(facts, sizeof(facts), "%s%s%s \xc2\xb7 %llu tokens", h->model,
             h->device[0] != '\0' ? " on " : "", h->device, (unsigned long long)pv_heat_n_tokens(p->heat));
    pv_draw_text(&p->d, MARGIN, p->y + 4,
                 &(struct pv_font){.size = 11.5, .colour = t->faint, .max_width = p->width - 2 * MARGIN},
                 facts);
    p->y += 28;
}

static double mean_density(const struct pv_heat *heat)
{
    uint32_t n = pv_heat_header(heat)->n_layers;
    double sum = 0.0;

    for (uint32_t l = 0; l < n; l++)
        sum += pv_heat_density(heat, l);
    return sum / n;
}

/* The words that a cluster's tokens are, quoted and joined. */
static void name_tokens(const struct pv_heat *heat, uint32_t layer, uint32_t cluster, uint32_t n, char *out,
                        size_t room)
{
    struct pv_heat_top tops[16];
    size_t used = 0;
    uint32_t n_tops = pv_telling_tokens(heat, layer, cluster, tops, 16), shown = 0;

    out[0] = '\0';
    for (uint32_t i = 0; i < n_tops && shown < n && used < room; i++) {
        bool again = false; /* "the" and " the" look alike */

        for (uint32_t j = 0; j < i; j++)
            again = again || strcmp(tops[i].text, tops[j].text) == 0;
        if (again)
            continue;
        used += (size_t)snprintf(out + used, room - used, "%s\xe2\x80\x9c%s\xe2\x80\x9d",
                                 shown++ > 0 ? " " : "", tops[i].text);
    }
}

struct spot {
    uint32_t layer, cluster;
    double share;
};

/* The brightest cell of each layer, brightest first. */
static uint32_t find_spots(const struct pv_heat *heat, struct spot *spots, uint32_t n)
{
    const struct pv_trace_header *h = pv_heat_header(heat);
    uint32_t found = 0;

    for (uint32_t l = 0; l < h->n_layers; l++) {
        struct spot best = {l, 0, 0.0};
        uint32_t at;

        for (uint32_t k = 0; k < h->n_clusters; k++) {
            double share = pv_heat_share(heat, l, k);

            if (share > best.share)
                best = (struct spot){l, k, share};
        }
        if (best.share <= 0.0)
            continue;
        at = found < n ? found++ : n - 1;
        if (spots[at].share >= best.share)
            continue;
        spots[at] = best;
        for (; at > 0 && spots[at - 1].share < spots[at].share; at--) {
            struct spot swap = spots[at];

            spots[at] = spots[at - 1];
            spots[at - 1] = swap;
        }
    }
    return found;
}

static void mark_spots(struct picture *p, struct pv_box box, const struct spot *spots, uint32_t n)
{
    const struct pv_trace_header *h = pv_heat_header(p->heat);
    char number[16];

    for (uint32_t i = 0; i < n; i++) {
        double x = box.x + box.w * (spots[i].cluster + 0.5) / h->n_clusters;
        double y = box.y + box.h * (spots[i].layer + 0.5) / h->n_layers;
        double side = x > box.x + box.w - 40 ? -13.0 : 13.0;

        pv_draw_colour(&p->d, p->d.theme->accent);
        cairo_set_line_width(p->d.cr, 1.6);
        cairo_new_sub_path(p->d.cr);
        cairo_arc(p->d.cr, x, y, 7.5, 0.0, 6.283185307179586);
        cairo_stroke(p->d.cr);
        snprintf(number, sizeof(number), "%u", i + 1);
        pv_draw_text(&p->d, x + side, y + 4,
                     &(struct pv_font){.size = 11.5,
                                       .colour = p->d.theme->accent,
                                       .bold = true,
                                       .align = side > 0 ? PV_LEFT : PV_RIGHT},
                     number);
    }
}

static void list_spots(struct picture *p, const struct spot *spots, uint32_t n)
{
    const struct pv_theme *t = p->d.theme;
    char line[512], words[200], share[16], number[16];

    for (uint32_t i = 0; i < n; i++) {
        snprintf(number, sizeof(number), "%u", i + 1);
        pv_draw_text(&p->d, MARGIN, p->y, &(struct pv_font){.size = 13, .colour = t->accent, .bold = true},
                     number);
        name_tokens(p->heat, spots[i].layer, spots[i].cluster, 5, words, sizeof(words));
        snprintf(line, sizeof(line), "Layer %u, cluster %u: chosen by %s of tokens, above all by %s",
                 spots[i].layer, spots[i].cluster, pv_percent(spots[i].share, share, sizeof(share)), words);
        pv_draw_text(
            &p->d, MARGIN + 18, p->y,
            &(struct pv_font){.size = 13, .colour = t->text, .max_width = p->width - 2 * MARGIN - 18}, line);
        p->y += 21;
    }
}

static void density_bars(struct picture *p, struct pv_box box)
{
    const struct pv_theme *t = p->d.theme;
    uint32_t n = pv_heat_header(p->heat)->n_layers;
    char text[16];

    pv_draw_text(&p->d, box.x, box.y - 8, &(struct pv_font){.size = 11, .colour = t->faint},
                 "neurons computed");
    for (uint32_t l = 0; l < n; l++) {
        double y0 = pv_cell_edge(box.y, box.h, l, n), h = pv_cell_edge(box.y, box.h, l + 1, n) - y0 - 2;
        double share = pv_heat_density(p->heat, l);

        pv_draw_rect(&p->d, (struct pv_box){box.x, y0 + 1, box.w - 44, h}, t->panel);
        pv_draw_rect(&p->d, (struct pv_box){box.x, y0 + 1, (box.w - 44) * share, h}, t->hit);
        if (h >= 9)
            pv_draw_text(&p->d, box.x + box.w - 38, y0 + h / 2 + 5,
                         &(struct pv_font){.size = 11, .colour = t->text},
                         pv_percent(share, text, sizeof(text)));
    }
}

void picture_layers(struct picture *p)
{
    const struct pv_trace_header *h = pv_heat_header(p->heat);
    double row = floor(340.0 / h->n_layers), top_share = pv_heat_max_share(p->heat);
    struct pv_box box = {MARGIN + 62, 0, p->width - 2 * MARGIN - 62 - 180, 0};
    struct spot spots[4] = {{0, 0, 0.0}};
    uint32_t n_spots = find_spots(p->heat, spots, 4);
    char text[700], share[16];

    row = row < 8 ? 8 : row > 34 ? 34 : row;
    if (h->n_clusters > 0)
        snprintf(text, sizeof(text),
                 "A language model's layers hold thousands of neurons, and each token needs only a few. "
                 "Parvin has "
                 "sorted each layer's %u neurons into %u groups that work together, called clusters. For "
                 "every token a "
                 "small router picks one cluster in each layer, and only that cluster's neurons are "
                 "computed: here %s of "
                 "them. The %s a cell, the more tokens picked that cluster.",
                 h->d_ffn, h->n_clusters, pv_percent(mean_density(p->heat), share, sizeof(share)),
                 p->params->light ? "darker" : "brighter");
    else
        snprintf(text, sizeof(text),
                 "This run computed every one of each layer's %u neurons for every token. With clusters "
                 "('parvin fit') a "
                 "token takes only those that it needs.",
                 h->d_ffn);
    heading(p, "Which clusters of neurons fire", text);
    box.y = p->y + 10;
    box.h = row * h->n_layers;
    pv_part_heat(&p->d, p->heat, box, top_share);
    pv_draw_frame(&p->d, box, p->d.theme->line);
    pv_part_layer_names(&p->d, p->heat, box);
    pv_part_cluster_axis(&p->d, p->heat, box);
    density_bars(p, (struct pv_box){box.x + box.w + 26, box.y, 154, box.h});
    mark_spots(p, box, spots, n_spots);
    pv_draw_text(&p->d, box.x + box.w / 2, box.y + box.h + 36,
                 &(struct pv_font){.size = 12, .colour = p->d.theme->text, .align = PV_CENTRE},
                 "cluster, by its number");
    p->y = box.y + box.h + 60;
    if (h->n_clusters > 0)
        pv_part_scale(&p->d, (struct pv_box){MARGIN, p->y, 300, 12}, top_share,
                      "of the tokens picked the cluster");
    p->y += 60;
    list_spots(p, spots, n_spots);
    p->y += 8;
}

void picture_waterfall(struct picture *p)
{
    const struct pv_trace_header *h = pv_heat_header(p->heat);
    struct pv_waterfall w = {.text_width = 130, .row_height = 21, .back = p->params->back};
    struct pv_font label = {.size = 11, .colour = p->d.theme->faint, .align = PV_CENTRE};
    struct pv_box cells;
    char text[700], name[32];
    double y;

    snprintf(text, sizeof(text),
             "Read it downwards: each row is one token of the text, each column one layer of the model. A "
             "cell's colour "
             "and number say which of the layer's %u clusters was picked for the token. The same colour in "
             "one column "
             "means that the same neurons were computed: words of one kind often share a cluster. The blue "
             "bar is the "
             "share of all neurons that the token cost; without clusters it would be full.",
             h->n_clusters);
    heading(p, "A text, token by token, and the clusters it takes", text);
    w.bar_width = p->width - 2 * MARGIN - w.text_width - 64.0 * h->n_layers; /* what full-width cells leave */
    w.bar_width = w.bar_width < 220 ? 220 : w.bar_width;
    w.box = (struct pv_box){MARGIN, p->y + 22, p->width - 2 * MARGIN,
                            w.row_height * (p->params->n_rows > 0 ? p->params->n_rows : 36)};
    w.box.h = w.row_height * pv_waterfall_rows(&w, p->heat);
    cells = pv_waterfall_cells(&w, p->heat);
    y = w.box.y - 8;
    label.align = PV_RIGHT;
    pv_draw_text(&p->d, cells.x - 10, y, &label, "token");
    label.align = PV_CENTRE;
    for (uint32_t l = 0; l < h->n_layers; l++) {
        double cell = cells.w / h->n_layers;

        snprintf(name, sizeof(name), cell >= 50 ? "layer %u" : "%u", l);
        if (cell >= 16 || l % 4 == 0)
            pv_draw_text(&p->d, cells.x + (l + 0.5) * cell, y, &label, name);
    }
    label.align = PV_LEFT;
    pv_draw_text(&p->d, cells.x + cells.w + 12, y, &label, "neurons computed");
    pv_part_waterfall(&p->d, p->heat, &w);
    p->y = w.box.y + w.box.h + 28;
}

static void neuron_legend(struct picture *p, double x, bool active)
{
    const struct pv_theme *t = p->d.theme;
    const struct {
        struct pv_rgb colour;
        const char *text;
    } items[] = {{t->hit, active ? "computed and active: a hit" : "computed"},
                 {t->miss, "active but left out: a miss"},
                 {t->wasted, "computed in vain"}};

    for (int i = 0; i < (active ? 3 : 1); i++) {
        pv_draw_rect(&p->d, (struct pv_box){x, p->y - 10, 12, 12}, items[i].colour);
        x += 20 + pv_draw_text(&p->d, x + 18, p->y, &(struct pv_font){.size = 12, .colour = t->text},
                               items[i].text);
        x += 18;
    }
}

static void pattern_rows(struct picture *p, struct pv_box box)
{
    const struct pv_theme *t = p->d.theme;
    uint32_t n = pv_heat_n_recent(p->heat), shown = n < 16 ? n : 16;
    bool active = n > 0 && pv_heat_recent(p->heat, 0)->active != NULL;

    pv_draw_text(&p->d, MARGIN, p->y, &(struct pv_font){.size = 14, .colour = t->strong, .bold = true},
                 active ? "The last tokens: what the mask caught" : "The last tokens");
    p->y += 24;
    neuron_legend(p, box.x, active);
    p->y += 14;
    for (uint32_t i = 0; i < shown; i++) {
        const struct pv_heat_row *row = pv_heat_recent(p->heat, shown - 1 - i);

        pv_draw_text(&p->d, box.x - 10, p->y + 11,
                     &(struct pv_font){.size = 11.5, .colour = t->text, .align = PV_RIGHT, .max_width = 110},
                     row->text);
        pv_part_pattern(&p->d, p->params->masks, p->view, row, (struct pv_box){box.x, p->y, box.w, 13});
        p->y += 15;
    }
    p->y += 16;
}

void picture_neurons(struct picture *p)
{
    const struct pv_trace_header *h = pv_heat_header(p->heat);
    const struct pv_theme *t = p->d.theme;
    const struct pv_neuron_view *v = p->view;
    struct pv_box box = {MARGIN + 124, 0, p->width - 2 * MARGIN - 124 - 110, 0};
    char title[128], text[700], share[16];
    double row = v->n_clusters > 40 ? 9 : 15;

    snprintf(title, sizeof(title), "The neurons behind the clusters of layer %u", p->layer);
    snprintf(text, sizeof(text),
             "Each row is one cluster, each column one of the layer's %u neurons; coloured where the cluster "
             "holds the "
             "neuron. Neurons stand in an order that makes groups visible: at the left those that most "
             "clusters need, "
             "then block by block those of particular clusters, at the right those that none of these %u "
             "clusters (the "
             "most used ones) needs. %s rows were picked more often.",
             h->d_ffn, v->n_clusters, p->params->light ? "Darker" : "Brighter");
    heading(p, title, text);
    box.y = p->y + 18;
    box.h = row * v->n_clusters;
    pv_draw_text(&p->d, box.x + box.w + 12, box.y - 7, &(struct pv_font){.size = 11, .colour = t->faint},
                 "picked \xc2\xb7 size");
    pv_part_masks(&p->d, p->heat, p->params->masks, v, box);
    for (uint32_t i = 0; i < v->n_clusters; i++) {
        double y = box.y + row * (i + 0.5) + 4, of = (double)pv_heat_n_tokens(p->heat);

        if (row < 12)
            continue;
        snprintf(text, sizeof(text), "cluster %u", v->clusters[i]);
        pv_draw_text(&p->d, box.x - 10, y,
                     &(struct pv_font){.size = 11, .colour = t->text, .align = PV_RIGHT}, text);
        snprintf(
            text, sizeof(text), "%s \xc2\xb7 %u",
            pv_percent((double)pv_heat_uses(p->heat, p->layer, v->clusters[i]) / of, share, sizeof(share)),
            pv_maskset_size(p->params->masks, p->layer, v->clusters[i]));
        pv_draw_text(&p->d, box.x + box.w + 12, y, &(struct pv_font){.size = 11, .colour = t->faint}, text);
    }
    snprintf(text, sizeof(text), "the layer's %u neurons, those that work together side by side", h->d_ffn);
    pv_draw_text(&p->d, box.x + box.w / 2, box.y + box.h + 20,
                 &(struct pv_font){.size = 12, .colour = t->text, .align = PV_CENTRE}, text);
    p->y = box.y + box.h + 56;
    pattern_rows(p, box);
}

static void token_row(struct picture *p, uint32_t cluster, double most)
{
    const struct pv_theme *t = p->d.theme;
    double share = (double)pv_heat_uses(p->heat, p->layer, cluster) / (double)pv_heat_n_tokens(p->heat), x;
    struct pv_heat_top tops[24];
    uint32_t n = pv_telling_tokens(p->heat, p->layer, cluster, tops, 24);
    char text[64], percent[16];

    snprintf(text, sizeof(text), "cluster %u", cluster);
    pv_draw_text(&p->d, MARGIN, p->y + 17, &(struct pv_font){.size = 12.5, .colour = t->strong}, text);
    pv_draw_rect(&p->d, (struct pv_box){MARGIN + 92, p->y + 5, 84 * share / most, 16}, t->hit);
    pv_draw_text(&p->d, MARGIN + 92 + 84 * share / most + 6, p->y + 17,
                 &(struct pv_font){.size = 11, .colour = t->text},
                 pv_percent(share, percent, sizeof(percent)));
    x = MARGIN + 246;
    for (uint32_t i = 0; i < n; i++) {
        double only = (double)tops[i].count / (double)tops[i].count_all;
        struct pv_rgb fill = pv_palette_at(p->d.palette, 0.12 + 0.75 * (only > 1.0 ? 1.0 : only));
        struct pv_font font = {.size = 12.5, .colour = pv_ink_on(fill)};
        struct pv_font count = {.size = 10, .colour = t->faint};
        double w = pv_text_extent(&p->d, &font, tops[i].text) + 12, w_count;

        snprintf(text, sizeof(text), "\xc3\x97%llu", (unsigned long long)tops[i].count);
        w_count = pv_text_extent(&p->d, &count, text) + 14;
        if (x + w + w_count > p->width - MARGIN)
            break;
        pv_draw_rect(&p->d, (struct pv_box){floor(x), p->y + 3, floor(w), 20}, fill);
        pv_draw_text(&p->d, floor(x) + 6, p->y + 17, &font, tops[i].text);
        pv_draw_text(&p->d, x + w + 3, p->y + 17, &count, text);
        x += w + w_count;
    }
    p->y += 30;
}

void picture_tokens(struct picture *p)
{
    const struct pv_theme *t = p->d.theme;
    uint32_t n_clusters = pv_heat_header(p->heat)->n_clusters, n_used, n;
    uint32_t *clusters = calloc((size_t)n_clusters + 1, sizeof(*clusters));
    char title[128], text[700];
    double most;

    snprintf(title, sizeof(title), "What the clusters of layer %u are for", p->layer);
    snprintf(text, sizeof(text),
             "Each row is one cluster, the most used ones first, with the tokens that picked it and how "
             "often they did. "
             "Nobody told the clusters what words mean: they come from which neurons fire together. A %s "
             "token picks "
             "this cluster nearly every time it comes, a %s one spreads over several. A hyphen marks a piece "
             "of a word.",
             p->params->light ? "dark" : "bright", p->params->light ? "pale" : "dark");
    heading(p, title, text);
    if (clusters == NULL)
        return;
    n_used = pv_by_use(p->heat, p->layer, clusters);
    n = p->params->n_rows > 0 ? p->params->n_rows : 16;
    n = n < n_used ? n : n_used;
    pv_draw_text(&p->d, MARGIN + 92, p->y, &(struct pv_font){.size = 11, .colour = t->faint},
                 "share of all tokens");
    pv_draw_text(&p->d, MARGIN + 246, p->y, &(struct pv_font){.size = 11, .colour = t->faint},
                 "tokens that picked it, the most telling first");
    p->y += 8;
    most = n > 0 ? (double)pv_heat_uses(p->heat, p->layer, clusters[0]) / (double)pv_heat_n_tokens(p->heat)
                 : 1.0;
    for (uint32_t i = 0; i < n; i++)
        token_row(p, clusters[i], most);
    p->y += 18;
    for (int i = 0; i < 5; i++) {
        struct pv_box box = {MARGIN + 246 + 28 * i, p->y, 28, 12};

        pv_draw_rect(&p->d, box, pv_palette_at(p->d.palette, 0.12 + 0.75 * (i + 0.5) / 5));
    }
    pv_draw_text(&p->d, MARGIN + 236, p->y + 10,
                 &(struct pv_font){.size = 11, .colour = t->faint, .align = PV_RIGHT}, "picks it rarely");
    pv_draw_text(&p->d, MARGIN + 246 + 150, p->y + 10, &(struct pv_font){.size = 11, .colour = t->faint},
                 "picks it always");
    p->y += 36;
    free(clusters);
}
