/* The page that `parvin explain` writes: stands alone, no network. */
#ifndef PV_APPS_REPORTS_EXPLAIN_PAGE_H
#define PV_APPS_REPORTS_EXPLAIN_PAGE_H

#include "observe.h"

enum { EXPLAIN_CONTEXTS = 3 };

/* Where a cluster was picked with the widest margins: positions in the text. */
struct explain_spot {
    uint64_t position;
    float margin;
};
struct explain_page {
    struct observed *observed;
    const struct explain_spot *spots; /* [L][K][EXPLAIN_CONTEXTS], position UINT64_MAX: none */
    const double *precision, *recall; /* [L]: of the masks against the true patterns */
    const double *energy;             /* [L]: share of squared contributions kept */
    uint32_t palette;
    bool light;
};
PV_MUST_USE enum pv_status explain_write(struct app *app, const struct explain_page *page, const char *path);

#endif
