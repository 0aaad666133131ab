/* A picture is drawn twice: once to learn its height, then onto a surface of that size. */
#include "viz/picture/picture.h"

#include <cairo-svg.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "viz/picture/picture_kinds.h"
#include "viz/say.h"

static const char *const names[PV_N_PICTURES] = {"layers", "waterfall", "neurons", "tokens"};
static void (*const draw_kind[PV_N_PICTURES])(struct picture *p) = {picture_layers, picture_waterfall,
                                                                    picture_neurons, picture_tokens};

int pv_picture_find(const char *name)
{
    for (int i = 0; i < PV_N_PICTURES; i++) {
        if (strcmp(names[i], name) == 0)
            return i;
    }
    return -1;
}

struct bytes {
    char *data;
    size_t n, room;
};

static cairo_status_t append(void *closure, const unsigned char *data, unsigned int n)
{
    struct bytes *b = closure;

    if (b->room - b->n < (size_t)n + 1) {
        const size_t room = b->room * 2 + n + 4096;
        char *grown = realloc(b->data, room);

        if (!grown)
            return CAIRO_STATUS_WRITE_ERROR;
        b->data = grown;
        b->room = room;
    }
    memcpy(b->data + b->n, data, n);
    b->n += n;
    b->data[b->n] = '\0';
    return CAIRO_STATUS_SUCCESS;
}

/* cairo numbers its surfaces over the life of the process ("surface17"): the number goes, so that equal
 * pictures are equal files. */
static void drop_numbers(struct bytes *b)
{
    static const char mark[] = "id=\"surface";
    char *from = b->data, *to = b->data, *hit;

    while (from && (hit = strstr(from, mark))) {
        size_t n = (size_t)(hit - from) + sizeof mark - 1;

        memmove(to, from, n);
        to += n;
        from += n;
        from += strspn(from, "0123456789");
    }
    if (from) {
        const size_t n = strlen(from);

        memmove(to, from, n + 1);
        b->n = (size_t)(to - b->data) + n;
    }
}

/* Says in the file who drew it, so that a later picture may take its place: behind the XML declaration, or as a text
 * chunk behind the PNG's header chunk. */
static bool add_mark(struct bytes *b, bool svg)
{
    static const unsigned char chunk[] = "\0\0\0\x0ftEXtSoftware\0Parvin\xf6\xbf\xe9\xd5";
    static const char comment[] = "<!-- Parvin -->\n";
    enum { PNG_HEADER = 8 + 25 };
    const char *line_end = svg && b->data ? strchr(b->data, '\n') : NULL;
    const size_t at = svg ? (line_end ? (size_t)(line_end - b->data) + 1 : SIZE_MAX) : PNG_HEADER;
    const size_t n = (svg ? sizeof comment : sizeof chunk) - 1, n_before = b->n;

    if (n_before < at ||
        append(b, svg ? (const void *)comment : chunk, (unsigned int)n) != CAIRO_STATUS_SUCCESS)
        return false;
    memmove(b->data + at + n, b->data + at, n_before - at);
    memcpy(b->data + at, svg ? (const void *)comment : chunk, n);
    return true;
}

static double draw(struct picture *p, cairo_surface_t *surface, double scale, double height)
{
    p->d.cr = pv_draw_context(surface, scale);
    pv_draw_rect(&p->d, (struct pv_box){0, 0, p->width, height}, p->d.theme->background);
    p->y = 0.0;
    draw_kind[p->params->kind](p);
    p->lacks_something = p->lacks_something || cairo_status(p->d.cr) != CAIRO_STATUS_SUCCESS;
    cairo_destroy(p->d.cr);
    return ceil(p->y);
}

static enum pv_status check(const struct pv_heat *heat, const struct pv_picture_params *params,
                            const struct pv_log *log)
{
    const struct pv_trace_header *h = pv_heat_header(heat);

    if (pv_heat_n_tokens(heat) == 0)
        return pv_say_fail(log, PV_ERR_ARG, "there is nothing to draw: the trace has no tokens");
    if (params->layer != UINT32_MAX && params->layer >= h->n_layers)
        return pv_say_fail(log, PV_ERR_ARG, "there is no layer %u: the model has layers 0 to %u",
                           params->layer, h->n_layers - 1);
    if (h->n_clusters == 0 && (params->kind == PV_PICTURE_NEURONS || params->kind == PV_PICTURE_TOKENS))
        return pv_say_fail(log, PV_ERR_ARG, "the run was dense: it has no clusters to draw");
    if (!params->masks && params->kind == PV_PICTURE_NEURONS)
        return pv_say_fail(log, PV_ERR_ARG,
                           "a picture of neurons needs the masks: give the run's cluster file with -c");
    if (!params->masks)
        return PV_OK;
    if (pv_maskset_n_layers(params->masks) != h->n_layers ||
        pv_maskset_n_clusters(params->masks) != h->n_clusters || pv_maskset_d_ffn(params->masks) != h->d_ffn)
        return pv_say_fail(log, PV_ERR_MISMATCH, "the cluster file and the trace are not of the same shape");
    return PV_OK;
}

