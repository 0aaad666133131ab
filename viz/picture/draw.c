/* Hinting is off and grid edges lie on whole pixels, so that pictures do not depend on the machine's font
 * settings and cells have no seams. Pango sets the text: what DejaVu Sans lacks comes from the machine's other
 * fonts, scripts are shaped, and a line may run from right to left. */
#include "viz/picture/draw.h"

#include <math.h>
#include <pango/pangocairo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAMILY "DejaVu Sans"

cairo_t *pv_draw_context(cairo_surface_t *surface, double scale)
{
    cairo_t *cr = cairo_create(surface);
    cairo_font_options_t *options = cairo_font_options_create();

    cairo_font_options_set_hint_style(options, CAIRO_HINT_STYLE_NONE);
    cairo_font_options_set_hint_metrics(options, CAIRO_HINT_METRICS_OFF);
    cairo_font_options_set_antialias(options, CAIRO_ANTIALIAS_GRAY);
    cairo_set_font_options(cr, options);
    cairo_font_options_destroy(options);
    cairo_scale(cr, scale, scale);
    return cr;
}

void pv_draw_colour(const struct pv_draw *d, struct pv_rgb c)
{
    cairo_set_source_rgb(d->cr, c.r / 255.0, c.g / 255.0, c.b / 255.0);
}

void pv_draw_rect(const struct pv_draw *d, struct pv_box box, struct pv_rgb colour)
{
    if (box.w <= 0.0 || box.h <= 0.0)
        return;
    pv_draw_colour(d, colour);
    cairo_rectangle(d->cr, box.x, box.y, box.w, box.h);
    cairo_fill(d->cr);
}

void pv_draw_frame(const struct pv_draw *d, struct pv_box box, struct pv_rgb colour)
{
    if (box.w < 1.0 || box.h < 1.0)
        return;
    pv_draw_colour(d, colour);
    cairo_set_line_width(d->cr, 1.0);
    cairo_rectangle(d->cr, box.x + 0.5, box.y + 0.5, box.w - 1.0, box.h - 1.0);
    cairo_stroke(d->cr);
}

void pv_draw_line(const struct pv_draw *d, double x0, double y0, double x1, double y1, struct pv_rgb colour)
{
    pv_draw_colour(d, colour);
    cairo_set_line_width(d->cr, 1.0);
    cairo_move_to(d->cr, x0, y0);
    cairo_line_to(d->cr, x1, y1);
    cairo_stroke(d->cr);
}

static double units(int pango)
{
    return (double)pango / PANGO_SCALE;
}

static const cairo_user_data_key_t layout_key;

static void drop_layout(void *layout)
{
    g_object_unref(layout);
}

/* The layout that all text of a context is set with: one line, in points that are pixels. */
static PangoLayout *layout_of(const struct pv_draw *d, const struct pv_font *font, const char *text)
{
    PangoLayout *layout = cairo_get_user_data(d->cr, &layout_key);
    PangoFontDescription *description;
    const char *end = text;

    g_utf8_validate(text, -1, &end); /* the end, or bytes that are no UTF-8 */
    if (!layout) {
        layout = pango_cairo_create_layout(d->cr);
        pango_context_set_round_glyph_positions(pango_layout_get_context(layout), FALSE);
        if (cairo_set_user_data(d->cr, &layout_key, layout, drop_layout) != CAIRO_STATUS_SUCCESS) {
            g_object_unref(layout);
            return NULL;
        }
    }
    description = pango_font_description_new();
    pango_font_description_set_family_static(description, FAMILY);
    pango_font_description_set_absolute_size(description, font->size * PANGO_SCALE);
    pango_font_description_set_weight(description, font->bold ? PANGO_WEIGHT_BOLD : PANGO_WEIGHT_NORMAL);
    pango_layout_set_font_description(layout, description);
    pango_font_description_free(description);
    pango_layout_set_single_paragraph_mode(layout, TRUE);
    pango_layout_set_ellipsize(layout, PANGO_ELLIPSIZE_NONE);
    pango_layout_set_width(layout, -1);
    pango_layout_set_text(layout, text, (int)(end - text));
    return layout;
}

static double line_width(PangoLayoutLine *line)
{
    PangoRectangle box;

    pango_layout_line_get_extents(line, NULL, &box);
    return units(box.width);
}

double pv_text_extent(const struct pv_draw *d, const struct pv_font *font, const char *text)
{
    PangoLayout *layout = layout_of(d, font, text);

    return layout ? line_width(pango_layout_get_line_readonly(layout, 0)) : 0.0;
}

double pv_draw_text(const struct pv_draw *d, double x, double y, const struct pv_font *font, const char *text)
{
    PangoLayout *layout = layout_of(d, font, text);
    PangoLayoutLine *line;
    double width;

    if (!layout)
        return 0.0;
    line = pango_layout_get_line_readonly(layout, 0);
    width = line_width(line);
    if (font->max_width > 0.0 && width > font->max_width) {
        pango_layout_set_ellipsize(layout, PANGO_ELLIPSIZE_END);
        pango_layout_set_width(layout, (int)(font->max_width * PANGO_SCALE));
        line = pango_layout_get_line_readonly(layout, 0);
        width = line_width(line);
    }
    if (font->align != PV_LEFT)
        x -= font->align == PV_RIGHT ? width : width / 2;
    pv_draw_colour(d, font->colour);
    cairo_move_to(d->cr, x, y);
    pango_cairo_show_layout_line(d->cr, line);
    return width;
}

