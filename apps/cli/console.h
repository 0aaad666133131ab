/* What the command says on stderr: messages, a progress bar where stderr is a terminal, and the SIGINT flag.
 */
#ifndef CLI_CONSOLE_H
#define CLI_CONSOLE_H

#include <stdbool.h>
#include <stdint.h>
#include "cli/options.h"
#include "parvin/status.h"

struct console {
    const struct command *command; /* whose options the hints behind the library's errors name; NULL: none */
    bool terminal;                 /* stderr is one that knows escape codes */
    bool quiet;
    enum pv_log_level level;
    uint32_t n_errors; /* messages of level error so far */
    bool bar_shown;
    char stage[48];                               /* of the bar */
    double stage_started, stage_share, bar_drawn; /* stage_share: what was done already when it started */
};

void console_init(struct console *console);
/* Level from -v (each one step) and -q. */
void console_set_level(struct console *console, uint32_t verbose, bool quiet);
struct pv_log console_log(struct console *console);
/* Progress as a bar on a terminal, else one line a stage; asks the task to stop once SIGINT came. */
struct pv_progress console_progress(struct console *console);
void console_end_bar(struct console *console);

void console_error(struct console *console, const char *format, ...) PV_PRINTF(2, 3);
/* Something worth knowing that is not the result; silent with -q. */
void console_note(struct console *console, const char *format, ...) PV_PRINTF(2, 3);

/* From here on the first SIGINT only raises the flag; the second ends the program as usual. */
void console_watch_interrupt(void);
/* From here on every SIGINT raises the flag and does nothing else; the flag is lowered. */
void console_take_interrupts(void);
bool console_interrupted(void);

double console_seconds(void); /* monotonic clock */

#endif
