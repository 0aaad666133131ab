/* A trace is replayed at the pace it was made, times the speed. A live run is never held up: while the view
 * stands still, its tokens are taken all the same and `back` grows. */
#include "viz/player.h"

#include <stdarg.h>
#include <stdio.h>
#include "viz/palette.h"

static enum pv_status pull_trace(void *user, struct pv_heat *heat, uint32_t max, uint32_t *n, bool *ended)
{
    const struct pv_trace_token *token = NULL;
    enum pv_status status = PV_OK;

    *ended = false;
    for (*n = 0; *n < max; ++*n) {
        status = pv_trace_next(user, &token);
        if (status != PV_OK || !token)
            break;
        status = pv_heat_push(heat, token);
        if (status != PV_OK)
            break;
    }
    *ended = status != PV_OK || (*n < max && token == NULL);
    return status;
}

static enum pv_status pull_growing(void *user, struct pv_heat *heat, uint32_t max, uint32_t *n, bool *ended)
{
    const enum pv_status status = pull_trace(user, heat, max, n, ended);

    *ended = status != PV_OK;
    return status;
}

struct pv_source pv_source_trace(struct pv_trace_reader *reader, bool follow)
{
    return (struct pv_source){.user = reader, .pull = follow ? pull_growing : pull_trace};
}

enum pv_key pv_key_of(char c)
{
    switch (c) {
    case 'q':
    case 'Q':
        return PV_KEY_QUIT;
    case ' ':
        return PV_KEY_PAUSE;
    case '+':
    case '=':
        return PV_KEY_LONGER;
    case '-':
        return PV_KEY_SHORTER;
    case ']':
        return PV_KEY_FASTER;
    case '[':
        return PV_KEY_SLOWER;
    case 'p':
        return PV_KEY_PALETTE;
    case 't':
        return PV_KEY_THEME;
    case 'h':
    case '?':
        return PV_KEY_HELP;
    case 's':
        return PV_KEY_SAVE;
    case 'o':
        return PV_KEY_ORDER;
    case 'z':
        return PV_KEY_WHOLE;
    default:
        return PV_KEY_NONE;
    }
}

void pv_player_init(struct pv_player *player, struct pv_heat *heat, struct pv_source source)
{
    *player = (struct pv_player){.heat = heat, .source = source, .speed = 1.0};
    player->layer = pv_heat_header(heat)->n_layers / 2;
}

void pv_player_note(struct pv_player *player, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(player->note, sizeof player->note, format, args);
    va_end(args);
    player->note_left = 2.5;
}

double pv_player_speed(const struct pv_player *player)
{
    uint32_t n = pv_heat_n_recent(player->heat), shown = 0;
    double sum = 0.0;

    for (uint32_t i = player->back; i < n && shown < 16; i++, shown++)
        sum += pv_heat_recent(player->heat, i)->ms;
    return sum > 0.0 ? 1e3 * shown / sum : 0.0;
}

/* Tokens a second at which a trace is shown at speed 1. */
static double pace(const struct pv_player *player)
{
    double speed = pv_player_speed(player);

    if (speed <= 0.0)
        speed = 10.0;
    return speed < 0.5 ? 0.5 : speed > 1000.0 ? 1000.0 : speed;
}

static enum pv_status pull(struct pv_player *player, uint32_t max, uint32_t *n)
{
    enum pv_status status;

    *n = 0;
    if (player->ended || max == 0)
        return PV_OK;
    status = player->source.pull(player->source.user, player->heat, max, n, &player->ended);
    return status == PV_OK && player->ended ? pv_heat_settle(player->heat) : status;
}

enum pv_status pv_player_advance(struct pv_player *player, double seconds, bool *changed)
{
    const bool ended = player->ended;
    uint32_t n = 0;
    enum pv_status status = PV_OK;

