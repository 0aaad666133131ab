/* The window's loop: take what is new, redraw the panels at most 30 times a second and the heatmap 60 times,
 * present. Nothing here waits for the model, and the model never waits for this. Where the window is drawn by
 * the machine's own cores, a live run needs them more: then frames are left out, except for keys and mouse.
 */
#include "viz/window/window.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "viz/panels/panels.h"
#include "viz/say.h"
#include "viz/window/window_vk.h"

enum { REST = 8 }; /* times as long as a frame took, before the next, where the cores draw */

struct view {
    struct pv_player *player;
    struct pv_panels *panels;
    const struct pv_window_params *params;
    GLFWwindow *window;
    struct window_vk vk;
    double scale, drawn_at, rest_until;
    double press_x; /* where the button went down and is held; negative: it is not */
    bool dragged;
    double mouse_x, mouse_y; /* in the units of the panels; negative: elsewhere */
    bool changed;            /* the panels are to be drawn again */
    bool asked;              /* by a key or the mouse */
    enum pv_status status;
    struct pv_palette palette;
    uint32_t palette_index, n_saved;
    bool light, palette_made;
};

bool pv_window_built(void)
{
    return true;
}

static enum pv_key key_of(int key)
{
    switch (key) {
    case GLFW_KEY_ESCAPE:
        return PV_KEY_QUIT;
    case GLFW_KEY_LEFT:
        return PV_KEY_BACK;
    case GLFW_KEY_RIGHT:
        return PV_KEY_FORWARD;
    case GLFW_KEY_UP:
        return PV_KEY_UP;
    case GLFW_KEY_DOWN:
        return PV_KEY_DOWN;
    case GLFW_KEY_END:
        return PV_KEY_END;
    default:
        return PV_KEY_NONE; /* the others come as characters, whatever the keyboard */
    }
}

static void press(struct view *v, enum pv_key key)
{
    const enum pv_status status = pv_player_key(v->player, key);

    if (v->status == PV_OK)
        v->status = status;
    v->changed = v->asked = true;
}

static void on_key(GLFWwindow *window, int key, int code, int action, int mods)
{
    (void)code;
    (void)mods;
    if (action != GLFW_RELEASE)
        press(glfwGetWindowUserPointer(window), key_of(key));
}

static void on_char(GLFWwindow *window, unsigned int code)
{
    if (code < 0x80)
        press(glfwGetWindowUserPointer(window), pv_key_of((char)code));
}

static void on_mouse(GLFWwindow *window, double x, double y)
{
    struct view *v = glfwGetWindowUserPointer(window);
    int width, height;

    glfwGetWindowSize(window, &width, &height);
    /* mouse positions are in window units, panels in pixels / scale */
    v->mouse_x = width > 0 ? x * v->vk.width / width / v->scale : x;
    v->mouse_y = height > 0 ? y * v->vk.height / height / v->scale : y;
    if (v->press_x >= 0.0 && (v->dragged || fabs(v->mouse_x - v->press_x) > 4.0)) {
        if (pv_panels_drag(v->panels, v->mouse_x - v->press_x)) {
            v->dragged = true;
            v->press_x = v->mouse_x;
        }
    }
    pv_panels_hover(v->panels, v->mouse_x, v->mouse_y);
    v->changed = v->asked = true;
}

static void on_scroll(GLFWwindow *window, double dx, double dy)
{
    struct view *v = glfwGetWindowUserPointer(window);

    if (dx != 0.0)
        pv_panels_drag(v->panels, 40.0 * dx);
    if (dy != 0.0)
        pv_panels_zoom(v->panels, v->mouse_x, v->mouse_y, dy);
    v->changed = v->asked = true;
}

static void on_leave(GLFWwindow *window, int entered)
{
    struct view *v = glfwGetWindowUserPointer(window);

    if (!entered) {
        v->mouse_x = v->mouse_y = -1.0;
        pv_panels_hover(v->panels, -1.0, -1.0);
    }
    v->changed = v->asked = true;
}

/* Where the mouse was when the button went down, which need not be where it is by now. */
static void on_button(GLFWwindow *window, int button, int action, int mods)
{
    struct view *v = glfwGetWindowUserPointer(window);

    (void)mods;
    if (button != GLFW_MOUSE_BUTTON_LEFT)
        return;
    v->press_x =
        action == GLFW_PRESS && pv_panels_on_map(v->panels, v->mouse_x, v->mouse_y) ? v->mouse_x : -1.0;
    v->dragged = false;
    if (action != GLFW_PRESS)
        return;
    pv_panels_click(v->panels, v->mouse_x, v->mouse_y);
    v->changed = v->asked = true;
}

static void on_size(GLFWwindow *window, int width, int height)
{
    struct view *v = glfwGetWindowUserPointer(window);

    (void)width;
    (void)height;
    v->vk.stale = true;
}

