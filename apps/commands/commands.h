/* The commands of parvin, each in cmd_NAME.c with its options. */
#ifndef COMMANDS_COMMANDS_H
#define COMMANDS_COMMANDS_H

#include "cli/options.h"

extern const struct command command_bench, command_capture, command_chat, command_conform, command_demo,
    command_density, command_devices, command_eval, command_explain, command_fit, command_heatmap,
    command_info, command_merge, command_run, command_serve, command_tokenize, command_view;

#endif
