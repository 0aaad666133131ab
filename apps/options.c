/* The option table, its parser and its help. An option's default is written once, as help shows it: where
 * that text is a number it is parsed like a value from the command line, where it is words the field stays
 * zero or NULL. */
#include "options.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* SHARE: a number, or one of a hundred with % behind it. AUTO: U32, or "auto", which is UINT32_MAX. */
enum option_type { FLAG, COUNT, TEXT, U32, U64, REAL, SHARE, AUTO };

struct option_row {
    uint32_t commands;
    char letter; /* 0: long name only */
    const char *name;
    enum option_type type;
    size_t offset;
    const char *value;    /* placeholder in help, NULL for flags */
    const char *standard; /* default, NULL: none to speak of */
    double min, max;      /* numbers only */
    const char *help;
};

#define AT(field) offsetof(struct options, field)
#define DEVICE    (C_FIT | C_CAPTURE | C_RUN | C_EVAL | C_BENCH | C_CONFORM | C_DEMO | C_HEATMAP | C_EXPLAIN)
#define SPLIT     (C_FIT | C_CAPTURE | C_RUN | C_EVAL | C_BENCH | C_HEATMAP | C_EXPLAIN)
#define DRAWN     (C_RUN | C_VIEW | C_HEATMAP | C_EXPLAIN)
#define U32_MAX   4294967295.0
#define CTX_MAX   1048576.0

