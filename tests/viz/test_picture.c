/* label: unit. Pictures: made twice they are the same bytes, PNG and SVG; what they say is in them; what they
 * cannot draw is refused; the window's panels on any surface; the terminal's keys. */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L /* setenv */
#endif
#include "viz/picture/picture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "harness.h"
#include "made.h"
#include "synth.h"
#include "viz/panels/panels.h"
#include "viz/picture/draw.h"
#include "viz/panels/prose.h"
#include "viz/picture/text.h"
#include "viz/term/term.h"
#include "viz/term/term_tty.h"
#include "viz/window/window.h"

enum { N_STYLES = 2 }; /* dark with masks, light without */

static struct pv_picture_params params_of(const struct synth *s, int kind, int style)
{
    return (struct pv_picture_params){.kind = (enum pv_picture_kind)kind,
                                      .light = style != 0,
                                      .layer = UINT32_MAX,
                                      .scale = 1,
                                      .masks = style == 0 ? s->masks : NULL};
}

/* A picture of a run that is made anew, so that nothing is left of one made before. */
static char *make(int kind, int style, bool svg, size_t *n)
{
    struct pv_picture_params params;
    struct pv_heat *heat;
    struct synth s;
    char *bytes = NULL;

    synth_init(&s);
    heat = synth_heat(&s, INFINITY, 300);
    params = params_of(&s, kind, style);
    ck_assert_int_eq(pv_picture_bytes(heat, &params, svg, NULL, &bytes, n), PV_OK);
    pv_heat_destroy(heat);
    synth_free(&s);
    return bytes;
}

START_TEST(the_same_bytes)
{
    const int kind = _i / N_STYLES, style = _i % N_STYLES;

    if (kind == PV_PICTURE_NEURONS && style == 1)
        return; /* neurons need masks */
    for (int svg = 0; svg < 2; svg++) {
        size_t n, m, k;
        char *a = make(kind, style, svg != 0, &n), *b, *other;

        other = make((kind + 1) % 2, 0, svg != 0, &k); /* one between them must not matter */
        b = make(kind, style, svg != 0, &m);
        ck_assert_uint_eq(n, m);
        ck_assert_int_eq(memcmp(a, b, n), 0);
        ck_assert(n != k || memcmp(a, other, n) != 0);
        ck_assert_int_eq(memcmp(a, svg ? "<?xml" : "\x89PNG", svg ? 5 : 4), 0);
        ck_assert_uint_lt(n, svg ? 900000 : 400000);
        free(a);
        free(b);
        free(other);
    }
}
END_TEST

START_TEST(refused)
{
    struct synth s, other;
    struct pv_test_log captured = {.n_messages = 0};
    struct pv_log log = pv_test_log(&captured);
    struct pv_picture_params params;
    struct pv_maskset *masks;
    struct pv_heat *heat, *empty;
    char *bytes;
    size_t n;

    synth_init(&s);
    synth_init(&other);
    heat = synth_heat(&s, INFINITY, 20);
    empty = synth_heat(&other, INFINITY, 0);
    params = params_of(&s, PV_PICTURE_LAYERS, 0);
    ck_assert_int_eq(pv_picture_bytes(empty, &params, true, &log, &bytes, &n), PV_ERR_ARG);
    ck_assert(pv_test_logged(&captured, "no tokens"));
    params = params_of(&s, PV_PICTURE_NEURONS, 1);
    ck_assert_int_eq(pv_picture_bytes(heat, &params, true, &log, &bytes, &n), PV_ERR_ARG);
    ck_assert(pv_test_logged(&captured, "with -c"));
    params.layer = SYNTH_LAYERS;
    ck_assert_int_eq(pv_picture_bytes(heat, &params, true, &log, &bytes, &n), PV_ERR_ARG);
    ck_assert(pv_test_logged(&captured, "layers 0 to 5"));
    ck_assert_int_eq(pv_maskset_create(SYNTH_LAYERS, SYNTH_CLUSTERS - 1, SYNTH_FFN, &masks), PV_OK);
    params = params_of(&s, PV_PICTURE_WATERFALL, 0);
    params.masks = masks;
    ck_assert_int_eq(pv_picture_bytes(heat, &params, true, &log, &bytes, &n), PV_ERR_MISMATCH);
    ck_assert(pv_test_logged(&captured, "same shape"));
    ck_assert_int_eq(pv_picture_write(heat, &params, "picture.jpeg", &log), PV_ERR_ARG);
    ck_assert(pv_test_logged(&captured, ".png or .svg"));
    pv_maskset_destroy(masks);
    pv_heat_destroy(heat);
    pv_heat_destroy(empty);
    synth_free(&s);
    synth_free(&other);
}
END_TEST

