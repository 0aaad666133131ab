/* The parvin command: a table of subcommands. */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app.h"
#include "parvin/model.h"

struct entry {
    struct command command;
    int (*run)(struct app *app);
};

static const struct entry entries[] = {
    {{"devices", C_DEVICES, NULL, "List every Vulkan device, what it can do, and the plan chosen for it",
      NULL,
      "  parvin devices\n  parvin devices --json | jq '.devices[].plan'\n"
      "  parvin devices --fit model.gguf --ctx 4096\n  parvin devices --fit model.gguf --devices 0,1 "
      "--json\n"},
     cmd_devices},
    {{"info", C_INFO, "FILE.gguf", "Say what is in a model, a cluster file or a capture file",
      "-v lists every key and tensor of a model, every layer of a cluster file.",
      "  parvin info models/fables-5m-f16.gguf\n  parvin info -v my.clusters.gguf\n"},
     cmd_info},
    {{"fit", C_FIT, "MODEL.gguf", "Learn clusters and their router from a text",
      "Runs the model over the text, groups its activation patterns into clusters, chooses the neurons each "
      "cluster\n"
      "computes, and trains the router that names a token's cluster. Interrupted by Ctrl-C it leaves "
      "OUT.resume; the\n"
      "same command goes on from there.",
      "  parvin fit model.gguf --text book.txt -o model.clusters.gguf\n"
      "  parvin fit model.gguf --text book.txt -k 1024 --density 0.1\n"
      "  parvin fit model.gguf --text book.txt -k auto --max-ppl-rise 1%\n"
      "  xzcat book.txt.xz | parvin fit model.gguf --text - --tokens 100000\n"},
     cmd_fit},
    {{"capture", C_CAPTURE, "MODEL.gguf", "Capture what a model does with a text, for 'fit --capture'",
      "The first stage of fit on its own: once captured, clusters can be learned again and again without the "
      "model's\n"
      "run. Memory is a window's, whatever the text's length. --shard shares the work between machines. "
      "Interrupted it\n"
      "leaves FILE.resume; the same command goes on from there.",
      "  parvin capture model.gguf --text book.txt --tokens 100000 -o book.capture\n"
      "  parvin capture model.gguf --text book.txt --shard 2/4 -o part2.capture\n"
      "  parvin fit model.gguf --capture book.capture -k 1024\n"},
     cmd_capture},
    {{"merge", C_MERGE, "PART...", "Put the parts of a capture together", "All parts, in any order.",
      "  parvin merge part*.capture -o book.capture\n"},
     cmd_merge},
    {{"run", C_RUN, "MODEL.gguf", "Continue a prompt, streaming the text",
      "Text goes to stdout, speed and density to stderr. -c computes only the neurons that the router asks "
      "for.",
      "  parvin run model.gguf -p 'Once upon a time'\n"
      "  parvin run model.gguf -c model.clusters.gguf -p 'Once upon a time' -n 64 --temp 0\n"
      "  parvin run model.gguf -f prompt.txt --devices 0,1 --json\n"
      "  parvin run model.gguf -p 'Once upon a time' --devices 0,1 --on-lost continue\n"},
     cmd_run},
    {{"eval", C_EVAL, "MODEL.gguf", "Measure perplexity: dense, and with -c also static, oracle and routed",
      "The text, without BOS, is cut into windows of --ctx tokens; each is scored on its own. With -c one "
      "table holds\n"
      "the dense model, one static hot set for all tokens, each token's own top neurons (oracle mask), the "
      "mask of its\n"
      "true cluster (oracle cluster), and the mask the router picks.",
      "  parvin eval model.gguf --text test.txt --ctx 256 --windows 64\n"
      "  parvin eval model.gguf -c model.clusters.gguf --text test.txt --json\n"},
     cmd_eval},
    {{"bench", C_BENCH, "[MODEL.gguf]",
      "Time kernels, dense against masked, and whole decode steps of a model",
      "The first row is the device's own copy; other rows are shares of it. With a model (and -c) decode is "
      "timed too.\n"
      "--learn times what fit does to one layer of real size, checks it against planted clusters, and says "
      "how each\n"
      "stage grows with tokens, K and F. --view times decode with the heatmap shown and without.",
      "  parvin bench\n  parvin bench --d-model 2560 --d-ffn 18432 --density 0.1 --filter ffn\n"
      "  parvin bench model.gguf -c model.clusters.gguf\n"
      "  parvin bench model.gguf -c model.clusters.gguf --view window\n"
      "  parvin bench --learn --tokens 8192 --d-model 512 --d-ffn 2048 -k 64\n"},
     cmd_bench},
    {{"conform", C_CONFORM, NULL, "Check every kernel on every device against the CPU reference",
      "Runs each case in every variant of the plan that the device can be forced into. Prints what failed, "
      "with "
      "the\n"
      "command that repeats it, and a line per kernel; -v prints every case (and puts it into --json). Exit "
      "1 if "
      "anything\n"
      "failed.",
      "  parvin conform\n  parvin conform --quick --junit report.xml\n"
      "  parvin conform --device llvmpipe --filter ffn --variant texel-odd -v\n"
      "  parvin conform --minutes 60 --json > report.json\n"
      "  parvin conform --compile-only --against docs/devices\n"},
     cmd_conform},
    {{"view", C_VIEW, "TRACE", "Show which clusters fire: replay a trace, in a window or in the terminal",
      "Key h explains what is shown and the keys. -c shows the neurons behind the clusters (window).",
      "  parvin run model.gguf -c model.clusters.gguf -p 'Once' --trace run.jsonl\n  parvin view run.jsonl\n"
      "  parvin view run.jsonl --view term\n  parvin view run.jsonl --follow\n"},
     cmd_view},
    {{"heatmap", C_HEATMAP, "TRACE|MODEL", "Draw a picture of the clusters that fire: PNG or SVG",
      "From a trace, or from a model (.gguf, with -c) that reads a text.\n"
      "layers: how often each cluster of each layer was picked. waterfall: token by token. neurons: what "
      "the\n"
      "clusters of a layer are made of (a trace needs -c for it). tokens: which tokens pick which cluster.",
      "  parvin heatmap run.jsonl -o heat.png\n  parvin heatmap run.jsonl -o water.svg --kind waterfall "
      "--light\n"
      "  parvin heatmap model.gguf -c model.clusters.gguf -o neurons.png --kind neurons --layer 3\n"},
     cmd_heatmap},
    {{"explain", C_EXPLAIN, "MODEL.gguf", "Write a web page on what each cluster is for",
      "Reads a text and tells, for every cluster: size, use, neighbours, the tokens and contexts that pick "
      "it. The\n"
      "page stands alone.",
      "  parvin explain model.gguf -c model.clusters.gguf --text book.txt -o explain.html\n"},
     cmd_explain},
    {{"demo", C_DEMO, NULL,
      "Fit, evaluate, generate and time the model that comes with Parvin, in about a minute", NULL,
      "  parvin demo\n"},
     cmd_demo},
};
enum { N_ENTRIES = sizeof entries / sizeof entries[0] };