    if (player->note_left > 0.0) {
        player->note_left -= seconds;
        if (player->note_left <= 0.0)
            *changed = true;
    }
    if (player->source.live) {
        status = pull(player, 65536, &n);
        if (player->paused || player->back > 0) {
            player->back += n;
            if (n > 0)
                pv_heat_set_back(player->heat, player->back);
        }
    } else if (!player->paused && player->back == 0) {
        player->owed += seconds * player->speed * pace(player);
        if (player->owed > 2000.0)
            player->owed = 2000.0;
        status = pull(player, (uint32_t)player->owed, &n);
        player->owed -= (uint32_t)player->owed;
    }
    if (n > 0 || ended != player->ended)
        *changed = true;
    return status;
}

static enum pv_status step(struct pv_player *player, int by)
{
    uint32_t kept = pv_heat_n_recent(player->heat), n;

    if (!player->paused)
        player->paused = true;
    if (by < 0 && player->back + 1 < kept)
        player->back++;
    else if (by > 0 && player->back > 0)
        player->back--;
    else if (by > 0 && !player->source.live)
        return pull(player, 1, &n);
    pv_heat_set_back(player->heat, player->back);
    return PV_OK;
}

static void set_half_life(struct pv_player *player, double factor)
{
    double half_life = pv_heat_half_life(player->heat) * factor;

    half_life = half_life < 1.0 ? 1.0 : half_life > 4096.0 ? 4096.0 : half_life;
    pv_heat_set_half_life(player->heat, half_life);
    pv_player_note(player, "half-life %.0f tokens", half_life);
}

static void set_speed(struct pv_player *player, double factor)
{
    if (player->source.live) {
        pv_player_note(player, "a live run has its own speed");
        return;
    }
    player->speed *= factor;
    player->speed = player->speed < 1.0 / 64 ? 1.0 / 64 : player->speed > 64.0 ? 64.0 : player->speed;
    pv_player_note(player, "speed x %g", player->speed);
}

static void set_layer(struct pv_player *player, int by)
{
    const uint32_t n = pv_heat_header(player->heat)->n_layers;

    player->layer = by < 0 ? (player->layer + n - 1) % n : (player->layer + 1) % n;
    pv_player_note(player, "layer %u", player->layer);
}

enum pv_status pv_player_key(struct pv_player *player, enum pv_key key)
{
    switch (key) {
    case PV_KEY_QUIT:
        player->quit = true;
        break;
    case PV_KEY_PAUSE:
        player->paused = !player->paused;
        if (player->paused)
            break;
        /* fall through */
    case PV_KEY_END:
        player->back = 0;
        pv_heat_set_back(player->heat, 0);
        break;
    case PV_KEY_BACK:
        return step(player, -1);
    case PV_KEY_FORWARD:
        return step(player, 1);
    case PV_KEY_UP:
        set_layer(player, -1);
        break;
    case PV_KEY_DOWN:
        set_layer(player, 1);
        break;
    case PV_KEY_LONGER:
        set_half_life(player, 2.0);
        break;
    case PV_KEY_SHORTER:
        set_half_life(player, 0.5);
        break;
    case PV_KEY_FASTER:
        set_speed(player, 2.0);
        break;
    case PV_KEY_SLOWER:
        set_speed(player, 0.5);
        break;
    case PV_KEY_PALETTE:
        player->palette = (player->palette + 1) % PV_N_PALETTES;
        pv_player_note(player, "palette %s", pv_palette_name(player->palette));
        break;
    case PV_KEY_THEME:
        player->light = !player->light;
        break;
    case PV_KEY_HELP:
        player->help = !player->help;
        break;
    case PV_KEY_SAVE:
        player->save = true;
        break;
    case PV_KEY_ORDER:
        player->by_use = !player->by_use;
        pv_player_note(player, player->by_use ? "columns: the most used first"
                                              : "columns: for like tokens side by side");
        break;
    case PV_KEY_WHOLE:
        player->whole = true;
        break;
    case PV_KEY_NONE:
        break;
    }
    return PV_OK;
}
