/* Messages are formatted into a buffer on the stack, so that logging works when memory is out; and the names of the
 * status codes. */
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

const char *pv_status_name(enum pv_status status)
{
    switch (status) {
    case PV_OK:
        return "success";
    case PV_ERR_ARG:
        return "wrong argument";
    case PV_ERR_NOMEM:
        return "out of host memory";
    case PV_ERR_IO:
        return "file error";
    case PV_ERR_FORMAT:
        return "malformed file";
    case PV_ERR_UNSUPPORTED:
        return "not supported";
    case PV_ERR_MISMATCH:
        return "files do not belong together";
    case PV_ERR_NO_DEVICE:
        return "no such device";
    case PV_ERR_DEVICE:
        return "device error";
    case PV_ERR_DEVICE_MEMORY:
        return "out of device memory";
    case PV_ERR_DEVICE_LOST:
        return "device lost";
    case PV_ERR_INTERRUPTED:
        return "interrupted";
    case PV_ERR_CHECK:
        return "failed check";
    }
    return "unknown status";
}
