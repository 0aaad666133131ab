/* The text is read before the model is opened, so that a wrong name is told at once. */
#include "cli/calibration.h"

#include <stdlib.h>
#include <string.h>

enum pv_status calibration_open(struct app *app, const char *path, bool model_only, struct calibration *c)
{
    const struct pv_encode_params params = {0};
    const bool reads = path && !model_only;
    if (!path && !model_only)
        console_note(&app->console,
                     "no --text: the model writes the text it learns from; --text FILE with text like "
                     "yours gives better clusters");
    enum pv_status status = reads ? text_read(&app->console, path, &c->text) : PV_OK;
    if (!status)
        status = setup_all(app, &c->setup);
    if (status || !reads)
        return status;
    status = pv_encode(c->setup.model, c->text.bytes, c->text.n, &params, &c->tokens, &c->n_tokens);
    if (!status && !c->n_tokens) {
        console_error(&app->console, "there is nothing in the text to learn from");
        status = PV_ERR_ARG;
    }
    return status;
}

enum pv_status calibration_close(struct app *app, struct calibration *c)
{
    free(c->tokens);
    text_free(&c->text);
    return setup_close(app, &c->setup);
}

bool learn_place(struct app *app, const char *text, enum pv_learn_on *out)
{
    *out = !text ? PV_LEARN_AUTO : !strcmp(text, "cpu") ? PV_LEARN_CPU : PV_LEARN_DEVICE;
    if (!text || *out == PV_LEARN_CPU || !strcmp(text, "device"))
        return true;
    console_error(&app->console, "--learn-on is device or cpu");
    return false;
}
