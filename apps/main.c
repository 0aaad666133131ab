/* The parvin command: a table of commands, each in its own file. */
#include "cli/app.h"
#include "commands/commands.h"

static const struct command *const commands[] = {
    &command_devices, &command_info, &command_tokenize, &command_fit,     &command_capture, &command_merge,
    &command_run,     &command_chat, &command_serve,    &command_eval,    &command_density, &command_bench,
    &command_conform, &command_view, &command_heatmap,  &command_explain, &command_demo,
};
static const struct program program = {
    .name = "parvin",
    .summary = "Run GGUF language models on any Vulkan device, computing only the neurons a token needs.",
    .commands = commands,
    .n_commands = sizeof commands / sizeof commands[0],
};

int main(int argc, char **argv)
{
    return program_main(&program, argc, argv);
}
