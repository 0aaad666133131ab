/* Text of the tables, escaped as each format wants it. */
#include "cli/documents.h"

#include <string.h>

#include "cli/app.h"

/* ---- man ---- */

/* roff: a backslash and a leading dot or quote are special, a hyphen would be typeset as a dash. */
static void put_roff(const char *text)
{
    bool line_start = true;
    for (; *text; text++) {
        if (line_start && (*text == '.' || *text == '\''))
            fputs("\\&", stdout);
        if (*text == '\\')
            fputs("\\\\", stdout);
        else if (*text == '-')
            fputs("\\-", stdout);
        else
            putchar(*text);
        line_start = *text == '\n';
    }
}

static void man_option(const struct option *option)
{
    fputs(".TP\n.B ", stdout);
    if (option->letter)
        printf("\\-%c, ", option->letter);
    fputs("\\-\\-", stdout);
    put_roff(option->name);
    if (option->value) {
        fputs(" \\fI", stdout);
        put_roff(option->value);
        fputs("\\fR", stdout);
    }
    putchar('\n');
    put_roff(option->help);
    if (option->standard) {
        fputs(" (default: ", stdout);
        put_roff(option->standard);
        putchar(')');
    }
    putchar('\n');
}

static void man_command(const struct program *program, const struct command *command)
{
    uint32_t group = 0, row = 0;
    printf(".SS %s %s %s\n", program->name, command->name, command->argument ? command->argument : "");
    put_roff(command->summary);
    fputs(".\n", stdout);
    if (command->about) {
        fputs(".PP\n", stdout);
        put_roff(command->about);
        putchar('\n');
    }
    for (const struct option *o = options_next(command, &group, &row); o;
         o = options_next(command, &group, &row))
        man_option(o);
    fputs(".PP\nExamples:\n.PP\n.nf\n", stdout);
    put_roff(command->examples);
    fputs(".fi\n", stdout);
}

static void man(const struct program *program)
{
    printf(".TH %s 1 \"\" \"%s %s\" \"User Commands\"\n.SH NAME\n%s \\- ", program->name, program->name,
           PV_VERSION, program->name);
    put_roff(program->summary);
    printf("\n.SH SYNOPSIS\n.B %s\n\\fICOMMAND\\fR [\\fIOPTION\\fR]...\n.SH COMMANDS\n", program->name);
    for (uint32_t i = 0; i < program->n_commands; i++)
        man_command(program, program->commands[i]);
    fputs(
        ".SH EXIT STATUS\n0 good, 1 a failure with its reason on standard error, 2 wrong usage, 130 stopped by "
        "Ctrl\\-C.\n",
        stdout);
}

/* ---- bash ---- */

static void bash(const struct program *program)
{
    printf("# bash completion of %s\n_%s()\n{\n\tlocal word=${COMP_WORDS[COMP_CWORD]} options=\n"
           "\tif [ \"$COMP_CWORD\" -eq 1 ]; then\n\t\tCOMPREPLY=($(compgen -W '",
           program->name, "parvin_complete");
    for (uint32_t i = 0; i < program->n_commands; i++)
        printf("%s%s", i ? " " : "", program->commands[i]->name);
    fputs("' -- \"$word\"))\n\t\treturn\n\tfi\n\tcase ${COMP_WORDS[1]} in\n", stdout);
    for (uint32_t i = 0; i < program->n_commands; i++) {
        const struct command *command = program->commands[i];
        uint32_t group = 0, row = 0;
        printf("\t%s) options='", command->name);
        for (const struct option *o = options_next(command, &group, &row); o;
             o = options_next(command, &group, &row)) {
            if (o->letter)
                printf("-%c ", o->letter);
            printf("--%s ", o->name);
        }
        fputs("' ;;\n", stdout);
    }
    printf("\tesac\n\tcase $word in\n\t-*) COMPREPLY=($(compgen -W \"$options\" -- \"$word\")) ;;\n"
           "\t*) COMPREPLY=($(compgen -f -- \"$word\")) ;;\n\tesac\n}\ncomplete -o filenames -F _%s %s\n",
           "parvin_complete", program->name);
}

