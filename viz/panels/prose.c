/* A token's index decides where a paragraph starts, and widths where its lines break: so lines stay as they are while
 * tokens come. */
#include "viz/panels/prose.h"

#include <math.h>
#include <stdio.h>
#include "viz/parts.h"

enum { PARAGRAPH = 128, MARGIN = 26, WORD = 20, GAP = 12, MAX_STRIP = 168 };

bool pv_prose_fits_better(const struct pv_heat *heat, double width)
{
    const struct pv_trace_header *h = pv_heat_header(heat);
    const double digits = floor(log10(h->n_clusters > 0 ? h->n_clusters : 1.0)) + 1.0;

    return width / h->n_layers < 8.0 + 6.5 * digits;
}

double pv_prose_strip(const struct pv_heat *heat)
{
    const uint32_t n = pv_heat_header(heat)->n_layers;
    const uint32_t line = n <= 12 ? 5 : n <= 24 ? 3 : n <= 56 ? 2 : 1;

    return n * line < MAX_STRIP ? n * line : MAX_STRIP;
}

double pv_prose_line(const struct pv_heat *heat)
{
    return WORD + pv_prose_strip(heat) + GAP;
}

static struct pv_rgb layer_colour(const struct pv_draw *d, const struct pv_heat *heat,
                                  const struct pv_heat_row *row, uint32_t layer)
{
    const uint32_t d_ffn = pv_heat_header(heat)->d_ffn;

    if (row->cluster[layer] < pv_heat_header(heat)->n_clusters)
        return pv_cluster_colour(heat, d->palette->light, layer, row->cluster[layer]);
    if (row->n_active) /* of a dense run */
        return pv_palette_at(d->palette, pv_brightness((double)row->n_active[layer] / d_ffn, 1.0));
    return d->theme->line;
}

static void draw_token(const struct pv_draw *d, const struct pv_heat *heat, const struct pv_prose *p,
                       const struct pv_prose_cell *cell, double word_x)
{
    const struct pv_heat_row *row = pv_heat_recent(heat, cell->back);
    const uint32_t n = pv_heat_header(heat)->n_layers;
    const double top = cell->box.y + WORD, strip = pv_prose_strip(heat);
    const struct pv_rgb tint = layer_colour(d, heat, row, p->layer);
    struct pv_rgb run = layer_colour(d, heat, row, 0);
    double start = 0.0;

    pv_draw_rect(d, (struct pv_box){cell->box.x, cell->box.y, cell->box.w, WORD - 1}, tint);
    pv_draw_text(d, word_x, cell->box.y + 14,
                 &(struct pv_font){.size = 12.5, .colour = pv_ink_on(tint), .max_width = p->box.w - MARGIN},
                 row->word);
    for (uint32_t l = 1; l <= n; l++) { /* layers of one colour at once */
        const struct pv_rgb next = l < n ? layer_colour(d, heat, row, l) : run;
        const double y = floor(strip * l / n + 0.5);

        if (l < n && next.r == run.r && next.g == run.g && next.b == run.b)
            continue;
        pv_draw_rect(d, (struct pv_box){cell->box.x, top + start, cell->box.w, y - start}, run);
        run = next;
        start = y;
    }
}

/* Lays out tokens from the oldest that matters; box.x and box.w as they will be, box.y the number of the line. */
static uint32_t lay_out(const struct pv_draw *d, const struct pv_heat *heat, const struct pv_prose *p,
                        struct pv_prose_cell *cells, uint32_t *n_lines)
{
    const struct pv_font font = {.size = 12.5};
    const uint32_t kept = pv_heat_n_recent(heat), most = p->most > 0 ? p->most : PV_PROSE_MOST;
    const double room = p->box.w - MARGIN;
    uint32_t n = kept > p->back ? kept - p->back : 0, line = 0;
    double x = 0.0;

    n = n < most ? n : most;
    n = n < PV_PROSE_MOST ? n : PV_PROSE_MOST;
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t back = p->back + n - 1 - i;
        const struct pv_heat_row *row = pv_heat_recent(heat, back);
        double w = ceil(pv_text_extent(d, &font, row->word)) + (row->joined ? 1.0 : 7.0);

        w = w < 8.0 ? 8.0 : w > room ? room : w;
        if (i > 0 && (x + w > room || row->index % PARAGRAPH == 0)) {
            line++;
            x = 0.0;
        }
        cells[i] = (struct pv_prose_cell){.box = {p->box.x + MARGIN + x, line, w, 0}, .back = back};
        x += w;
    }
    *n_lines = n > 0 ? line + 1 : 0;
    return n;
}

static void name_layers(const struct pv_draw *d, const struct pv_heat *heat, double x, double y)
{
    const uint32_t n = pv_heat_header(heat)->n_layers;
    const struct pv_font font = {.size = 9.5, .colour = d->theme->faint, .align = PV_RIGHT};
    char text[16];

    pv_draw_text(d, x, y + WORD + 8, &font, "0");
    snprintf(text, sizeof text, "%u", n - 1);
    if (pv_prose_strip(heat) > 20.0)
        pv_draw_text(d, x, y + WORD + pv_prose_strip(heat), &font, text);
}

uint32_t pv_part_prose(const struct pv_draw *d, const struct pv_heat *heat, const struct pv_prose *p,
                       struct pv_prose_cell *cells, double *height)
{
    const double pitch = pv_prose_line(heat);
    const uint32_t fit = p->box.h > pitch ? (uint32_t)(p->box.h / pitch) : 1;
    uint32_t n_lines, n = lay_out(d, heat, p, cells, &n_lines), shown = 0;
    const uint32_t skip = n_lines > fit ? n_lines - fit : 0;

    for (uint32_t i = 0; i < n; i++) {
        struct pv_prose_cell cell = cells[i];
        const bool joined = pv_heat_recent(heat, cell.back)->joined;

        if (cell.box.y < skip)
            continue;
        cell.box.y = floor(p->box.y + (cell.box.y - skip) * pitch);
        cell.box.h = pitch - GAP;
        if (shown == 0 || cells[shown - 1].box.y < cell.box.y)
            name_layers(d, heat, p->box.x + MARGIN - 5, cell.box.y);
        draw_token(d, heat, p, &cell, cell.box.x + (joined ? 0.5 : 3.5));
        cells[shown++] = cell;
    }
    *height = (n_lines - skip) * pitch;
    return shown;
}
