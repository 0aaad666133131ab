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

uint32_t pv_text_columns(uint32_t code)
{
    static const struct range zero[] = {
        {0x300, 0x36f},   {0x483, 0x489},   {0x591, 0x5bd},   {0x610, 0x61a},   {0x64b, 0x65f},
        {0x200b, 0x200f}, {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}, {0xe0100, 0xe01ef}};
    static const struct range wide[] = {{0x1100, 0x115f},   {0x2e80, 0x303e},  {0x3041, 0xa4cf},
                                        {0xac00, 0xd7a3},   {0xf900, 0xfaff},  {0xfe30, 0xfe6f},
                                        {0xff00, 0xff60},   {0xffe0, 0xffe6},  {0x1f300, 0x1f64f},
                                        {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd}};

    if (code < 0x300)
        return 1;
    if (in_ranges(zero, sizeof zero / sizeof zero[0], code))
        return 0;
    return in_ranges(wide, sizeof wide / sizeof wide[0], code) ? 2 : 1;
}

uint32_t pv_text_width(const char *text)
{
    size_t n = strlen(text), length;
    uint32_t code, width = 0;

    for (size_t i = 0; i < n; i += length) {
        length = pv_text_char(text + i, n - i, &code);
        if (length == 0)
            return width;
        width += pv_text_columns(code);
    }
    return width;
}

size_t pv_text_fit(const char *text, uint32_t columns)
{
    size_t n = strlen(text), length, i;
    uint32_t code, width = 0;

    for (i = 0; i < n; i += length) {
        length = pv_text_char(text + i, n - i, &code);
        if (length == 0 || width + pv_text_columns(code) > columns)
            break;
        width += pv_text_columns(code);
    }
    return i;
}

/* Line and direction controls would move what stands around them. */
static bool unprintable(uint32_t code)
{
    static const struct range ranges[] = {{0, 0x1f},        {0x7f, 0x9f},     {0x200b, 0x200f},
                                          {0x2028, 0x202e}, {0x2060, 0x206f}, {0xe000, 0xf8ff},
                                          {0xfeff, 0xfeff}, {0xfff0, 0xfffb}, {0xe0000, 0xe00ff}};

    return in_ranges(ranges, sizeof ranges / sizeof ranges[0], code);
}

void pv_text_display(const char *bytes, size_t n, char *out, size_t room)
{
    static const char ellipsis[] = "\xe2\x80\xa6";
    size_t used = 0, start = n > 1 && bytes[0] == ' ' ? 1 : 0;

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
