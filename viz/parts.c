/* Heatmap, axes, colour scale and waterfall. */
#include "viz/parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Uses are spread over orders of magnitude: the square root keeps the rare ones visible. */
double pv_brightness(double share, double top_share)
{
    if (share <= 0.0 || top_share <= 0.0)
        return 0.0;
    return share >= top_share ? 1.0 : sqrt(share / top_share);
}

struct pv_rgb pv_cluster_colour(const struct pv_heat *heat, bool light, uint32_t layer, uint32_t cluster)
{
    return pv_palette_place((pv_heat_place(heat, layer, cluster) + 0.5) / pv_heat_header(heat)->n_clusters,
                            light);
}

uint32_t pv_column_cluster(const struct pv_heat *heat, const struct pv_columns *c, uint32_t layer,
                           uint32_t column)
{
    column += c->first;
    return c->at ? c->at[(size_t)layer * pv_heat_header(heat)->n_clusters + column]
                 : pv_heat_at(heat, layer, column);
}

struct heat_cells {
    const struct pv_draw *d;
    const struct pv_heat *heat;
    const struct pv_columns *columns;
    double top_share;
    uint32_t layer, n_columns, n_layers; /* layer: of row 0; n_layers: that share a row */
};

static struct pv_rgb heat_colour(void *user, uint32_t column, uint32_t row)
{
    const struct heat_cells *c = user;
    const uint32_t first = (uint32_t)((uint64_t)column * c->columns->n / c->n_columns);
    const uint32_t end = (uint32_t)((uint64_t)(column + 1) * c->columns->n / c->n_columns);
    double most = 0.0;

    for (uint32_t l = c->layer + row; l < c->layer + row + c->n_layers; l++) {
        for (uint32_t k = first; k < end; k++) {
            const double share = pv_heat_share(c->heat, l, pv_column_cluster(c->heat, c->columns, l, k));

            most = share > most ? share : most;
        }
    }
    return pv_palette_at(c->d->palette, pv_brightness(most, c->top_share));
}

static void heat_rows(const struct heat_cells *heat, struct pv_box box, uint32_t n_rows)
{
    struct heat_cells cells = *heat;

    cells.n_columns = cells.columns->n;
    if (cells.n_columns > (uint32_t)box.w)
        cells.n_columns = box.w >= 1.0 ? (uint32_t)box.w : 1;
    pv_draw_cells(cells.d, box, cells.n_columns, n_rows, heat_colour, &cells);
}

void pv_part_heat(const struct pv_draw *d, const struct pv_heat *heat, const struct pv_columns *columns,
                  struct pv_box box, double top_share)
{
    const struct pv_trace_header *h = pv_heat_header(heat);
    const struct heat_cells cells = {
        .d = d, .heat = heat, .columns = columns, .top_share = top_share, .n_layers = 1};

    heat_rows(&cells, box, h->n_layers);
}

uint32_t pv_fire_groups(const struct pv_heat *heat, double width)
{
    const uint32_t fit = width >= 16.0 ? (uint32_t)(width / 4.0) : 4, d_ffn = pv_heat_header(heat)->d_ffn;

    return fit < d_ffn ? fit : d_ffn;
}

double pv_fire_max(const struct pv_heat *heat, uint32_t n_groups)
{
    double most = 0.0;

    for (uint32_t l = 0; l < pv_heat_header(heat)->n_layers; l++) {
        for (uint32_t g = 0; g < n_groups; g++)
            most = fmax(most, pv_heat_fire(heat, l, g, n_groups));
    }
    return most;
}

static struct pv_rgb fire_colour(void *user, uint32_t column, uint32_t row)
{
    const struct heat_cells *c = user;

    return pv_palette_at(c->d->palette,
                         pv_brightness(pv_heat_fire(c->heat, row, column, c->n_columns), c->top_share));
}

