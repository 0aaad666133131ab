/* The man page and the shells' completions, from the option tables. */
#ifndef CLI_DOCUMENTS_H
#define CLI_DOCUMENTS_H

#include "cli/options.h"

/* Prints the document of that kind (man, bash, zsh or fish) to stdout. An exit code; EXIT_USAGE for another kind. */
int generate_documents(const struct program *program, const char *kind);

#endif
