/* Results: JSON values, text that arrives in pieces, and files written whole or not at all. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>

#include "cli/console.h"

/* Sets object[key]; takes over the reference. Numbers that JSON has no word for (NaN) become null, bytes that
 * are not UTF-8 become U+FFFD. */
void json_put(json_t *object, const char *key, json_t *value);
void json_put_number(json_t *object, const char *key, double value);
void json_put_count(json_t *object, const char *key, uint64_t value);
void json_put_text(json_t *object, const char *key, const char *bytes, size_t n);
void json_put_string(json_t *object, const char *key, const char *text);
/* Text that the library made as JSON; freed here. */
void json_put_parsed(json_t *object, const char *key, char *text);
/* From here on a result that lost a part because memory ran out is an error. Called once, before any JSON is made. */
void json_watch_memory(void);
/* Whether one did: JSON that was read may then lack characters, too. */
bool json_lacks_memory(void);
/* Prints the object to stdout and releases it. An exit code. */
int json_finish(struct console *console, json_t *object);
/* Prints it to `to` and keeps it; false: no memory. */
bool json_print(const json_t *object, FILE *to);
/* The same with arrays of plain values on one line each. */
int json_finish_flat(struct console *console, json_t *object);

/* A growing byte buffer. */
struct text {
    char *bytes; /* NUL-terminated once anything is in it */
    size_t n, capacity;
};
bool text_append(struct text *text, const char *bytes, size_t n); /* false: out of memory */
void text_free(struct text *text);
/* The file's content ('-': stdin); a message is logged on failure. */
PV_MUST_USE enum pv_status text_read(struct console *console, const char *path, struct text *out);
/* Length of the longest prefix of `bytes` that does not end within a UTF-8 sequence. */
size_t text_whole_utf8(const char *bytes, size_t n);

/* A file that appears under its name only when it is complete. */
struct output_file {
    FILE *file;
    char path[4096], temporary[4096];
};
PV_MUST_USE enum pv_status output_open(struct console *console, const char *path, struct output_file *out);
/* Closes and renames if `good`, else removes. */
PV_MUST_USE enum pv_status output_close(struct console *console, struct output_file *out, bool good);

/* Looks up a file that comes with Parvin (models/NAME); false if it is nowhere. */
bool find_bundled(const char *name, char *path, size_t size);

#endif
