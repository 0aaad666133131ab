/* Opens what a subcommand works on, from its options: context, model, clusters, engine. */
#ifndef CLI_SETUP_H
#define CLI_SETUP_H

#include "cli/app.h"
#include "cli/output.h"

enum { SETUP_DEVICES_MAX = 16, SETUP_CTX_MAX = 4096 };

struct setup {
    /* Set before anything is opened; NULL where the command has no such options. */
    const struct device_options *device_options;
    const struct model_options *model_options;
    bool decodes; /* the command waits for decode, not for prompts: see setup_context */
    struct pv_context *context;
    struct pv_model *model;
    struct pv_clusters *clusters; /* NULL: dense */
    struct pv_engine *engine;
    uint32_t devices[SETUP_DEVICES_MAX], n_devices;
    double split[SETUP_DEVICES_MAX]; /* shares of the layers; all 0: Parvin chooses */
    char device_names[1024];         /* of them, with " + " between */
};

/* Each logs its own failure; what is open then is closed by setup_close. */
/* Where the command mostly decodes a small model, which is open, a software driver is asked to compute on the calling
 * thread: waking its threads for each dispatch takes longer than the work (docs/performance.md). */
PV_MUST_USE enum pv_status setup_context(struct app *app, struct setup *setup);
/* The devices that --device or --devices name. */
PV_MUST_USE enum pv_status setup_devices(struct app *app, struct setup *setup);
PV_MUST_USE enum pv_status setup_model(struct app *app, const char *path, struct setup *setup);
PV_MUST_USE enum pv_status setup_clusters(struct app *app, const char *path,
                                          struct setup *setup); /* NULL: none */
/* Sets device_names: of the engine, where there is one. */
void setup_name_devices(struct setup *setup);
/* What the options say about the engine; the model must be open. */
struct pv_engine_params setup_engine_params(const struct setup *setup);
PV_MUST_USE enum pv_status setup_engine(struct app *app, struct setup *setup);
/* All but the model, which is open. */
PV_MUST_USE enum pv_status setup_rest(struct app *app, struct setup *setup);
/* All of them: the model that is the command's argument, the options' cluster file and devices. */
PV_MUST_USE enum pv_status setup_all(struct app *app, struct setup *setup);
/* A new context and the devices in it, without an engine. */
PV_MUST_USE enum pv_status setup_reopen(struct app *app, struct setup *setup);
/* Closes everything. PV_ERR_CHECK, with a message, if the validation layers have said anything. */
enum pv_status setup_close(struct app *app, struct setup *setup);

/* MODEL.gguf -> MODEL.clusters.gguf, beside it. False if that is too long. */
bool setup_clusters_path(const char *model, char *out, size_t size);

/* The options of the model (set before), and, where they name no clusters and `dense` is not set, those that `fit` has
 * left beside it. */
struct setup_choice {
    struct model_options model;
    char path[4096];
};
PV_MUST_USE enum pv_status setup_find_clusters(struct app *app, bool dense, struct setup_choice *choice);

/* The folder for caches ($XDG_CACHE_HOME/parvin or ~/.cache/parvin), made if missing; NULL if there is none.
 */
const char *setup_cache_dir(char *buffer, size_t size);
/* The same for what a program remembers of its user ($XDG_STATE_HOME/parvin or ~/.local/state/parvin). */
const char *setup_state_dir(char *buffer, size_t size);

/* What a model learns from: an opened model and a text in its tokens. */
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
