/* Finds special tokens in a text, in time that grows with the text alone. */
#ifndef PV_FORMAT_TOKENIZER_SPECIALS_H
#define PV_FORMAT_TOKENIZER_SPECIALS_H

#include "format/tokenizer/vocab.h"

struct pv_specials; /* NULL: a vocabulary without special tokens */
/* The vocabulary is kept and must outlive the result. */
PV_MUST_USE enum pv_status pv_specials_create(const struct pv_vocab *v, struct pv_specials **out);
void pv_specials_destroy(struct pv_specials *s);
/* The text that a special token stands for: user-defined tokens are text, the others are spelled as in the file. */
struct pv_str pv_special_text(const struct pv_vocab *v, uint32_t id);

struct pv_special_match {
    size_t start;
    uint32_t id;
};
/* All places where a special token begins, from left to right, each with the longest that begins there; they may
 * overlap. Without `parse` only user-defined ones count. `*matches` is malloc'ed (NULL where there are none). */
PV_MUST_USE enum pv_status pv_specials_find(const struct pv_specials *s, const char *text, size_t n_bytes,
                                            bool parse, struct pv_special_match **matches, size_t *n);

#endif