/* Every shape of model and every size of picture is drawn: one layer, many, thousands of clusters, none. */
START_TEST(shapes)
{
    static const uint32_t layers[] = {1, 7, 61}, clusters[] = {0, 1, 3, 2000};
    const uint32_t n_layers = layers[_i % 3], n_clusters = clusters[_i / 3];
    const struct pv_trace_header header = {
        .model = "m", .device = "", .n_layers = n_layers, .n_clusters = n_clusters, .d_ffn = 70};
    uint32_t cluster[61], n_neurons[61];
    struct pv_trace_token token = {.text = "a", .text_bytes = 1, .cluster = cluster, .n_neurons = n_neurons};
    struct pv_maskset *masks = NULL;
    struct pv_heat *heat;

    ck_assert_int_eq(pv_heat_create(&header, NULL, &heat), PV_OK);
    if (n_clusters > 0) {
        ck_assert_int_eq(pv_maskset_create(n_layers, n_clusters, 70, &masks), PV_OK);
        for (uint32_t l = 0; l < n_layers; l++) {
            for (uint16_t k = 0; k < n_clusters && k < 70; k++)
                pv_maskset_add(masks, l, k, &k, 1);
        }
    }
    for (uint32_t i = 0; i < 9; i++) {
        for (uint32_t l = 0; l < n_layers; l++) {
            cluster[l] = n_clusters > 0 ? (i * 31 + l) % n_clusters : PV_TRACE_NO_CLUSTER;
            n_neurons[l] = n_clusters > 0 ? 1 : 70;
        }
        token.index++;
        ck_assert_int_eq(pv_heat_push(heat, &token), PV_OK);
    }
    for (int kind = 0; kind < PV_N_PICTURES; kind++) {
        for (double width = 600; width < 8192; width *= 9) {
            const struct pv_picture_params params = {
                .kind = (enum pv_picture_kind)kind, .layer = UINT32_MAX, .width = width, .masks = masks};
            const bool drawable = n_clusters > 0 || kind == PV_PICTURE_LAYERS || kind == PV_PICTURE_WATERFALL;
            char *bytes = NULL;
            size_t n;

            ck_assert_int_eq(pv_picture_bytes(heat, &params, true, NULL, &bytes, &n),
                             drawable ? PV_OK : PV_ERR_ARG);
            free(bytes);
        }
    }
    pv_heat_destroy(heat);
    pv_maskset_destroy(masks);
}
END_TEST

/* The width of a text, and the hash of what it looks like. */
static double look(const char *text, uint64_t *hash)
{
    cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, 400, 48);
    const struct pv_draw d = {.cr = pv_draw_context(surface, 1.0)};
    const struct pv_font font = {.size = 20, .colour = {255, 255, 255}};
    const double width = pv_draw_text(&d, 4, 32, &font, text);
    const unsigned char *pixels;

    ck_assert_double_eq_tol(width, pv_text_extent(&d, &font, text), 1e-9);
    cairo_surface_flush(surface);
    pixels = cairo_image_surface_get_data(surface);
    *hash = 14695981039346656037u;
    for (int i = 0; i < 400 * 48 * 4; i++)
        *hash = (*hash ^ pixels[i]) * 1099511628211u;
    cairo_destroy(d.cr);
    cairo_surface_destroy(surface);
    return width;
}

/* Words of every script have glyphs (those without look like a code point that nobody has assigned, but for its
 * digits), Arabic letters join, Hebrew runs to the left, marks stand on their letters, emoji make one. */
