/* A program from its table of commands: finds the one that is asked for, reads its options, runs it. */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/app.h"
#include "cli/documents.h"
#include "cli/output.h"
#include "cli/outputs.h"
#include "parvin/model.h"

static void print_help(const struct program *program, FILE *to)
{
    fprintf(to, "%s COMMAND [OPTION]...\n%s\n\nCommands:\n", program->name, program->summary);
    for (uint32_t i = 0; i < program->n_commands; i++) {
        const struct command *command = program->commands[i];
        fprintf(to, "  %-11s %-13s %s\n", command->name, command->argument ? command->argument : "",
                command->summary);
    }
    fprintf(
        to,
        "\n'%s COMMAND --help' lists a command's options with examples; '%s --version' says the version.\n"
        "Exit: 0 good, 1 a failure with its reason on stderr, 2 wrong usage, 130 stopped by Ctrl-C.\n",
        program->name, program->name);
}

/* Commands of other programs, and words that were commands once. */
static const struct {
    const char *word, *instead;
} foreign_commands[] = {
    {"pull", "Parvin reads GGUF files that are there already: parvin run MODEL.gguf"},
    {"list", "Parvin keeps no store of models: parvin run MODEL.gguf"},
    {"download", "Parvin reads GGUF files that are there already: parvin run MODEL.gguf"},
    {"generate", "to generate text: parvin run MODEL.gguf -p TEXT"},
    {"perplexity", "to measure perplexity: parvin eval MODEL.gguf --text FILE"},
    {"show", "to see what is in a file: parvin info FILE.gguf"},
    {"test", "to check a device: parvin conform"},
    {"sweep", "measuring methods against each other is parvin-lab's: parvin-lab sweep MODEL.gguf"},
};

static const struct command *find_command(const struct program *program, const char *name)
{
    enum { MOST_COMMANDS = 32 };
    const char *names[MOST_COMMANDS];
    uint32_t n = 0;
    for (uint32_t i = 0; i < program->n_commands && n < MOST_COMMANDS; i++) {
        names[n++] = program->commands[i]->name;
        if (!strcmp(program->commands[i]->name, name))
            return program->commands[i];
    }
    fprintf(stderr, "%s: no command '%s'", program->name, name);
    for (size_t i = 0; i < sizeof foreign_commands / sizeof foreign_commands[0]; i++)
        if (!strcmp(foreign_commands[i].word, name)) {
            fprintf(stderr, "; %s\n", foreign_commands[i].instead);
            return NULL;
        }
    const char *near = options_nearest(name, names, n);
    if (near)
        fprintf(stderr, "; did you mean '%s'?", near);
    fprintf(stderr, " '%s --help' lists them.\n", program->name);
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
    const bool told = write(STDERR_FILENO, before, sizeof before - 1) > 0 &&
                      write(STDERR_FILENO, path, strlen(path)) > 0 &&
                      write(STDERR_FILENO, after, sizeof after - 1) > 0;
    (void)told; /* there is no other place to say it */
    _exit(EXIT_FAILED);
}

static void catch_lost_file(void)
{
    struct sigaction action = {.sa_sigaction = lost_file, .sa_flags = SA_SIGINFO};
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
}

/* A standard stream that is closed would be given to the next file that is opened, and messages or text would land
 * in it. */
static bool open_standard_streams(void)
{
    for (;;) {
        const int fd = open("/dev/null", O_RDWR);
        if (fd > STDERR_FILENO) {
            close(fd);
            return true;
        }
        if (fd < 0)
            return false;
    }
}

static int run_command(const struct program *program, const struct command *command, int argc, char **argv)
{
    struct app app = {.argv0 = argv[0], .command = command};
    void *options = calloc(1, command->options_bytes);
    int code = EXIT_USAGE;
    if (!options) {
        fprintf(stderr, "%s: error: no memory\n", program->name);
        return EXIT_FAILED;
    }
    app.options = options;
    app.common = options;
    if (options_parse(program, command, argc - 2, argv + 2, options)) {
        if (app.common->help) {
            options_help(program, command, stdout);
            code = EXIT_GOOD;
        } else {
            console_init(&app.console);
            app.console.command = command;
            console_set_level(&app.console, app.common->verbose, app.common->quiet);
            code = app_fail(&app, outputs_check(&app));
            if (code == EXIT_GOOD)
                code = command->run(&app);
        }
    }
    free(options);
    return code;
}

int program_main(const struct program *program, int argc, char **argv)
{
    if (!open_standard_streams())
        return EXIT_FAILED;
    signal(SIGXFSZ, SIG_IGN); /* a file-size limit is an error like a full disk, not a crash */
    catch_lost_file();
    json_watch_memory();
    if (argc < 2) {
        print_help(program, stderr);
        return EXIT_USAGE;
    }
    const bool help = !strcmp(argv[1], "help");
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || (help && argc == 2)) {
        print_help(program, stdout);
        return flush_output(EXIT_GOOD);
    }
    if (!strcmp(argv[1], "--version")) {
        printf("%s %s\n", program->name, PV_VERSION);
        return flush_output(EXIT_GOOD);
    }
    if (!strcmp(argv[1], "--generate"))
        return flush_output(generate_documents(program, argc > 2 ? argv[2] : ""));
    const struct command *command = find_command(program, help ? argv[2] : argv[1]);
    if (!command)
        return EXIT_USAGE;
    if (help) {
        options_help(program, command, stdout);
        return flush_output(EXIT_GOOD);
    }
    return flush_output(run_command(program, command, argc, argv));
}
