/* With colour and Unicode a character is two cells of the heatmap: side by side where there is a row for each
 * layer (left half block), one above the other where there is not (upper half block). Without, it is one
 * cell, as a shade. */
#include "viz/term/term.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "viz/parts.h"
#include "viz/term/term_grid.h"
#include "viz/picture/text.h"

struct pv_term {
    struct term_grid grid;
    struct pv_term_caps caps;
    struct pv_palette palette;
    uint32_t palette_index;
    bool light, palette_made;
};
struct frame { /* what one drawing needs */
    struct term_grid *grid;
    const struct pv_term_caps *caps;
    const struct pv_palette *palette;
    const struct pv_theme *theme;
    const struct pv_player *player;
    const struct pv_heat *heat;
    uint32_t n_layers, n_clusters;
    double top_share;
};

enum pv_status pv_term_create(const struct pv_term_caps *caps, struct pv_term **out)
{
    struct pv_term *term = calloc(1, sizeof *term);

    *out = term;
    if (!term)
        return PV_ERR_NOMEM;
    term->caps = *caps;
    if (pv_term_resize(term, 80, 24) != PV_OK) {
        free(term);
        *out = NULL;
        return PV_ERR_NOMEM;
    }
    return PV_OK;
}

void pv_term_destroy(struct pv_term *term)
{
    if (!term)
        return;
    term_grid_free(&term->grid);
    free(term);
}

enum pv_status pv_term_resize(struct pv_term *term, uint32_t columns, uint32_t rows)
{
    columns = columns < 1 ? 1 : columns > 1000 ? 1000 : columns;
    rows = rows < 1 ? 1 : rows > 500 ? 500 : rows;
    return term_grid_resize(&term->grid, columns, rows);
}

static void text_at(const struct frame *f, uint32_t row, uint32_t column, uint32_t columns, struct pv_rgb ink,
                    const char *text)
{
    term_grid_text(f->grid, row, column, columns, ink, f->theme->background, text);
}

/* The same where there is no Unicode: a question mark for what ASCII lacks. */
static void plain_text(const struct frame *f, uint32_t row, uint32_t column, uint32_t columns,
                       struct pv_rgb ink, const char *text)
{
    char copy[PV_HEAT_TEXT];

    snprintf(copy, sizeof copy, "%s", text);
    for (char *c = copy; !f->caps->unicode && *c != '\0'; c++)
        *c = (unsigned char)*c < 0x80 ? *c : '?';
    text_at(f, row, column, columns, ink, copy);
}

static const char *shade(const struct frame *f, double brightness)
{
    static const char *const ascii[] = {" ", ".", ":", "-", "=", "+", "*", "#", "%", "@"};
    static const char *const blocks[] = {" ", "\xe2\x96\x91", "\xe2\x96\x92", "\xe2\x96\x93", "\xe2\x96\x88"};

    if (brightness <= 0.0)
        return " ";
    if (f->caps->unicode)
        return blocks[1 + (brightness >= 1.0 ? 3 : (int)(brightness * 4.0))];
    return ascii[1 + (brightness >= 1.0 ? 8 : (int)(brightness * 9.0))];
}

struct layers { /* that share a row or half of one */
    uint32_t first, end;
};

/* Brightness of what shares column i of n. */
static double pooled(const struct frame *f, struct layers layers, uint32_t i, uint32_t n)
{
    const uint32_t first = (uint32_t)((uint64_t)i * f->n_clusters / n);
    const uint32_t end = (uint32_t)((uint64_t)(i + 1) * f->n_clusters / n);
    double most = 0.0;

    for (uint32_t l = layers.first; l < layers.end; l++) {
        if (f->n_clusters == 0) /* groups of neurons */
            most = fmax(most, pv_heat_fire(f->heat, l, i, n));
        for (uint32_t k = first; f->n_clusters > 0 && k < (end > first ? end : first + 1); k++)
            most = fmax(most, pv_heat_share(f->heat, l, pv_heat_at(f->heat, l, k)));
    }
    return pv_brightness(most, f->top_share);
}

