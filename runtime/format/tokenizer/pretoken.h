/* Pre-tokenizers: how byte-level BPE cuts a text into words before it merges. A file names its own in
 * tokenizer.ggml.pre; the table of names and patterns is in pretoken_table.c. */
#ifndef PV_FORMAT_TOKENIZER_PRETOKEN_H
#define PV_FORMAT_TOKENIZER_PRETOKEN_H

#include "format/gguf/gguf.h"

enum { PV_PRE_MAX_PATTERNS = 6 };

/* A row of the table. Patterns work in turn: each cuts the pieces that those before it left into its matches and what
 * lies between them, and sees a piece as if it were the whole text. */
struct pv_pre_rule {
    const char *name;
    const char *const *patterns; /* up to PV_PRE_MAX_PATTERNS, then NULL */
    bool ignore_merges;          /* a word that is a token is taken whole */
    bool wants_bos;              /* unless the file says otherwise */
};
/* The row of that name, or NULL. */
const struct pv_pre_rule *pv_pre_find(const char *name, size_t n_bytes);

struct pv_pre;
PV_MUST_USE enum pv_status pv_pre_create(const struct pv_pre_rule *rule, const struct pv_log *log,
                                         struct pv_pre **out);
void pv_pre_destroy(struct pv_pre *pre);

/* Cuts `text`, which is valid UTF-8, and gives its words to `word` from left to right; together they are the text.
 * Stops at the first status that is not PV_OK and returns it. Memory runs out: PV_ERR_NOMEM. */
typedef enum pv_status pv_pre_word(void *user, const char *text, size_t n_bytes);
PV_MUST_USE enum pv_status pv_pre_split(const struct pv_pre *pre, const char *text, size_t n_bytes,
                                        pv_pre_word *word, void *user);

#endif
