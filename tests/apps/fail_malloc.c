/* Preloaded, it makes call number $FAIL_MALLOC of malloc, calloc, realloc and mmap together find no memory. */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* The C library's own names: dlsym itself may allocate. */
void *next_malloc(size_t n_bytes) __asm__("__libc_malloc");
void *next_calloc(size_t n, size_t n_bytes) __asm__("__libc_calloc");
void *next_realloc(void *block, size_t n_bytes) __asm__("__libc_realloc");
int start_main(int (*main)(int, char **, char **), int argc, char **argv, void (*init)(void),
               void (*fini)(void), void (*rtld_fini)(void), void *stack_end) __asm__("__libc_start_main");

static long left;

/* Counting begins with main: what libraries need to be loaded is not the command's. */
int start_main(int (*main)(int, char **, char **), int argc, char **argv, void (*init)(void),
               void (*fini)(void), void (*rtld_fini)(void), void *stack_end)
{
    int (*next)(int (*)(int, char **, char **), int, char **, void (*)(void), void (*)(void), void (*)(void),
                void *);
    void *symbol = dlsym(RTLD_NEXT, "__libc_start_main");
    const char *at = getenv("FAIL_MALLOC");

    memcpy(&next, &symbol, sizeof next);
    left = at ? strtol(at, NULL, 10) : 0;
    return next(main, argc, argv, init, fini, rtld_fini, stack_end);
}

/* Whether this call is to fail. */
static int fails(void)
{
    if (left <= 0 || --left > 0)
        return 0;
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t n_bytes)
{
    return fails() ? NULL : next_malloc(n_bytes);
}

void *calloc(size_t n, size_t n_bytes)
{
    return fails() ? NULL : next_calloc(n, n_bytes);
}

void *realloc(void *block, size_t n_bytes)
{
    return fails() ? NULL : next_realloc(block, n_bytes);
}

void *mmap(void *address, size_t n_bytes, int protection, int flags, int fd, off_t offset)
{
    static void *(*next)(void *, size_t, int, int, int, off_t);

    if (!next) {
        void *symbol = dlsym(RTLD_NEXT, "mmap");

        memcpy(&next, &symbol, sizeof next);
    }
    return fails() ? MAP_FAILED : next(address, n_bytes, protection, flags, fd, offset);
}
