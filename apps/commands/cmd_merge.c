/* parvin merge: the parts of a capture put together. */
#include "cli/output.h"
#include "commands/commands.h"
#include "cli/app.h"

struct merge_options {
    struct common_options common;
    const char *out;
};

#define AT(field) offsetof(struct merge_options, field)
static const struct option merge_rows[] = {
    {'o', "out", OPTION_OUTPUT, AT(out), "FILE", NULL, 0, 0, "the capture file to write; needed"},
};
#undef AT

static const struct option_group merge_groups[] = {
    OPTION_OWN(merge_rows),
    OPTION_GROUP(force_rows, struct merge_options, common),
    OPTION_GROUP(json_rows, struct merge_options, common),
    OPTION_GROUP(common_rows, struct merge_options, common),
};

static int cmd_merge(struct app *app)
{
    const struct merge_options *o = app->options;
    const struct pv_log log = console_log(&app->console);
    if (!o->out) {
        console_error(&app->console, "give -o FILE: the capture file to write");
        return EXIT_USAGE;
    }
    const int code =
        app_fail(app, pv_capture_merge(o->common.arguments, o->common.n_arguments, o->out, &log));
    if (code)
        return code;
    if (o->common.json) {
        json_t *object = json_object();
        json_put_string(object, "out", o->out);
        json_put_count(object, "parts", o->common.n_arguments);
        return json_finish(&app->console, object);
    }
    printf("%s: %u parts\n", o->out, o->common.n_arguments);
    return EXIT_GOOD;
}

const struct command command_merge = {
    .name = "merge",
    .argument = "PART...",
    .summary = "Put the parts of a capture together",
    .about = "All parts, in any order.",
    .examples = "  parvin merge part*.capture -o book.capture\n",
    .groups = merge_groups,
    .n_groups = sizeof merge_groups / sizeof merge_groups[0],
    .options_bytes = sizeof(struct merge_options),
    .run = cmd_merge,
};
