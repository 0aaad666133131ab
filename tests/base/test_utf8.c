/* Well-formed UTF-8 by table 3-7 of the Unicode standard: the first and last of each row, and what is beyond them. */
#include "base/utf8.h"

#include <string.h>
#include "harness.h"

START_TEST(characters_are_decoded)
{
    static const struct {
        const char *bytes;
        size_t n, length;
        uint32_t code;
    } cases[] = {
        {"a", 1, 1, 0x61},
        {"\x7f", 1, 1, 0x7f},
        {"\xc2\x80", 2, 2, 0x80},
        {"\xdf\xbf", 2, 2, 0x7ff},
        {"\xe0\xa0\x80", 3, 3, 0x800},
        {"\xed\x9f\xbf", 3, 3, 0xd7ff},
        {"\xee\x80\x80z", 4, 3, 0xe000},
        {"\xf0\x90\x80\x80", 4, 4, 0x10000},
        {"\xf4\x8f\xbf\xbfz", 5, 4, 0x10ffff},
        {"", 0, 0, 7},
        {"\x80", 1, 0, 7},
        {"\xc1\xbf", 2, 0, 7}, /* overlong */
        {"\xe0\x9f\xbf", 3, 0, 7},
        {"\xed\xa0\x80", 3, 0, 7}, /* surrogate */
        {"\xf0\x8f\xbf\xbf", 4, 0, 7},
        {"\xf4\x90\x80\x80", 4, 0, 7}, /* past U+10FFFF */
        {"\xf5\x80\x80\x80", 4, 0, 7},
        {"\xe4\xb8", 2, 0, 7}, /* cut */
        {"\xe4z\xad", 3, 0, 7},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t code = 7;

        ck_assert_uint_eq(pv_utf8_char(cases[i].bytes, cases[i].n, &code), cases[i].length);
        ck_assert_uint_eq(code, cases[i].code);
        ck_assert_uint_eq(pv_utf8_char(cases[i].bytes, cases[i].n, NULL), cases[i].length);
    }
}
END_TEST

START_TEST(valid_text_ends_at_the_first_fault)
{
    ck_assert_uint_eq(pv_utf8_valid("a\xc3\xa9\xff z", 6), 3);
    ck_assert_uint_eq(pv_utf8_valid("a\xc3", 2), 1);
    ck_assert_uint_eq(pv_utf8_valid("", 0), 0);
    ck_assert_uint_eq(pv_utf8_valid("a\0b", 3), 3);
}
END_TEST

START_TEST(white_space_is_unicodes)
{
    static const uint32_t spaces[] = {9,      0xa,    0xd,    0x20,   0x85,   0xa0,
                                      0x1680, 0x2003, 0x2028, 0x2029, 0x202f, 0x3000};
    static const uint32_t others[] = {8, 0x1c, 0x61, 0x180e, 0x200b, 0xfeff};

    for (size_t i = 0; i < sizeof spaces / sizeof spaces[0]; i++)
        ck_assert(pv_utf8_is_space(spaces[i]));
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        ck_assert(!pv_utf8_is_space(others[i]));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/utf8");
    TCase *tcase = tcase_create("utf8");

    tcase_add_test(tcase, characters_are_decoded);
    tcase_add_test(tcase, valid_text_ends_at_the_first_fault);
    tcase_add_test(tcase, white_space_is_unicodes);
    suite_add_tcase(suite, tcase);
    return pv_test_main(suite);
}
