/* The terminal view as bytes: heatmap above, waterfall below. No terminal is touched here, so tests can read
 * frames; term_tty.h shows them. */
#ifndef PV_VIZ_TERM_TERM_H
#define PV_VIZ_TERM_TERM_H

#include "viz/player.h"

enum pv_term_colour { PV_TERM_MONO, PV_TERM_8, PV_TERM_256, PV_TERM_TRUE };
struct pv_term_caps {
    enum pv_term_colour colour;
    bool unicode; /* else plain ASCII */
};

struct pv_term;

PV_MUST_USE enum pv_status pv_term_create(const struct pv_term_caps *caps, struct pv_term **out);
void pv_term_destroy(struct pv_term *term);
/* A new size in characters, or content lost: the next frame is drawn whole. */
PV_MUST_USE enum pv_status pv_term_resize(struct pv_term *term, uint32_t columns, uint32_t rows);
/* Bytes that turn the last frame into this one; valid until the next call. */
PV_MUST_USE enum pv_status pv_term_frame(struct pv_term *term, const struct pv_player *player,
                                         const char **out, size_t *n_out);
/* What a key press sends, a key's bytes at a time: takes one key off the front of bytes[n], returns how many
 * bytes it was (0: more are needed). */
size_t pv_term_key(const char *bytes, size_t n, enum pv_key *key);

#endif
