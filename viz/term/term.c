/* With colour and Unicode a character is two cells of the heatmap: side by side where there is a row for each
 * layer (left half block), one above the other where there is not (upper half block). Without, it is one
 * cell, as a shade. */
#include "viz/term/term.h"

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

/* Brightness of the clusters that share column i of n. */
static double pooled(const struct frame *f, uint32_t layer, uint32_t i, uint32_t n)
{
    const uint32_t first = (uint32_t)((uint64_t)i * f->n_clusters / n);
    const uint32_t end = (uint32_t)((uint64_t)(i + 1) * f->n_clusters / n);
    double most = 0.0;

    if (layer >= f->n_layers)
        return 0.0;
    if (f->n_clusters == 0) /* groups of neurons */
        return pv_brightness(pv_heat_fire(f->heat, layer, i, n), f->top_share);
    for (uint32_t k = first; k < (end > first ? end : first + 1); k++) {
        const double share = pv_heat_share(f->heat, layer, pv_heat_at(f->heat, layer, k));

        most = share > most ? share : most;
    }
    return pv_brightness(most, f->top_share);
}

static void heat_row(const struct frame *f, uint32_t row, uint32_t layer, bool stacked, uint32_t columns)
{
    struct pv_rgb ink = f->theme->text, paper = f->theme->background;
    const bool fine = f->caps->unicode && f->caps->colour != PV_TERM_MONO;
    char name[16];

    snprintf(name, sizeof name, "%3u", layer);
    text_at(f, row, 0, 3, f->theme->faint, name);
    for (uint32_t c = 0; c < columns; c++) {
        double a, b;

        if (fine && !stacked) {
            a = pooled(f, layer, 2 * c, 2 * columns);
            b = pooled(f, layer, 2 * c + 1, 2 * columns);
        } else {
            a = pooled(f, layer, c, columns);
            b = stacked ? pooled(f, layer + 1, c, columns) : a;
        }
        if (f->caps->colour != PV_TERM_MONO) {
            ink = pv_palette_at(f->palette, a);
            paper = pv_palette_at(f->palette, b);
        }
        if (fine)
            term_grid_glyph(f->grid, row, 4 + c, ink, paper, stacked ? "\xe2\x96\x80" : "\xe2\x96\x8c");
        else
            term_grid_glyph(f->grid, row, 4 + c, f->caps->colour == PV_TERM_MONO ? ink : pv_ink_on(ink), ink,
                            f->caps->colour == PV_TERM_MONO ? shade(f, a > b ? a : b) : " ");
    }
}

/* Returns the row below the heatmap. */
static uint32_t heat_rows(const struct frame *f, uint32_t top)
{
    const uint32_t room = f->grid->rows > 9 ? (f->grid->rows - 5) / 2 : 2;
    uint32_t columns = f->grid->columns > 6 ? f->grid->columns - 5 : 1, per_row, thick, n;
    bool stacked;

    if (f->n_clusters == 0 && !pv_heat_has_fire(f->heat)) {
        text_at(f, top, 4, f->grid->columns, f->theme->faint,
                "every neuron computed, no clusters; a trace with true patterns shows which neurons fire");
        return top + 1;
    }
    stacked = f->n_layers > room;
    per_row = stacked ? 2 : 1;
    thick = room / f->n_layers < 3 ? room / f->n_layers : 3; /* rows a layer, where there is room */
    thick = thick < 1 ? 1 : thick;
    n = (f->n_layers + per_row - 1) / per_row;
    if (n > room) { /* a tall model in a low window: its first layers */
        n = room;
    }
    if (f->n_clusters > 0 && columns > f->n_clusters)
        columns = f->n_clusters * (columns / f->n_clusters); /* whole cells for every cluster */
    for (uint32_t i = 0; i < n * thick; i++) {
        heat_row(f, top + i, i / thick * per_row, stacked, columns);
        if (i % thick > 0) /* the layer's number stands in its first row */
            text_at(f, top + i, 0, 3, f->theme->faint, "   ");
    }
    return top + n * thick;
}

