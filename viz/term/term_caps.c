/* COLORTERM is the terminal's own word and goes first; then terminfo, which knows colours by the terminal's name. */
#include "viz/term/term_tty.h"

#include <string.h>

#include <curses.h>
#include <term.h> /* behind all others: it defines names such as "lines" */

/* Colours in terminfo's count; 0: none, or the terminal is not known. */
static long known_colours(const char *name)
{
    int fault = 0;
    long n;

    if (setupterm(name, 1, &fault) != OK)
        return 0;
    n = tigetflag("RGB") > 0 ? 1L << 24 : tigetnum("colors");
    del_curterm(cur_term);
    return n;
}

struct pv_term_caps pv_term_caps_of(const char *term, const char *colorterm, const char *no_color,
                                    const char *locale)
{
    struct pv_term_caps caps = {.colour = PV_TERM_MONO};
    long n = 0;

    caps.unicode = locale && (strstr(locale, "UTF-8") || strstr(locale, "utf8") || strstr(locale, "utf-8") ||
                              strstr(locale, "UTF8"));
    if (no_color && no_color[0] != '\0')
        return caps;
    if (colorterm && (strcmp(colorterm, "truecolor") == 0 || strcmp(colorterm, "24bit") == 0)) {
        caps.colour = PV_TERM_TRUE;
        return caps;
    }
    if (term && term[0] != '\0')
        n = known_colours(term);
    if (n >= 1L << 24 || (term && strstr(term, "direct")))
        caps.colour = PV_TERM_TRUE;
    else if (n >= 256 || (term && strstr(term, "256")))
        caps.colour = PV_TERM_256;
    else if (n >= 8)
        caps.colour = PV_TERM_8;
    return caps;
}
