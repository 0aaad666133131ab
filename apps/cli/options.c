/* The option tables that commands share, the parser and the help. An option's default is written once, as help shows
 * it: where that text is a number it is parsed like a value from the command line. */
#include "cli/options.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COMMON(field) offsetof(struct common_options, field)
#define DEVICE(field) offsetof(struct device_options, field)
#define MODEL(field)  offsetof(struct model_options, field)

const struct option json_rows[1] = {
    {0, "json", OPTION_FLAG, COMMON(json), NULL, NULL, 0, 0, "print the result as one JSON object"}};
const struct option force_rows[1] = {
    {0, "force", OPTION_FLAG, COMMON(force), NULL, NULL, 0, 0, "overwrite a file that Parvin did not write"}};
const struct option common_rows[3] = {
    {'v', "verbose", OPTION_COUNT, COMMON(verbose), NULL, NULL, 0, 0,
     "say more on stderr; twice: everything"},
    {'q', "quiet", OPTION_FLAG, COMMON(quiet), NULL, NULL, 0, 0, "errors only on stderr"},
    {'h', "help", OPTION_FLAG, COMMON(help), NULL, NULL, 0, 0, "this text"}};

const struct option device_rows[1] = {
    {'d', "device", OPTION_TEXT, DEVICE(device), "DEVICE", "the best one", 0, 0,
     "number, UUID, or part of the name or driver, as 'parvin devices' lists them"}};
const struct option split_rows[2] = {
    {0, "devices", OPTION_TEXT, DEVICE(devices), "A,B,...", NULL, 0, 0,
     "split the layers over several devices"},
    {0, "split", OPTION_TEXT, DEVICE(split), "X,Y,...", "by measured speed and free memory", 0, 0,
     "shares of the layers for --devices, such as 3,1; numbers that add up to the layers are counts"}};
const struct option driver_rows[3] = {
    {0, "plan", OPTION_TEXT, DEVICE(plan), "KEY=VALUE,...", "chosen by Parvin", 0, 0,
     "force tuning decisions, under the names that 'parvin devices' shows"},
    {0, "no-cache", OPTION_FLAG, DEVICE(no_cache), NULL, NULL, 0, 0,
     "do not keep compiled pipelines on disk"},
    {0, "validation", OPTION_FLAG, DEVICE(validation), NULL, NULL, 0, 0,
     "run under the Vulkan validation layers; fail if they report anything"}};

const struct option clusters_rows[1] = {{'c', "clusters", OPTION_INPUT, MODEL(clusters_path), "FILE", NULL, 0,
                                         0, "clusters made by 'parvin fit' for this model"}};
const struct option best_rows[1] = {
    {0, "best", OPTION_U32, MODEL(best), "N", "1", 1, 2,
     "with -c: compute the neurons of the router's best 1 or 2 clusters; 2 loses less and computes more"}};
const struct option ctx_rows[1] = {{0, "ctx", OPTION_U32, MODEL(ctx), "N", "the model's, at most 4096", 1,
                                    1048576, "context length in tokens"}};
const struct option ffn_act_rows[1] = {
    {0, "ffn-act", OPTION_TEXT, MODEL(ffn_act), "NAME", "as the model says", 0, 0,
     "activation of the feed-forward layers: relu, relu2, drelu, silu or gelu"}};
const struct option pre_rows[1] = {
    {0, "pre", OPTION_TEXT, MODEL(pre), "NAME", "as the model says", 0, 0,
     "pre-tokenizer, for a model whose own is not known: gpt-2, llama-bpe, qwen2, gpt-4o, ..."}};

/* What people type who come from other programs. */
static const struct {
    const char *word, *instead;
} foreign_options[] = {
    {"-ngl", "all layers run on the device; --devices A,B splits them over several"},
    {"--n-gpu-layers", "all layers run on the device; --devices A,B splits them over several"},
    {"--gpu-layers", "all layers run on the device; --devices A,B splits them over several"},
    {"-m", "the model is named without an option: parvin run MODEL.gguf"},
    {"--model", "the model is named without an option: parvin run MODEL.gguf"},
    {"--ctx-size", "the context length is --ctx N"},
    {"--predict", "the number of tokens to generate is -n N"},
    {"-sm", "layers are split with --devices A,B and --split 3,1"},
    {"-ts", "layers are split with --devices A,B and --split 3,1"},
    {"--tensor-split", "layers are split with --devices A,B and --split 3,1"},
    {"--flash-attn", "attention needs no option"},
    {"--cluster-file", "the cluster file is -c FILE or --clusters FILE"},
};

struct parser {
    const struct program *program;
    const struct command *command;
    int argc;
    char **argv;
    char *out;
};