START_TEST(scripts)
{
    static const char *const letters[] = {"\xd0\x96",         "\xce\xa9",
                                          "\xd7\xa9",         "\xd8\xb4",
                                          "\xe0\xa4\x95",     "\xe0\xa6\x95",
                                          "\xe0\xae\x95",     "\xe0\xb8\x81",
                                          "\xe1\x83\x90",     "\xe1\x8a\xa0",
                                          "\xe6\x98\x9f",     "\xe3\x81\x8b",
                                          "\xf0\x9f\x8c\x9f", "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x9a\x80"};
    static const char *const boxes[] = {"\xcd\xb8", "\xe0\xa7\xbf",
                                        "\xf0\x9f\xbf\xbe"}; /* U+378, U+9FF, U+1FFFE */
    uint64_t hash, other;
    double box[2];

    box[0] = look(boxes[0], &hash); /* four digits */
    box[1] = look(boxes[2], &hash); /* six */
    for (size_t i = 0; i < sizeof letters / sizeof letters[0]; i++) {
        const double width = look(letters[i], &hash);

        ck_assert_msg(width > 4.0 && fabs(width - box[0]) > 0.01 && fabs(width - box[1]) > 0.01,
                      "no glyph for %s: install fonts for it (./bootstrap test does)", letters[i]);
    }
    /* Arabic seen: alone it is wider than in a word. */
    ck_assert_double_lt(look("\xd8\xb3\xd8\xb3\xd8\xb3", &hash), 3 * look("\xd8\xb3", &hash) - 4.0);
    /* Alef, bet and bet, alef are as wide, and not alike; with a letter of Latin script the line is turned. */
    ck_assert_double_eq_tol(look("\xd7\x90\xd7\x91", &hash), look("\xd7\x91\xd7\x90", &other), 1e-6);
    ck_assert_uint_ne(hash, other);
    look("\xe2\x80\xad\xd7\x91\xd7\x90\xe2\x80\xac", &other); /* bet, alef, forced from left to right */
    ck_assert_uint_eq(hash, other);
    ck_assert_double_eq_tol(look("e\xcc\x81", &hash), look("\xc3\xa9", &other), 1e-6);
    ck_assert_double_lt(look(letters[13], &hash), look("\xf0\x9f\x91\xa9\xf0\x9f\x9a\x80", &other) - 4.0);
    look("abc\xff", &hash); /* up to bytes that are no UTF-8 */
    look("abc", &other);
    ck_assert_uint_eq(hash, other);
}
END_TEST

/* No panel, at no size and place of the mouse, draws outside its memory or fails. */
START_TEST(panels)
{
    static const double sizes[][2] = {{1280, 800}, {820, 560}, {300, 90}, {1, 1}, {1800, 1200}};
    struct synth s;
    struct pv_heat *heat;
    struct pv_player player;
    struct pv_panels *p;

    synth_init(&s);
    heat = synth_heat(&s, 32, 100);
    pv_player_init(&player, heat, (struct pv_source){0});
    player.ended = true;
    ck_assert_int_eq(pv_panels_create(&player, _i == 0 ? s.masks : NULL, &p), PV_OK);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const double w = sizes[i][0], h = sizes[i][1];
        cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)w, (int)h);

        player.light = i % 2 != 0;
        player.help = i == 2;
        for (double x = 5; x < w; x += 211) {
            pv_panels_hover(p, x, fmod(x * 7, h));
            pv_panels_click(p, fmod(x * 3, w), fmod(x * 5, h));
            pv_panels_zoom(p, fmod(x * 2, w), fmod(x * 3, h), fmod(x, 7) - 2);
            pv_panels_drag(p, fmod(x, 90) - 40);
            if (fmod(x, 3) < 1)
                ck_assert_int_eq(pv_player_key(&player, PV_KEY_ORDER), PV_OK);
            ck_assert_int_eq(pv_player_key(&player, PV_KEY_DOWN), PV_OK);
            ck_assert_int_eq(pv_panels_draw(p, surface, w, h, 1, true), PV_OK);
        }
        cairo_surface_destroy(surface);
    }
    pv_panels_destroy(p);
    pv_heat_destroy(heat);
    synth_free(&s);
}
END_TEST

