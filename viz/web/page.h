/* The page of `parvin serve`: one HTML file that needs no other, put together from viz/web when Parvin is built.
 * It asks the origin that it came from, and nothing else, for parvin/model and v1/. Constant, thread-safe. */
#ifndef PV_VIZ_WEB_PAGE_H
#define PV_VIZ_WEB_PAGE_H

#include <stddef.h>

/* UTF-8, not terminated. */
extern const unsigned char pv_page[];
extern const size_t pv_page_size_bytes;

#endif