void pv_part_fire(const struct pv_draw *d, const struct pv_heat *heat, struct pv_box box, double top_share)
{
    const struct pv_trace_header *h = pv_heat_header(heat);
    struct heat_cells cells = {
        .d = d, .heat = heat, .top_share = top_share, .n_columns = pv_fire_groups(heat, box.w)};

    if (pv_heat_has_fire(heat)) {
        pv_draw_cells(d, box, cells.n_columns, h->n_layers, fire_colour, &cells);
        return;
    }
    pv_draw_rect(d, box, d->theme->panel);
    pv_draw_text(
        d, box.x + box.w / 2, box.y + box.h / 2,
        &(struct pv_font){.size = 14, .colour = d->theme->faint, .align = PV_CENTRE, .max_width = box.w - 20},
        "every neuron computed, no clusters; a trace with true patterns shows which neurons fire");
}

void pv_part_heat_row(const struct pv_draw *d, const struct pv_heat *heat, uint32_t layer, struct pv_box box,
                      double top_share)
{
    const struct pv_columns all = {.n = pv_heat_header(heat)->n_clusters};
    const struct heat_cells cells = {
        .d = d, .heat = heat, .columns = &all, .top_share = top_share, .layer = layer, .n_layers = 1};

    heat_rows(&cells, box, 1);
}

void pv_part_minimap(const struct pv_draw *d, const struct pv_heat *heat, const struct pv_columns *columns,
                     struct pv_box box, double top_share)
{
    const struct pv_trace_header *h = pv_heat_header(heat);
    const struct pv_columns all = {.n = h->n_clusters, .at = columns->at};
    const struct heat_cells cells = {
        .d = d, .heat = heat, .columns = &all, .top_share = top_share, .n_layers = h->n_layers};
    const double first = pv_cell_edge(box.x, box.w, columns->first, all.n),
                 end = pv_cell_edge(box.x, box.w, columns->first + columns->n, all.n);

    heat_rows(&cells, box, 1);
    pv_draw_frame(d, (struct pv_box){first - 1, box.y - 1, end - first + 2, box.h + 2}, d->theme->accent);
    pv_draw_frame(d, (struct pv_box){first - 2, box.y - 2, end - first + 4, box.h + 4}, d->theme->accent);
}

bool pv_region_word(const struct pv_heat *heat, const struct pv_columns *columns, uint32_t first,
                    uint32_t end, uint32_t *column, struct pv_heat_top *top)
{
    uint32_t layer = 0, cluster = 0;
    double most = 0.0;

    for (uint32_t l = 0; l < pv_heat_header(heat)->n_layers; l++) {
        for (uint32_t k = first; k < end; k++) {
            const uint32_t next = pv_column_cluster(heat, columns, l, k);
            const double share = pv_heat_share(heat, l, next);

            if (share <= most)
                continue;
            most = share;
            layer = l;
            cluster = next;
            *column = k;
        }
    }
    return most > 0.0 && pv_telling_tokens(heat, layer, cluster, top, 1) > 0;
}

void pv_part_region_words(const struct pv_draw *d, const struct pv_heat *heat,
                          const struct pv_columns *columns, struct pv_box box, double y)
{
    const uint32_t n_words = box.w >= 76.0 ? (uint32_t)(box.w / 76.0) : 1;
    const double room = box.w / n_words;
    struct pv_font font = {.size = 11.5, .colour = d->theme->text, .align = PV_CENTRE, .max_width = room - 8};

    for (uint32_t i = 0; i < n_words; i++) {
        const uint32_t first = (uint32_t)((uint64_t)i * columns->n / n_words),
                       end = (uint32_t)((uint64_t)(i + 1) * columns->n / n_words);
        const double middle = box.x + (i + 0.5) * room;
        struct pv_heat_top top;
        uint32_t column;
        double half, at, x;

        if (!pv_region_word(heat, columns, first, end, &column, &top))
            continue;
        x = box.x + box.w * (column + 0.5) / columns->n;
        half = pv_text_extent(d, &font, top.text) / 2;
        half = half > room / 2 - 4 ? room / 2 - 4 : half;
        at = fmin(fmax(x, middle - room / 2 + half + 4), middle + room / 2 - half - 4);
        pv_draw_line(d, floor(x) + 0.5, y + 1, floor(x) + 0.5, y + 6, d->theme->faint);
        pv_draw_text(d, at, y + 18, &font, top.text);
    }
}