static const struct option_row rows[] = {
    {C_FIT, 'o', "out", TEXT, AT(out), "FILE", "MODEL.clusters.gguf", 0, 0, "the cluster file to write"},
    {C_CAPTURE | C_MERGE, 'o', "out", TEXT, AT(out), "FILE", NULL, 0, 0, "the capture file to write; needed"},
    {C_CAPTURE, 0, "shard", TEXT, AT(shard), "I/N", "the whole", 0, 0,
     "capture part I of N only, for 'parvin merge'"},
    {C_FIT, 0, "capture", TEXT, AT(capture), "FILE", NULL, 0, 0,
     "learn from a file that 'parvin capture' or 'parvin merge' wrote, instead of a text"},
    {C_FIT | C_CAPTURE, 0, "text", TEXT, AT(text), "FILE", "written by the model", 0, 0,
     "text to learn from, like the text to be generated later ('-': standard input)"},
    {C_FIT, 'k', "clusters", AUTO, AT(clusters), "K|auto", "256, fewer on small texts", 1, 65536,
     "clusters per layer; auto tries what keeps most energy in the bytes that the density stands for"},
    {C_FIT, 0, "density", SHARE, AT(density), "SHARE", "0.2, or what --max-ppl-rise finds", 0.001, 1,
     "share of all feed-forward neurons to compute, spread over the layers: 0.2 or 20%"},
    {C_FIT, 0, "max-ppl-rise", SHARE, AT(max_ppl_rise), "SHARE", NULL, 0.0001, 100,
     "search for the lowest density at which perplexity rises by no more, 1% or 0.01, on calibration text "
     "kept out of "
     "all learning"},
    {C_FIT | C_CAPTURE, 0, "active-share", SHARE, AT(active_share), "SHARE", "0.5 or the density", 0.001, 1,
     "neurons that count as active where none are exactly zero (SwiGLU, GELU)"},
    {C_FIT | C_CAPTURE, 0, "tokens", U64, AT(tokens), "N", "all; 65536 without --text", 1, 1e12,
     "calibration tokens at most, spread over the text"},
    {C_FIT | C_CAPTURE, 0, "thin", U32, AT(thin), "R", "no thinning", 1, 1048576,
     "run R times as many tokens and keep one in R: more of the text for the same memory"},
    {C_FIT, 0, "method", TEXT, AT(method), "NAME", "parvin", 0, 0,
     "parvin; or a baseline, k-means or k-modes: clusters of bit patterns, the neurons most often active"},
    {C_FIT, 0, "space", TEXT, AT(space), "NAME", "contribution", 0, 0,
     "what parvin clusters: contribution, pattern (bits), input (of the router) or mask (what masks keep)"},
    {C_FIT, 0, "router", TEXT, AT(router), "NAME", "linear", 0, 0,
     "linear (softmax regression), low-rank (two smaller matrices) or centroid (nearest mean input)"},
    {C_FIT, 0, "restarts", U32, AT(restarts), "N", "1", 1, 1000,
     "cluster so often from other seeds, keep the best"},
    {C_FIT, 0, "rounds", U32, AT(rounds), "N", "2", 0, 100,
     "refine the router so often for the energy its masks keep (parvin only)"},
    {C_FIT, 0, "iters", U32, AT(iters), "N", "20", 1, 10000, "clustering iterations at most"},
    {C_FIT, 0, "epochs", U32, AT(epochs), "N", "12", 1, 10000, "passes over the tokens to train the router"},
    {C_FIT | C_BENCH, 0, "learn-on", TEXT, AT(learn_on), "PLACE", "by the device's plan", 0, 0,
     "device or cpu: where clusters and router are learned"},
    {C_FIT, 0, "threads", U32, AT(threads), "N", "all cores", 1, 1024, "host threads"},
    {C_FIT, 0, "seed", U64, AT(seed), "N", "1", 0, 1.8e19,
     "seed of clustering, router and the model's own text"},
    {C_CAPTURE, 0, "seed", U64, AT(seed), "N", "1", 0, 1.8e19, "seed of the model's own text"},

    {C_RUN, 'p', "prompt", TEXT, AT(prompt), "TEXT", NULL, 0, 0, "what to continue ('-': standard input)"},
    {C_RUN, 'f', "file", TEXT, AT(prompt_file), "FILE", NULL, 0, 0,
     "read the prompt from a file ('-': standard input)"},
    {C_RUN, 'n', "n-predict", U32, AT(n_predict), "N", "128", 0, U32_MAX, "tokens to generate at most"},
    {C_RUN, 0, "temp", REAL, AT(temp), "T", "0.8", 0, 100, "temperature; 0: always the likeliest token"},
    {C_RUN, 0, "top-k", U32, AT(top_k), "K", "40", 0, U32_MAX, "choose among the K likeliest tokens; 0: off"},
    {C_RUN, 0, "top-p", REAL, AT(top_p), "P", "0.95", 0, 1,
     "choose among the likeliest tokens of total probability P; 0: off"},
    {C_RUN, 0, "min-p", REAL, AT(min_p), "P", "0.05", 0, 1,
     "drop tokens less likely than P times the likeliest; 0: off"},
    {C_RUN, 0, "repeat-penalty", REAL, AT(repeat_penalty), "R", "1", 0, 100,
     "divide the odds of recently used tokens by R; 1: off"},
    {C_RUN, 0, "repeat-last", U32, AT(repeat_last), "N", "64", 1, U32_MAX, "how many tokens count as recent"},
    {C_RUN, 0, "seed", U64, AT(seed), "N", "0", 0, 1.8e19, "seed of the sampler; 0: a new one each time"},
    {C_RUN, 0, "ignore-eos", FLAG, AT(ignore_eos), NULL, NULL, 0, 0, "go on after an end-of-text token"},
    {C_RUN, 0, "on-lost", TEXT, AT(on_lost), "WHAT", "stop", 0, 0,
     "when one of --devices is lost or out of memory: stop, or continue on the others"},
    {C_RUN, 0, "prefill-dense", FLAG, AT(prefill_dense), NULL, NULL, 0, 0,
     "compute every neuron for the prompt, use clusters from the first new token on"},

    {C_RUN | C_VIEW, 0, "view", TEXT, AT(view), "window|term", NULL, 0, 0,
     "show the heatmap of clusters in a window or in this terminal"},
    {C_BENCH, 0, "view", TEXT, AT(view), "window|term", NULL, 0, 0,
     "time decode with the heatmap shown and without instead, in turns"},
    {C_RUN | C_VIEW | C_BENCH, 0, "view-device", TEXT, AT(view_device), "NAME", "the first that can show", 0,
     0, "part of the name of the device that draws the window; it need not be the model's"},
    {C_RUN | C_EXPLAIN, 0, "trace", TEXT, AT(trace), "FILE", NULL, 0, 0,
     "write every token's clusters, router margins and times to a file"},
    {C_RUN, 0, "trace-format", TEXT, AT(trace_format), "FORMAT", "jsonl", 0, 0,
     "jsonl, or perfetto for ui.perfetto.dev"},
    {C_RUN, 0, "oracle", FLAG, AT(oracle), NULL, NULL, 0, 0,
     "also compute every layer in full and tell --trace and --view what the masks missed; slow"},
    {C_VIEW, 0, "follow", FLAG, AT(follow), NULL, NULL, 0, 0,
     "wait for more: the trace is still being written"},
    {C_HEATMAP, 'o', "out", TEXT, AT(out), "FILE", NULL, 0, 0, "the picture to write, .png or .svg; needed"},
    {C_HEATMAP, 0, "kind", TEXT, AT(kind), "KIND", "layers", 0, 0, "layers, waterfall, neurons or tokens"},
    {C_HEATMAP, 0, "layer", TEXT, AT(layer), "N", "the middle one", 0, 0,
     "layer of a neurons or tokens picture"},
    {C_HEATMAP, 0, "rows", U32, AT(rows), "N", "what reads well", 1, 4096,
     "tokens of a waterfall, clusters of a neurons or tokens picture"},
    {C_HEATMAP, 0, "back", U32, AT(back), "N", "0", 0, 1000000, "leave out the last N tokens of a waterfall"},
    {C_HEATMAP, 0, "width", U32, AT(width), "PIXELS", "1200", 600, 8192, "width at scale 1"},
    {C_HEATMAP, 0, "scale", REAL, AT(scale), "S", "2", 0.5, 4, "PNG pixels for each pixel of the width"},
    {DRAWN & ~(uint32_t)C_EXPLAIN, 0, "half-life", REAL, AT(half_life), "TOKENS",
     "32; pictures: the whole trace alike", 0.5, 1e6, "tokens after which a use counts half"},
    {DRAWN, 0, "palette", TEXT, AT(palette), "NAME", "night", 0, 0, "night, ember, cividis or grey"},
    {DRAWN, 0, "light", FLAG, AT(light), NULL, NULL, 0, 0, "dark on white instead of light on dark"},
    {C_EXPLAIN, 'o', "out", TEXT, AT(out), "FILE", "explain.html", 0, 0, "the page to write"},
    {C_HEATMAP | C_EXPLAIN, 0, "text", TEXT, AT(text), "FILE", "Parvin's own tales", 0, 0,
     "text for the model to read ('-': standard input)"},
    {C_HEATMAP | C_EXPLAIN, 0, "tokens", U64, AT(tokens), "N", "all", 1, 1e12, "tokens of the text at most"},

    {C_EVAL, 0, "text", TEXT, AT(text), "FILE", NULL, 0, 0,
     "text to measure on; needed ('-': standard input)"},
    {C_EVAL, 0, "windows", U32, AT(windows), "N", "all", 1, U32_MAX, "windows of the text to score at most"},
    {C_EVAL, 0, "logits", TEXT, AT(logits), "FILE", NULL, 0, 0,
     "write the first window's logits: raw float32 [n][n_vocab], dense, or routed with -c"},
    {C_EVAL, 0, "dump-tokens", FLAG, AT(dump_tokens), NULL, NULL, 0, 0,
     "print the token ids that were fed (token_ids in JSON)"},

    {C_EVAL, 0, "sweep", TEXT, AT(sweep), "K=A,B,...", NULL, 0, 0,
     "learn and measure every method of choosing neurons at these K; a sweep.csv of before: report on it "
     "again"},
    {C_EVAL, 0, "fit-text", TEXT, AT(fit_text), "FILE", NULL, 0, 0, "sweep: text to learn from"},
    {C_EVAL, 0, "density", TEXT, AT(densities), "A,B,...", "0.05,0.1,0.2", 0, 0,
     "sweep: shares of neurons to compute"},
    {C_EVAL, 0, "methods", TEXT, AT(methods), "A,B,...", "all", 0, 0, "sweep: only these methods"},
    {C_EVAL, 0, "clustering-only", FLAG, AT(clustering_only), NULL, NULL, 0, 0,
     "sweep: only how precise the clusterings are; no routers, no perplexities"},
    {C_EVAL, 0, "tokens", U64, AT(tokens), "N", "all", 1, 1e12, "sweep: tokens to learn from at most"},
    {C_EVAL, 0, "iters", U32, AT(iters), "N", "20", 1, 10000, "sweep: clustering iterations at most"},
    {C_EVAL, 0, "epochs", U32, AT(epochs), "N", "12", 1, 10000, "sweep: router epochs at most"},
    {C_EVAL, 0, "threads", U32, AT(threads), "N", "all cores", 1, 1024, "sweep: host threads"},
    {C_EVAL, 0, "seed", U64, AT(seed), "N", "1", 0, 1.8e19, "sweep: seed of clusterings and routers"},
    {C_EVAL, 'o', "out", TEXT, AT(out), "FOLDER", "report", 0, 0, "sweep: where table, report and charts go"},

    {C_DEVICES | C_RUN | C_EVAL | C_BENCH | C_VIEW | C_HEATMAP | C_EXPLAIN, 'c', "cluster-file", TEXT,
     AT(clusters_path), "FILE", "dense", 0, 0, "clusters made by 'parvin fit' for this model"},
    {C_RUN | C_EVAL | C_BENCH, 0, "best", U32, AT(best), "N", "1", 1, 2,
     "with -c: compute the neurons of the router's best 1 or 2 clusters; 2 loses less and computes more"},
    {C_DEVICES | C_FIT | C_CAPTURE | C_RUN | C_EVAL | C_HEATMAP | C_EXPLAIN, 0, "ctx", U32, AT(ctx), "N",
     "the model's, at most 4096", 1, CTX_MAX, "context length in tokens"},
    {C_INFO | C_FIT | C_CAPTURE | C_RUN | C_EVAL | C_BENCH | C_HEATMAP | C_EXPLAIN, 0, "ffn-act", TEXT,
     AT(ffn_act), "NAME", "as the model says", 0, 0,
     "activation of the feed-forward layers: relu, relu2, silu or gelu"},

    {C_BENCH, 0, "d-model", U32, AT(d_model), "N", "1024; 4096 with --learn", 32, 65536,
     "width of the synthetic feed-forward layer"},
    {C_BENCH, 0, "d-ffn", U32, AT(d_ffn), "N", "8192; 14336 with --learn", 32, 65536,
     "neurons of the synthetic feed-forward layer"},
    {C_BENCH, 'k', "clusters", U32, AT(clusters), "K", "256", 1, 65536,
     "clusters of the synthetic layer's router"},
    {C_BENCH, 0, "density", SHARE, AT(density), "SHARE", "0.2", 0.001, 1,
     "share of its neurons that a mask holds"},
    {C_BENCH, 0, "learn", FLAG, AT(learn), NULL, NULL, 0, 0,
     "time learning instead: clusters, router and masks of a synthetic layer, and how they grow"},
    {C_BENCH, 0, "tokens", U64, AT(tokens), "N", "65536", 8, 4294967295.0, "--learn: tokens to learn from"},
    {C_BENCH, 0, "iters", U32, AT(iters), "N", "20", 1, 10000, "--learn: clustering iterations at most"},
    {C_BENCH, 0, "epochs", U32, AT(epochs), "N", "12", 1, 10000, "--learn: router epochs at most"},
    {C_BENCH, 0, "threads", U32, AT(threads), "N", "all cores", 1, 1024, "--learn: host threads"},
    {C_BENCH, 0, "type", TEXT, AT(type), "TYPE", "f16", 0, 0, "weight type: f32, f16, bf16, q8_0 or q4_0"},
    {C_BENCH, 0, "reps", U32, AT(reps), "N", "9", 1, 10000, "runs that a median is taken of"},
    {C_BENCH | C_CONFORM, 0, "filter", TEXT, AT(filter), "TEXT", "all", 0, 0,
     "only rows whose name contains TEXT"},
    {C_CONFORM, 0, "quick", FLAG, AT(quick), NULL, NULL, 0, 0,
     "small cases only, and two weight types in forced variants"},
    {C_CONFORM, 0, "seed", U64, AT(seed), "N", "1", 0, 1.8e19, "seed of the random inputs"},
    {C_CONFORM, 0, "variant", TEXT, AT(variant), "NAME", "all", 0, 0,
     "only this variant of the plan; --list-variants names them"},
    {C_CONFORM, 0, "list-variants", FLAG, AT(list_variants), NULL, NULL, 0, 0,
     "say which variants each device can be forced into, and check nothing"},
    {C_CONFORM, 0, "compile-only", FLAG, AT(compile_only), NULL, NULL, 0, 0,
     "build every pipeline of every variant and run nothing, on drivers without a device too; show what the "
     "compiler says of them"},
    {C_CONFORM, 0, "against", TEXT, AT(against), "PATH", NULL, 0, 0,
     "with --compile-only: report what rose since the JSON reports saved there (a file or a folder)"},
    {C_CONFORM, 0, "minutes", REAL, AT(minutes), "N", "one round", 0.001, 1e6,
     "go on with new seeds until the time is up"},
    {C_CONFORM, 0, "junit", TEXT, AT(junit), "FILE", NULL, 0, 0, "write a report as JUnit XML"},
    {C_CONFORM, 0, "markdown", TEXT, AT(markdown), "FILE", NULL, 0, 0, "write a report as Markdown"},
    {C_CONFORM, 0, "table", TEXT, AT(table), "FOLDER", NULL, 0, 0,
     "check nothing; print a table of the JSON reports saved there"},

    {DEVICE & ~(uint32_t)C_CONFORM, 'd', "device", TEXT, AT(device), "DEVICE", "the best one", 0, 0,
     "number, UUID, or part of the name or driver, as 'parvin devices' lists them"},
    {C_CONFORM, 'd', "device", TEXT, AT(device), "DEVICE", "every usable one", 0, 0,
     "number, UUID, or part of the name or driver, as 'parvin devices' lists them"},
    {C_DEVICES, 0, "fit", TEXT, AT(fit), "MODEL", NULL, 0, 0,
     "say what the model takes and what fits where, and load nothing"},
    {C_DEVICES, 0, "caps", TEXT, AT(caps), "FILE", NULL, 0, 0,
     "print the plan for a saved device (the caps of 'parvin devices --json'), here or not"},
    {SPLIT | C_DEVICES, 0, "devices", TEXT, AT(devices), "A,B,...", NULL, 0, 0,
     "split the layers over several devices"},
    {SPLIT | C_DEVICES, 0, "split", TEXT, AT(split), "X,Y,...", "by measured speed and free memory", 0, 0,
     "shares of the layers for --devices, such as 3,1; numbers that add up to the layers are counts"},
    {DEVICE | C_DEVICES, 0, "plan", TEXT, AT(plan), "KEY=VALUE,...", "chosen by Parvin", 0, 0,
     "force tuning decisions, under the names that 'parvin devices' shows"},
    {DEVICE | C_DEVICES, 0, "no-cache", FLAG, AT(no_cache), NULL, NULL, 0, 0,
     "do not keep compiled pipelines on disk"},
    {DEVICE | C_DEVICES, 0, "validation", FLAG, AT(validation), NULL, NULL, 0, 0,
     "run under the Vulkan validation layers; fail if they say anything"},

    {C_ALL & ~(uint32_t)(C_DEMO | C_VIEW | C_HEATMAP | C_EXPLAIN), 0, "json", FLAG, AT(json), NULL, NULL, 0,
     0, "print the result as one JSON object"},
    {C_ALL, 'v', "verbose", COUNT, AT(verbose), NULL, NULL, 0, 0, "say more on stderr; twice: everything"},
    {C_ALL, 'q', "quiet", FLAG, AT(quiet), NULL, NULL, 0, 0, "errors only on stderr"},
    {C_ALL, 'h', "help", FLAG, AT(help), NULL, NULL, 0, 0, "this text"},
};
enum { N_ROWS = sizeof rows / sizeof rows[0] };

