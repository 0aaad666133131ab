/* Which device a user means: by number, by UUID, by a part of its name or driver, or none given: the best
 * one. The list is already sorted best first, so the first match is the answer. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "vk/instance.h"

static int lower(char c)
{
    return tolower((unsigned char)c);
}

static bool contains(const char *text, const char *part)
{
    for (; *text; text++) {
        size_t i = 0;
        while (part[i] && lower(text[i]) == lower(part[i]))
            i++;
        if (!part[i])
            return true;
    }
    return false;
}

/* Digits alone are a number, never a part of a name. */
static bool is_index(const char *spec)
{
    const size_t n = strspn(spec, "0123456789");
    return n > 0 && !spec[n];
}

/* A device's index; UINT32_MAX if `spec` is not one. */
static uint32_t parse_index(const char *spec, uint32_t n)
{
    uint32_t index = 0;
    for (const char *c = spec; *c && index <= n; c++)
        index = index * 10 + (uint32_t)(*c - '0');
    return index < n ? index : UINT32_MAX;
}

static bool matches(const struct pv_device_info *info, const char *spec)
{
    const bool uuid = strlen(spec) == strlen(info->uuid) && contains(info->uuid, spec);
    return uuid || contains(info->name, spec) || contains(info->driver, spec);
}

/* "0: NAME (DRIVER, cpu); 1: ..." cut to what fits. */
static void list(const struct pv_context *context, char *out, size_t size_bytes)
{
    size_t n = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < context->n_physical && n < size_bytes; i++) {
        const struct pv_device_info *info = &context->physical[i].info;
        const int wrote =
            snprintf(out + n, size_bytes - n, "%s%u: %s (%s, %s%s%s)", i ? "; " : "", i, info->name,
                     info->driver, info->type, info->usable ? "" : ", not usable: ", info->why_not);
        n += wrote > 0 ? (size_t)wrote : 0;
    }
}

static bool suits(const struct pv_device_info *info, bool compiler)
{
    return compiler ? info->compiles : info->usable;
}

static enum pv_status find(const struct pv_context *context, const char *spec, bool compiler, uint32_t *out)
{
    char devices[768];
    const struct pv_device_info *found = NULL;
    uint32_t index = 0;
    const bool any = !spec || !*spec;
    const bool by_index = !any && is_index(spec);
    if (by_index) {
        index = parse_index(spec, context->n_physical);
        if (index != UINT32_MAX)
            found = &context->physical[index].info;
    }
    for (uint32_t i = 0; !found && !by_index && i < context->n_physical; i++) {
        const struct pv_device_info *info = &context->physical[i].info;
        if (any ? suits(info, compiler) : matches(info, spec)) {
            found = info;
            index = i;
        }
    }
    if (found && suits(found, compiler)) {
        *out = index;
        return PV_OK;
    }
    list(context, devices, sizeof devices);
    if (found)
        return pv_fail(&context->log, PV_ERR_NO_DEVICE, "device %u (%s) cannot be used: %s; devices: %s",
                       index, found->name, found->why_not, devices);
    if (any)
        return pv_fail(&context->log, PV_ERR_NO_DEVICE, "none of the devices can be used: %s", devices);
    if (by_index)
        return pv_fail(&context->log, PV_ERR_NO_DEVICE, "there is no device %.20s, only: %s", spec, devices);
    return pv_fail(
        &context->log, PV_ERR_NO_DEVICE,
        "no device is called \"%.80s\" (give a number, a UUID, or a part of a name or driver); devices: %s",
        spec, devices);
}

enum pv_status pv_context_find_device(const struct pv_context *context, const char *spec, uint32_t *out)
{
    return find(context, spec, false, out);
}

enum pv_status pv_context_find_compiler(const struct pv_context *context, const char *spec, uint32_t *out)
{
    return find(context, spec, true, out);
}
