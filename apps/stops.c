/* Bytes of a text are compared where a token has ended it: the token may have brought a whole text to stop at, its end, or its
 * beginning. */
#include "stops.h"

#include <string.h>

size_t stops_begun(const struct option_texts *stops, const struct text *text)
{
    size_t longest = 0;
    for (uint32_t i = 0; stops && i < stops->n; i++) {
        const size_t length = strlen(stops->texts[i]);
        for (size_t n = length < text->n ? length : text->n; n > longest; n--)
            if (!memcmp(text->bytes + text->n - n, stops->texts[i], n)) {
                longest = n;
                break;
            }
    }
    return longest;
}

bool stops_cut(const struct option_texts *stops, size_t from, struct text *text)
{
    size_t cut = SIZE_MAX;
    for (uint32_t i = 0; stops && i < stops->n; i++) {
        const size_t length = strlen(stops->texts[i]);
        const size_t begin = from > length ? from - length : 0;
        for (size_t at = begin; length && at + length <= text->n && at < cut; at++)
            if (!memcmp(text->bytes + at, stops->texts[i], length))
                cut = at;
    }
    if (cut == SIZE_MAX)
        return false;
    text->n = cut;
    text->bytes[cut] = 0;
    return true;
}
