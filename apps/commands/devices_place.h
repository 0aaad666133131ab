/* parvin devices --place. */
#ifndef COMMANDS_DEVICES_PLACE_H
#define COMMANDS_DEVICES_PLACE_H

#include "cli/setup.h"

/* Says what the model at `path` takes and which devices have room for it; closes `setup`, whose options are set. An
 * exit code. */
int devices_place(struct app *app, const char *path, struct setup *setup);

#endif
