/* Generating under observation: --trace writes what happens to a file, --view shows it while it happens. */
#ifndef WATCH_H
#define WATCH_H

#include "generate.h"
#include "setup.h"

struct oracle;

/* As generate(), with the trace and the view that the options ask for. `oracle`: the session's, see
 * observe.h, or NULL. */
PV_MUST_USE enum pv_status watch_generate(struct app *app, struct setup *setup, struct pv_session *session,
                                          struct oracle *oracle, struct generate_params *params,
                                          struct generate_result *out);

#endif
