/* Says how steady the colours of a trace's tokens are from layer to layer: hue_steps TRACE */
#include <stdio.h>
#include "viz/heat.h"

int main(int n_args, char **args)
{
    struct pv_trace_reader *reader = NULL;
    struct pv_heat *heat = NULL;
    uint64_t n = 0;
    enum pv_status status = n_args == 2 ? pv_trace_open(args[1], false, NULL, &reader) : PV_ERR_ARG;

    if (status == PV_OK)
        status = pv_heat_create(pv_trace_reader_header(reader), NULL, &heat);
    if (status == PV_OK)
        status = pv_heat_read(heat, reader, &n);
    if (status == PV_OK)
        printf(
            "%llu tokens: %.1f %% of the steps from layer to layer move the hue by less than a sixth of the circle\n",
            (unsigned long long)n, 100.0 * pv_heat_steadiness(heat));
    else
        fputs("hue_steps TRACE\n", stderr);
    pv_heat_destroy(heat);
    pv_trace_close(reader);
    return status == PV_OK ? 0 : 1;
}
