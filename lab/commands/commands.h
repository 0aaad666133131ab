/* The commands of parvin-lab. */
#ifndef PV_LAB_COMMANDS_COMMANDS_H
#define PV_LAB_COMMANDS_COMMANDS_H

#include "cli/options.h"

extern const struct command command_bench_learn, command_lab_fit, command_report, command_sweep;

#endif
