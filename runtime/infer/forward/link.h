/* The way of the hidden state from one stage to the next: host memory that both devices see, or two buffers
 * and a copy by the host. Several slots, so that a stage may be ahead of the next. */
#ifndef PV_INFER_FORWARD_LINK_H
#define PV_INFER_FORWARD_LINK_H

#include "vk/memory/memory.h"

enum { PV_SLOTS = 3 };

struct pv_link {
    struct pv_buffer *out[PV_SLOTS]; /* of the first stage's device */
    struct pv_buffer *in[PV_SLOTS];  /* of the second's */
    void *shared[PV_SLOTS];          /* what both lie over; NULL: two buffers */
};
PV_MUST_USE enum pv_status pv_link_create(struct pv_device *from, struct pv_device *to, uint64_t size_bytes,
                                          struct pv_link *out);
void pv_link_destroy(struct pv_link *link); /* safe on a zeroed struct */
/* What the first device has written, finished, is what the second will read. */
PV_MUST_USE enum pv_status pv_link_pass(struct pv_link *link, uint32_t slot, uint64_t size_bytes);

#endif