static uint32_t label_step(uint32_t n, double length, double room)
{
    static const uint32_t nice[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384, 65536};
    uint32_t i = 0;

    while (i + 1 < sizeof nice / sizeof nice[0] && length * nice[i] / n < room)
        i++;
    return nice[i];
}

void pv_part_layer_names(const struct pv_draw *d, const struct pv_heat *heat, struct pv_box box)
{
    const uint32_t n = pv_heat_header(heat)->n_layers, step = label_step(n, box.h, 13.0);
    struct pv_font font = {.size = 11, .colour = d->theme->text, .align = PV_RIGHT};
    char name[32];

    for (uint32_t l = 0; l < n; l += step) {
        snprintf(name, sizeof name, "layer %u", l);
        pv_draw_text(d, box.x - 8, box.y + box.h * (l + 0.5) / n + 4, &font, name);
    }
}

struct places {
    double first, end;
    bool light;
};

static struct pv_rgb place_colour(void *user, double place)
{
    const struct places *p = user;

    return pv_palette_place(p->first + (p->end - p->first) * place, p->light);
}

void pv_part_places(const struct pv_draw *d, struct pv_box box, double first, double end)
{
    struct places places = {first, end, d->palette->light};

    pv_draw_gradient(d, box, place_colour, &places);
}

static struct pv_rgb scale_colour(void *user, double place)
{
    return pv_palette_at(user, place);
}

void pv_part_scale(const struct pv_draw *d, struct pv_box box, double top_share, const char *label)
{
    static const double marks[] = {0.001, 0.01, 0.05, 0.1, 0.25, 0.5};
    struct pv_font font = {.size = 11, .colour = d->theme->faint, .align = PV_CENTRE};
    const struct pv_box bar = {box.x, box.y, box.w, 12};
    struct pv_palette palette = *d->palette;
    double last = box.x + 14;
    char text[16];

    pv_draw_gradient(d, bar, scale_colour, &palette);
    pv_draw_frame(d, bar, d->theme->line);
    pv_draw_text(d, box.x, box.y + 26, &(struct pv_font){.size = 11, .colour = d->theme->faint}, "never");
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        const double x = box.x + box.w * pv_brightness(marks[i], top_share);

        if (x > box.x + box.w - 70.0 || x - last < 44.0)
            continue;
        pv_draw_text(d, x, box.y + 26, &font, pv_percent(marks[i], text, sizeof text));
        pv_draw_line(d, x, box.y + 12, x, box.y + 16, d->theme->faint);
        last = x;
    }
    font.align = PV_RIGHT;
    pv_draw_text(d, box.x + box.w, box.y + 26, &font, pv_percent(top_share, text, sizeof text));
    pv_draw_text(d, box.x + box.w + 14, box.y + 11, &(struct pv_font){.size = 12, .colour = d->theme->text},
                 label);
    pv_draw_text(d, box.x + box.w + 14, box.y + 26, &(struct pv_font){.size = 11, .colour = d->theme->faint},
                 "square-root scale: rare ones show too");
}

uint32_t pv_waterfall_rows(const struct pv_waterfall *w, const struct pv_heat *heat)
{
    uint32_t there = pv_heat_n_recent(heat),
             fit = w->box.h > 0.0 ? (uint32_t)(w->box.h / w->row_height + 0.01) : 0;

    there = there > w->back ? there - w->back : 0;
    return fit < there ? fit : there;
}

