/* What a model learns from: an opened model and a text in its tokens. */
#ifndef CALIBRATION_H
#define CALIBRATION_H

#include "output.h"
#include "setup.h"

struct calibration {
    struct setup setup;
    struct text text;
    uint32_t *tokens;
    size_t n_tokens;
};

/* Opens the model and its devices, and --text, which it encodes; without that option there are no tokens, and
 * the library lets the model write some. A message is logged on failure. With `model_only`, no text. */
PV_MUST_USE enum pv_status calibration_open(struct app *app, bool model_only, struct calibration *out);
/* What --learn-on says; false, with a message, if that is no place. */
bool learn_place(struct app *app, enum pv_learn_on *out);
/* As setup_close. */
enum pv_status calibration_close(struct app *app, struct calibration *calibration);

#endif