/* Share of a box's pixels that are not of the colour at its corner. */
static double drawn(cairo_surface_t *surface, int x0, int y0, int w, int h)
{
    const unsigned char *pixels = cairo_image_surface_get_data(surface);
    const int stride = cairo_image_surface_get_stride(surface);
    uint64_t n = 0;

    for (int y = y0; y < y0 + h; y++) {
        for (int x = x0; x < x0 + w; x++)
            n += memcmp(pixels + y * stride + 4 * x, pixels + y0 * stride + 4 * x0, 3) != 0;
    }
    return (double)n / w / h;
}

/* Models of every size fill the window at every size, and the map can be looked at closely. */
START_TEST(scale)
{
    static const uint32_t layers[] = {4, 36, 80}, clusters[] = {16, 1024, 4096};
    static const int sizes[][2] = {{640, 480}, {1920, 1080}, {3840, 2160}};
    struct pv_player player;
    struct pv_panels *p;
    struct pv_heat *heat;
    struct made m;

    made_init(&m, layers[_i % 3], clusters[_i / 3], 2048);
    ck_assert_int_eq(pv_heat_create(&m.header, NULL, &heat), PV_OK);
    for (int i = 0; i < 150; i++)
        ck_assert_int_eq(pv_heat_push(heat, made_next(&m)), PV_OK);
    pv_player_init(&player, heat, (struct pv_source){0});
    ck_assert_int_eq(pv_panels_create(&player, NULL, &p), PV_OK);
    for (int i = 0; i < (_i == 8 ? 3 : 2); i++) { /* the largest screen for the largest model */
        const int w = sizes[i][0], h = sizes[i][1];
        cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, w, h);
        struct pv_columns columns;

        ck_assert_int_eq(pv_panels_draw(p, surface, w, h, 1, true), PV_OK);
        ck_assert_double_gt(drawn(surface, 10, 60, w / 2, h - 80), 0.05);
        ck_assert_double_gt(drawn(surface, w * 6 / 10, 60, w * 4 / 10, h / 3), 0.1);
        ck_assert_uint_eq(pv_panels_columns(p)->n, clusters[_i / 3]);
        pv_panels_zoom(p, 100, 120, 3);
        ck_assert_int_eq(pv_panels_draw(p, surface, w, h, 1, true), PV_OK);
        columns = *pv_panels_columns(p);
        ck_assert_uint_le(columns.n, clusters[_i / 3] * 6 / 10);
        ck_assert(pv_panels_drag(p, -50)); /* to the left: later columns come in */
        ck_assert_int_eq(pv_panels_draw(p, surface, w, h, 1, true), PV_OK);
        ck_assert(pv_panels_columns(p)->first > columns.first || clusters[_i / 3] == 16);
        ck_assert_uint_eq(pv_panels_columns(p)->n, columns.n);
        ck_assert_int_eq(pv_player_key(&player, PV_KEY_WHOLE), PV_OK);
        ck_assert_int_eq(pv_player_key(&player, PV_KEY_ORDER), PV_OK);
        ck_assert_int_eq(pv_panels_draw(p, surface, w, h, 1, true), PV_OK);
        ck_assert_uint_eq(pv_panels_columns(p)->n, clusters[_i / 3]);
        ck_assert(!pv_panels_drag(p, 50));
        for (uint32_t k = 1; player.by_use && k < 16; k++)
            ck_assert_uint_ge(pv_heat_uses(heat, 1, pv_column_cluster(heat, pv_panels_columns(p), 1, k - 1)),
                              pv_heat_uses(heat, 1, pv_column_cluster(heat, pv_panels_columns(p), 1, k)));
        cairo_surface_destroy(surface);
    }
    pv_panels_destroy(p);
    pv_heat_destroy(heat);
    made_free(&m);
}
END_TEST

