/* viz uses the library's public headers only, so it has its own few lines for this. */
#include "viz/say.h"

#include <stdarg.h>
#include <stdio.h>

enum pv_status pv_say_fail(const struct pv_log *log, enum pv_status status, const char *format, ...)
{
    char message[1024];
    va_list args;

    if (!log || !log->fn)
        return status;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    log->fn(log->user, PV_LOG_ERROR, message);
    return status;
}
