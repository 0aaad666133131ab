/* parvin eval hands over to this when --sweep is given. */
#ifndef SWEEP_H
#define SWEEP_H

#include "app.h"

int cmd_sweep(struct app *app);

#endif
