/* VkResult in words: its name, the status it becomes, and what the user can do about it. */
#ifndef PV_VK_RESULT_H
#define PV_VK_RESULT_H

#include <volk.h>
#include "parvin/status.h"

struct pv_device;

const char *pv_vk_result_name(VkResult result); /* "VK_ERROR_DEVICE_LOST"; never NULL */
enum pv_status pv_vk_status(VkResult result);
/* Logs "WHAT failed: NAME (advice)" and returns the status. */
enum pv_status pv_vk_report(const struct pv_log *log, VkResult result, const char *what);
/* The same of a call on a device, whose name it logs, and which it marks as failed, or lost where it is. */
enum pv_status pv_vk_fail(struct pv_device *device, VkResult result, const char *what);

#endif
