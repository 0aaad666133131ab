/* The neuron view and the strip charts. Neurons narrower than a pixel share a column. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "viz/parts.h"

enum pv_status pv_neuron_view_create(const struct pv_heat *heat, const struct pv_maskset *masks,
                                     uint32_t layer, uint32_t n_clusters, bool spread,
                                     struct pv_neuron_view *out)
{
    uint32_t n_used, most = pv_maskset_n_clusters(masks);
    uint32_t *c;
    enum pv_status status;

    *out = (struct pv_neuron_view){.layer = layer};
    out->clusters = calloc((size_t)pv_maskset_n_clusters(masks) + 1, sizeof *out->clusters);
    out->neurons = calloc(pv_maskset_d_ffn(masks), sizeof *out->neurons);
    if (!out->clusters || !out->neurons) {
        pv_neuron_view_free(out);
        return PV_ERR_NOMEM;
    }
    n_clusters = n_clusters < most ? n_clusters : most;
    n_used =
        spread ? pv_spread(heat, layer, out->clusters, n_clusters) : pv_by_use(heat, layer, out->clusters);
    out->n_clusters = n_used < n_clusters ? n_used : n_clusters;
    c = out->clusters;
    for (uint32_t i = 1; i < out->n_clusters; i++) { /* few, and often in order: by insertion */
        uint32_t cluster = c[i], place = pv_heat_place(heat, layer, cluster), j = i;

        for (; j > 0 && pv_heat_place(heat, layer, c[j - 1]) > place; j--)
            c[j] = c[j - 1];
        c[j] = cluster;
    }
    status = pv_maskset_order_neurons(masks, layer, out->clusters, out->n_clusters, out->neurons);
    if (status != PV_OK)
        pv_neuron_view_free(out);
    return status;
}

void pv_neuron_view_free(struct pv_neuron_view *view)
{
    free(view->clusters);
    free(view->neurons);
    *view = (struct pv_neuron_view){0};
}

struct mask_cells {
    const struct pv_draw *d;
    const struct pv_heat *heat; /* of pv_part_masks */
    const struct pv_maskset *masks;
    const struct pv_neuron_view *view;
    const uint32_t *mask, *active; /* of the pattern row */
    uint32_t n_columns;
};

static void column_range(const struct mask_cells *c, uint32_t column, uint32_t *first, uint32_t *end)
{
    const uint32_t n = pv_maskset_d_ffn(c->masks);

    *first = (uint32_t)((uint64_t)column * n / c->n_columns);
    *end = (uint32_t)((uint64_t)(column + 1) * n / c->n_columns);
}

static struct pv_rgb mask_colour(void *user, uint32_t column, uint32_t row)
{
    const struct mask_cells *c = user;
    uint32_t cluster = c->view->clusters[row], first, end, n = 0;
    const uint32_t *mask = pv_maskset_row(c->masks, c->view->layer, cluster);
    const struct pv_rgb full = pv_cluster_colour(c->heat, c->d->palette->light, c->view->layer, cluster);

    column_range(c, column, &first, &end);
    for (uint32_t i = first; i < end; i++)
        n += (uint32_t)pv_maskset_bit(mask, c->view->neurons[i]);
    return pv_mix(c->d->theme->panel, full, (double)n / (end - first));
}

void pv_part_masks(const struct pv_draw *d, const struct pv_heat *heat, const struct pv_maskset *masks,
                   const struct pv_neuron_view *view, struct pv_box box)
{
    struct mask_cells cells = {.d = d, .heat = heat, .masks = masks, .view = view};

    cells.n_columns = pv_maskset_d_ffn(masks) < (uint32_t)box.w ? pv_maskset_d_ffn(masks) : (uint32_t)box.w;
    if (view->n_clusters == 0 || cells.n_columns == 0)
        return;
    pv_draw_cells(d, box, cells.n_columns, view->n_clusters, mask_colour, &cells);
    for (uint32_t i = 1; box.h / view->n_clusters >= 5.0 && i < view->n_clusters; i++)
        pv_draw_rect(d, (struct pv_box){box.x, pv_cell_edge(box.y, box.h, i, view->n_clusters) - 1, box.w, 1},
                     d->theme->background);
}

static struct pv_rgb pattern_colour(void *user, uint32_t column, uint32_t row)
{
    const struct mask_cells *c = user;
    const struct pv_theme *t = c->d->theme;
    uint32_t first, end, n_hit = 0, n_miss = 0, n_wasted = 0;
    struct pv_rgb colour;
    double n;

    (void)row;
    column_range(c, column, &first, &end);
    for (uint32_t i = first; i < end; i++) {
        const int in_mask = pv_maskset_bit(c->mask, c->view->neurons[i]);
        const int active = c->active ? pv_maskset_bit(c->active, c->view->neurons[i]) : in_mask;

        n_hit += (uint32_t)(in_mask & active);
        n_miss += (uint32_t)((in_mask ^ 1) & active);
        n_wasted += (uint32_t)(in_mask & (active ^ 1));
    }
    n = end - first;
    colour = pv_mix(t->panel, t->wasted, n_wasted / n);
    colour = pv_mix(colour, t->hit, n_hit / n);
    return pv_mix(colour, t->miss, n_miss / n);
}

