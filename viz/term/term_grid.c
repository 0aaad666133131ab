/* Only cells that changed are sent, colours only where they differ from the cell before: little enough for
 * ssh. */
#include "viz/term/term_grid.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "viz/picture/text.h"

enum pv_status term_grid_resize(struct term_grid *grid, uint32_t columns, uint32_t rows)
{
    const size_t n = (size_t)columns * rows;
    struct term_cell *cells = calloc(n + 1, sizeof *cells), *shown = calloc(n + 1, sizeof *shown);

    if (!cells || !shown) {
        free(cells);
        free(shown);
        return PV_ERR_NOMEM;
    }
    free(grid->cells);
    free(grid->shown);
    grid->cells = cells;
    grid->shown = shown;
    grid->columns = columns;
    grid->rows = rows;
    grid->all = true;
    return PV_OK;
}

void term_grid_free(struct term_grid *grid)
{
    free(grid->cells);
    free(grid->shown);
    free(grid->bytes);
    *grid = (struct term_grid){0};
}

void term_grid_glyph(struct term_grid *grid, uint32_t row, uint32_t column, struct pv_rgb ink,
                     struct pv_rgb paper, const char *glyph)
{
    struct term_cell *cell;

    if (row >= grid->rows || column >= grid->columns)
        return;
    cell = &grid->cells[(size_t)row * grid->columns + column];
    memset(cell, 0, sizeof *cell); /* cells are compared as bytes */
    snprintf(cell->glyph, sizeof cell->glyph, "%s", glyph);
    cell->ink = ink;
    cell->paper = paper;
}

void term_grid_clear(struct term_grid *grid, struct pv_rgb ink, struct pv_rgb paper)
{
    for (uint32_t r = 0; r < grid->rows; r++) {
        for (uint32_t c = 0; c < grid->columns; c++)
            term_grid_glyph(grid, r, c, ink, paper, " ");
    }
}

uint32_t term_grid_text(struct term_grid *grid, uint32_t row, uint32_t column, uint32_t columns,
                        struct pv_rgb ink, struct pv_rgb paper, const char *text)
{
    size_t n = strlen(text), length, shown;
    uint32_t used = 0, width;

    if (column >= grid->columns)
        return 0;
    columns = columns < grid->columns - column ? columns : grid->columns - column;
    for (size_t i = 0; i < n; i += length) {
        char glyph[sizeof grid->cells->glyph] = "";
        uint32_t code;

        length = pv_text_cluster(text + i, n - i, &width, &shown);
        if (length == 0 || used + width > columns)
            break;
        if (width == 0)
            continue;
        if (shown >= sizeof glyph) /* more marks than anybody writes */
            shown = pv_text_char(text + i, n - i, &code);
        memcpy(glyph, text + i, shown);
        term_grid_glyph(grid, row, column + used, ink, paper, glyph);
        for (uint32_t c = 1; c < width; c++)
            term_grid_glyph(grid, row, column + used + c, ink, paper, "");
        used += width;
    }
    return used;
}

static void put(struct term_grid *grid, const char *data, size_t n)
{
    if (grid->room - grid->n < n + 1) {
        const size_t room = grid->room * 2 + n + 4096;
        char *bytes = realloc(grid->bytes, room);

        if (!bytes) {
            grid->no_memory = true;
            return;
        }
        grid->bytes = bytes;
        grid->room = room;
    }
    memcpy(grid->bytes + grid->n, data, n);
    grid->n += n;
    grid->bytes[grid->n] = '\0';
}

/* The nearest of the 6 x 6 x 6 cube and the 24 greys. */
static uint32_t to_256(struct pv_rgb c)
{
    static const int level[6] = {0, 95, 135, 175, 215, 255};
    const int want[3] = {c.r, c.g, c.b};
    int at[3], far = 0, grey, far_grey = 0, g;

    for (int i = 0; i < 3; i++) {
        at[i] = 0;
        for (int j = 1; j < 6; j++) {
            if (abs(level[j] - want[i]) < abs(level[at[i]] - want[i]))
                at[i] = j;
        }
        far += (level[at[i]] - want[i]) * (level[at[i]] - want[i]);
    }
    grey = (want[0] + want[1] + want[2]) / 3;
    g = grey < 8 ? 0 : (grey - 8 + 5) / 10;
    g = g > 23 ? 23 : g;
    for (int i = 0; i < 3; i++)
        far_grey += (8 + 10 * g - want[i]) * (8 + 10 * g - want[i]);
    return far_grey < far ? 232 + (uint32_t)g
                          : 16 + 36 * (uint32_t)at[0] + 6 * (uint32_t)at[1] + (uint32_t)at[2];
}

