/* Which bytes may follow, so that an answer is one JSON object (RFC 8259) in the end. */
#ifndef SERVE_JSON_MODE_H
#define SERVE_JSON_MODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SERVE_JSON_DEPTH = 64, SERVE_JSON_SPACES = 32 }; /* objects within objects; white space in a row */

/* What there is of the object; zeroed at the beginning. May be copied. */
struct serve_json {
    uint8_t state, before;    /* states of json_mode.c; `before`: what an escape belongs to */
    uint8_t n_open, n_spaces; /* objects and arrays that are open */
    uint8_t n_hex, n_tail;    /* digits of an escape, bytes of a character that are still to come */
    uint8_t literal, at;      /* true, false or null, and how much of it is there */
    bool is_key;              /* of the string that is open */
    bool is_array[SERVE_JSON_DEPTH];
};

/* Goes on by n bytes; false if they cannot follow, and then `json` is of no more use. */
bool serve_json_feed(struct serve_json *json, const char *bytes, size_t n);
/* True once the object is closed: nothing may follow. */
bool serve_json_closed(const struct serve_json *json);

#endif
