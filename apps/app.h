/* What the subcommands share. Each takes the parsed options and a console and returns an exit code. */
#ifndef APP_H
#define APP_H

#include "console.h"
#include "options.h"
#include "parvin/parvin.h"

enum exit_code {
    EXIT_GOOD = 0,
    EXIT_FAILED = 1,        /* the reason is on stderr */
    EXIT_USAGE = 2,         /* wrong usage */
    EXIT_INTERRUPTED = 130, /* stopped by SIGINT, as shells write it */
};

struct app {
    struct options options;
    struct console console;
    const char *program; /* argv[0] */
};

/* The exit code that a library status ends the program with. Says the status' name if nothing has been said
 * yet. */
int app_fail(struct app *app, enum pv_status status);

int cmd_devices(struct app *app);
int cmd_devices_fit(struct app *app);
int cmd_info(struct app *app);
int cmd_fit(struct app *app);
int cmd_capture(struct app *app);
int cmd_merge(struct app *app);
int cmd_run(struct app *app);
int cmd_eval(struct app *app);
int cmd_bench(struct app *app);
int cmd_conform(struct app *app);
int cmd_demo(struct app *app);
int cmd_view(struct app *app);
int cmd_heatmap(struct app *app);
int cmd_explain(struct app *app);

#endif