/* A dense run fills every panel: which neurons fire, in groups of those that fire together. */
START_TEST(dense)
{
    cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, 1280, 800);
    const uint32_t n_layers = _i == 0 ? 4 : 36;
    struct pv_player player;
    struct pv_panels *p;
    struct pv_heat *heat;
    double most = 0.0, sum = 0.0;
    struct made m;

    made_init(&m, n_layers, 0, 600);
    ck_assert_int_eq(pv_heat_create(&m.header, NULL, &heat), PV_OK);
    for (int i = 0; i < 150; i++)
        ck_assert_int_eq(pv_heat_push(heat, made_next(&m)), PV_OK);
    for (uint32_t g = 0; g < 60; g++) {
        most = fmax(most, pv_heat_fire(heat, 2, g, 60));
        sum += pv_heat_fire(heat, 2, g, 60) / 60;
    }
    ck_assert_double_lt(sum, 0.12); /* about one in twelve neurons fires for a token */
    ck_assert_double_gt(most, 1.5 * sum);
    pv_heat_set_back(heat, 3);
    pv_heat_set_back(heat, 0);
    for (uint32_t g = 0; g < 60; g++) /* weighed anew from the tokens that are kept: the same */
        sum -= pv_heat_fire(heat, 2, g, 60) / 60;
    ck_assert_double_eq_tol(sum, 0.0, 1e-3);
    pv_player_init(&player, heat, (struct pv_source){0});
    ck_assert_int_eq(pv_panels_create(&player, NULL, &p), PV_OK);
    pv_panels_hover(p, 300, 300);
    ck_assert_int_eq(pv_panels_draw(p, surface, 1280, 800, 1, true), PV_OK);
    ck_assert_int_eq(pv_panels_draw(p, surface, 1280, 800, 1, true),
                     PV_OK);                                       /* with what is under the mouse */
    ck_assert_double_gt(drawn(surface, 100, 100, 500, 500), 0.3);  /* the map */
    ck_assert_double_gt(drawn(surface, 722, 75, 500, 400), 0.1);   /* tokens */
    ck_assert_double_gt(drawn(surface, 909, 720, 160, 60), 0.002); /* the chart of neurons that fired */
    pv_panels_destroy(p);
    cairo_surface_destroy(surface);
    pv_heat_destroy(heat);
    made_free(&m);
}
END_TEST

/* Lines of running text stay as they are while tokens come; the newest token ends the last one. */
START_TEST(running_text)
{
    cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, 500, 800);
    static struct pv_prose_cell cells[2][PV_PROSE_MOST];
    struct pv_palette palette;
    struct pv_draw d = {.theme = pv_theme_get(false), .palette = &palette};
    struct pv_prose prose = {.box = {10, 10, 480, 760}, .layer = 3};
    struct pv_heat *heat;
    struct made m;
    uint32_t n[2];
    double height;

    pv_palette_init(&palette, 0, false);
    d.cr = pv_draw_context(surface, 1.0);
    made_init(&m, 36, 64, 512);
    ck_assert_int_eq(pv_heat_create(&m.header, NULL, &heat), PV_OK);
    for (int i = 0; i < 600; i++)
        ck_assert_int_eq(pv_heat_push(heat, made_next(&m)), PV_OK);
    n[0] = pv_part_prose(&d, heat, &prose, cells[0], &height);
    ck_assert_uint_gt(n[0], 40);
    ck_assert_uint_eq(cells[0][n[0] - 1].back, 0);
    ck_assert_double_le(height, 760);
    prose.back = 1;
    n[1] = pv_part_prose(&d, heat, &prose, cells[1], &height);
    for (uint32_t i = 0; i < n[0]; i++) {
        ck_assert_double_le(cells[0][i].box.x + cells[0][i].box.w, 490.0);
        for (uint32_t j = 0; j < n[1]; j++) {
            if (cells[0][i].back == cells[1][j].back)
                ck_assert_double_eq(cells[0][i].box.x, cells[1][j].box.x);
        }
    }
    ck_assert(pv_prose_fits_better(heat, 600) && !pv_prose_fits_better(heat, 2000));
    cairo_destroy(d.cr);
    cairo_surface_destroy(surface);
    pv_heat_destroy(heat);
    made_free(&m);
}
END_TEST

