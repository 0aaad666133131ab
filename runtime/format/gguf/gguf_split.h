/* One file of a GGUF model, whether it is the whole or a part: what pv_gguf_open (gguf.h) is made of. */
#ifndef PV_FORMAT_GGUF_GGUF_SPLIT_H
#define PV_FORMAT_GGUF_GGUF_SPLIT_H

#include "format/gguf/gguf.h"

/* As pv_gguf_open, but of this file alone. */
PV_MUST_USE enum pv_status pv_gguf_open_one(struct pv_gguf *g, const char *path, const struct pv_log *log);

#endif