/* Row `row` of the screen: one stretch of layers (`b` NULL), or two, one above the other. */
static void heat_row(const struct frame *f, uint32_t row, struct layers a, const struct layers *b,
                     uint32_t columns)
{
    const bool solid = f->caps->colour >= PV_TERM_256, fine = f->caps->unicode && solid;
    char name[16];

    snprintf(name, sizeof name, "%3u", a.first);
    text_at(f, row, 0, 3, f->theme->faint, name);
    for (uint32_t c = 0; c < columns; c++) {
        struct pv_rgb ink = f->theme->text;
        double up, down;

        if (fine && !b) {
            up = pooled(f, a, 2 * c, 2 * columns);
            down = pooled(f, a, 2 * c + 1, 2 * columns);
        } else {
            up = pooled(f, a, c, columns);
            down = b ? pooled(f, *b, c, columns) : up;
        }
        if (fine) {
            term_grid_glyph(f->grid, row, 4 + c, pv_palette_at(f->palette, up),
                            pv_palette_at(f->palette, down), b ? "\xe2\x96\x80" : "\xe2\x96\x8c");
            continue;
        }
        up = fmax(up, down);
        if (f->caps->colour == PV_TERM_8) /* what is dark must not be black on black */
            ink = pv_palette_at(f->palette, f->player->light ? up : 0.35 + 0.65 * up);
        if (solid)
            term_grid_glyph(f->grid, row, 4 + c, ink, pv_palette_at(f->palette, up), " ");
        else
            term_grid_glyph(f->grid, row, 4 + c, ink, f->theme->background, shade(f, up));
    }
}

static struct layers share_of(const struct frame *f, uint32_t i, uint32_t n)
{
    return (struct layers){(uint32_t)((uint64_t)i * f->n_layers / n),
                           (uint32_t)((uint64_t)(i + 1) * f->n_layers / n)};
}

/* Under the map a word for each stretch of it. */
static void region_words(const struct frame *f, uint32_t row, uint32_t columns)
{
    const struct pv_columns all = {.n = f->n_clusters};
    const uint32_t n = columns / 12 > 0 ? columns / 12 : 1;

    for (uint32_t i = 0; i < n; i++) {
        const uint32_t start = i * columns / n, width = (i + 1) * columns / n - start;
        struct pv_heat_top top;
        uint32_t column, at;

        if (!pv_region_word(f->heat, &all, (uint32_t)((uint64_t)i * f->n_clusters / n),
                            (uint32_t)((uint64_t)(i + 1) * f->n_clusters / n), &column, &top))
            continue;
        at = (uint32_t)((uint64_t)column * columns / f->n_clusters);
        if (at + pv_text_width(top.text) >= start + width)
            at =
                start + width > pv_text_width(top.text) + 1 ? start + width - pv_text_width(top.text) - 1 : 0;
        plain_text(f, row, 4 + (at > start ? at : start), width - 1, f->theme->text, top.text);
    }
}

/* Returns the row below the heatmap. */
static uint32_t heat_rows(const struct frame *f, uint32_t top)
{
    const uint32_t room = f->grid->rows > 9 ? (f->grid->rows - 5) / 2 : 2;
    uint32_t columns = f->grid->columns > 6 ? f->grid->columns - 5 : 1, thick, n;

    if (f->n_clusters == 0 && !pv_heat_has_fire(f->heat)) {
        text_at(f, top, 4, f->grid->columns, f->theme->faint,
                "every neuron computed, no clusters; a trace with true patterns shows which neurons fire");
        return top + 1;
    }
    if (f->n_clusters > 0 && columns > f->n_clusters)
        columns = f->n_clusters * (columns / f->n_clusters); /* whole cells for every cluster */
    thick = room / f->n_layers < 3 ? room / f->n_layers : 3; /* rows a layer, where there is room */
    n = thick > 0 ? f->n_layers * thick : f->n_layers < 2 * room ? (f->n_layers + 1) / 2 : room;
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t halves = f->n_layers < 2 * n ? f->n_layers : 2 * n;

        if (thick == 0) {
            const struct layers b = share_of(f, 2 * i + 1, halves);

            heat_row(f, top + i, share_of(f, 2 * i, halves), 2 * i + 1 < halves ? &b : NULL, columns);
            continue;
        }
        heat_row(f, top + i, (struct layers){i / thick, i / thick + 1}, NULL, columns);
        if (i % thick > 0) /* the layer's number stands in its first row */
            text_at(f, top + i, 0, 3, f->theme->faint, "   ");
    }
    if (f->n_clusters == 0 || f->grid->rows < 16)
        return top + n;
    region_words(f, top + n, columns);
    return top + n + 1;
}