static bool parse_number(const struct option_row *row, const char *text, void *field)
{
    char *end = NULL;
    errno = 0;
    if (row->type == REAL || row->type == SHARE) {
        double value = strtod(text, &end);
        if (row->type == SHARE && end != text && *end == '%') {
            value /= 100;
            end++;
        }
        if (end == text || *end || errno == ERANGE || !isfinite(value) || value < row->min ||
            value > row->max)
            return false;
        *(double *)field = value;
        return true;
    }
    if (row->type == AUTO && !strcmp(text, "auto")) {
        *(uint32_t *)field = UINT32_MAX;
        return true;
    }
    if (text[0] < '0' || text[0] > '9')
        return false; /* strtoull would take spaces and signs */
    unsigned long long value = strtoull(text, &end, 10);
    if (*end || errno == ERANGE || (double)value < row->min || (double)value > row->max)
        return false;
    if (row->type == U32 || row->type == AUTO)
        *(uint32_t *)field = (uint32_t)value;
    else
        *(uint64_t *)field = value;
    return true;
}

static bool is_number(const struct option_row *row)
{
    return row->type == U32 || row->type == U64 || row->type == REAL || row->type == SHARE ||
           row->type == AUTO;
}

static void set_defaults(const struct command *command, struct options *out)
{
    memset(out, 0, sizeof *out);
    for (uint32_t i = 0; i < N_ROWS; i++)
        if ((rows[i].commands & command->bit) && is_number(&rows[i]) && rows[i].standard)
            (void)parse_number(&rows[i], rows[i].standard, (char *)out + rows[i].offset);
}

