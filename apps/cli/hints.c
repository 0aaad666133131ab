/* A message is searched for the fields and phrases of a table. */
#include "cli/hints.h"

#include <ctype.h>
#include <string.h>

static const struct {
    const char *phrase; /* as the library writes it */
    const char *option; /* long name of the option that sets it, or NULL */
    const char *advice; /* where there is none */
} hints[] = {
    {"n_ctx", "ctx", NULL},
    {"n_best", "best", NULL},
    {"ffn_act", "ffn-act", NULL},
    {"choose relu", "ffn-act", NULL},
    {"chat template", "chat-template", NULL},
    {"pre-tokenizer", "pre", NULL},
    {"another device", "device", NULL},
    {"several devices", "devices", NULL},
    {"add a device", "devices", NULL},
    {"give a cluster file", "clusters", NULL},
    {"n_batch", NULL, "n_batch is set by --plan n_batch=N"},
    {"kv_f16", NULL, "kv_f16 is set by --plan kv_f16=off"},
    {"no such key", NULL, "'parvin devices --json' shows the keys of --plan"},
    {"what takes the memory", NULL, "'parvin devices --place MODEL.gguf' shows it"},
    {"not a cluster file", NULL, "'parvin fit MODEL.gguf' makes one"},
    {"its own cluster file", NULL, "'parvin fit MODEL.gguf' makes one"},
    {"has no centroids", NULL, "'parvin fit MODEL.gguf' makes one that has them"},
    {"is a cluster file, not a model", NULL, "a cluster file is given behind the model, with -c FILE"},
    {"not a capture file", NULL, "'parvin capture MODEL.gguf' makes one"},
    {"put all parts together", NULL, "'parvin merge PART... -o FILE' does"},
    {"no variant", NULL, "'parvin conform --list-variants' lists them"},
};
enum { N_HINTS = sizeof hints / sizeof hints[0] };

/* Whether the message has the phrase, not as a part of a longer word. */
static bool says(const char *message, const char *phrase)
{
    const size_t n = strlen(phrase);
    for (const char *at = message; (at = strstr(at, phrase)); at++) {
        const bool begins = at == message || (!isalnum((unsigned char)at[-1]) && at[-1] != '_');
        if (begins && !isalnum((unsigned char)at[n]) && at[n] != '_')
            return true;
    }
    return false;
}

static const struct option *find_option(const struct command *command, const char *name)
{
    uint32_t group = 0, row = 0;
    const struct option *option = NULL;
    while (command && (option = options_next(command, &group, &row)) && strcmp(option->name, name) != 0)
        ;
    return option;
}

bool hints_next(const struct command *command, const char *message, size_t *at, char *out, size_t size)
{
    while (*at < N_HINTS) {
        const size_t i = (*at)++;
        if (!says(message, hints[i].phrase))
            continue;
        if (!hints[i].option) {
            snprintf(out, size, "%s", hints[i].advice);
            return true;
        }
        const struct option *option = find_option(command, hints[i].option);
        if (!option)
            continue;
        snprintf(out, size, "--%s %s: %s", option->name, option->value, option->help);
        return true;
    }
    return false;
}