static void waterfall_cell(const struct frame *f, uint32_t row, uint32_t column, uint32_t width,
                           const struct pv_heat_row *token, uint32_t layer)
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    struct pv_rgb paper = f->theme->panel, ink = f->theme->text;
    const uint32_t cluster = token->cluster[layer];
    char text[32], cut[32];
    const bool dense = cluster == PV_TRACE_NO_CLUSTER, fired = dense && token->n_active;
    const double share = fired ? (double)token->n_active[layer] / pv_heat_header(f->heat)->d_ffn : 0.0;

    if (!dense)
        paper = pv_cluster_colour(f->heat, f->player->light, layer, cluster);
    else if (fired)
        paper = pv_palette_at(f->palette, pv_brightness(share, 1.0));
    if ((!dense || fired) && f->caps->colour != PV_TERM_MONO)
        ink = pv_ink_on(paper);
    snprintf(text, sizeof text, "%u", cluster);
    if (fired)
        snprintf(text, sizeof text, "%.0f", 100.0 * share);
    else if (dense)
        snprintf(text, sizeof text, width >= 4 ? "all" : " ");
    if (strlen(text) + 1 > width)
        snprintf(text, sizeof text, "%c",
                 f->caps->colour != PV_TERM_MONO || dense ? ' ' : digits[cluster % 36]);
    snprintf(cut, sizeof cut, "%*s%*s", (int)(width - (width - strlen(text)) / 2), text,
             (int)((width - strlen(text)) / 2), "");
    term_grid_text(f->grid, row, column, width, ink, paper, cut);
}

/* In steps of an eighth of a character. */
static void density_bar(const struct frame *f, uint32_t row, uint32_t column, double density)
{
    const uint32_t eighths = density > 0.0 && density < 1.0 / 80 ? 1 : (uint32_t)(density * 80.0 + 0.5);
    char text[16];

    for (uint32_t i = 0; i < 10; i++) {
        const uint32_t part = eighths >= 8 * i + 8 ? 8 : eighths > 8 * i ? eighths - 8 * i : 0;
        const char block[] = {'\xe2', '\x96', (char)(0x90 - part), '\0'};
        const char *none = f->caps->colour >= PV_TERM_256 ? " " : f->caps->unicode ? "\xc2\xb7" : ".";

        term_grid_glyph(f->grid, row, column + i, part > 0 ? f->theme->hit : f->theme->wasted,
                        f->caps->colour >= PV_TERM_256 ? f->theme->panel : f->theme->background,
                        part == 0          ? none
                        : f->caps->unicode ? block
                        : part >= 4        ? "#"
                                           : ".");
    }
    text_at(f, row, column + 11, 8, f->theme->text, pv_percent(density, text, sizeof text));
}

/* What a token cost, or of a dense run what fired. */
static double spent(const struct frame *f, const struct pv_heat_row *row)
{
    return f->n_clusters == 0 && !isnan(row->firing) ? row->firing : row->density;
}

/* The last tokens as a line of columns of eighths, the newest at the right. */
static void sparkline(const struct frame *f, uint32_t row, uint32_t column, uint32_t columns)
{
    uint32_t there = pv_heat_n_recent(f->heat), back = f->player->back, n;
    double most = 0.0;

    there = there > back ? there - back : 0;
    n = there < columns ? there : columns;
    for (uint32_t i = 0; i < n; i++)
        most = fmax(most, spent(f, pv_heat_recent(f->heat, back + i)));
    for (uint32_t i = 0; i < n && most > 0.0; i++) {
        const double share = spent(f, pv_heat_recent(f->heat, back + n - 1 - i)) / most;
        const char block[] = {'\xe2', '\x96', (char)(0x81 + (int)(share * 7.0 + 0.5)), '\0'};

        term_grid_glyph(f->grid, row, column + columns - n + i, f->theme->hit, f->theme->background, block);
    }
}

/* How the waterfall fills the screen: cells of a width, for some layers if not for all, in columns of tokens. */
struct falls {
    uint32_t width, n_layers, n_columns, pitch;
};