static void waterfall_cell(const struct frame *f, uint32_t row, uint32_t column, uint32_t width,
                           uint32_t layer, uint32_t cluster)
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    struct pv_rgb paper = f->theme->panel, ink = f->theme->text;
    char text[32], cut[32];
    const bool dense = cluster == PV_TRACE_NO_CLUSTER;

    if (!dense && f->caps->colour != PV_TERM_MONO) {
        paper = pv_cluster_colour(f->heat, f->player->light, layer, cluster);
        ink = pv_ink_on(paper);
    }
    snprintf(text, sizeof text, "%u", cluster);
    if (dense)
        snprintf(text, sizeof text, width >= 4 ? "all" : " ");
    else if (strlen(text) + 1 > width)
        snprintf(text, sizeof text, "%c", f->caps->colour == PV_TERM_MONO ? digits[cluster % 36] : ' ');
    snprintf(cut, sizeof cut, "%*s%*s", (int)(width - (width - strlen(text)) / 2), text,
             (int)((width - strlen(text)) / 2), "");
    term_grid_text(f->grid, row, column, width, ink, paper, cut);
}

static void density_bar(const struct frame *f, uint32_t row, uint32_t column, double density)
{
    char text[16];
    const uint32_t full = (uint32_t)(density * 10.0 + 0.5);

    for (uint32_t i = 0; i < 10; i++)
        term_grid_glyph(f->grid, row, column + i, i < full ? f->theme->hit : f->theme->wasted,
                        f->theme->background,
                        f->caps->unicode ? (i < full ? "\xe2\x96\xa0" : "\xc2\xb7") : (i < full ? "#" : "."));
    text_at(f, row, column + 11, 8, f->theme->text, pv_percent(density, text, sizeof text));
}

static uint32_t cell_width(const struct frame *f)
{
    const uint32_t room = f->grid->columns > 38 ? f->grid->columns - 38 : 1, width = room / f->n_layers;

    return width < 1 ? 1 : width > 5 ? 5 : width;
}

static void waterfall(const struct frame *f, uint32_t top, uint32_t bottom)
{
    uint32_t there = pv_heat_n_recent(f->heat), back = f->player->back, width = cell_width(f), n;
    uint32_t n_layers = f->n_layers, room = f->grid->columns > 38 ? f->grid->columns - 38 : 1;

    if (n_layers * width > room)
        n_layers = room / width;
    there = there > back ? there - back : 0;
    n = bottom > top ? bottom - top : 0;
    n = n < there ? n : there;
    for (uint32_t i = 0; i < n; i++) {
        const struct pv_heat_row *row = pv_heat_recent(f->heat, back + n - 1 - i);
        const size_t fit = pv_text_fit(row->text, 15);
        char text[PV_HEAT_TEXT];

        snprintf(text, sizeof text, "%.*s", (int)fit, row->text);
        for (char *c = text; !f->caps->unicode && *c != '\0'; c++)
            *c = (unsigned char)*c < 0x80 ? *c : '?';
        text_at(f, top + i, 16 - pv_text_width(text), 16, f->theme->strong, text);
        for (uint32_t l = 0; l < n_layers; l++)
            waterfall_cell(f, top + i, 18 + l * width, width, l, row->cluster[l]);
        density_bar(f, top + i, 19 + n_layers * width, row->density);
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
    char layers[16], text[128];

    term_grid_clear(f->grid, f->theme->text, f->theme->background);
    title(f);
    snprintf(
        text, sizeof text,
        "layers and their clusters, those for like tokens side by side; %s: picked by more of the last tokens",
        f->player->light && f->caps->colour != PV_TERM_MONO ? "darker" : "brighter");
    text_at(f, 1, 0, f->grid->columns, f->theme->faint, text);
    below = heat_rows(f, 2);
    text_at(f, below, 11, 5, f->theme->faint, "token");
    snprintf(layers, sizeof layers, "0 to %u", f->n_layers - 1);
    text_at(f, below, 18, f->grid->columns, f->theme->faint, "cluster picked in layers");
    text_at(f, below, 43, f->grid->columns, f->theme->faint, layers);
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
