/* UTF-8, decoded by utf8proc. */
#ifndef PV_BASE_UTF8_H
#define PV_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the character at `s` (1 to 4), of which `n_bytes` may be read; its code point goes to `code` (NULL: not
 * wanted). 0, and `code` as it was, where the bytes are not well-formed UTF-8. */
size_t pv_utf8_char(const char *s, size_t n_bytes, uint32_t *code);
/* Bytes of the longest well-formed UTF-8 that `s` starts with. */
size_t pv_utf8_valid(const char *s, size_t n_bytes);
/* Makes text from outside fit for terminals and logs, in place: control characters (also those of C1), line ends and
 * bytes that are not UTF-8 become '?'. `s` ends with a NUL. */
void pv_utf8_clean(char *s);
/* Whether Unicode calls the code point white space. */
bool pv_utf8_is_space(uint32_t code);

#endif
