/* What a model learns from: an opened model and a text in its tokens. */
#ifndef CLI_CALIBRATION_H
#define CLI_CALIBRATION_H

#include "cli/output.h"
#include "cli/setup.h"

struct calibration {
    struct setup setup;
    struct text text;
    uint32_t *tokens;
    size_t n_tokens;
};

/* Opens the model and its devices as out->setup's options say, and encodes the text of `path`. Without a path there
 * are no tokens, and the library lets the model write some. A message is logged on failure. With `model_only`, no
 * text. */
PV_MUST_USE enum pv_status calibration_open(struct app *app, const char *path, bool model_only,
                                            struct calibration *out);
/* The place that `text`, the value of --learn-on, names; false, with a message, if it names none. */
bool learn_place(struct app *app, const char *text, enum pv_learn_on *out);
/* As setup_close. */
enum pv_status calibration_close(struct app *app, struct calibration *calibration);

#endif
