/* What the commands share. Each is told its options and a console, and returns an exit code. */
#ifndef CLI_APP_H
#define CLI_APP_H

#include "cli/console.h"
#include "cli/options.h"
#include "parvin/parvin.h"

enum exit_code {
    EXIT_GOOD = 0,
    EXIT_FAILED = 1,        /* the reason is on stderr */
    EXIT_USAGE = 2,         /* wrong usage */
    EXIT_INTERRUPTED = 130, /* stopped by SIGINT, as shells write it */
};

struct app {
    const struct common_options *common; /* the first member of `options` */
    const void *options;                 /* the command's own struct */
    const struct command *command;
    struct console console;
    const char *argv0;
};

/* Runs the command that argv names, with its options; help and version too. The exit code of main. */
int program_main(const struct program *program, int argc, char **argv);
/* The exit code that a library status ends the program with. Says the status' name if nothing has been said
 * yet. */
int app_fail(struct app *app, enum pv_status status);

#endif
