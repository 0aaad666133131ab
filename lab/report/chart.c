/* Ranges come from the points; ticks are 1, 2, 5 of a decade, or round steps. */
#include "lab/report/chart.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/output.h"

enum { WIDTH = 1000, HEIGHT = 480, LEFT = 78, RIGHT = 620, TOP = 46, BOTTOM = 424, MAX_TICKS = 64 };
static const double largest = 1e120; /* that is drawn, and 1 / largest the smallest of a logarithmic axis */

struct axis {
    bool logarithmic, percent;
    double low, high, from, to; /* values, and where they are drawn */
    double ticks[MAX_TICKS];
    uint32_t n_ticks;
};

const char *chart_colour(uint32_t i)
{
    static const char *const colours[] = {"#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00",
                                          "#56b4e9", "#8c6bb1", "#7f7f7f", "#a6761d", "#1b7837", "#b2182b",
                                          "#17becf", "#bcbd22", "#7f3b08", "#08306b", "#f781bf"};
    return colours[i % (sizeof colours / sizeof colours[0])];
}

struct chart_series *chart_add(struct chart *chart, const char *label, const char *colour, bool dashed)
{
    if (chart->n_series == CHART_SERIES)
        return NULL;
    struct chart_series *series = &chart->series[chart->n_series++];
    snprintf(series->label, sizeof series->label, "%s", label);
    series->colour = colour;
    series->dashed = dashed;
    series->n = 0;
    return series;
}

void chart_point(struct chart_series *series, double x, double y)
{
    if (!series || series->n == CHART_POINTS || !isfinite(x) || !isfinite(y))
        return;
    series->x[series->n] = x;
    series->y[series->n++] = y;
}

static bool shown(const struct axis *axis, double value)
{
    return fabs(value) <= largest && (!axis->logarithmic || value >= 1 / largest);
}

static double lifted(const struct chart *chart, double y)
{
    return y < chart->y_floor ? chart->y_floor : y;
}

static void find_range(const struct chart *chart, struct axis *x, struct axis *y)
{
    x->low = y->low = INFINITY;
    x->high = y->high = -INFINITY;
    for (uint32_t s = 0; s < chart->n_series; s++)
        for (uint32_t i = 0; i < chart->series[s].n; i++) {
            const double a = chart->series[s].x[i], b = lifted(chart, chart->series[s].y[i]);
            if (!shown(x, a) || !shown(y, b))
                continue;
            x->low = fmin(x->low, a);
            x->high = fmax(x->high, a);
            y->low = fmin(y->low, b);
            y->high = fmax(y->high, b);
        }
}

static void add_tick(struct axis *axis, double value)
{
    const double slack = 1e-9 * fabs(axis->high - axis->low);
    if (axis->n_ticks < MAX_TICKS && value >= axis->low - slack && value <= axis->high + slack)
        axis->ticks[axis->n_ticks++] = value;
}

static void pad(struct axis *axis)
{
    if (!(axis->low <= axis->high)) {
        axis->low = axis->logarithmic ? 1 : 0;
        axis->high = 10;
    }
    if (axis->logarithmic) {
        double more = pow(axis->high / axis->low, 0.04) * (axis->low < axis->high ? 1 : 2);
        axis->low /= more;
        axis->high *= more;
    } else {
        /* at least what rounding leaves of a large value, so that ticks differ */
        const double room = axis->high > axis->low ? 0.04 * (axis->high - axis->low) : 0.5,
                     more = fmax(room, 1e-6 * fmax(fabs(axis->low), fabs(axis->high)));
        axis->low -= more;
        axis->high += more;
    }
}

static void find_ticks(struct axis *axis)
{
    pad(axis);
    if (!axis->logarithmic) {
        const double raw = (axis->high - axis->low) / 6, unit = pow(10, floor(log10(raw)));
        const double step = raw / unit < 1.5   ? unit
                            : raw / unit < 3.5 ? 2 * unit
                            : raw / unit < 7.5 ? 5 * unit
                                               : 10 * unit;
        const double first = ceil(axis->low / step);
        for (int i = 0; i < 12; i++)
            add_tick(axis, (first + i) * step);
        return;
    }
    const bool wide = axis->high / axis->low > 2000;
    for (int i = (int)floor(log10(axis->low)); i <= log10(axis->high); i++) {
        const double decade = pow(10, i);
        add_tick(axis, decade);
        if (!wide)
            add_tick(axis, 2 * decade);
        if (!wide)
            add_tick(axis, 5 * decade);
    }
}

/* Values of K are their own ticks. */
static void ticks_at_points(const struct chart *chart, struct axis *x)
{
    pad(x);
    for (uint32_t s = 0; s < chart->n_series; s++)
        for (uint32_t i = 0; i < chart->series[s].n; i++) {
            bool known = false;
            for (uint32_t t = 0; t < x->n_ticks; t++)
                known = known || fabs(x->ticks[t] - chart->series[s].x[i]) < 1e-9;
            if (!known)
                add_tick(x, chart->series[s].x[i]);
        }
}

static bool few_places(const struct chart *chart)
{
    double places[12];
    uint32_t n = 0;
    for (uint32_t s = 0; s < chart->n_series; s++)
        for (uint32_t i = 0; i < chart->series[s].n; i++) {
            uint32_t t = 0;
            while (t < n && fabs(places[t] - chart->series[s].x[i]) > 1e-9)
                t++;
            if (t == n && n == 12)
                return false;
            if (t == n)
                places[n++] = chart->series[s].x[i];
        }
    return true;
}