static struct falls falls_of(const struct frame *f)
{
    const uint32_t columns = f->grid->columns, room = columns > 38 ? columns - 38 : 1;
    struct falls w = {.width = room / f->n_layers, .n_layers = f->n_layers};
    uint32_t digits = f->n_clusters == 0 ? 2 : 1; /* shares in per cent, or numbers */

    for (uint32_t k = f->n_clusters; k > 10; k = (k + 9) / 10)
        digits++;
    if (w.width > digits + 2)
        w.width = digits + 2;
    else if (w.width < digits + 1) /* numbers have no room: colours do with less */
        w.width = w.width >= 2 && f->n_layers <= 16 ? 2 : 1;
    if (w.n_layers * w.width > room)
        w.n_layers = room / w.width;
    w.pitch = 38 + w.n_layers * w.width;
    w.n_columns = (columns + 2) / w.pitch > 0 ? (columns + 2) / w.pitch : 1;
    return w;
}

static void waterfall(const struct frame *f, uint32_t top, uint32_t bottom)
{
    const struct falls w = falls_of(f);
    const uint32_t rows = bottom > top ? bottom - top : 0, back = f->player->back;
    uint32_t there = pv_heat_n_recent(f->heat), n;

    there = there > back ? there - back : 0;
    n = rows * w.n_columns;
    n = n < there ? n : there;
    for (uint32_t i = 0; i < n; i++) {
        const struct pv_heat_row *row = pv_heat_recent(f->heat, back + n - 1 - i);
        const uint32_t y = top + i % rows, x = i / rows * w.pitch;
        const size_t fit = pv_text_fit(row->text, 15);
        char text[PV_HEAT_TEXT];

        snprintf(text, sizeof text, "%.*s", (int)fit, row->text);
        plain_text(f, y, x + 16 - pv_text_width(text), 16, f->theme->strong, text);
        for (uint32_t l = 0; l < w.n_layers; l++)
            waterfall_cell(f, y, x + 18 + l * w.width, w.width, row,
                           (uint32_t)((uint64_t)l * f->n_layers / w.n_layers));
        density_bar(f, y, x + 19 + w.n_layers * w.width, spent(f, row));
    }
}

static void title(const struct frame *f)
{
    const struct pv_player *p = f->player;
    double speed = pv_player_speed(p), density = 0.0;
    char text[512], percent[16] = "", rate[32];
    const char *dot = f->caps->unicode ? "\xc2\xb7" : "|";
    const char *state = p->paused ? "paused" : p->ended ? "at the end" : p->source.live ? "live" : "playing";

    if (pv_heat_n_recent(f->heat) > p->back)
        density = pv_heat_recent(f->heat, p->back)->density;
    snprintf(text, sizeof text,
             " Parvin %s %s %s %.40s %s %llu tokens %s %s of neurons %s %s tok/s %s half-life %.0f", dot,
             state, dot, pv_heat_header(f->heat)->model, dot,
             (unsigned long long)(pv_heat_n_tokens(f->heat) - p->back), dot,
             pv_percent(density, percent, sizeof percent), dot, pv_number(speed, rate, sizeof rate), dot,
             pv_heat_half_life(f->heat));
    for (uint32_t c = 0; c < f->grid->columns; c++)
        term_grid_glyph(f->grid, 0, c, f->theme->strong, f->theme->panel, " ");
    term_grid_text(f->grid, 0, 0, f->grid->columns, f->theme->strong, f->theme->panel, text);
}

static void help(const struct frame *f)
{
    static const char *const lines[] = {
        "                                                        ",
        "  Above: every layer's clusters of neurons; bright ones ",
        "  were picked by many of the last tokens.               ",
        "  Below: token by token, the cluster of each layer, and ",
        "  the share of neurons that the token needed.           ",
        "                                                        ",
        "  space  pause, go on        + -  longer, shorter memory",
        "  right  next token          ] [  faster, slower        ",
        "  left   token before        p    palette               ",
        "  end    newest token        t    light or dark         ",
        "  h      this help           q    quit                  ",
        "                                                        ",
    };
    const uint32_t n = sizeof lines / sizeof lines[0], width = 56;
    const uint32_t row = f->grid->rows > n ? (f->grid->rows - n) / 2 : 0;
    const uint32_t column = f->grid->columns > width ? (f->grid->columns - width) / 2 : 0;

    for (uint32_t i = 0; i < n; i++)
        term_grid_text(f->grid, row + i, column, width, f->theme->strong, f->theme->line, lines[i]);
}

