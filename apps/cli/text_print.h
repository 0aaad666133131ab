/* Text from outside, on its way to a terminal. */
#ifndef CLI_TEXT_PRINT_H
#define CLI_TEXT_PRINT_H

#include <stddef.h>
#include <stdio.h>

/* Prints text from outside: control characters (but a tab, a line feed, and a carriage return before one) and bytes
 * that are not UTF-8 become U+FFFD. */
void text_print(FILE *to, const char *bytes, size_t n);

#endif
