/* Generating under observation: --trace writes what happens to a file, --view shows it while it happens. */
#ifndef WATCH_H
#define WATCH_H

#include "generate.h"
#include "cli/setup.h"
#include "observe.h"
#include "view.h"

struct watch_params {
    struct setup *setup;
    struct pv_session *session;
    struct oracle *oracle;                 /* the session's, see observe.h, or NULL */
    const struct view_options *view;       /* view->view NULL: no view */
    const char *trace_path, *trace_format; /* NULL: no trace; NULL: JSON Lines */
};
/* Whether view, palette and format are ones there are; before any work. A message is logged. */
PV_MUST_USE enum pv_status watch_check(struct app *app, const struct view_options *view,
                                       const char *trace_format);
/* As generate(), with the trace and the view that are asked for. */
PV_MUST_USE enum pv_status watch_generate(struct app *app, const struct watch_params *watch,
                                          const struct generate_params *params, struct generate_result *out);

#endif