/* Keys as terminals of several families send them, one at a time, whole or not yet. */
START_TEST(keys)
{
    static const struct {
        const char *bytes;
        enum pv_key key;
        size_t used;
    } cases[] = {{"q", PV_KEY_QUIT, 1},       {"\x03", PV_KEY_QUIT, 1},     {"\x1b", PV_KEY_QUIT, 1},
                 {"\x1b[A", PV_KEY_UP, 3},    {"\x1bOB", PV_KEY_DOWN, 3},   {"\x1b[1;5C", PV_KEY_FORWARD, 6},
                 {"\x1b[Dq", PV_KEY_BACK, 3}, {"\x1b[F", PV_KEY_END, 3},    {"\x1b[4~", PV_KEY_END, 4},
                 {"\x1b[8~", PV_KEY_END, 4},  {"\x1b[24~", PV_KEY_NONE, 5}, {"\x1b[", PV_KEY_NONE, 0},
                 {"\x1b[12", PV_KEY_NONE, 0}, {"\xc3\xa9", PV_KEY_NONE, 1}, {"", PV_KEY_NONE, 0}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum pv_key key;

        ck_assert_uint_eq(pv_term_key(cases[i].bytes, strlen(cases[i].bytes), &key), cases[i].used);
        ck_assert_int_eq(key, cases[i].key);
    }
}
END_TEST

/* A terminal's screen, as far as a frame needs one: what is written where. Widths are those of a terminal that adds up
 * code points. */
struct screen {
    uint32_t columns, rows, at_row, at_column, n_colours; /* n_colours: changes of colour */
    bool written[200][300];
};

static void feed(struct screen *s, const char *bytes, size_t n, bool ascii)
{
    for (size_t i = 0; i < n;) {
        const size_t left = n - i < 4 ? n - i : 4;
        uint32_t code = 0;
        size_t length = pv_text_char(bytes + i, left, &code);

        ck_assert_msg(length > 0, "no UTF-8");
        ck_assert(!ascii || code < 0x80);
        if (code == 0x1b) {
            size_t end = i + 2;
            unsigned row = 0, column = 0;

            while (end < n && (bytes[end] < 0x40 || bytes[end] > 0x7e))
                end++;
            ck_assert_uint_lt(end, n);
            s->n_colours += bytes[end] == 'm' && bytes[i + 2] != '0';
            if (bytes[end] == 'H') {
                ck_assert_int_eq(sscanf(bytes + i, "\x1b[%u;%uH", &row, &column), 2);
                s->at_row = row - 1;
                s->at_column = column - 1;
            }
            i = end + 1;
            continue;
        }
        ck_assert_uint_lt(s->at_row, s->rows);
        ck_assert_uint_lt(s->at_column, s->columns);
        s->written[s->at_row][s->at_column] = s->written[s->at_row][s->at_column] || code != ' ';
        s->at_column += (uint32_t)pv_text_width((char[5]){bytes[i], length > 1 ? bytes[i + 1] : '\0',
                                                          length > 2 ? bytes[i + 2] : '\0',
                                                          length > 3 ? bytes[i + 3] : '\0', '\0'});
        i += length;
    }
}

/* The terminal's view fills the screen at every size, in every kind of terminal, and never writes past its edge. */
START_TEST(frames)
{
    static const uint32_t sizes[][2] = {{80, 24}, {200, 60}, {24, 8}, {1, 1}, {290, 100}};
    static const uint32_t models[][2] = {{4, 256}, {36, 1024}, {80, 16}, {36, 0}};
    static const struct pv_term_caps kinds[] = {
        {PV_TERM_MONO, false}, {PV_TERM_8, true}, {PV_TERM_256, false}, {PV_TERM_TRUE, true}};
    static struct screen screen;
    struct pv_player player;
    struct pv_heat *heat;
    struct pv_term *term;
    struct made m;
    const char *bytes;
    size_t n;

    made_init(&m, models[_i][0], models[_i][1], 640);
    ck_assert_int_eq(pv_heat_create(&m.header, NULL, &heat), PV_OK);
    for (int i = 0; i < 300; i++)
        ck_assert_int_eq(pv_heat_push(heat, made_next(&m)), PV_OK);
    pv_player_init(&player, heat, (struct pv_source){0});
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        ck_assert_int_eq(pv_term_create(&kinds[k], &term), PV_OK);
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            uint32_t full = 0, right = 0;

            memset(&screen, 0, sizeof screen);
            screen.columns = sizes[i][0];
            screen.rows = sizes[i][1];
            player.light = i % 2 != 0;
            ck_assert_int_eq(pv_term_resize(term, sizes[i][0], sizes[i][1]), PV_OK);
            ck_assert_int_eq(pv_term_frame(term, &player, &bytes, &n), PV_OK);
            feed(&screen, bytes, n, !kinds[k].unicode);
            for (uint32_t r = 0; r < screen.rows; r++) {
                uint32_t in_row = 0, in_right = 0;

                for (uint32_t c = 0; c < screen.columns; c++) {
                    in_row += screen.written[r][c];
                    in_right += c > screen.columns / 2 && screen.written[r][c];
                }
                full += in_row > 0;
                right += in_right > 0;
            }
            ck_assert_uint_eq(screen.n_colours > 0, kinds[k].colour != PV_TERM_MONO);
            if (screen.rows >= 24 && (kinds[k].unicode || kinds[k].colour == PV_TERM_MONO)) {
                ck_assert_uint_ge(full + 1, screen.rows); /* but for one between the parts */
                ck_assert_uint_ge(right * 10, screen.rows * 9);
            }
        }
        pv_term_destroy(term);
    }
    pv_heat_destroy(heat);
    made_free(&m);
}
END_TEST

