/* Writes the trace of a made-up run, to look at and to time with: make_trace FILE LAYERS CLUSTERS NEURONS TOKENS */
#include <stdio.h>
#include <stdlib.h>
#include "made.h"

int main(int n_args, char **args)
{
    struct pv_trace_writer *writer = NULL;
    struct made made;
    unsigned long n[4];
    enum pv_status status;

    for (int i = 0; n_args == 6 && i < 4; i++)
        n[i] = strtoul(args[i + 2], NULL, 10);
    if (n_args != 6 || n[0] < 1 || n[0] > 1024 || n[1] > 65536 || n[2] < 1 || n[2] > 65536) {
        fputs("make_trace FILE LAYERS CLUSTERS NEURONS TOKENS\n", stderr);
        return 2;
    }
    made_init(&made, (uint32_t)n[0], (uint32_t)n[1], (uint32_t)n[2]);
    status = pv_trace_create(args[1], PV_TRACE_JSONL, &made.header, NULL, &writer);
    for (unsigned long i = 0; status == PV_OK && i < n[3]; i++)
        status = pv_trace_write(writer, made_next(&made));
    made_free(&made);
    if (status == PV_OK)
        status = pv_trace_finish(writer);
    return status == PV_OK ? 0 : 1;
}