const struct option *options_next(const struct command *command, uint32_t *group, uint32_t *row)
{
    for (; *group < command->n_groups; ++*group, *row = 0)
        while (*row < command->groups[*group].n_options) {
            const struct option *option = &command->groups[*group].options[(*row)++];
            if (option->type != OPTION_MOVED)
                return option;
        }
    return NULL;
}

/* An option by its long name, or by its letter where `name` is NULL, and where its value goes. */
static const struct option *find(const struct parser *p, const char *name, size_t length, char letter,
                                 void **field)
{
    for (uint32_t g = 0; g < p->command->n_groups; g++) {
        const struct option_group *group = &p->command->groups[g];
        for (uint32_t i = 0; i < group->n_options; i++) {
            const struct option *option = &group->options[i];
            const bool same = name ? strlen(option->name) == length && !memcmp(option->name, name, length)
                                   : option->letter == letter;
            if (!same)
                continue;
            *field = p->out + group->offset + option->offset;
            return option;
        }
    }
    return NULL;
}

static bool parse_number(const struct option *option, const char *text, void *field)
{
    char *end = NULL;
    errno = 0;
    if (option->type == OPTION_REAL || option->type == OPTION_SHARE) {
        double value = strtod(text, &end);
        if (option->type == OPTION_SHARE && end != text && *end == '%') {
            value /= 100;
            end++;
        }
        if (end == text || *end || errno == ERANGE || !isfinite(value) || value < option->min ||
            value > option->max)
            return false;
        *(double *)field = value;
        return true;
    }
    if (option->type == OPTION_AUTO && !strcmp(text, "auto")) {
        *(uint32_t *)field = UINT32_MAX;
        return true;
    }
    if (option->type == OPTION_UNTIL && !strcmp(text, "-1")) {
        *(uint32_t *)field = UINT32_MAX;
        return true;
    }
    if (text[0] < '0' || text[0] > '9')
        return false; /* strtoull would take spaces and signs */
    const unsigned long long value = strtoull(text, &end, 10);
    if (*end || errno == ERANGE || (double)value < option->min || (double)value > option->max)
        return false;
    if (option->type == OPTION_U64)
        *(uint64_t *)field = value;
    else
        *(uint32_t *)field = (uint32_t)value;
    return true;
}

static bool is_number(const struct option *option)
{
    return option->type == OPTION_U32 || option->type == OPTION_U64 || option->type == OPTION_REAL ||
           option->type == OPTION_SHARE || option->type == OPTION_AUTO || option->type == OPTION_UNTIL;
}

static bool is_text(const struct option *option)
{
    return option->type == OPTION_TEXT || option->type == OPTION_INPUT || option->type == OPTION_OUTPUT ||
           option->type == OPTION_STREAM;
}

const char *options_set(const struct command *command, void *options, const char *name, const char *value,
                        char room[128])
{
    uint32_t group = 0, row = 0;
    const struct option *option;
    while ((option = options_next(command, &group, &row)) && strcmp(option->name, name) != 0)
        ;
    if (!option || !is_number(option))
        return "unknown";
    if (parse_number(option, value, (char *)options + command->groups[group].offset + option->offset))
        return NULL;
    snprintf(room, 128, "%s%.15g to %.15g", option->type == OPTION_UNTIL ? "-1, or " : "", option->min,
             option->max);
    return room;
}

static void set_defaults(const struct parser *p)
{
    memset(p->out, 0, p->command->options_bytes);
    for (uint32_t g = 0; g < p->command->n_groups; g++) {
        const struct option_group *group = &p->command->groups[g];
        for (uint32_t i = 0; i < group->n_options; i++) {
            const struct option *option = &group->options[i];
            if (is_number(option) && option->standard)
                (void)parse_number(option, option->standard, p->out + group->offset + option->offset);
        }
    }
}

static uint32_t edit_distance(const char *a, const char *b)
{
    uint32_t row[64];
    const size_t n = strlen(b);
    if (n >= sizeof row / sizeof row[0])
        return UINT32_MAX;
    for (uint32_t j = 0; j <= n; j++)
        row[j] = j;
    for (uint32_t i = 0; a[i]; i++) {
        uint32_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < n; j++) {
            uint32_t best = diagonal + (a[i] != b[j]);
            diagonal = row[j + 1];
            best = best < diagonal + 1 ? best : diagonal + 1;
            row[j + 1] = best < row[j] + 1 ? best : row[j] + 1;
        }
    }
    return row[n];
}

const char *options_nearest(const char *word, const char *const *candidates, uint32_t n)
{
    const char *best = NULL;
    uint32_t best_distance = (uint32_t)strlen(word) / 3 + 2; /* farther than this is no help */
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t distance = edit_distance(word, candidates[i]);
        if (distance < best_distance) {
            best_distance = distance;
            best = candidates[i];
        }
    }
    return best;
}