/* Which of red, green and blue (1, 2, 4) a colour is made of. */
static uint32_t to_8(struct pv_rgb c)
{
    const int r = c.r, g = c.g, b = c.b,
              most = r > g   ? (r > b ? r : b)
                     : g > b ? g
                             : b,
              least = r < g   ? (r < b ? r : b)
                      : g < b ? g
                              : b,
              middle = (most + least) / 2;

    if (most - least < 40) /* grey */
        return most < 128 ? 0 : 7;
    if (most < 64)
        return 0;
    return (uint32_t)(r > middle) | (uint32_t)(g > middle) << 1 | (uint32_t)(b > middle) << 2;
}

static void put_colour(struct term_grid *grid, int ground, struct pv_rgb c, enum pv_term_colour colour)
{
    char text[32];
    int n;

    if (colour == PV_TERM_TRUE)
        n = snprintf(text, sizeof text, "\x1b[%d;2;%u;%u;%um", ground, (unsigned)c.r, (unsigned)c.g,
                     (unsigned)c.b);
    else if (colour == PV_TERM_256)
        n = snprintf(text, sizeof text, "\x1b[%d;5;%um", ground, to_256(c));
    else
        n = snprintf(text, sizeof text, "\x1b[%um", (unsigned)ground - 8 + to_8(c));
    put(grid, text, (size_t)n);
}

static bool same(struct pv_rgb a, struct pv_rgb b)
{
    return a.r == b.r && a.g == b.g && a.b == b.b;
}

/* Box drawing, blocks, arrows and the like, which every terminal takes for one column. After other characters
 * than these and ASCII the cursor is set anew, since terminals do not agree on their widths. */
static bool is_drawing(const char *glyph)
{
    return memcmp(glyph, "\xe2\x96", 2) == 0 || memcmp(glyph, "\xc2\xb7", 3) == 0;
}

enum pv_status term_grid_emit(struct term_grid *grid, enum pv_term_colour colour)
{
    const struct term_cell *last = NULL; /* whose colours are set */
    char move[32];

    grid->n = 0;
    grid->no_memory = false;
    put(grid, "", 0);
    if (grid->all)
        put(grid, "\x1b[0m\x1b[2J", 8);
    for (uint32_t r = 0; r < grid->rows; r++) {
        bool there = false; /* the cursor is where the next character goes */

        for (uint32_t c = 0; c < grid->columns; c++) {
            const size_t i = (size_t)r * grid->columns + c;
            const struct term_cell *cell = &grid->cells[i];

            if (!grid->all && memcmp(cell, &grid->shown[i], sizeof *cell) == 0) {
                there = false;
                continue;
            }
            if (cell->glyph[0] == '\0')
                continue;
            if (!there)
                put(grid, move, (size_t)snprintf(move, sizeof move, "\x1b[%u;%uH", r + 1, c + 1));
            there = cell->glyph[1] == '\0' || is_drawing(cell->glyph);
            if (colour != PV_TERM_MONO && (!last || !same(last->ink, cell->ink)))
                put_colour(grid, 38, cell->ink, colour);
            if (colour != PV_TERM_MONO && (!last || !same(last->paper, cell->paper)))
                put_colour(grid, 48, cell->paper, colour);
            last = cell;
            put(grid, cell->glyph, strlen(cell->glyph));
        }
    }
    if (last && colour != PV_TERM_MONO)
        put(grid, "\x1b[0m", 4);
    memcpy(grid->shown, grid->cells, (size_t)grid->columns * grid->rows * sizeof *grid->cells);
    grid->all = false;
    return grid->no_memory ? PV_ERR_NOMEM : PV_OK;
}
