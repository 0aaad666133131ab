/* Words in the window: the titles of panels, and the explanation of what is under the mouse or pinned. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "viz/panels/panels_in.h"

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

void panels_tell(const struct pv_panels *p, const struct pv_draw *d, const struct spot *s, double x, double y,
                 struct pv_rgb edge)
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

void panels_title(const struct pv_draw *d, double x, double y, double width, const char *title,
                  const char *what)
{
    struct pv_font font = {.size = 13.5, .colour = d->theme->strong, .bold = true, .max_width = width};
    const double used = pv_draw_text(d, x, y, &font, title);

    if (width > used + 30)
        pv_draw_text(d, x + used + 10, y,
                     &(struct pv_font){.size = 12, .colour = d->theme->faint, .max_width = width - used - 10},
                     what);
}
