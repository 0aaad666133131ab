/* The command line. A command lists groups of options: its own, and those it shares with others. A group is a table
 * of rows, each with its default, unit and range; the parser, the help, the man page, the completions and "did you
 * mean" all read these tables. Values go into the command's own struct, which begins with common_options. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* INPUT, OUTPUT, STREAM: texts that name a file that is read ('-': standard input), one that is replaced when
 * the new one is whole, and one that is written as it grows. SHARE: a number, or one of a hundred with % behind it. AUTO: U32, or "auto", which is UINT32_MAX. UNTIL:
 * U32, or -1, which is UINT32_MAX. TEXTS: given any number of times, into a struct option_texts. MOVED: a name
 * that is no longer taken; its help says what to type instead. */
enum option_type {
    OPTION_FLAG,
    OPTION_COUNT,
    OPTION_TEXT,
    OPTION_INPUT,
    OPTION_OUTPUT,
    OPTION_STREAM,
    OPTION_U32,
    OPTION_U64,
    OPTION_REAL,
    OPTION_SHARE,
    OPTION_AUTO,
    OPTION_UNTIL,
    OPTION_TEXTS,
    OPTION_MOVED,
};

struct option {
    char letter; /* 0: long name only */
    const char *name;
    enum option_type type;
    size_t offset;        /* of the value in the group's struct */
    const char *value;    /* placeholder in help, NULL for flags */
    const char *standard; /* default as help shows it; a number is parsed, words leave the value 0 or NULL */
    double min, max;      /* numbers only */
    const char *help;
};

enum { OPTION_MOST_TEXTS = 32 };
struct option_texts {
    const char *texts[OPTION_MOST_TEXTS];
    uint32_t n;
};

struct option_group {
    const struct option *options;
    uint32_t n_options;
    size_t offset; /* of the group's struct in the command's */
};
/* The rows of a group whose values lie in `member` of the command's struct `type`. */
#define OPTION_GROUP(rows, type, member)                                                                     \
    {                                                                                                        \
        (rows), sizeof(rows) / sizeof *(rows), offsetof(type, member)                                        \
    }
/* A command's own rows, whose offsets are those of its struct. */
#define OPTION_OWN(rows)                                                                                     \
    {                                                                                                        \
        (rows), sizeof(rows) / sizeof *(rows), 0                                                             \
    }
#define OPTION_U32_MAX 4294967295.0
#define OPTION_U64_MAX 1.8e19

enum { OPTIONS_MOST_ARGUMENTS = 1024 };

struct common_options {
    const char *argument;                          /* the positional argument, or NULL */
    const char *arguments[OPTIONS_MOST_ARGUMENTS]; /* all of them, where a command takes several */
    uint32_t n_arguments;
    bool help, quiet, json, force;
    uint32_t verbose;
};
extern const struct option common_rows[3];
extern const struct option json_rows[1];
extern const struct option force_rows[1]; /* of commands with an OUTPUT or a STREAM */

struct device_options {
    const char *device, *devices, *split, *plan;
    bool no_cache, validation;
};
extern const struct option device_rows[1]; /* --device */
extern const struct option split_rows[2];  /* --devices, --split */
extern const struct option driver_rows[3]; /* --plan, --no-cache, --validation */

struct model_options {
    const char *clusters_path, *ffn_act, *pre;
    const char *on_lost; /* of `run` */
    uint32_t ctx, best;
};
extern const struct option clusters_rows[1];
extern const struct option best_rows[1];
extern const struct option ctx_rows[1];
extern const struct option ffn_act_rows[1];
extern const struct option pre_rows[1];

struct app;
struct command {
    const char *name;
    const char *argument; /* how help writes the positional argument; NULL: none. "[X]" makes it optional,
                             "X..." takes several */
    const char *summary;  /* one line */
    const char *about;    /* paragraphs for --help, may be NULL */
    const char *examples; /* lines for --help */
    const struct option_group *groups;
    uint32_t n_groups;
    size_t options_bytes;
    int (*run)(struct app *app); /* an exit code */
};
/* A program of several commands: `parvin`, `parvin-lab`. */
struct program {
    const char *name, *summary;
    const struct command *const *commands;
    uint32_t n_commands;
};

/* Fills `out` [command->options_bytes] with defaults and then from argv (without program and subcommand). False: a
 * message is on stderr. */
bool options_parse(const struct program *program, const struct command *command, int argc, char **argv,
                   void *out);
/* Sets the number that the command's option `name` has, among `options`, its struct. NULL where it is done, else what is
 * wrong: "unknown", or the values that it takes, in `room`. */
const char *options_set(const struct command *command, void *options, const char *name, const char *value,
                        char room[128]);
void options_help(const struct program *program, const struct command *command, FILE *to);
/* The candidate nearest to `word` by edit distance, or NULL if none is near. */
const char *options_nearest(const char *word, const char *const *candidates, uint32_t n);
/* The next option of a command that is taken, or NULL at the end. Begin with *group = *row = 0. */
const struct option *options_next(const struct command *command, uint32_t *group, uint32_t *row);

#endif
