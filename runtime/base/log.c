/* Messages are formatted into a buffer on the stack, so that logging works when memory is out. */
#include "base/log.h"

#include <stdio.h>

static bool log_wants(const struct pv_log *log, enum pv_log_level level)
{
    return log && log->fn && level <= log->max_level;
}

static PV_PRINTF(3, 0) void log_send(const struct pv_log *log, enum pv_log_level level, const char *format,
                                     va_list args)
{
    char message[1024];

    if (vsnprintf(message, sizeof message, format, args) >= 0)
        log->fn(log->user, level, message);
}

void pv_log_msg(const struct pv_log *log, enum pv_log_level level, const char *format, ...)
{
    va_list args;

    if (!log_wants(log, level))
        return;
    va_start(args, format);
    log_send(log, level, format, args);
    va_end(args);
}

enum pv_status(pv_fail)(const struct pv_log *log, enum pv_status status, const char *format, ...)
{
    va_list args;

    if (!log_wants(log, PV_LOG_ERROR))
        return status;
    va_start(args, format);
    log_send(log, PV_LOG_ERROR, format, args);
    va_end(args);
    return status;
}