double pv_draw_paragraph(const struct pv_draw *d, double x, double y, double width,
                         const struct pv_font *font, const char *text)
{
    PangoLayout *layout = layout_of(d, font, text);
    int n_lines;

    if (!layout)
        return y;
    pango_layout_set_width(layout, (int)(width * PANGO_SCALE));
    pango_layout_set_wrap(layout, PANGO_WRAP_WORD_CHAR);
    n_lines = pango_layout_get_line_count(layout);
    pv_draw_colour(d, font->colour);
    for (int i = 0; i < n_lines; i++, y += font->size * 1.5) {
        cairo_move_to(d->cr, x, y);
        pango_cairo_show_layout_line(d->cr, pango_layout_get_line_readonly(layout, i));
    }
    return y;
}

double pv_cell_edge(double start, double length, uint32_t i, uint32_t n)
{
    return floor(start + length * i / n + 0.5);
}

static bool same(struct pv_rgb a, struct pv_rgb b)
{
    return a.r == b.r && a.g == b.g && a.b == b.b;
}

struct run { /* neighbouring cells of one colour */
    struct pv_rgb colour;
    uint32_t index; /* of all runs */
    struct pv_box box;
};

static int by_colour(const void *a, const void *b)
{
    const struct run *x = a, *y = b;
    const int c = memcmp(&x->colour, &y->colour, sizeof x->colour);

    return c != 0 ? c : (x->index > y->index) - (x->index < y->index);
}

/* All of one colour in one path: far smaller as SVG, and faster. */
static void fill_runs(const struct pv_draw *d, struct run *runs, uint32_t n)
{
    qsort(runs, n, sizeof *runs, by_colour);
    for (uint32_t i = 0; i < n; i++) {
        if (runs[i].box.w > 0.0 && runs[i].box.h > 0.0)
            cairo_rectangle(d->cr, runs[i].box.x, runs[i].box.y, runs[i].box.w, runs[i].box.h);
        if (i + 1 < n && same(runs[i].colour, runs[i + 1].colour))
            continue;
        pv_draw_colour(d, runs[i].colour);
        cairo_fill(d->cr);
    }
}

void pv_draw_cells(const struct pv_draw *d, struct pv_box box, uint32_t n_columns, uint32_t n_rows,
                   struct pv_rgb (*colour)(void *user, uint32_t column, uint32_t row), void *user)
{
    struct run *runs = calloc((size_t)n_columns * n_rows + 1, sizeof *runs);
    uint32_t n = 0;

    if (!runs) {
        if (d->lacks_something)
            *d->lacks_something = true;
        return;
    }
    for (uint32_t row = 0; row < n_rows; row++) {
        const double y0 = pv_cell_edge(box.y, box.h, row, n_rows),
                     y1 = pv_cell_edge(box.y, box.h, row + 1, n_rows);
        struct pv_rgb run = colour(user, 0, row);
        uint32_t start = 0;

        for (uint32_t i = 1; i <= n_columns; i++) {
            const struct pv_rgb next = i < n_columns ? colour(user, i, row) : run;
            double x0;

            if (i < n_columns && same(next, run))
                continue;
            x0 = pv_cell_edge(box.x, box.w, start, n_columns);
            runs[n] = (struct run){run, n, {x0, y0, pv_cell_edge(box.x, box.w, i, n_columns) - x0, y1 - y0}};
            n++;
            run = next;
            start = i;
        }
    }
    fill_runs(d, runs, n);
    free(runs);
}

void pv_draw_gradient(const struct pv_draw *d, struct pv_box box,
                      struct pv_rgb (*colour)(void *user, double place), void *user)
{
    enum { STOPS = 64 };
    cairo_pattern_t *pattern = cairo_pattern_create_linear(box.x, 0, box.x + box.w, 0);

    for (int i = 0; i <= STOPS; i++) {
        const struct pv_rgb c = colour(user, (double)i / STOPS);

        cairo_pattern_add_color_stop_rgb(pattern, (double)i / STOPS, c.r / 255.0, c.g / 255.0, c.b / 255.0);
    }
    cairo_set_source(d->cr, pattern);
    cairo_rectangle(d->cr, box.x, box.y, box.w, box.h);
    cairo_fill(d->cr);
    cairo_pattern_destroy(pattern);
}

struct pv_rgb pv_mix(struct pv_rgb a, struct pv_rgb b, double t)
{
    return (struct pv_rgb){(uint8_t)(a.r + (b.r - a.r) * t + 0.5), (uint8_t)(a.g + (b.g - a.g) * t + 0.5),
                           (uint8_t)(a.b + (b.b - a.b) * t + 0.5)};
}

struct pv_rgb pv_ink_on(struct pv_rgb colour)
{
    double lab[3];

    pv_oklab(colour, lab);
    return lab[0] > 0.62 ? (struct pv_rgb){12, 14, 22} : (struct pv_rgb){248, 249, 255};
}

const char *pv_percent(double share, char *out, size_t room)
{
    const double value = share * 100.0;

    if (value > 0.0 && value < 0.05)
        snprintf(out, room, "< 0.1 %%");
    else
        snprintf(out, room, value > 0.0 && value < 9.95 ? "%.1f %%" : "%.0f %%", value);
    return out;
}

const char *pv_number(double value, char *out, size_t room)
{
    snprintf(out, room, value >= 100.0 || value <= -100.0 ? "%.0f" : "%.3g", value);
    return out;
}
