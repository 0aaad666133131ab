/* Messages of viz, through the caller's log. */
#ifndef PV_VIZ_SAY_H
#define PV_VIZ_SAY_H

#include "parvin/status.h"

/* Logs an error, returns `status`. */
enum pv_status pv_say_fail(const struct pv_log *log, enum pv_status status, const char *format, ...)
    PV_PRINTF(3, 4);

#endif
