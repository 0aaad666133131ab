/* A chat template as data: the texts around each turn. */
#ifndef PV_FORMAT_CHAT_FORM_H
#define PV_FORMAT_CHAT_FORM_H

#include <jansson.h>
#include "parvin/chat.h"

/* Where the system prompt goes: a turn of its own, or with its two texts around it at the beginning of the first or of
 * the last user's turn. */
enum pv_chat_place { CHAT_OWN_TURN, CHAT_FIRST_USER, CHAT_LAST_USER };
/* Whose white space at both ends is dropped. */
enum pv_chat_trim { CHAT_TRIM_NONE, CHAT_TRIM_ALL, CHAT_TRIM_ASSISTANT };

enum { CHAT_MOST_STOPS = 4, CHAT_MOST_MARKERS = 4 };

/* Texts may hold {bos} and {eos}, which stand for the model's tokens. */
struct pv_chat_form {
    const char *name;
    bool bos; /* the conversation begins with {bos}, even if the model does not ask for it */
    enum pv_chat_place place;
    enum pv_chat_trim trim;
    const char *no_system;    /* stands at the beginning where there is no system prompt; may be NULL */
    const char *around[3][2]; /* before and after the text, by role */
    const char *generation;   /* before an answer that is asked for */
    const char *stops[CHAT_MOST_STOPS]; /* NULL-terminated unless full */
};

/* The table. A file's template is of the first row all of whose `markers` are in it and `without` is not; quotes count
 * as ' there, and \n as a line feed. Rows without markers are chosen by name alone. */
struct pv_chat_row {
    struct pv_chat_form form;
    const char *markers[CHAT_MOST_MARKERS];
    const char *without; /* or NULL */
};
extern const struct pv_chat_row pv_chat_rows[];
extern const uint32_t pv_chat_n_rows;

struct pv_chat_template {
    struct pv_chat_form form;
    json_t *json; /* holds the form's texts where they came from a file; or NULL */
};

/* The row that a file's template is of, or NULL. */
const struct pv_chat_row *pv_chat_recognise(const char *text, size_t n_bytes);

#endif