static double place(const struct axis *axis, double value)
{
    const double share = axis->logarithmic ? log(value / axis->low) / log(axis->high / axis->low)
                                           : (value - axis->low) / (axis->high - axis->low);
    return axis->from + share * (axis->to - axis->from);
}

static void write_escaped(FILE *file, const char *text)
{
    for (; *text; text++)
        switch (*text) {
        case '<':
            fputs("&lt;", file);
            break;
        case '>':
            fputs("&gt;", file);
            break;
        case '&':
            fputs("&amp;", file);
            break;
        default:
            fputc(*text, file);
        }
}

static void write_text(FILE *file, double x, double y, const char *more, const char *text)
{
    fprintf(file, "<text x=\"%.1f\" y=\"%.1f\"%s>", x, y, more);
    write_escaped(file, text);
    fputs("</text>\n", file);
}

static void write_axes(FILE *file, const struct axis *x, const struct axis *y)
{
    char text[64];
    for (uint32_t i = 0; i < x->n_ticks; i++) {
        double at = place(x, x->ticks[i]);
        fprintf(file, "<path d=\"M%.1f %d V%d\" stroke=\"#e4e4e4\"/>\n", at, TOP, BOTTOM);
        snprintf(text, sizeof text, "%.4g%s", x->ticks[i] * (x->percent ? 100 : 1), x->percent ? " %" : "");
        write_text(file, at, BOTTOM + 18, " text-anchor=\"middle\"", text);
    }
    for (uint32_t i = 0; i < y->n_ticks; i++) {
        const double at = place(y, y->ticks[i]);
        fprintf(file, "<path d=\"M%d %.1f H%d\" stroke=\"#e4e4e4\"/>\n", LEFT, at, RIGHT);
        snprintf(text, sizeof text, "%.4g%s", y->ticks[i] * (y->percent ? 100 : 1), y->percent ? " %" : "");
        write_text(file, LEFT - 7, at + 4, " text-anchor=\"end\"", text);
    }
    fprintf(file, "<path d=\"M%d %d H%d V%d H%d Z\" fill=\"none\" stroke=\"#888888\"/>\n", LEFT, TOP, RIGHT,
            BOTTOM, LEFT);
}

static void write_series(FILE *file, const struct chart *chart, const struct chart_series *series,
                         uint32_t index, const struct axis *x, const struct axis *y)
{
    const char *dash = series->dashed ? " stroke-dasharray=\"6 4\"" : "";
    const double legend = TOP + 10 + 20.0 * index;
    bool first = true;
    fprintf(file, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"2\"%s d=\"", series->colour, dash);
    for (uint32_t i = 0; i < series->n; i++) {
        if (!shown(x, series->x[i]) || !shown(y, lifted(chart, series->y[i])))
            continue;
        fprintf(file, "%s%.1f %.1f ", first ? "M" : "L", place(x, series->x[i]),
                place(y, lifted(chart, series->y[i])));
        first = false;
    }
    fputs("\"/>\n", file);
    for (uint32_t i = 0; i < series->n; i++)
        if (shown(x, series->x[i]) && shown(y, lifted(chart, series->y[i])))
            fprintf(file, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.2\" fill=\"%s\"/>\n", place(x, series->x[i]),
                    place(y, lifted(chart, series->y[i])), series->colour);
    fprintf(file, "<path d=\"M%d %.1f h26\" stroke=\"%s\" stroke-width=\"2\"%s/>\n", RIGHT + 14, legend,
            series->colour, dash);
    write_text(file, RIGHT + 46, legend + 4, "", series->label);
}

enum pv_status chart_write(struct console *console, const struct chart *chart, const char *path)
{
    struct axis x = {.logarithmic = chart->log_x, .percent = chart->x_percent, .from = LEFT, .to = RIGHT};
    struct axis y = {.logarithmic = chart->log_y, .percent = chart->y_percent, .from = BOTTOM, .to = TOP};
    struct output_file out;
    const enum pv_status status = output_open(console, path, &out);
    if (status)
        return status;
    find_range(chart, &x, &y);
    if (few_places(chart))
        ticks_at_points(chart, &x);
    else
        find_ticks(&x);
    find_ticks(&y);
    fprintf(
        out.file,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" "
        "font-family=\"DejaVu Sans, Arial, sans-serif\" font-size=\"12\" fill=\"#222222\">\n<!-- Parvin -->\n"
        "<rect width=\"%d\" height=\"%d\" fill=\"#ffffff\"/>\n",
        WIDTH, HEIGHT, WIDTH, HEIGHT, WIDTH, HEIGHT);
    write_text(out.file, LEFT, 28, " font-size=\"15\" font-weight=\"bold\"", chart->title);
    write_axes(out.file, &x, &y);
    write_text(out.file, (LEFT + RIGHT) / 2.0, HEIGHT - 16, " text-anchor=\"middle\"", chart->x_label);
    fprintf(out.file, "<g transform=\"translate(18 %d) rotate(-90)\">", (TOP + BOTTOM) / 2);
    write_text(out.file, 0, 0, " text-anchor=\"middle\"", chart->y_label);
    fputs("</g>\n", out.file);
    for (uint32_t s = 0; s < chart->n_series; s++)
        write_series(out.file, chart, &chart->series[s], s, &x, &y);
    fputs("</svg>\n", out.file);
    return output_close(console, &out, true);
}