static void on_refresh(GLFWwindow *window)
{
    struct view *v = glfwGetWindowUserPointer(window);

    v->changed = true;
}

/* GLFW's own words, kept for the message. */
static char glfw_words[256];

static void on_error(int code, const char *words)
{
    (void)code;
    snprintf(glfw_words, sizeof glfw_words, "%s", words);
}

static void save(struct view *v)
{
    char path[1024], stamp[32];
    time_t now = time(NULL);
    struct tm *local = localtime(&now);
    const char *folder = v->params->save_folder;

    v->player->save = false;
    if (!local || strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", local) == 0)
        snprintf(stamp, sizeof stamp, "picture");
    snprintf(path, sizeof path, "%s%sparvin-%s-%u.png", folder ? folder : "", folder ? "/" : "", stamp,
             ++v->n_saved);
    if (pv_panels_save(v->panels, path, v->vk.width / v->scale, v->vk.height / v->scale, v->scale) == PV_OK)
        pv_player_note(v->player, "saved %s", path);
    else
        pv_player_note(v->player, "cannot write %s", path);
    v->changed = true;
}

static enum pv_status draw_panels(struct view *v)
{
    struct window_texture *t = &v->vk.textures[TEXTURE_PANELS];
    enum pv_status status = window_vk_texture(&v->vk, TEXTURE_PANELS, v->vk.width, v->vk.height);
    cairo_surface_t *surface;

    if (status != PV_OK)
        return status;
    surface = cairo_image_surface_create_for_data(t->pixels, CAIRO_FORMAT_ARGB32, (int)t->width,
                                                  (int)t->height, (int)t->width * 4);
    if (cairo_surface_status(surface) != CAIRO_STATUS_SUCCESS) {
        cairo_surface_destroy(surface);
        return PV_ERR_NOMEM;
    }
    status =
        pv_panels_draw(v->panels, surface, v->vk.width / v->scale, v->vk.height / v->scale, v->scale, false);
    cairo_surface_destroy(surface);
    t->changed = true;
    return status;
}

static enum pv_status draw_heat(struct view *v)
{
    const struct pv_heat *heat = v->player->heat;
    const struct pv_trace_header *h = pv_heat_header(heat);
    const uint32_t n_clusters = h->n_clusters > 0 ? h->n_clusters : 1;
    enum pv_status status = window_vk_texture(&v->vk, TEXTURE_HEAT, n_clusters, h->n_layers);
    struct window_texture *t = &v->vk.textures[TEXTURE_HEAT];
    const struct pv_columns *columns = pv_panels_columns(v->panels);
    const double top_share = pv_heat_max_share(heat);
    uint8_t *texel = t->pixels;

    if (status == PV_OK)
        status = window_vk_texture(&v->vk, TEXTURE_PALETTE, 256, 1);
    if (status != PV_OK)
        return status;
    for (uint32_t l = 0; l < h->n_layers; l++) {
        for (uint32_t k = 0; k < n_clusters; k++) {
            const double share =
                k < columns->n ? pv_heat_share(heat, l, pv_column_cluster(heat, columns, l, k)) : 0.0;

            *texel++ = (uint8_t)(pv_brightness(share, top_share) * 255.0 + 0.5);
        }
    }
    t->changed = true;
    if (v->palette_made && v->palette_index == v->player->palette && v->light == v->player->light)
        return PV_OK;
    pv_palette_init(&v->palette, v->player->palette, v->player->light);
    v->palette_index = v->player->palette;
    v->light = v->player->light;
    v->palette_made = true;
    t = &v->vk.textures[TEXTURE_PALETTE];
    texel = t->pixels;
    for (int i = 0; i < 256; i++) {
        *texel++ = v->palette.colour[i].b;
        *texel++ = v->palette.colour[i].g;
        *texel++ = v->palette.colour[i].r;
        *texel++ = 255;
    }
    t->changed = true;
    return PV_OK;
}

static enum pv_status present(struct view *v)
{
    const struct pv_trace_header *h = pv_heat_header(v->player->heat);
    const struct pv_box box = pv_panels_heat_box(v->panels);
    struct window_push push = {.size = {(float)v->vk.width, (float)v->vk.height},
                               .cells = {(float)pv_panels_columns(v->panels)->n, (float)h->n_layers}};

    if (h->n_clusters > 0) {
        push.heat_box[0] = (float)(box.x * v->scale);
        push.heat_box[1] = (float)(box.y * v->scale);
        push.heat_box[2] = (float)(box.w * v->scale);
        push.heat_box[3] = (float)(box.h * v->scale);
    }
    return window_vk_draw(&v->vk, push);
}

static enum pv_status frame(struct view *v)
{
    float x = 1.0f, y = 1.0f;
    enum pv_status status = PV_OK;

    if (v->vk.stale || v->vk.width == 0) {
        status = window_vk_fit(&v->vk);
        v->changed = true;
        v->drawn_at = -1.0; /* at once: the first frame must not come before its texture */
    }
    if (status != PV_OK || v->vk.width == 0) {
        glfwWaitEventsTimeout(0.1); /* minimised */
        return status;
    }
    glfwGetWindowContentScale(v->window, &x, &y);
    v->scale = x > 0.5f && x < 8.0f ? (double)x : 1.0;
    if (v->player->save)
        save(v);
    if (v->changed && glfwGetTime() - v->drawn_at >= 1.0 / 30.0) {
        v->changed = false;
        v->drawn_at = glfwGetTime();
        status = draw_panels(v);
    }
    if (status == PV_OK)
        status = draw_heat(v);
    v->player->n_frames++;
    return status == PV_OK ? present(v) : status;
}

/* Whether a frame has to wait, so that a live run on the same cores goes on. */
static bool resting(const struct view *v, double now)
{
    return v->vk.on_cpu && v->player->source.live && !v->player->ended && !v->asked && now < v->rest_until;
}

static enum pv_status loop(struct view *v)
{
    double last = glfwGetTime();
    bool still = false; /* nothing moves: frames can wait */

    while (v->status == PV_OK && !v->player->quit && !glfwWindowShouldClose(v->window)) {
        const double now = glfwGetTime();
        bool changed = false;

        v->status = pv_player_advance(v->player, now - last, &changed);
        last = now;
        if (v->params->stop && v->params->stop(v->params->stop_user))
            break;
        if (v->params->quit_at_end && v->player->ended)
            break;
        v->changed = v->changed || changed;
        if (v->status != PV_OK)
            break;
        still = !v->vk.stale && v->vk.width > 0 && (!v->changed || resting(v, now));
        if (!still) {
            v->asked = false;
            v->status = frame(v);
            v->rest_until = glfwGetTime() + REST * (glfwGetTime() - now);
        }
        glfwWaitEventsTimeout(still ? 1.0 / 60.0 : 1.0 / 240.0);
    }
    return v->status;
}

static GLFWwindow *open_window(const struct view *v)
{
    char title[256];
    const uint32_t width = v->params->width > 0 ? v->params->width : 1280;
    const uint32_t height = v->params->height > 0 ? v->params->height : 800;

    snprintf(title, sizeof title, "Parvin: %s", pv_heat_header(v->player->heat)->model);
    glfwWindowHint(GLFW_CLIENT_API, GLFW_NO_API);
    glfwWindowHint(GLFW_SCALE_TO_MONITOR, GLFW_TRUE);
    return glfwCreateWindow((int)width, (int)height, title, NULL, NULL);
}

static enum pv_status run(struct view *v, const struct pv_log *log)
{
    enum pv_status status;

    v->window = open_window(v);
    if (!v->window)
        return pv_say_fail(log, PV_ERR_UNSUPPORTED,
                           "cannot open a window (%s); --view term works in a terminal", glfw_words);
    glfwSetWindowUserPointer(v->window, v);
    glfwSetKeyCallback(v->window, on_key);
    glfwSetCharCallback(v->window, on_char);
    glfwSetCursorPosCallback(v->window, on_mouse);
    glfwSetCursorEnterCallback(v->window, on_leave);
    glfwSetScrollCallback(v->window, on_scroll);
    glfwSetMouseButtonCallback(v->window, on_button);
    glfwSetFramebufferSizeCallback(v->window, on_size);
    glfwSetWindowRefreshCallback(v->window, on_refresh);
    status = window_vk_create(&v->vk, v->window, v->params->device, log);
    if (status == PV_OK)
        status = loop(v);
    window_vk_destroy(&v->vk);
    glfwDestroyWindow(v->window);
    return status;
}

enum pv_status pv_window_run(struct pv_player *player, const struct pv_window_params *params,
                             const struct pv_log *log)
{
    struct view *v = calloc(1, sizeof *v);
    enum pv_status status;

    if (!v)
        return pv_say_fail(log, PV_ERR_NOMEM, "no memory for the window");
    glfwSetErrorCallback(on_error);
    if (!glfwInit()) {
        free(v);
        return pv_say_fail(log, PV_ERR_UNSUPPORTED,
                           "there is no display to open a window on (%s); --view term works in a terminal",
                           glfw_words);
    }
    v->player = player;
    v->params = params;
    v->scale = 1.0;
    v->mouse_x = v->mouse_y = v->press_x = -1.0;
    v->changed = true;
    status = pv_panels_create(player, params->masks, &v->panels);
    if (status == PV_OK)
        status = run(v, log);
    pv_panels_destroy(v->panels);
    glfwTerminate();
    free(v);
    return status;
}