static bool fail_unknown(const struct parser *p, const char *word, size_t length)
{
    enum { MOST_NAMES = 128 };
    char name[48] = "";
    const char *names[MOST_NAMES];
    uint32_t n = 0, group = 0, row = 0;
    snprintf(name, sizeof name, "%.*s", length < 40 ? (int)length : 40, word);
    for (const struct option *o = options_next(p->command, &group, &row); o && n < MOST_NAMES;
         o = options_next(p->command, &group, &row))
        names[n++] = o->name;
    const char *dashes = name[0] == '-' ? "" : "--", *bare = name + strspn(name, "-");
    const char *near = strlen(bare) > 1 ? options_nearest(bare, names, n) : NULL;
    fprintf(stderr, "%s %s: no option '%s%s'", p->program->name, p->command->name, dashes, name);
    if (near)
        fprintf(stderr, "; did you mean '--%s'?", near);
    else
        fputc('.', stderr);
    fprintf(stderr, " '%s %s --help' lists them.\n", p->program->name, p->command->name);
    return false;
}

static bool fail_value(const struct parser *p, const struct option *option, const char *text)
{
    fprintf(stderr, "%s %s: --%s takes %s from %.15g to %.15g, not '%s'", p->program->name, p->command->name,
            option->name,
            option->type == OPTION_REAL    ? "a number"
            : option->type == OPTION_SHARE ? "a share, 0.2 or 20%,"
            : option->type == OPTION_AUTO  ? "auto or a whole number"
            : option->type == OPTION_UNTIL ? "-1 or a whole number"
                                           : "a whole number",
            option->min, option->max, text);
    if (option->standard)
        fprintf(stderr, " (default: %s)", option->standard);
    fputs(".\n", stderr);
    return false;
}

static bool fail_no_value(const struct parser *p, const struct option *option)
{
    fprintf(stderr, "%s %s: --%s needs a value: --%s %s.\n", p->program->name, p->command->name, option->name,
            option->name, option->value);
    return false;
}

static bool fail_moved(const struct parser *p, const struct option *option)
{
    fprintf(stderr, "%s %s: --%s is no option: %s.\n", p->program->name, p->command->name, option->name,
            option->help);
    return false;
}

static bool set_value(const struct parser *p, const struct option *option, const char *text, void *field)
{
    if (is_text(option)) {
        *(const char **)field = text;
    } else if (option->type == OPTION_TEXTS) {
        struct option_texts *texts = field;
        if (texts->n == OPTION_MOST_TEXTS) {
            fprintf(stderr, "%s %s: --%s is given more than %d times.\n", p->program->name, p->command->name,
                    option->name, OPTION_MOST_TEXTS);
            return false;
        }
        texts->texts[texts->n++] = text;
    } else if (!parse_number(option, text, field)) {
        return fail_value(p, option, text);
    }
    return true;
}

static void set_flag(const struct option *option, void *field)
{
    if (option->type == OPTION_COUNT)
        ++*(uint32_t *)field;
    else
        *(bool *)field = true;
}

/* The value in the next word; moves *i on. A word that is itself the name of an option means that the value was
 * forgotten (a prompt may say anything). */
static bool take_value(const struct parser *p, int *i, const struct option *option, void *field)
{
    const char *value = *i + 1 < p->argc ? p->argv[*i + 1] : NULL;
    void *other;
    if (!value || (is_text(option) && strcmp(option->name, "prompt") != 0 && !strncmp(value, "--", 2) &&
                   find(p, value + 2, strlen(value + 2), 0, &other)))
        return fail_no_value(p, option);
    ++*i;
    return set_value(p, option, value, field);
}

/* "--name", "--name=value" or "--name value"; moves *i past a separate value. */
static bool parse_long(const struct parser *p, int *i)
{
    const char *name = p->argv[*i] + 2, *equals = strchr(name, '=');
    const size_t length = equals ? (size_t)(equals - name) : strlen(name);
    void *field = NULL;
    const struct option *option = find(p, name, length, 0, &field);
    if (!option)
        return fail_unknown(p, name, length);
    if (option->type == OPTION_MOVED)
        return fail_moved(p, option);
    if (option->value)
        return equals ? set_value(p, option, equals + 1, field) : take_value(p, i, option, field);
    if (equals) {
        fprintf(stderr, "%s %s: --%s takes no value.\n", p->program->name, p->command->name, option->name);
        return false;
    }
    set_flag(option, field);
    return true;
}

