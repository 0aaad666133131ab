/* A thin layer over utf8proc: lengths instead of error codes, and a short way for ASCII. */
#include "base/utf8.h"

#include <string.h>
#include <utf8proc.h>

size_t pv_utf8_char(const char *s, size_t n_bytes, uint32_t *code)
{
    utf8proc_int32_t decoded;
    utf8proc_ssize_t length;

    if (n_bytes == 0)
        return 0;
    if ((unsigned char)s[0] < 0x80) {
        if (code)
            *code = (unsigned char)s[0];
        return 1;
    }
    length =
        utf8proc_iterate((const utf8proc_uint8_t *)s, n_bytes < 4 ? (utf8proc_ssize_t)n_bytes : 4, &decoded);
    if (length <= 0)
        return 0;
    if (code)
        *code = (uint32_t)decoded;
    return (size_t)length;
}

size_t pv_utf8_valid(const char *s, size_t n_bytes)
{
    size_t n = 0, length;

    while ((length = pv_utf8_char(s + n, n_bytes - n, NULL)) != 0)
        n += length;
    return n;
}

void pv_utf8_clean(char *s)
{
    for (size_t n = strlen(s), i = 0; i < n;) {
        uint32_t code = 0;
        const size_t length = pv_utf8_char(s + i, n - i, &code);

        if (length == 0 || code < 0x20 || (code >= 0x7f && code < 0xa0))
            for (size_t j = 0; j < (length == 0 ? 1 : length); j++)
                s[i + j] = '?';
        i += length == 0 ? 1 : length;
    }
}

bool pv_utf8_is_space(uint32_t code)
{
    const utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)code);

    return (code >= '\t' && code <= '\r') || code == 0x85 || category == UTF8PROC_CATEGORY_ZS ||
           category == UTF8PROC_CATEGORY_ZL || category == UTF8PROC_CATEGORY_ZP;
}
