/* A palette is a path through a few points of OKLCh (lightness, chroma, hue), resampled to equal steps. */
#include "viz/palette.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

struct stop {
    double lightness, chroma, hue; /* hue in degrees */
};
struct recipe {
    const char *name;
    uint32_t n_stops;
    struct stop stops[6];
};

static const struct recipe recipes[PV_N_PALETTES] = {
    {"night",
     5,
     {{0.21, 0.045, 280}, {0.40, 0.130, 275}, {0.62, 0.130, 240}, {0.83, 0.100, 190}, {0.98, 0.060, 105}}},
    {"ember",
     5,
     {{0.20, 0.040, 300}, {0.38, 0.140, 320}, {0.57, 0.180, 20}, {0.77, 0.150, 65}, {0.97, 0.080, 105}}},
    {"cividis", 4, {{0.24, 0.060, 265}, {0.45, 0.045, 260}, {0.67, 0.050, 100}, {0.93, 0.150, 102}}},
    {"grey", 2, {{0.22, 0.000, 0}, {0.98, 0.000, 0}}},
};

static double to_linear(uint8_t value)
{
    const double v = value / 255.0;

    return v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4);
}

static double from_linear(double v)
{
    return v <= 0.0031308 ? 12.92 * v : 1.055 * pow(v, 1.0 / 2.4) - 0.055;
}

void pv_oklab(struct pv_rgb colour, double lab[3])
{
    const double r = to_linear(colour.r), g = to_linear(colour.g), b = to_linear(colour.b);
    const double l = cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
    const double m = cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
    const double s = cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);

    lab[0] = 0.2104542553 * l + 0.7936177850 * m - 0.0040720468 * s;
    lab[1] = 1.9779984951 * l - 2.4285922050 * m + 0.4505937099 * s;
    lab[2] = 0.0259040371 * l + 0.7827717662 * m - 0.8086757660 * s;
}

/* Linear RGB, may lie outside 0..1. */
static void lab_to_rgb(const double lab[3], double rgb[3])
{
    double l = lab[0] + 0.3963377774 * lab[1] + 0.2158037573 * lab[2];
    double m = lab[0] - 0.1055613458 * lab[1] - 0.0638541728 * lab[2];
    double s = lab[0] - 0.0894841775 * lab[1] - 1.2914855480 * lab[2];

    l = l * l * l;
    m = m * m * m;
    s = s * s * s;
    rgb[0] = 4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s;
    rgb[1] = -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s;
    rgb[2] = -0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s;
}

static bool in_gamut(const double rgb[3])
{
    for (int i = 0; i < 3; i++) {
        if (!(rgb[i] >= -1e-4 && rgb[i] <= 1.0 + 1e-4))
            return false;
    }
    return true;
}

static uint8_t to_byte(double linear)
{
    const double v = linear < 0.0 ? 0.0 : linear > 1.0 ? 1.0 : linear;

    return (uint8_t)lround(from_linear(v) * 255.0);
}

/* The nearest colour a screen has: chroma gives way, lightness and hue stay. */
static struct pv_rgb to_screen(const double lab[3])
{
    double rgb[3], tried[3] = {lab[0], lab[1], lab[2]};

    lab_to_rgb(tried, rgb);
    for (int i = 0; i < 60 && !in_gamut(rgb); i++) {
        tried[1] *= 0.97;
        tried[2] *= 0.97;
        lab_to_rgb(tried, rgb);
    }
    return (struct pv_rgb){to_byte(rgb[0]), to_byte(rgb[1]), to_byte(rgb[2])};
}

static void stop_lab(struct stop stop, double lab[3])
{
    const double angle = stop.hue * 3.14159265358979323846 / 180.0;

    lab[0] = stop.lightness;
    lab[1] = stop.chroma * cos(angle);
    lab[2] = stop.chroma * sin(angle);
}

/* Straight line between neighbouring stops; t in 0..n_stops - 1. */
static void path_at(const struct recipe *recipe, double t, bool light, double lab[3])
{
    uint32_t i = (uint32_t)t;
    double a[3], b[3], u;
    struct stop end;

    if (i > recipe->n_stops - 2)
        i = recipe->n_stops - 2;
    u = t - i;
    stop_lab(recipe->stops[i], a);
    end = recipe->stops[i + 1];
    if (light && i + 2 == recipe->n_stops) { /* "never" is nearly the paper's own colour */
        end.lightness = 0.985;
        end.chroma *= 0.2;
    }
    stop_lab(end, b);
    for (int c = 0; c < 3; c++)
        lab[c] = a[c] + u * (b[c] - a[c]);
}

const char *pv_palette_name(uint32_t index)
{
    return index < PV_N_PALETTES ? recipes[index].name : NULL;
}

int pv_palette_find(const char *name)
{
    for (int i = 0; i < PV_N_PALETTES; i++) {
        if (strcmp(recipes[i].name, name) == 0)
            return i;
    }
    return -1;
}

void pv_palette_init(struct pv_palette *palette, uint32_t index, bool light)
{
    enum { FINE = 2048 };
    const struct recipe *recipe = &recipes[index % PV_N_PALETTES];
    double length[FINE + 1], last[3], lab[3], span = recipe->n_stops - 1;
    int at = 0;

    length[0] = 0.0;
    path_at(recipe, 0.0, light, last);
    for (int i = 1; i <= FINE; i++) {
        double sum = 0.0;

        path_at(recipe, span * i / FINE, light, lab);
        for (int c = 0; c < 3; c++) {
            sum += (lab[c] - last[c]) * (lab[c] - last[c]);
            last[c] = lab[c];
        }
        length[i] = length[i - 1] + sqrt(sum);
    }
    palette->light = light;
    for (int i = 0; i < 256; i++) {
        while (at < FINE && length[at] < length[FINE] * i / 255.0)
            at++;
        path_at(recipe, span * at / FINE, light, lab);
        palette->colour[light ? 255 - i : i] = to_screen(lab);
    }
}

struct pv_rgb pv_palette_at(const struct pv_palette *palette, double value)
{
    if (!(value > 0.0))
        return palette->colour[0];
    return palette->colour[value >= 1.0 ? 255 : (int)(value * 255.0 + 0.5)];
}

struct pv_rgb pv_palette_place(double place, bool light)
{
    struct stop stop = {.lightness = (light ? 0.82 : 0.90) - 0.40 * place, .chroma = 0.125};
    double lab[3];

    stop.hue = fmod(100.0 + 360.0 * PV_PLACE_TURN * place, 360.0); /* yellow, green, blue, violet, red */
    stop_lab(stop, lab);
    return to_screen(lab);
}

const struct pv_theme *pv_theme_get(bool light)
{
    static const struct pv_theme themes[2] = {
        {.background = {13, 16, 28},
         .panel = {22, 26, 42},
         .line = {58, 66, 94},
         .faint = {140, 149, 176},
         .text = {205, 212, 230},
         .strong = {245, 247, 255},
         .accent = {255, 205, 92},
         .hit = {86, 180, 233},
         .miss = {235, 110, 30},
         .wasted = {84, 92, 118}},
        {.background = {255, 255, 255},
         .panel = {246, 247, 250},
         .line = {198, 204, 216},
         .faint = {104, 112, 130},
         .text = {52, 58, 74},
         .strong = {14, 18, 30},
         .accent = {178, 88, 0},
         .hit = {0, 114, 178},
         .miss = {213, 94, 0},
         .wasted = {188, 194, 206}},
    };
    return &themes[light ? 1 : 0];
}
