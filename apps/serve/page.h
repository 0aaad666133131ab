/* The routes of the page: `/` and what it asks for beside the API. */
#ifndef SERVE_PAGE_H
#define SERVE_PAGE_H

#include "serve/routes.h"

/* The page itself (viz/web). */
bool serve_answer_page(const struct serve_route_input *in, struct serve_answer *out,
                       struct serve_error *error);
/* What it needs to know: the model, its device and its clusters (docs/serve.md). */
bool serve_answer_about(const struct serve_route_input *in, struct serve_answer *out,
                        struct serve_error *error);

#endif
