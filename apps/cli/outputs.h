/* The files that a command is about to write, checked before any work. A command's option table says which options
 * name files that are read and which name files that are written. */
#ifndef CLI_OUTPUTS_H
#define CLI_OUTPUTS_H

#include "cli/app.h"

/* Every file that the command line names as an output: PV_ERR_ARG where it is one of the inputs (under another name or
 * by a link, too), is standard output, is named twice, or holds what Parvin has not written (unless --force is given);
 * PV_ERR_IO where it cannot be written. A message is logged. */
PV_MUST_USE enum pv_status outputs_check(struct app *app);
/* The same for an output that no option names. */
PV_MUST_USE enum pv_status outputs_check_path(struct app *app, const char *path);
/* PV_ERR_ARG, with a message, where an output is `path`, an input that no option names. */
PV_MUST_USE enum pv_status outputs_check_input(struct app *app, const char *path);

#endif