static void print_help(FILE *to)
{
    fputs("parvin COMMAND [OPTION]...\n"
          "Run GGUF language models on any Vulkan device, computing only the neurons a token "
          "needs.\n\nCommands:\n",
          to);
    for (uint32_t i = 0; i < N_ENTRIES; i++)
        fprintf(to, "  %-9s %-13s %s\n", entries[i].command.name,
                entries[i].command.argument ? entries[i].command.argument : "", entries[i].command.summary);
    fputs("\n'parvin COMMAND --help' lists a command's options with examples; 'parvin --version' says the "
          "version.\n"
          "Exit: 0 good, 1 a failure with its reason on stderr, 2 wrong usage, 130 stopped by Ctrl-C.\n",
          to);
}

static const struct entry *find_entry(const char *name)
{
    const char *names[N_ENTRIES];
    for (uint32_t i = 0; i < N_ENTRIES; i++) {
        names[i] = entries[i].command.name;
        if (!strcmp(names[i], name))
            return &entries[i];
    }
    const char *near = options_nearest(name, names, N_ENTRIES);
    fprintf(stderr, "parvin: no command '%s'", name);
    if (near)
        fprintf(stderr, "; did you mean '%s'?", near);
    fputs(" 'parvin --help' lists them.\n", stderr);
    return NULL;
}

int app_fail(struct app *app, enum pv_status status)
{
    console_end_bar(&app->console);
    if (status == PV_OK)
        return EXIT_GOOD;
    if (status == PV_ERR_INTERRUPTED)
        return EXIT_INTERRUPTED;
    if (!app->console.n_errors)
        console_error(&app->console, "%s", pv_status_name(status));
    return status == PV_ERR_ARG ? EXIT_USAGE : EXIT_FAILED;
}

/* Results that did not reach their destination (a full disk) are a failure; a reader that has left is not
 * news. */
static int flush_output(int code)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    if (errno != EPIPE)
        fprintf(stderr, "parvin: error: cannot write the output: %s\n",
                errno ? strerror(errno) : "write failed");
    return code ? code : EXIT_FAILED;
}

/* A file that was mapped and has become shorter: reading it raises SIGBUS. Only calls that are safe in a signal
 * handler. */
static void lost_file(int number, siginfo_t *info, void *context)
{
    static const char before[] = "parvin: error: ";
    static const char after[] =
        ": the file became shorter or unreadable while it was in use: restore it, start again\n";
    const char *path = pv_mapped_file(info->si_addr);
    (void)context;
    if (!path) { /* not ours: die as without a handler */
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    bool written = write(STDERR_FILENO, before, sizeof before - 1) > 0;
    written = written && write(STDERR_FILENO, path, strlen(path)) > 0;
    written = written && write(STDERR_FILENO, after, sizeof after - 1) > 0;
    _exit(EXIT_FAILED);
}

static void catch_lost_file(void)
{
    struct sigaction action = {.sa_sigaction = lost_file, .sa_flags = SA_SIGINFO};
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
}

int main(int argc, char **argv)
{
    struct app app = {.program = argc > 0 ? argv[0] : "parvin"};
    if (argc < 2) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || (!strcmp(argv[1], "help") && argc == 2)) {
        print_help(stdout);
        return flush_output(EXIT_GOOD);
    }
    if (!strcmp(argv[1], "--version")) {
        puts("parvin " PV_VERSION);
        return flush_output(EXIT_GOOD);
    }
    const bool help = !strcmp(argv[1], "help");
    const struct entry *entry = find_entry(help ? argv[2] : argv[1]);
    if (!entry || (!help && !options_parse(&entry->command, argc - 2, argv + 2, &app.options)))
        return EXIT_USAGE;
    if (help || app.options.help) {
        options_help(&entry->command, stdout);
        return flush_output(EXIT_GOOD);
    }
    signal(SIGXFSZ, SIG_IGN); /* a file-size limit is an error like a full disk, not a crash */
    catch_lost_file();
    console_init(&app.console);
    console_set_level(&app.console, app.options.verbose, app.options.quiet);
    return flush_output(entry->run(&app));
}
