/* Texts that end an answer and are left out of it. */
#ifndef STOPS_H
#define STOPS_H

#include "cli/output.h"

/* Length of the longest end of `text` that begins one of them; `stops` may be NULL. */
size_t stops_begun(const struct option_texts *stops, const struct text *text);
/* Cuts `text` before the first of them that ends behind `from`; false if there is none. */
bool stops_cut(const struct option_texts *stops, size_t from, struct text *text);

#endif
