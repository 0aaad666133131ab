/* Display text is made once, when a token comes in, so that no view has to think of hostile bytes again. */
#include "viz/picture/text.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <utf8proc.h>

size_t pv_text_char(const char *s, size_t n, uint32_t *code)
{
    utf8proc_int32_t decoded;
    const utf8proc_ssize_t length =
        n != 0 ? utf8proc_iterate((const utf8proc_uint8_t *)s, n < 4 ? (utf8proc_ssize_t)n : 4, &decoded) : 0;

    if (length <= 0)
        return 0;
    *code = (uint32_t)decoded;
    return (size_t)length;
}

struct range {
    uint32_t first, last;
};

static bool in_ranges(const struct range *ranges, size_t n, uint32_t code)
{
    for (size_t i = 0; i < n; i++) {
        if (code >= ranges[i].first && code <= ranges[i].last)
            return true;
    }
    return false;
}

/* Terminals add up the widths of code points, or take the emoji of a sequence for one: of those only the first
 * is shown, so that both agree. */
static bool joins(uint32_t code)
{
    return code == 0x200d || (code >= 0x1f3fb && code <= 0x1f3ff);
}

/* Marks with a width of their own (of Indic scripts) take a column in some terminals: better a gap in others than marks
 * that are written over. */
static uint32_t columns_of(uint32_t code)
{
    if (utf8proc_category((utf8proc_int32_t)code) == UTF8PROC_CATEGORY_MC)
        return 1;
    return (uint32_t)utf8proc_charwidth((utf8proc_int32_t)code);
}

size_t pv_text_cluster(const char *s, size_t n, uint32_t *columns, size_t *n_shown)
{
    utf8proc_int32_t state = 0;
    uint32_t code = 0, next = 0;
    bool joined = false;
    size_t used = pv_text_char(s, n, &code);

    *columns = used > 0 ? columns_of(code) : 0;
    *n_shown = used;
    while (used > 0 && used < n) {
        const size_t length = pv_text_char(s + used, n - used, &next);

        if (length == 0 ||
            utf8proc_grapheme_break_stateful((utf8proc_int32_t)code, (utf8proc_int32_t)next, &state))
            break;
        used += length;
        joined = joined || joins(next);
        if (!joined) {
            *columns += columns_of(next);
            *n_shown = used;
        }
        code = next;
    }
    return used;
}

uint32_t pv_text_width(const char *text)
{
    size_t n = strlen(text), length, shown;
    uint32_t columns, width = 0;

    for (size_t i = 0; i < n; i += length) {
        length = pv_text_cluster(text + i, n - i, &columns, &shown);
        if (length == 0)
            break;
        width += columns;
    }
    return width;
}

size_t pv_text_fit(const char *text, uint32_t columns)
{
    size_t n = strlen(text), length, shown, i;
    uint32_t taken, width = 0;

    for (i = 0; i < n; i += length) {
        length = pv_text_cluster(text + i, n - i, &taken, &shown);
        if (length == 0 || width + taken > columns)
            break;
        width += taken;
    }
    return i;
}

/* Line and direction controls would move what stands around them. The joiners of Indic and Persian words and of
 * emoji (U+200C, U+200D) stay. */
static bool unprintable(uint32_t code)
{
    static const struct range ranges[] = {
        {0, 0x1f},        {0x7f, 0x9f},     {0x200b, 0x200b}, {0x200e, 0x200f}, {0x2028, 0x202e},
        {0x2060, 0x206f}, {0xe000, 0xf8ff}, {0xfeff, 0xfeff}, {0xfff0, 0xfffb}, {0xe0000, 0xe00ff}};

    return in_ranges(ranges, sizeof ranges / sizeof ranges[0], code);
}

/* Whether a character goes with the one before it. */
static bool is_mark(uint32_t code)
{
    const utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)code);

    return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC ||
           category == UTF8PROC_CATEGORY_ME;
}

void pv_text_display(const char *bytes, size_t n, char *out, size_t room)
{
    static const char ellipsis[] = "\xe2\x80\xa6", circle[] = "\xe2\x97\x8c";
    size_t used = 0, start = n > 1 && bytes[0] == ' ' ? 1 : 0;
    uint32_t first = 0;

    if (room > sizeof circle && pv_text_char(bytes + start, n - start, &first) > 0 && is_mark(first)) {
        memcpy(out, circle, sizeof circle - 1);
        used = sizeof circle - 1;
    }

    for (size_t i = start; i < n;) {
        uint32_t code = 0;
        size_t length = pv_text_char(bytes + i, n - i, &code);
        char piece[8];

        if (length == 0 || (unprintable(code) && code != '\n' && code != '\t')) {
            snprintf(piece, sizeof piece, "\\x%02x", (unsigned)(unsigned char)bytes[i]);
            length = 1;
        } else if (code == '\n') {
            snprintf(piece, sizeof piece, "\xe2\x86\xb5"); /* downwards arrow with corner */
        } else if (code == '\t') {
            snprintf(piece, sizeof piece, "\xe2\x87\xa5");
        } else if (code == ' ' && (i == start || i + 1 == n)) {
            snprintf(piece, sizeof piece, "\xe2\x90\xa3"); /* open box */
        } else {
            memcpy(piece, bytes + i, length);
            piece[length] = '\0';
        }
        if (used + strlen(piece) + (i + length < n ? sizeof ellipsis - 1 : 0) >= room) {
            memcpy(out + used, ellipsis, sizeof ellipsis - 1);
            used += sizeof ellipsis - 1;
            break;
        }
        memcpy(out + used, piece, strlen(piece));
        used += strlen(piece);
        i += length;
    }
    out[used] = '\0';
}

void pv_text_label(const char *bytes, size_t n, char *out, size_t room)
{
    if (n == 0 || bytes[0] < 'a' || bytes[0] > 'z') {
        pv_text_display(bytes, n, out, room);
        return;
    }
    out[0] = '-';
    pv_text_display(bytes, n, out + 1, room - 1);
}