static const struct option_row *find_long(const struct command *command, const char *name, size_t length)
{
    for (uint32_t i = 0; i < N_ROWS; i++)
        if ((rows[i].commands & command->bit) && strlen(rows[i].name) == length &&
            !memcmp(rows[i].name, name, length))
            return &rows[i];
    return NULL;
}

static const struct option_row *find_letter(const struct command *command, char letter)
{
    for (uint32_t i = 0; i < N_ROWS; i++)
        if ((rows[i].commands & command->bit) && rows[i].letter == letter)
            return &rows[i];
    return NULL;
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

static bool fail_unknown(const struct command *command, const char *word, size_t length)
{
    char name[48] = "";
    const char *names[N_ROWS];
    uint32_t n = 0;
    snprintf(name, sizeof name, "%.*s", length < 40 ? (int)length : 40, word);
    for (uint32_t i = 0; i < N_ROWS; i++)
        if (rows[i].commands & command->bit)
            names[n++] = rows[i].name;
    const char *dashes = name[0] == '-' ? "" : "--", *bare = name + strspn(name, "-");
    const char *near = strlen(bare) > 1 ? options_nearest(bare, names, n) : NULL;
    if (near)
        fprintf(stderr, "parvin %s: no option '%s%s'; did you mean '--%s'?", command->name, dashes, name,
                near);
    else
        fprintf(stderr, "parvin %s: no option '%s%s'.", command->name, dashes, name);
    fprintf(stderr, " 'parvin %s --help' lists them.\n", command->name);
    return false;
}

static bool fail_value(const struct command *command, const struct option_row *row, const char *text)
{
    fprintf(stderr, "parvin %s: --%s takes %s from %.15g to %.15g, not '%s'", command->name, row->name,
            row->type == REAL    ? "a number"
            : row->type == SHARE ? "a share, 0.2 or 20%,"
            : row->type == AUTO  ? "auto or a whole number"
                                 : "a whole number",
            row->min, row->max, text);
    if (row->standard)
        fprintf(stderr, " (default: %s)", row->standard);
    fputs(".\n", stderr);
    return false;
}

static bool set_value(const struct command *command, const struct option_row *row, const char *text,
                      struct options *out)
{
    void *field = (char *)out + row->offset;
    if (row->type == TEXT)
        *(const char **)field = text;
    else if (!parse_number(row, text, field))
        return fail_value(command, row, text);
    return true;
}

static void set_flag(const struct option_row *row, struct options *out)
{
    void *field = (char *)out + row->offset;
    if (row->type == COUNT)
        ++*(uint32_t *)field;
    else
        *(bool *)field = true;
}

/* A value that is itself the name of an option means that the value was forgotten (a prompt may say
 * anything). */
static bool value_forgotten(const struct command *command, const struct option_row *row, const char *value)
{
    if (!value)
        return true;
    return row->type == TEXT && row->offset != AT(prompt) && !strncmp(value, "--", 2) &&
           find_long(command, value + 2, strlen(value + 2));
}

static bool fail_no_value(const struct command *command, const struct option_row *row)
{
    fprintf(stderr, "parvin %s: --%s needs a value: --%s %s.\n", command->name, row->name, row->name,
            row->value);
    return false;
}

/* "--name", "--name=value" or "--name value"; moves *i past a separate value. */
static bool parse_long(const struct command *command, int argc, char **argv, int *i, struct options *out)
{
    const char *name = argv[*i] + 2, *equals = strchr(name, '=');
    const size_t length = equals ? (size_t)(equals - name) : strlen(name);
    const struct option_row *row = find_long(command, name, length);
    if (!row)
        return fail_unknown(command, name, length);
    if (!row->value) {
        if (equals) {
            fprintf(stderr, "parvin %s: --%s takes no value.\n", command->name, row->name);
            return false;
        }
        set_flag(row, out);
        return true;
    }
    if (equals)
        return set_value(command, row, equals + 1, out);
    const char *value = *i + 1 < argc ? argv[*i + 1] : NULL;
    if (value_forgotten(command, row, value))
        return fail_no_value(command, row);
    ++*i;
    return set_value(command, row, value, out);
}

/* "-v", "-vq", "-n 5" or "-n5". */
static bool parse_letters(const struct command *command, int argc, char **argv, int *i, struct options *out)
{
    for (const char *at = argv[*i] + 1; *at; at++) {
        const struct option_row *row = find_letter(command, *at);
        if (!row)
            return fail_unknown(command, argv[*i], strlen(argv[*i]));
        if (!row->value) {
            set_flag(row, out);
            continue;
        }
        if (at[1])
            return set_value(command, row, at + 1, out);
        const char *value = *i + 1 < argc ? argv[*i + 1] : NULL;
        if (value_forgotten(command, row, value))
            return fail_no_value(command, row);
        ++*i;
        return set_value(command, row, value, out);
    }
    return true;
}

bool options_parse(const struct command *command, int argc, char **argv, struct options *out)
{
    bool only_arguments = false, several = command->argument && strstr(command->argument, "...");
    const uint32_t most = several ? OPTIONS_MOST_ARGUMENTS : 1;
    set_defaults(command, out);
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];
        if (!only_arguments && !strcmp(word, "--")) {
            only_arguments = true;
        } else if (!only_arguments && word[0] == '-' && word[1] == '-') {
            if (!parse_long(command, argc, argv, &i, out))
                return false;
        } else if (!only_arguments && word[0] == '-' && word[1]) {
            if (!parse_letters(command, argc, argv, &i, out))
                return false;
        } else if (!command->argument || out->n_arguments == most) {
            fprintf(stderr, "parvin %s: unexpected argument '%s'. 'parvin %s --help' says what it takes.\n",
                    command->name, word, command->name);
            return false;
        } else {
            out->arguments[out->n_arguments++] = word;
            out->argument = out->arguments[0];
        }
    }
    if (command->argument && command->argument[0] != '[' && !out->argument && !out->help) {
        fprintf(stderr, "parvin %s: %s is missing: parvin %s %s [OPTION]...\n", command->name,
                command->argument, command->name, command->argument);
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

static void print_row(FILE *to, const struct option_row *row)
{
    char left[64], standard[64];
    const char letter[] = {'-', row->letter, ',', ' ', 0};
    snprintf(left, sizeof left, "%s--%s%s%s", row->letter ? letter : "    ", row->name, row->value ? " " : "",
             row->value ? row->value : "");
    const int column = print_wrapped(to, row->help, fprintf(to, "  %-28s", left));
    if (row->standard) {
        snprintf(standard, sizeof standard, "(default: %s)", row->standard);
        print_wrapped(to, standard, column);
    }
    fputc('\n', to);
}

void options_help(const struct command *command, FILE *to)
{
    fprintf(to, "parvin %s%s%s [OPTION]...\n%s.\n", command->name, command->argument ? " " : "",
            command->argument ? command->argument : "", command->summary);
    if (command->about)
        fprintf(to, "\n%s\n", command->about);
    fputs("\nOptions:\n", to);
    for (uint32_t i = 0; i < N_ROWS; i++)
        if (rows[i].commands & command->bit)
            print_row(to, &rows[i]);
    fprintf(to, "\nExamples:\n%s", command->examples);
}
