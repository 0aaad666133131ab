/* What to type, behind an error of the library, which knows fields and facts but no command line. */
#ifndef CLI_HINTS_H
#define CLI_HINTS_H

#include <stdbool.h>
#include <stddef.h>
#include "cli/options.h"

/* The next hint for a message of the library, in words; false: there is no more. Begin with *at = 0. A hint on an option
 * that the command does not have is left out; `command` may be NULL. */
bool hints_next(const struct command *command, const char *message, size_t *at, char *out, size_t size);

#endif
