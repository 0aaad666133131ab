/* The environment is read here: the terminal's powers, the display. Messages that come while the view has the
 * screen are kept and printed after it. */
#include "view.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "viz/palette.h"
#include "viz/term/term_tty.h"
#include "viz/window/window.h"

#define AT(field) offsetof(struct view_options, field)
const struct option view_rows[1] = {{0, "view", OPTION_TEXT, AT(view), "window|term", NULL, 0, 0,
                                     "show the heatmap of clusters in a window or in this terminal"}};
const struct option view_device_rows[1] = {
    {0, "view-device", OPTION_TEXT, AT(view_device), "NAME", "the first that can show", 0, 0,
     "part of the name of the device that draws the window; it need not be the model's"}};
const struct option half_life_rows[1] = {{0, "half-life", OPTION_REAL, AT(half_life), "TOKENS",
                                          "32; pictures: the whole trace alike", 0.5, 1e6,
                                          "tokens after which a use counts half"}};
const struct option style_rows[2] = {
    {0, "palette", OPTION_TEXT, AT(palette), "NAME", "night", 0, 0, "night, ember, cividis or grey"},
    {0, "light", OPTION_FLAG, AT(light), NULL, NULL, 0, 0, "dark on white instead of light on dark"}};
#undef AT

enum view_kind view_best(void)
{
    const char *x = getenv("DISPLAY"), *wayland = getenv("WAYLAND_DISPLAY");
    const bool display = (x && x[0]) || (wayland && wayland[0]);
    return pv_window_built() && display ? VIEW_WINDOW : VIEW_TERM;
}

enum pv_status view_choose(struct app *app, const char *word, enum view_kind otherwise, enum view_kind *out)
{
    *out = otherwise;
    if (!word)
        return PV_OK;
    if (!strcmp(word, "term"))
        *out = VIEW_TERM;
    else if (!strcmp(word, "window"))
        *out = VIEW_WINDOW;
    else {
        console_error(&app->console, "--view takes 'window' or 'term', not '%s'", word);
        return PV_ERR_ARG;
    }
    if (*out == VIEW_TERM && !isatty(STDOUT_FILENO)) {
        console_error(&app->console,
                      "--view term needs a terminal, and standard output is none; 'parvin heatmap TRACE -o "
                      "FILE.png' draws a picture instead");
        return PV_ERR_UNSUPPORTED;
    }
    const char *term = getenv("TERM");
    if (*out == VIEW_TERM && (!term || !term[0] || !strcmp(term, "dumb"))) {
        console_error(
            &app->console,
            "--view term needs a terminal that knows escape codes, and TERM is '%s'; 'parvin heatmap "
            "TRACE -o FILE.png' draws a picture instead",
            term ? term : "");
        return PV_ERR_UNSUPPORTED;
    }
    if (*out == VIEW_WINDOW && !pv_window_built()) {
        console_error(
            &app->console,
            "this parvin was built without the window: install GLFW (Debian: libglfw3-dev) and build with "
            "-DPV_WINDOW=ON; --view term works as it is");
        return PV_ERR_UNSUPPORTED;
    }
    return PV_OK;
}

enum pv_status view_style(struct app *app, const struct view_options *options, uint32_t *palette, bool *light)
{
    const char *name = options->palette;
    const int index = name ? pv_palette_find(name) : 0;
    *light = options->light;
    *palette = index > 0 ? (uint32_t)index : 0;
    if (index >= 0)
        return PV_OK;
    console_error(&app->console, "there is no palette '%s'; there are %s, %s, %s and %s", name,
                  pv_palette_name(0), pv_palette_name(1), pv_palette_name(2), pv_palette_name(3));
    return PV_ERR_ARG;
}

enum pv_status view_masks(struct app *app, const struct pv_clusters *clusters, struct pv_maskset **out)
{
    const struct pv_clusters_info *info = pv_clusters_info(clusters);
    enum pv_status status = pv_maskset_create(info->n_layers, info->n_clusters, info->d_ffn, out);
    if (status) {
        console_error(&app->console, "no memory for the masks");
        return status;
    }
    for (uint32_t l = 0; l < info->n_layers; l++)
        for (uint32_t k = 0; k < info->n_clusters; k++) {
            uint32_t n = 0;
            const uint16_t *neurons = pv_clusters_mask(clusters, l, k, &n);
            pv_maskset_add(*out, l, k, neurons, n);
        }
    return PV_OK;
}

struct kept {
    char text[4096];
    size_t n;
};

static void keep_message(void *user, enum pv_log_level level, const char *message)
{
    struct kept *kept = user;
    if (level != PV_LOG_ERROR || kept->n + strlen(message) + 2 > sizeof kept->text)
        return;
    kept->n += (size_t)snprintf(kept->text + kept->n, sizeof kept->text - kept->n, "%s", message);
}

static const char *locale_words(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (uint32_t i = 0; i < 3; i++) {
        const char *value = getenv(names[i]);
        if (value && value[0])
            return value;
    }
    return NULL;
}

static bool stop_asked(void *user)
{
    (void)user;
    return console_interrupted();
}

enum pv_status view_run(struct app *app, const struct view_params *v)
{
    struct kept kept = {.n = 0};
    const struct pv_log log = {.fn = keep_message, .user = &kept, .max_level = PV_LOG_ERROR};
    struct pv_player player;
    enum pv_status status;
    pv_player_init(&player, v->heat, v->source);
    status = view_style(app, v->options, &player.palette, &player.light);
    if (status)
        return status;
    if (v->options->half_life > 0)
        pv_heat_set_half_life(v->heat, v->options->half_life);
    if (v->kind == VIEW_WINDOW) {
        const struct pv_window_params params = {.masks = v->masks,
                                                .device = v->options->view_device,
                                                .quit_at_end = v->quit_at_end,
                                                .stop = stop_asked};
        status = pv_window_run(&player, &params, &log);
    } else {
        const struct pv_tty_params params = {
            .fd_in = STDIN_FILENO,
            .fd_out = STDOUT_FILENO,
            .caps = pv_term_caps_of(getenv("TERM"), getenv("COLORTERM"), getenv("NO_COLOR"), locale_words()),
            .quit_at_end = v->quit_at_end,
            .stop = stop_asked};
        fflush(stdout);
        status = pv_tty_run(&player, &params, &log);
    }
    if (kept.n)
        console_error(&app->console, "%s", kept.text);
    if (v->n_frames)
        *v->n_frames = player.n_frames;
    return status;
}
