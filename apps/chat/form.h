/* Which chat template a command uses. */
#ifndef CHAT_FORM_H
#define CHAT_FORM_H

#include "cli/app.h"

/* `word`, what --chat-template says: a row of the library's table, a JSON file, or NULL for the model's own. Failures are
 * logged. Free with pv_chat_template_free. */
PV_MUST_USE enum pv_status chat_form_choose(struct app *app, const char *word, const struct pv_model *model,
                                            struct pv_chat_template **out);

#endif