static void draw(const struct frame *f)
{
    uint32_t rows = f->grid->rows, below;
    char text[192];

    term_grid_clear(f->grid, f->theme->text, f->theme->background);
    title(f);
    snprintf(text, sizeof text, "%s; %s: %s",
             f->n_clusters > 0 ? "layers and their clusters, those for like tokens side by side"
                               : "layers and groups of their neurons that fire together",
             f->player->light && f->caps->colour != PV_TERM_MONO ? "darker" : "brighter",
             f->n_clusters > 0 ? "picked by more of the last tokens" : "more fired for the last tokens");
    text_at(f, 1, 0, f->grid->columns, f->theme->faint, text);
    below = heat_rows(f, 2);
    text_at(f, below, 11, 5, f->theme->faint, "token");
    snprintf(text, sizeof text, "%s layers 0 to %u",
             f->n_clusters > 0 ? "cluster picked in" : "neurons that fired in", f->n_layers - 1);
    text_at(f, below, 18, f->grid->columns, f->theme->faint, text);
    if (f->caps->unicode && f->grid->columns >= 90) {
        text_at(f, below, f->grid->columns - 43, 20, f->theme->faint,
                f->n_clusters > 0 ? "neurons computed" : "neurons that fired");
        sparkline(f, below, f->grid->columns - 24, 24);
    }
    if (rows > below + 2)
        waterfall(f, below + 1, rows - 1);
    text_at(f, rows - 1, 0, f->grid->columns, f->theme->faint,
            f->player->note_left > 0.0 ? f->player->note
                                       : "space pause   left right step   + - memory   [ ] speed   p palette "
                                         "  t theme   h help   q quit");
    if (f->player->help)
        help(f);
}

enum pv_status pv_term_frame(struct pv_term *term, const struct pv_player *player, const char **out,
                             size_t *n_out)
{
    struct frame f = {.grid = &term->grid, .caps = &term->caps, .player = player, .heat = player->heat};
    enum pv_status status;

    if (!term->palette_made || term->palette_index != player->palette || term->light != player->light) {
        pv_palette_init(&term->palette, player->palette, player->light);
        term->palette_index = player->palette;
        term->light = player->light;
        term->palette_made = true;
    }
    f.palette = &term->palette;
    f.theme = pv_theme_get(player->light);
    f.n_layers = pv_heat_header(player->heat)->n_layers;
    f.n_clusters = pv_heat_header(player->heat)->n_clusters;
    f.top_share = f.n_clusters > 0 ? pv_heat_max_share(player->heat)
                                   : pv_fire_max(player->heat, pv_fire_groups(player->heat, 400));
    draw(&f);
    status = term_grid_emit(&term->grid, term->caps.colour);
    *out = term->grid.bytes;
    *n_out = term->grid.n;
    return status;
}

size_t pv_term_key(const char *bytes, size_t n, enum pv_key *key)
{
    *key = PV_KEY_NONE;
    if (n == 0)
        return 0;
    if (bytes[0] != '\x1b') {
        *key = bytes[0] == 3 ? PV_KEY_QUIT : pv_key_of(bytes[0]);
        return 1;
    }
    if (n == 1) {
        *key = PV_KEY_QUIT; /* Escape by itself: its sequences come in one piece */
        return 1;
    }
    if (bytes[1] != '[' && bytes[1] != 'O')
        return 2;
    for (size_t i = 2; i < n; i++) { /* parameters, then one final byte */
        if (bytes[i] < 0x40 || bytes[i] > 0x7e)
            continue;
        switch (bytes[i]) {
        case 'A':
            *key = PV_KEY_UP;
            break;
        case 'B':
            *key = PV_KEY_DOWN;
            break;
        case 'C':
            *key = PV_KEY_FORWARD;
            break;
        case 'D':
            *key = PV_KEY_BACK;
            break;
        case 'F':
            *key = PV_KEY_END;
            break;
        case '~': /* End of the VT220 and what descends from it: tmux, screen, rxvt */
            if (i == 3 && (bytes[2] == '4' || bytes[2] == '8'))
                *key = PV_KEY_END;
            break;
        default:
            break;
        }
        return i + 1;
    }
    return n < 16 ? 0 : n;
}
