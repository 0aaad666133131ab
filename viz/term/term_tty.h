/* Shows the terminal view on a terminal until it is quit, and leaves the terminal as it was, whatever ends
 * it: the end, a key, SIGINT, SIGTERM, SIGHUP or a crash. */
#ifndef PV_VIZ_TERM_TERM_TTY_H
#define PV_VIZ_TERM_TERM_TTY_H

#include "viz/term/term.h"

struct pv_tty_params {
    int fd_in, fd_out;
    struct pv_term_caps caps;
    bool quit_at_end; /* of a live run: leave the view when the last token has been shown */
    /* Asked now and then; true: leave (the program was interrupted by other means). NULL: never. */
    bool (*stop)(void *user);
    void *stop_user;
};
/* PV_ERR_UNSUPPORTED, with a message, if fd_out is no terminal. PV_ERR_INTERRUPTED after a signal. */
PV_MUST_USE enum pv_status pv_tty_run(struct pv_player *player, const struct pv_tty_params *params,
                                      const struct pv_log *log);
/* Colours and characters of a terminal by the environment's words, each of which may be NULL, and by what terminfo says
 * of the terminal. */
struct pv_term_caps pv_term_caps_of(const char *term, const char *colorterm, const char *no_color,
                                    const char *locale);

#endif