/* "-v", "-vq", "-n 5" or "-n5". */
static bool parse_letters(const struct parser *p, int *i)
{
    for (const char *at = p->argv[*i] + 1; *at; at++) {
        void *field = NULL;
        const struct option *option = find(p, NULL, 0, *at, &field);
        if (!option)
            return fail_unknown(p, p->argv[*i], strlen(p->argv[*i]));
        if (option->value)
            return at[1] ? set_value(p, option, at + 1, field) : take_value(p, i, option, field);
        set_flag(option, field);
    }
    return true;
}

/* Says what to type instead of another program's option; false if the word is none. */
static bool is_foreign(const struct parser *p, const char *word)
{
    void *field;
    if (!strncmp(word, "--", 2) && find(p, word + 2, strcspn(word + 2, "="), 0, &field))
        return false;
    for (size_t i = 0; i < sizeof foreign_options / sizeof foreign_options[0]; i++) {
        const size_t n = strlen(foreign_options[i].word);
        if (strncmp(word, foreign_options[i].word, n) != 0 || (word[n] && word[n] != '='))
            continue;
        fprintf(stderr, "%s %s: no option '%s': %s.\n", p->program->name, p->command->name,
                foreign_options[i].word, foreign_options[i].instead);
        return true;
    }
    return false;
}

static bool parse_word(const struct parser *p, int *i, bool *only_arguments)
{
    struct common_options *common = (void *)p->out;
    const char *word = p->argv[*i], *argument = p->command->argument;
    const uint32_t most = argument && strstr(argument, "...") ? OPTIONS_MOST_ARGUMENTS : 1;
    if (!*only_arguments && !strcmp(word, "--")) {
        *only_arguments = true;
        return true;
    }
    if (!*only_arguments && word[0] == '-' && word[1]) {
        if (is_foreign(p, word))
            return false;
        return word[1] == '-' ? parse_long(p, i) : parse_letters(p, i);
    }
    if (!argument || common->n_arguments == most) {
        fprintf(stderr, "%s %s: unexpected argument '%s'. '%s %s --help' says what it takes.\n",
                p->program->name, p->command->name, word, p->program->name, p->command->name);
        return false;
    }
    common->arguments[common->n_arguments++] = word;
    common->argument = common->arguments[0];
    return true;
}

bool options_parse(const struct program *program, const struct command *command, int argc, char **argv,
                   void *out)
{
    const struct parser parser = {
        .program = program, .command = command, .argc = argc, .argv = argv, .out = out};
    const struct common_options *common = out;
    bool only_arguments = false;
    set_defaults(&parser);
    for (int i = 0; i < argc; i++)
        if (!parse_word(&parser, &i, &only_arguments))
            return false;
    if (command->argument && command->argument[0] != '[' && !common->argument && !common->help) {
        fprintf(stderr, "%s %s: %s is missing: %s %s %s [OPTION]...\n", program->name, command->name,
                command->argument, program->name, command->name, command->argument);
        return false;
    }
    return true;
}

/* Words of `text` from `column` on, broken before column 100 and indented like the first line. */
static int print_wrapped(FILE *to, const char *text, int column)
{
    enum { INDENT = 31, WIDTH = 100 };
    while (*text) {
        const int word = (int)strcspn(text, " ");
        if (column + 1 + word > WIDTH) {
            fprintf(to, "\n%*s", INDENT - 1, "");
            column = INDENT - 1;
        }
        column += fprintf(to, " %.*s", word, text);
        text += word;
        text += strspn(text, " ");
    }
    return column;
}

static void print_option(FILE *to, const struct option *option)
{
    char left[64], standard[128];
    const char letter[] = {'-', option->letter, ',', ' ', 0};
    snprintf(left, sizeof left, "%s--%s%s%s", option->letter ? letter : "    ", option->name,
             option->value ? " " : "", option->value ? option->value : "");
    const int column = print_wrapped(to, option->help, fprintf(to, "  %-28s", left));
    if (option->standard) {
        snprintf(standard, sizeof standard, "(default: %s)", option->standard);
        print_wrapped(to, standard, column);
    }
    fputc('\n', to);
}

void options_help(const struct program *program, const struct command *command, FILE *to)
{
    uint32_t group = 0, row = 0;
    fprintf(to, "%s %s%s%s [OPTION]...\n%s.\n", program->name, command->name, command->argument ? " " : "",
            command->argument ? command->argument : "", command->summary);
    if (command->about)
        fprintf(to, "\n%s\n", command->about);
    fputs("\nOptions:\n", to);
    for (const struct option *o = options_next(command, &group, &row); o;
         o = options_next(command, &group, &row))
        print_option(to, o);
    fprintf(to, "\nExamples:\n%s", command->examples);
}
