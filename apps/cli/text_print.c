/* What a terminal would obey is replaced; what it shows is passed on. */
#include "cli/text_print.h"

#include <stdbool.h>
#include <stdint.h>

#include "viz/picture/text.h"

void text_print(FILE *to, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n;) {
        uint32_t code = 0;
        const size_t length = pv_text_char(bytes + i, n - i, &code);
        const bool line_end = code == '\n' || (code == '\r' && i + 1 < n && bytes[i + 1] == '\n');
        const bool control = (code < 0x20 && code != '\t' && !line_end) || (code >= 0x7f && code < 0xa0);
        if (length == 0 || control)
            fputs("\xef\xbf\xbd", to);
        else
            fwrite(bytes + i, 1, length, to);
        i += length == 0 ? 1 : length;
    }
}
