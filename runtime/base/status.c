/* The names of the status codes. */
#include "parvin/status.h"

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
