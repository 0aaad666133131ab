/* The text is read before the model is opened, so that a wrong name is told at once. */
#include "calibration.h"

#include <stdlib.h>
#include <string.h>

enum pv_status calibration_open(struct app *app, bool model_only, struct calibration *c)
{
    const struct pv_encode_params params = {0};
    const bool reads = app->options.text && !model_only;
    if (!app->options.text && !model_only)
        console_note(&app->console,
                     "no --text: the model writes the text it learns from; --text FILE with text like "
                     "yours gives better clusters");
    enum pv_status status = reads ? text_read(&app->console, app->options.text, &c->text) : PV_OK;
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

bool learn_place(struct app *app, enum pv_learn_on *out)
{
    const char *text = app->options.learn_on;
    *out = !text ? PV_LEARN_AUTO : !strcmp(text, "cpu") ? PV_LEARN_CPU : PV_LEARN_DEVICE;
    if (!text || *out == PV_LEARN_CPU || !strcmp(text, "device"))
        return true;
    console_error(&app->console, "--learn-on is device or cpu");
    return false;
}
