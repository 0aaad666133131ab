/* parvin bench --learn: learning a layer of real size, and how its time grows. */
#ifndef LEARN_BENCH_H
#define LEARN_BENCH_H

#include "app.h"

int learn_bench(struct app *app);

#endif
