#include <stdlib.h>
#include <string.h>
#include "fuzz.h"

void *pv_fuzz_copy(const uint8_t *data, size_t size_bytes)
{
    void *copy = malloc(size_bytes != 0 ? size_bytes : 1);

    if (!copy)
        abort();
    if (size_bytes != 0)
        memcpy(copy, data, size_bytes);
    return copy;
}
