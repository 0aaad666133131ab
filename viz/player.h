/* What the terminal view and the window share: where tokens come from, at what speed they are shown, and what
 * the keys do. Draws nothing. One thread. */
#ifndef PV_VIZ_PLAYER_H
#define PV_VIZ_PLAYER_H

#include <stdbool.h>
#include "viz/heat.h"
#include "viz/masks.h"

/* Where tokens come from: a trace or a running session. */
struct pv_source {
    void *user;
    /* Pushes at most `max` tokens; *ended: no more will come. */
    enum pv_status (*pull)(void *user, struct pv_heat *heat, uint32_t max, uint32_t *n, bool *ended);
    bool live; /* they come by themselves and are all taken, whatever is shown */
};
/* A trace as a source. */
struct pv_source pv_source_trace(struct pv_trace_reader *reader, bool follow);

enum pv_key {
    PV_KEY_NONE,
    PV_KEY_QUIT,
    PV_KEY_PAUSE,
    PV_KEY_BACK, /* one token into the past; pauses */
    PV_KEY_FORWARD,
    PV_KEY_UP, /* layer */
    PV_KEY_DOWN,
    PV_KEY_LONGER, /* half-life */
    PV_KEY_SHORTER,
    PV_KEY_FASTER,
    PV_KEY_SLOWER,
    PV_KEY_PALETTE,
    PV_KEY_THEME,
    PV_KEY_HELP,
    PV_KEY_SAVE,
    PV_KEY_END,   /* to the newest token */
    PV_KEY_ORDER, /* columns in order, or by use */
    PV_KEY_WHOLE, /* the whole map */
};
/* Of a printable character; PV_KEY_NONE if it has no meaning. */
enum pv_key pv_key_of(char c);

struct pv_player {
    struct pv_heat *heat;
    struct pv_source source;
    double speed; /* of a trace: 1 as it ran */
    double owed;  /* tokens due but not yet pulled */
    uint32_t back, layer, palette;
    bool light, paused, help, ended, quit, by_use;
    bool save, whole;  /* asked for, the view clears them */
    char note[96];     /* a short message for the user, shown for a while */
    double note_left;  /* seconds */
    uint64_t n_frames; /* drawn; the view counts */
};
/* The heat stays the caller's. Defaults for what is not in the arguments are set. */
void pv_player_init(struct pv_player *player, struct pv_heat *heat, struct pv_source source);
/* Lets `seconds` pass. Sets *changed if what is to be drawn did change. */
PV_MUST_USE enum pv_status pv_player_advance(struct pv_player *player, double seconds, bool *changed);
PV_MUST_USE enum pv_status pv_player_key(struct pv_player *player, enum pv_key key);
void pv_player_note(struct pv_player *player, const char *format, ...) PV_PRINTF(2, 3);
/* "42 tok/s", from the tokens shown last. 0 if unknown. */
double pv_player_speed(const struct pv_player *player);

#endif