static enum pv_status to_surface(struct picture *p, bool svg, double scale, struct bytes *bytes)
{
    cairo_surface_t *probe = cairo_image_surface_create(CAIRO_FORMAT_RGB24, 1, 1), *surface;
    const double height = draw(p, probe, 1.0, 1.0);
    cairo_status_t written;

    cairo_surface_destroy(probe);
    if (svg)
        surface = cairo_svg_surface_create_for_stream(append, bytes, p->width, height);
    else
        surface =
            cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)(p->width * scale), (int)(height * scale));
    draw(p, surface, svg ? 1.0 : scale, height);
    if (svg) {
        cairo_surface_finish(surface);
        written = cairo_surface_status(surface);
    } else {
        written = cairo_surface_write_to_png_stream(surface, append, bytes);
    }
    cairo_surface_destroy(surface);
    if (written != CAIRO_STATUS_SUCCESS || p->lacks_something)
        return PV_ERR_NOMEM;
    if (svg)
        drop_numbers(bytes);
    return add_mark(bytes, svg) ? PV_OK : PV_ERR_NOMEM;
}

enum pv_status pv_picture_bytes(const struct pv_heat *heat, const struct pv_picture_params *params, bool svg,
                                const struct pv_log *log, char **out, size_t *n_out)
{
    struct pv_palette palette;
    struct pv_neuron_view view = {0};
    struct bytes bytes = {0};
    double width = params->width > 0.0 ? params->width : 1200.0,
           scale = params->scale > 0.0 ? params->scale : 2.0;
    struct picture p = {.heat = heat, .params = params, .view = &view};
    enum pv_status status = check(heat, params, log);

    *out = NULL;
    if (status != PV_OK)
        return status;
    pv_palette_init(&palette, params->palette, params->light);
    p.width = width < 600.0 ? 600.0 : width > 8192.0 ? 8192.0 : floor(width);
    scale = scale > 4.0 ? 4.0 : scale;
    p.layer = params->layer != UINT32_MAX ? params->layer : pv_heat_header(heat)->n_layers / 2;
    p.d = (struct pv_draw){
        .theme = pv_theme_get(params->light), .palette = &palette, .lacks_something = &p.lacks_something};
    if (params->kind == PV_PICTURE_NEURONS)
        status = pv_neuron_view_create(heat, params->masks, p.layer, params->n_rows > 0 ? params->n_rows : 32,
                                       true, &view);
    if (status == PV_OK)
        status = to_surface(&p, svg, scale, &bytes);
    pv_neuron_view_free(&view);
    if (status != PV_OK) {
        free(bytes.data);
        return pv_say_fail(log, status, "no memory for a picture of %.0f pixels' width", p.width * scale);
    }
    *out = bytes.data;
    *n_out = bytes.n;
    return PV_OK;
}

/* A temporary beside the target takes its name once all is written. */
static enum pv_status write_file(const char *path, const char *data, size_t n, const struct pv_log *log)
{
    char temporary[4096];
    FILE *file;
    bool good;

    if (snprintf(temporary, sizeof temporary, "%s.%ld.tmp", path, (long)getpid()) >= (int)sizeof temporary)
        return pv_say_fail(log, PV_ERR_ARG, "%s: the name is too long", path);
    file = fopen(temporary, "wbx");
    if (!file)
        return pv_say_fail(log, PV_ERR_IO, "%s: cannot be created: check the folder and its permissions",
                           path);
    good = fwrite(data, 1, n, file) == n && fflush(file) == 0 && fsync(fileno(file)) == 0;
    good = fclose(file) == 0 && good;
    if (good && rename(temporary, path) == 0)
        return PV_OK;
    remove(temporary);
    return pv_say_fail(log, PV_ERR_IO, "%s: cannot be written: is the disk full?", path);
}

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);

    return n > m && strcmp(text + n - m, end) == 0;
}

enum pv_status pv_picture_check_name(const char *path, const struct pv_log *log)
{
    if (ends_with(path, ".svg") || ends_with(path, ".png"))
        return PV_OK;
    return pv_say_fail(log, PV_ERR_ARG, "%s: a picture's name must end in .png or .svg", path);
}

enum pv_status pv_picture_write(const struct pv_heat *heat, const struct pv_picture_params *params,
                                const char *path, const struct pv_log *log)
{
    const bool svg = ends_with(path, ".svg");
    enum pv_status status;
    char *data = NULL;
    size_t n = 0;

    status = pv_picture_check_name(path, log);
    if (status != PV_OK)
        return status;
    status = pv_picture_bytes(heat, params, svg, log, &data, &n);
    if (status != PV_OK)
        return status;
    status = write_file(path, data, n, log);
    free(data);
    return status;
}