void pv_part_pattern(const struct pv_draw *d, const struct pv_maskset *masks,
                     const struct pv_neuron_view *view, const struct pv_heat_row *row, struct pv_box box)
{
    struct mask_cells cells = {.d = d, .masks = masks, .view = view};
    const uint32_t cluster = row->cluster[view->layer];

    cells.n_columns = pv_maskset_d_ffn(masks) < (uint32_t)box.w ? pv_maskset_d_ffn(masks) : (uint32_t)box.w;
    if (cluster >= pv_maskset_n_clusters(masks) || cells.n_columns == 0) {
        pv_draw_rect(d, box, d->theme->panel);
        return;
    }
    cells.mask = pv_maskset_row(masks, view->layer, cluster);
    cells.active = row->active ? row->active[view->layer] : NULL;
    pv_draw_cells(d, box, cells.n_columns, 1, pattern_colour, &cells);
}

double pv_strip_density(const struct pv_heat_row *row, uint32_t n_layers)
{
    (void)n_layers;
    return row->density;
}

double pv_strip_firing(const struct pv_heat_row *row, uint32_t n_layers)
{
    (void)n_layers;
    return isnan(row->firing) ? 0.0 : row->firing;
}

double pv_strip_margin(const struct pv_heat_row *row, uint32_t n_layers)
{
    double sum = 0.0;
    uint32_t n = 0;

    for (uint32_t l = 0; row->margin && l < n_layers; l++) {
        if (!isnan(row->margin[l])) {
            sum += (double)row->margin[l];
            n++;
        }
    }
    return n > 0 ? sum / n : 0.0;
}

double pv_strip_speed(const struct pv_heat_row *row, uint32_t n_layers)
{
    (void)n_layers;
    return row->ms > 0.0 ? 1e3 / row->ms : 0.0;
}

void pv_part_strip(const struct pv_draw *d, const struct pv_heat *heat, const struct pv_strip *s,
                   uint32_t back)
{
    uint32_t n_layers = pv_heat_header(heat)->n_layers, n = pv_heat_n_recent(heat),
             fit = (uint32_t)(s->box.w / 3.0);
    const struct pv_box plot = {s->box.x, s->box.y + 20, s->box.w, s->box.h - 20};
    struct pv_font value = {.size = 12, .colour = d->theme->strong, .align = PV_RIGHT, .bold = true};
    struct pv_font small = {.size = 9.5, .colour = d->theme->faint};
    double max = s->max, last = 0.0, used = 0.0;
    char text[64], number[32];

    n = n > back ? n - back : 0;
    n = n < fit ? n : fit;
    for (uint32_t i = 0; i < n && s->max <= 0.0; i++) {
        double v = s->value(pv_heat_recent(heat, back + i), n_layers);

        max = v > max ? v : max;
    }
    pv_draw_rect(d, plot, d->theme->panel);
    if (n > 0)
        last = s->value(pv_heat_recent(heat, back), n_layers);
    snprintf(text, sizeof text, "%s%s", pv_number(last * s->factor, number, sizeof number), s->unit);
    if (n > 0 && max > 0.0)
        used = pv_draw_text(d, s->box.x + s->box.w, s->box.y + 13, &value, text) + 8.0;
    pv_draw_text(d, s->box.x, s->box.y + 13,
                 &(struct pv_font){.size = 12, .colour = d->theme->text, .max_width = s->box.w - used},
                 s->label);
    if (n == 0 || max <= 0.0)
        return;
    for (uint32_t i = 0; i < n; i++) {
        const double v = s->value(pv_heat_recent(heat, back + n - 1 - i), n_layers),
                     x = plot.x + plot.w - 3.0 * (n - 1 - i);
        const double y = plot.y + plot.h - 2 - (plot.h - 4) * (v < max ? v / max : 1.0);

        if (i == 0)
            cairo_move_to(d->cr, x, y);
        else
            cairo_line_to(d->cr, x, y);
    }
    pv_draw_colour(d, d->theme->hit);
    cairo_set_line_width(d->cr, 1.5);
    cairo_stroke(d->cr);
    snprintf(text, sizeof text, "%s%s", pv_number(max * s->factor, number, sizeof number), s->unit);
    pv_draw_rect(d, (struct pv_box){plot.x, plot.y, pv_text_extent(d, &small, text) + 6, 14},
                 d->theme->panel);
    pv_draw_text(d, plot.x + 3, plot.y + 11, &small, text);
    pv_draw_text(d, plot.x + 3, plot.y + plot.h - 3, &small, "0");
}