/* Colours and characters by what the environment and terminfo say. */
START_TEST(terminals)
{
    static const struct {
        const char *term, *colorterm, *no_color, *locale;
        enum pv_term_colour colour;
        bool unicode;
    } cases[] = {{"xterm", NULL, NULL, "C.UTF-8", PV_TERM_8, true},
                 {"xterm-256color", "", "", "de_DE.utf8", PV_TERM_256, true},
                 {"tmux-256color", "truecolor", NULL, "C", PV_TERM_TRUE, false},
                 {"linux", NULL, NULL, NULL, PV_TERM_8, false},
                 {"vt100", NULL, NULL, "C.UTF-8", PV_TERM_MONO, true},
                 {"dumb", NULL, NULL, "C.UTF-8", PV_TERM_MONO, true},
                 {"no such terminal", NULL, NULL, "C.UTF-8", PV_TERM_MONO, true},
                 {"xterm-256color", "truecolor", "1", "C.UTF-8", PV_TERM_MONO, true},
                 {NULL, NULL, NULL, NULL, PV_TERM_MONO, false}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct pv_term_caps caps =
            pv_term_caps_of(cases[i].term, cases[i].colorterm, cases[i].no_color, cases[i].locale);

        ck_assert_msg(caps.colour == cases[i].colour && caps.unicode == cases[i].unicode, "case %zu: %d %d",
                      i, (int)caps.colour, (int)caps.unicode);
    }
}
END_TEST

/* Where there is no window, because of the build or the display, the reason is said and the terminal offered.
 */
START_TEST(no_window)
{
    struct synth s;
    struct pv_test_log captured = {.n_messages = 0};
    struct pv_log log = pv_test_log(&captured);
    const struct pv_window_params params = {.width = 0};
    struct pv_player player;
    struct pv_heat *heat;

    setenv("DISPLAY", ":4095", 1); /* nobody's */
    unsetenv("WAYLAND_DISPLAY");
    synth_init(&s);
    heat = synth_heat(&s, 32, 10);
    pv_player_init(&player, heat, (struct pv_source){0});
    ck_assert_int_eq(pv_window_run(&player, &params, &log), PV_ERR_UNSUPPORTED);
    ck_assert(pv_test_logged(&captured, "--view term"));
    ck_assert(pv_test_logged(&captured, pv_window_built() ? "no display" : "libglfw3-dev"));
    pv_heat_destroy(heat);
    synth_free(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("viz/picture");
    TCase *c = tcase_create("pictures");

    tcase_set_timeout(c, 120);
    tcase_add_loop_test(c, the_same_bytes, 0, PV_N_PICTURES * N_STYLES);
    tcase_add_test(c, refused);
    tcase_add_loop_test(c, shapes, 0, 12);
    tcase_add_test(c, scripts);
    tcase_add_loop_test(c, panels, 0, 2);
    tcase_add_loop_test(c, scale, 0, 9);
    tcase_add_loop_test(c, dense, 0, 2);
    tcase_add_test(c, running_text);
    tcase_add_loop_test(c, frames, 0, 4);
    tcase_add_test(c, terminals);
    tcase_add_test(c, keys);
    tcase_add_test(c, no_window);
    suite_add_tcase(suite, c);
    return pv_test_main(suite);
}