/* ---- zsh ---- */

/* Within single quotes of a zsh option spec: quotes, brackets and colons are special. */
static void put_zsh(const char *text)
{
    for (; *text; text++) {
        if (*text == '\'')
            fputs("'\\''", stdout);
        else if (strchr("[]:\\", *text))
            printf("\\%c", *text);
        else
            putchar(*text);
    }
}

static void zsh_spec(const struct option *option, const char *name)
{
    printf("\t\t\t'%s[", name);
    put_zsh(option->help);
    putchar(']');
    if (option->value) {
        fputs(": :", stdout);
        put_zsh(option->value);
        if (!strcmp(option->value, "FILE") || !strcmp(option->value, "MODEL") ||
            !strcmp(option->value, "FOLDER"))
            fputs(":_files", stdout);
    }
    fputs("' \\\n", stdout);
}

static void zsh(const struct program *program)
{
    printf("#compdef %s\n_%s() {\n\tlocal -a commands\n\tcommands=(\n", program->name, "parvin_complete");
    for (uint32_t i = 0; i < program->n_commands; i++) {
        printf("\t\t'%s:", program->commands[i]->name);
        put_zsh(program->commands[i]->summary);
        fputs("'\n", stdout);
    }
    fputs(
        "\t)\n\tif (( CURRENT == 2 )); then\n\t\t_describe command commands\n\t\treturn\n\tfi\n\tcase $words[2] in\n",
        stdout);
    for (uint32_t i = 0; i < program->n_commands; i++) {
        const struct command *command = program->commands[i];
        uint32_t group = 0, row = 0;
        printf("\t\t%s) _arguments \\\n", command->name);
        for (const struct option *o = options_next(command, &group, &row); o;
             o = options_next(command, &group, &row)) {
            char name[64] = {'-', o->letter, 0};
            if (o->letter)
                zsh_spec(o, name);
            snprintf(name, sizeof name, "--%s", o->name);
            zsh_spec(o, name);
        }
        fputs("\t\t\t'*:file:_files' ;;\n", stdout);
    }
    printf("\tesac\n}\n_%s \"$@\"\n", "parvin_complete");
}

/* ---- fish ---- */

/* Within single quotes of fish: only the quote and the backslash are special. */
static void put_fish(const char *text)
{
    putchar('\'');
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            putchar('\\');
        putchar(*text);
    }
    putchar('\'');
}

static void fish(const struct program *program)
{
    printf("# fish completion of %s\n", program->name);
    for (uint32_t i = 0; i < program->n_commands; i++) {
        const struct command *command = program->commands[i];
        uint32_t group = 0, row = 0;
        printf("complete -c %s -n __fish_use_subcommand -a %s -d ", program->name, command->name);
        put_fish(command->summary);
        putchar('\n');
        for (const struct option *o = options_next(command, &group, &row); o;
             o = options_next(command, &group, &row)) {
            printf("complete -c %s -n '__fish_seen_subcommand_from %s' -l %s", program->name, command->name,
                   o->name);
            if (o->letter)
                printf(" -s %c", o->letter);
            fputs(o->value ? " -r -d " : " -d ", stdout);
            put_fish(o->help);
            putchar('\n');
        }
    }
}

int generate_documents(const struct program *program, const char *kind)
{
    static const struct {
        const char *kind;
        void (*print)(const struct program *program);
    } documents[] = {{"man", man}, {"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    for (size_t i = 0; i < sizeof documents / sizeof documents[0]; i++)
        if (!strcmp(documents[i].kind, kind)) {
            documents[i].print(program);
            return EXIT_GOOD;
        }
    fprintf(stderr, "%s: --generate takes man, bash, zsh or fish, not '%s'\n", program->name, kind);
    return EXIT_USAGE;
}
