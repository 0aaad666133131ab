/* The command line: one table holds every option of every subcommand, with its default, unit and range. The
 * parser, the help text and the "did you mean" all read that table. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Subcommands as bits, so that a table row can name all that take an option. */
enum command_bit {
    C_DEVICES = 1 << 0,
    C_INFO = 1 << 1,
    C_FIT = 1 << 2,
    C_RUN = 1 << 3,
    C_EVAL = 1 << 4,
    C_BENCH = 1 << 5,
    C_CONFORM = 1 << 6,
    C_DEMO = 1 << 7,
    C_VIEW = 1 << 8,
    C_HEATMAP = 1 << 9,
    C_EXPLAIN = 1 << 10,
    C_CAPTURE = 1 << 11,
    C_MERGE = 1 << 12,
    C_ALL = (1 << 13) - 1,
};

enum { OPTIONS_MOST_ARGUMENTS = 1024 };

struct options {
    const char *argument;                          /* the positional argument, or NULL */
    const char *arguments[OPTIONS_MOST_ARGUMENTS]; /* all of them, where a command takes several */
    uint32_t n_arguments;
    /* general */
    bool help, quiet, json;
    uint32_t verbose;
    /* device */
    const char *device, *devices, *split, *plan;
    bool no_cache, validation;
    const char *fit;  /* devices: a model to place */
    const char *caps; /* devices: a saved device to plan for */
    /* model and text */
    const char *clusters_path, *ffn_act, *text;
    uint32_t ctx, best;
    /* run */
    const char *prompt, *prompt_file;
    uint32_t n_predict, top_k, repeat_last;
    double temp, top_p, min_p, repeat_penalty;
    bool prefill_dense, ignore_eos;
    const char *on_lost;
    /* eval */
    uint32_t windows;
    const char *logits;
    bool dump_tokens;
    const char *sweep, *fit_text, *densities, *methods;
    bool clustering_only;
    /* fit */
    const char *out;
    const char *capture, *shard, *learn_on, *method, *space, *router;
    uint32_t iters, epochs, threads, thin, restarts, rounds;
    uint64_t tokens;
    double active_share, max_ppl_rise;
    /* fit and bench */
    uint32_t clusters;
    double density;
    uint64_t seed;
    /* bench and conform */
    uint32_t d_model, d_ffn, reps;
    const char *type, *filter;
    bool quick, learn;
    /* conform */
    const char *variant, *junit, *markdown, *table;
    const char *against;
    bool list_variants, compile_only;
    double minutes;
    /* run, view, heatmap and explain */
    const char *view, *view_device, *trace, *trace_format, *kind, *palette, *layer;
    bool light, follow, oracle;
    double half_life, scale;
    uint32_t rows, back, width;
};

struct command {
    const char *name;
    enum command_bit bit;
    const char *argument; /* how help writes the positional argument; NULL: none. "[X]" makes it optional,
                             "X..." takes several */
    const char *summary;  /* one line */
    const char *about;    /* paragraphs for --help, may be NULL */
    const char *examples; /* lines for --help */
};

/* Fills `out` with defaults and then from argv (without program and subcommand). False: a message is on
 * stderr. */
bool options_parse(const struct command *command, int argc, char **argv, struct options *out);
void options_help(const struct command *command, FILE *to);
/* The candidate nearest to `word` by edit distance, or NULL if none is near. */
const char *options_nearest(const char *word, const char *const *candidates, uint32_t n);

#endif