struct pv_box pv_waterfall_cells(const struct pv_waterfall *w, const struct pv_heat *heat)
{
    const uint32_t n_layers = pv_heat_header(heat)->n_layers;
    const double room = w->box.w - w->text_width - w->bar_width;
    double cell = floor(room / n_layers);

    if (cell > 64.0)
        cell = 64.0;
    if (cell < 1.0)
        cell = 1.0;
    return (struct pv_box){w->box.x + w->text_width, w->box.y, cell * n_layers, w->box.h};
}

static void waterfall_row(const struct pv_draw *d, const struct pv_heat *heat, const struct pv_waterfall *w,
                          const struct pv_heat_row *row, double y)
{
    const uint32_t n_layers = pv_heat_header(heat)->n_layers, n_clusters = pv_heat_header(heat)->n_clusters;
    const struct pv_box cells = pv_waterfall_cells(w, heat);
    const double cell = cells.w / n_layers, height = w->row_height, bar = w->bar_width - 64;
    const double spent = n_clusters == 0 && !isnan(row->firing) ? row->firing : row->density;
    struct pv_font number = {
        .size = height < 15 ? height - 4 : 10.5, .align = PV_CENTRE, .max_width = cell - 2};
    char text[16];

    pv_draw_text(
        d, cells.x - 10, y + height * 0.5 + 4.5,
        &(struct pv_font){
            .size = 12.5, .colour = d->theme->strong, .align = PV_RIGHT, .max_width = w->text_width - 14},
        row->text);
    for (uint32_t l = 0; l < n_layers; l++) {
        struct pv_box box = {cells.x + l * cell, y, cell, height};
        const bool dense = row->cluster[l] == PV_TRACE_NO_CLUSTER;
        struct pv_rgb colour = d->theme->panel;

        snprintf(text, sizeof text, "%u", row->cluster[l]);
        if (dense)
            snprintf(text, sizeof text, "all");
        if (dense && row->n_active) {
            const double share = (double)row->n_active[l] / pv_heat_header(heat)->d_ffn;

            colour = pv_palette_at(d->palette, pv_brightness(share, 1.0));
            snprintf(text, sizeof text, "%.0f", 100.0 * share);
        } else if (!dense) {
            colour = pv_cluster_colour(heat, d->palette->light, l, row->cluster[l]);
        }
        box.w -= cell > 8 ? 1 : 0;
        box.h -= height > 8 ? 1 : 0;
        pv_draw_rect(d, box, colour);
        if (cell < 22 || height < 12)
            continue;
        number.colour = pv_ink_on(colour);
        pv_draw_text(d, box.x + box.w / 2, y + height * 0.5 + 3.5, &number, text);
    }
    if (bar < 20)
        return;
    pv_draw_rect(d, (struct pv_box){cells.x + cells.w + 12, y + 2, bar, height - 5}, d->theme->panel);
    pv_draw_rect(d, (struct pv_box){cells.x + cells.w + 12, y + 2, bar * spent, height - 5}, d->theme->hit);
    pv_draw_text(d, cells.x + cells.w + 12 + bar + 6, y + height * 0.5 + 4,
                 &(struct pv_font){.size = 11, .colour = d->theme->text},
                 pv_percent(spent, text, sizeof text));
}

void pv_part_waterfall(const struct pv_draw *d, const struct pv_heat *heat, const struct pv_waterfall *w)
{
    const uint32_t n = pv_waterfall_rows(w, heat);

    for (uint32_t i = 0; i < n; i++)
        waterfall_row(d, heat, w, pv_heat_recent(heat, w->back + n - 1 - i), w->box.y + i * w->row_height);
}

struct used {
    uint32_t cluster;
    uint64_t uses;
};

static int by_uses(const void *a, const void *b)
{
    const struct used *x = a, *y = b;

    if (x->uses != y->uses)
        return x->uses < y->uses ? 1 : -1;
    return (x->cluster > y->cluster) - (x->cluster < y->cluster);
}

