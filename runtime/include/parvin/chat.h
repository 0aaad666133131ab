/* Conversations: a model that was trained to answer expects each turn between texts of its own, its chat template.
 *
 * Parvin knows the templates of the families people run, as rows of a table (docs/chat.md). A file's template is
 * recognised by what stands in it; one that is not known is refused, never guessed. What users type is never read as
 * a special token: a conversation's texts are encoded without them, the template's own with them.
 *
 * Thread-safety: a template is immutable and may be shared between threads. */
#ifndef PARVIN_CHAT_H
#define PARVIN_CHAT_H

#include "parvin/model.h"

PV_API_BEGIN

struct pv_chat_template;

enum pv_chat_role { PV_CHAT_SYSTEM, PV_CHAT_USER, PV_CHAT_ASSISTANT };

struct pv_chat_message {
    enum pv_chat_role role;
    const char *text; /* [n_bytes] */
    size_t n_bytes;
    /* An answer's tokens as the model gave them, without the one that ended it; used instead of the text, so that what
     * is in a session stays as it is. NULL: the text is encoded. */
    const uint32_t *tokens;
    size_t n_tokens;
};

/* True if the model's file has a chat template, known or not. */
bool pv_model_has_chat_template(const struct pv_model *model);
/* The template that the model's file names. PV_ERR_UNSUPPORTED, with the reason logged, where the file has none or one
 * that is not known. */
PV_MUST_USE enum pv_status pv_chat_template_of(const struct pv_model *model, struct pv_chat_template **out);
/* A row of the table by its name; "none": every message on a line of its own, and nothing else. PV_ERR_ARG where there
 * is no such row. */
PV_MUST_USE enum pv_status pv_chat_template_named(const char *name, const struct pv_log *log,
                                                  struct pv_chat_template **out);
/* A row written as JSON (docs/chat.md has the fields), n_bytes long. PV_ERR_FORMAT, with the reason logged. */
PV_MUST_USE enum pv_status pv_chat_template_parse(const char *json, size_t n_bytes, const struct pv_log *log,
                                                  struct pv_chat_template **out);
void pv_chat_template_free(struct pv_chat_template *chat);
/* Names of the table's rows; NULL from the number of rows on. */
const char *pv_chat_template_row(uint32_t index);

const char *pv_chat_template_name(const struct pv_chat_template *chat);
/* Texts that end an answer where the vocabulary has no token for them; NULL from their number on. */
const char *pv_chat_template_stop(const struct pv_chat_template *chat, uint32_t index);
/* True if an answer begins within its thoughts: the template has opened <think> already. */
bool pv_chat_template_thinks(const struct pv_chat_template *chat);

/* The text of a conversation, ready to be answered: a system message first or none, then users and answers in turn,
 * a user's last (PV_ERR_ARG otherwise). malloc'ed, NUL-terminated; the caller frees. `n_out` may be NULL. The tokens
 * of messages do not count here. */
PV_MUST_USE enum pv_status pv_chat_text(const struct pv_chat_template *chat, const struct pv_model *model,
                                        const struct pv_chat_message *messages, size_t n, char **out,
                                        size_t *n_out);
/* Its tokens, BOS included where the template or the model asks for it. malloc'ed; the caller frees. */
PV_MUST_USE enum pv_status pv_chat_encode(const struct pv_chat_template *chat, const struct pv_model *model,
                                          const struct pv_chat_message *messages, size_t n, uint32_t **out,
                                          size_t *n_out);

PV_API_END

#endif
