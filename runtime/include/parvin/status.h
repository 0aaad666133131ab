/* Status codes and the log callback shared by every part of Parvin.
 *
 * Every fallible function returns `enum pv_status`. The place that finds a failure logs it once, through the
 * callback given at creation, in words that say what was wrong, where, and what the user can do. Callers only
 * propagate. A NULL callback is silence: the library never prints, exits or reads the environment. */
#ifndef PARVIN_STATUS_H
#define PARVIN_STATUS_H

#include <stdbool.h>

#ifdef __GNUC__
#define PV_MUST_USE     __attribute__((warn_unused_result))
#define PV_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define PV_MUST_USE
#define PV_PRINTF(f, a)
#endif

/* Around the declarations of every public header: C linkage in C++, and the functions are what the shared
 * library exports; it is compiled with everything else hidden. */
#ifdef __GNUC__
#define PV_VISIBLE _Pragma("GCC visibility push(default)")
#define PV_RESTORE _Pragma("GCC visibility pop")
#else
#define PV_VISIBLE
#define PV_RESTORE
#endif
#ifdef __cplusplus
#define PV_API_BEGIN                                                                                         \
    extern "C" {                                                                                             \
    PV_VISIBLE
#define PV_API_END                                                                                           \
    PV_RESTORE                                                                                               \
    }
#else
#define PV_API_BEGIN PV_VISIBLE
#define PV_API_END   PV_RESTORE
#endif

PV_API_BEGIN

enum pv_status {
    PV_OK = 0,
    /* the caller's arguments are off (wrong usage) */
    PV_ERR_ARG,
    /* the host ran out of memory */
    PV_ERR_NOMEM,
    /* a file could not be opened, read, written or renamed */
    PV_ERR_IO,
    /* a file's content is malformed */
    PV_ERR_FORMAT,
    /* well-formed, but nothing Parvin can run */
    PV_ERR_UNSUPPORTED,
    /* two files that do not belong together */
    PV_ERR_MISMATCH,
    /* no Vulkan device, or none of that name */
    PV_ERR_NO_DEVICE,
    /* a Vulkan call failed */
    PV_ERR_DEVICE,
    /* a device ran out of memory */
    PV_ERR_DEVICE_MEMORY,
    /* a device stopped answering */
    PV_ERR_DEVICE_LOST,
    /* the caller's cancel flag was raised */
    PV_ERR_INTERRUPTED,
    /* a conformance check found a wrong result */
    PV_ERR_CHECK,
};

/* A constant lower-case phrase for `status` ("malformed file"). Never NULL. */
const char *pv_status_name(enum pv_status status);

enum pv_log_level { PV_LOG_ERROR, PV_LOG_WARN, PV_LOG_INFO, PV_LOG_DEBUG };

/* Copied by value wherever it is given. `fn` may be called from any thread, one call at a time per object. */
struct pv_log {
    /* NULL: silence */
    void (*fn)(void *user, enum pv_log_level level, const char *message);
    void *user;
    /* messages above it are dropped; 0 = errors only */
    enum pv_log_level max_level;
};

/* Progress of a long task. Return false to stop it: the task ends with PV_ERR_INTERRUPTED and keeps what it
 * can. */
struct pv_progress {
    /* NULL: no reports */
    bool (*fn)(void *user, const char *stage, double done, double total);
    void *user;
};

PV_API_END

#endif
