/* Preloaded, it makes call number $FAIL_MALLOC of malloc find no memory. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

void *malloc(size_t n_bytes)
{
    static void *(*next)(size_t);
    static long left;

    if (!next) {
        void *symbol = dlsym(RTLD_NEXT, "malloc");
        const char *at = getenv("FAIL_MALLOC");

        memcpy(&next, &symbol, sizeof next);
        left = at ? strtol(at, NULL, 10) : 0;
    }
    return --left == 0 ? NULL : next(n_bytes);
}
