/* Token text for display: printable UTF-8, one line. */
#ifndef PV_VIZ_PICTURE_TEXT_H
#define PV_VIZ_PICTURE_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of the well-formed UTF-8 character at `s` and its code point; 0 if there is none. */
size_t pv_text_char(const char *s, size_t n, uint32_t *code);
/* Bytes of the character at `s` as a reader sees it, with its marks (a grapheme cluster); 0 if there is none.
 * `columns` of a terminal are taken by its first `n_shown` bytes, which is all but the tail of an emoji sequence,
 * whose width terminals do not agree on. */
size_t pv_text_cluster(const char *s, size_t n, uint32_t *columns, size_t *n_shown);
uint32_t pv_text_width(const char *text);
/* A token's bytes made printable: one space in front is dropped (a word begins), line ends and lone spaces get a
 * sign, control characters and bytes that are no UTF-8 show as \xNN, a lone mark stands on a dotted circle. Cut to
 * `room` with an ellipsis. */
void pv_text_display(const char *bytes, size_t n, char *out, size_t room);
/* The same for a token by itself: a piece that continues a word ("ing") gets a hyphen in front. */
void pv_text_label(const char *bytes, size_t n, char *out, size_t room);
/* Bytes of the longest start of `text` that is at most `columns` wide. */
size_t pv_text_fit(const char *text, uint32_t columns);

#endif
