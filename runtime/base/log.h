/* Logging and status propagation for the library's inside. */
#ifndef PV_BASE_LOG_H
#define PV_BASE_LOG_H

#include <stdarg.h>
#include "parvin/status.h"

/* Formats and sends one message; `log` may be NULL. Messages over 1023 bytes are cut. */
void pv_log_msg(const struct pv_log *log, enum pv_log_level level, const char *format, ...) PV_PRINTF(3, 4);
/* Logs an error and returns `status`, so that a failure is one line: return pv_fail(log, PV_ERR_IO, "...").
 */
enum pv_status pv_fail(const struct pv_log *log, enum pv_status status, const char *format, ...)
    PV_PRINTF(3, 4);
#ifdef __clang_analyzer__ /* which does not look into log.c, and would think that a failure may be PV_OK */
#define pv_fail(log, status, ...) (pv_fail(log, status, __VA_ARGS__), (status))
#endif

#define pv_info(log, ...) pv_log_msg((log), PV_LOG_INFO, __VA_ARGS__)
#define pv_warn(log, ...) pv_log_msg((log), PV_LOG_WARN, __VA_ARGS__)

/* Propagates a failure out of the calling function. */
#define PV_TRY(expr)                                                                                         \
    do {                                                                                                     \
        enum pv_status pv_try_status_ = (expr);                                                              \
        if (pv_try_status_ != PV_OK)                                                                         \
            return pv_try_status_;                                                                           \
    } while (0)
/* The same where something must be released first: needs `enum pv_status status` and a label `fail`. */
#define PV_TRY_GOTO(expr)                                                                                    \
    do {                                                                                                     \
        status = (expr);                                                                                     \
        if (status != PV_OK)                                                                                 \
            goto fail;                                                                                       \
    } while (0)

#endif
