/* parvin-lab: what Parvin is measured against. */
#include "cli/app.h"
#include "lab/commands/commands.h"

static const struct command *const commands[] = {&command_sweep, &command_report, &command_lab_fit,
                                                 &command_bench_learn};
static const struct program program = {
    .name = "parvin-lab",
    .summary = "Measure ways of choosing neurons against each other, and how fast clusters are learned.",
    .commands = commands,
    .n_commands = sizeof commands / sizeof commands[0],
};

int main(int argc, char **argv)
{
    return program_main(&program, argc, argv);
}
