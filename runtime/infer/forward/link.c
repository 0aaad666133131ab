/* Imported host memory where both devices have it; what a driver will not import is copied instead. */
#include "infer/forward/link.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "vk/memory/import.h"

/* A slot over shared memory; false if the devices cannot share it. */
static bool share(struct pv_device *from, struct pv_device *to, uint64_t size_bytes, struct pv_link *link,
                  uint32_t slot)
{
    const uint64_t a = pv_import_alignment(from), b = pv_import_alignment(to), align = a > b ? a : b;
    if (a == 0 || b == 0 || align > 1 << 20)
        return false;
    const uint64_t rounded = (size_bytes + align - 1) / align * align;
    link->shared[slot] = aligned_alloc((size_t)align, (size_t)rounded);
    if (!link->shared[slot])
        return false;
    memset(link->shared[slot], 0, (size_t)rounded);
    link->out[slot] = pv_buffer_import(from, link->shared[slot], rounded, "hand-over");
    link->in[slot] = link->out[slot] ? pv_buffer_import(to, link->shared[slot], rounded, "hand-over") : NULL;
    if (link->in[slot])
        return true;
    pv_buffer_destroy(link->out[slot]);
    link->out[slot] = NULL;
    free(link->shared[slot]);
    link->shared[slot] = NULL;
    return false;
}

enum pv_status pv_link_create(struct pv_device *from, struct pv_device *to, uint64_t size_bytes,
                              struct pv_link *out)
{
    memset(out, 0, sizeof *out);
    for (uint32_t i = 0; i < PV_SLOTS; i++) {
        if (share(from, to, size_bytes, out, i))
            continue;
        PV_TRY(pv_buffer_create(from, size_bytes, PV_MEM_HOST, "hand-over, out", &out->out[i]));
        PV_TRY(pv_buffer_create(to, size_bytes, PV_MEM_HOST, "hand-over, in", &out->in[i]));
    }
    return PV_OK;
}

void pv_link_destroy(struct pv_link *link)
{
    for (uint32_t i = 0; i < PV_SLOTS; i++) {
        pv_buffer_destroy(link->out[i]);
        pv_buffer_destroy(link->in[i]);
        free(link->shared[i]); /* after both: they lie over it */
    }
    memset(link, 0, sizeof *link);
}

enum pv_status pv_link_pass(struct pv_link *link, uint32_t slot, uint64_t size_bytes)
{
    if (link->shared[slot])
        return PV_OK;
    return pv_buffer_read(link->out[slot], 0, link->in[slot]->mapped, size_bytes);
}
