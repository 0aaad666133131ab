/* A name of the table comes before a file of that name. */
#include "chat/form.h"

#include <string.h>
#include <unistd.h>

#include "cli/output.h"

static void say_templates(struct app *app, const char *word)
{
    struct text names = {0};
    for (uint32_t i = 0; pv_chat_template_row(i); i++) {
        const char *name = pv_chat_template_row(i);
        if (!text_append(&names, ", ", i > 0 ? 2 : 0) || !text_append(&names, name, strlen(name)))
            break;
    }
    console_error(&app->console, "--chat-template: there is no template and no file '%s'; there are %s", word,
                  names.n ? names.bytes : "some");
    text_free(&names);
}

static bool is_row(const char *word)
{
    for (uint32_t i = 0; pv_chat_template_row(i); i++)
        if (!strcmp(pv_chat_template_row(i), word))
            return true;
    return false;
}

enum pv_status chat_form_choose(struct app *app, const char *word, const struct pv_model *model,
                                struct pv_chat_template **out)
{
    const struct pv_log log = console_log(&app->console);
    if (!word)
        return pv_chat_template_of(model, out);
    if (is_row(word))
        return pv_chat_template_named(word, &log, out);
    if (access(word, F_OK) != 0) {
        say_templates(app, word);
        return PV_ERR_ARG;
    }
    struct text json = {0};
    enum pv_status status = text_read(&app->console, word, &json);
    if (!status)
        status = pv_chat_template_parse(json.bytes, json.n, &log, out);
    text_free(&json);
    return status;
}
