/* What the trace's reader and writer share. */
#ifndef PV_FORMAT_TRACE_TRACE_H
#define PV_FORMAT_TRACE_TRACE_H

#include "parvin/trace.h"

#define PV_TRACE_NAME     "parvin-trace"
#define PV_TRACE_MAX_TEXT 4096u

/* Why a header's numbers are out of bounds, or NULL. */
const char *pv_trace_header_fault(const struct pv_trace_header *header);

#endif