uint32_t pv_by_use(const struct pv_heat *heat, uint32_t layer, uint32_t *clusters)
{
    uint32_t n = pv_heat_header(heat)->n_clusters, n_used = 0;
    struct used *used = malloc(((size_t)n + 1) * sizeof *used);

    for (uint32_t k = 0; k < n; k++) {
        clusters[k] = k;
        if (used)
            used[k] = (struct used){k, pv_heat_uses(heat, layer, k)};
        n_used += pv_heat_uses(heat, layer, k) > 0;
    }
    if (!used)
        return n_used; /* unsorted is better than nothing */
    qsort(used, n, sizeof *used, by_uses);
    for (uint32_t k = 0; k < n; k++)
        clusters[k] = used[k].cluster;
    free(used);
    return n_used;
}

static int by_telling(const void *a, const void *b)
{
    const struct pv_heat_top *x = a, *y = b;
    const double n = (double)(x->count - x->error), m = (double)(y->count - y->error);
    const double s = n * n / (double)x->count_all, t = m * m / (double)y->count_all;

    if (s < t || s > t)
        return s < t ? 1 : -1;
    return (x->token > y->token) - (x->token < y->token);
}

uint32_t pv_telling_tokens(const struct pv_heat *heat, uint32_t layer, uint32_t cluster,
                           struct pv_heat_top *tops, uint32_t n)
{
    struct pv_heat_top all[64];
    uint32_t n_all = pv_heat_tops(heat, layer, cluster, all, 64), n_kinds = 0, n_often = 0;
    const uint64_t uses = pv_heat_uses(heat, layer, cluster), least = uses / 100 > 2 ? uses / 100 : 2;

    for (uint32_t i = 0; i < n_all; i++) { /* "the" with and without a space in front is one word */
        uint32_t j = 0;

        while (j < n_kinds && strcmp(all[j].text, all[i].text) != 0)
            j++;
        if (j == n_kinds) {
            all[n_kinds++] = all[i];
            continue;
        }
        all[j].count += all[i].count;
        all[j].error += all[i].error;
        all[j].count_all += all[i].count_all;
    }
    for (uint32_t i = 0; i < n_kinds; i++) {
        if (all[i].count - all[i].error >= least) {
            const struct pv_heat_top swap = all[n_often];

            all[n_often++] = all[i];
            all[i] = swap;
        }
    }
    if (n_often > 0)
        n_kinds = n_often;
    qsort(all, n_kinds, sizeof all[0], by_telling);
    n = n < n_kinds ? n : n_kinds;
    for (uint32_t i = 0; i < n; i++)
        tops[i] = all[i];
    return n;
}

double pv_telling_score(const struct pv_heat *heat, uint32_t layer, uint32_t cluster)
{
    struct pv_heat_top tops[8];
    const uint32_t n = pv_telling_tokens(heat, layer, cluster, tops, 8);
    double score = 0.0;

    for (uint32_t i = 1; i < n; i++)
        score += (double)tops[i].count * (double)tops[i].count / (double)tops[i].count_all;
    return score;
}

uint32_t pv_spread(const struct pv_heat *heat, uint32_t layer, uint32_t *clusters, uint32_t n)
{
    uint32_t n_clusters = pv_heat_header(heat)->n_clusters, found = 0;

    n = n < n_clusters ? n : n_clusters;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t end = (uint32_t)((uint64_t)(i + 1) * n_clusters / n), best = UINT32_MAX;
        double most = 0.0;

        for (uint32_t k = (uint32_t)((uint64_t)i * n_clusters / n); k < end; k++) {
            const uint32_t cluster = pv_heat_at(heat, layer, k);
            const uint64_t uses = pv_heat_uses(heat, layer, cluster);
            const double score =
                uses > 0 ? pv_telling_score(heat, layer, cluster) + 1e-9 * (double)uses : 0.0;

            if (score > most) {
                most = score;
                best = cluster;
            }
        }
        if (best != UINT32_MAX)
            clusters[found++] = best;
    }
    return found;
}
