/* JSON objects by RFC 8259, a byte at a time: whole ones close, beginnings go on, the rest is refused at its first wrong byte. */
#include "serve/json_mode.h"

#include <jansson.h>
#include <string.h>
#include "harness.h"

static const char *const whole[] = {
    "{}",
    " \n{ } ",
    "{\"a\":1}",
    "{\"a\":[1,-0.5e+10,0,2E3,[],{}],\"b\":{\"c\":null,\"d\":[true,false]}}",
    "{\"\":\"\\u00e9\\n\\\\\\\"\\/ \xc3\xa9 \xf0\x9f\x90\x93\"}",
    "{ \"a\" : [ 1 , 2 ] , \"a\" : 0.25 }",
};

START_TEST(whole_objects_close)
{
    struct serve_json json = {0};
    size_t n = strlen(whole[_i]);
    while (whole[_i][n - 1] == ' ')
        n--;
    for (size_t i = 0; i < n; i++) {
        ck_assert(!serve_json_closed(&json));
        ck_assert_msg(serve_json_feed(&json, whole[_i] + i, 1), "%s at %zu", whole[_i], i);
    }
    ck_assert(serve_json_closed(&json));
    ck_assert(!serve_json_feed(&json, " ", 1));
    json_t *read = json_loads(whole[_i], 0, NULL); /* another's opinion */
    ck_assert_ptr_nonnull(read);
    json_decref(read);
}
END_TEST

/* All but the last byte is right. */
static const char *const wrong[] = {
    "[",        "\"",          "{]",        "{a",         "{1",          "{\"a\" 1",    "{\"a\":}",
    "{\"a\":,", "{\"a\":01",   "{\"a\":-}", "{\"a\":1.}", "{\"a\":.",    "{\"a\":1e}",  "{\"a\":1e+,",
    "{\"a\":+", "{\"a\":tru,", "{\"a\":n}", "{\"a\":1,}", "{\"a\":[1,]", "{\"a\":[1}",  "{\"a\":\"\n",
    "{\"\\x",   "{\"\\u12g",   "{\"\\ud8",  "{\"\\uDf",   "{\"\x80",     "{\"\xc0",     "{\"\xc3\"",
    "{\"\xff",  "{\"a\":1 2",  "{\"a\"}",   "{,",         "{\"a\":{}}}", "{\"a\":[1]]", "{}{",
};

START_TEST(wrong_bytes_are_refused)
{
    struct serve_json json = {0};
    const size_t n = strlen(wrong[_i]);
    ck_assert_msg(serve_json_feed(&json, wrong[_i], n - 1), "%s: before its last byte", wrong[_i]);
    ck_assert_msg(!serve_json_feed(&json, wrong[_i] + n - 1, 1), "%s", wrong[_i]);
}
END_TEST

START_TEST(depth_and_white_space_have_an_end)
{
    struct serve_json json = {0};
    ck_assert(serve_json_feed(&json, "{\"a\":", 5));
    for (int i = 1; i < SERVE_JSON_DEPTH; i++)
        ck_assert(serve_json_feed(&json, "[", 1));
    struct serve_json copy = json;
    ck_assert(!serve_json_feed(&copy, "[", 1));
    for (int i = 0; i < SERVE_JSON_SPACES; i++)
        ck_assert(serve_json_feed(&json, " ", 1));
    ck_assert(!serve_json_feed(&json, " ", 1));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("serve/json_mode");
    TCase *tcase = tcase_create("json_mode");

    tcase_add_loop_test(tcase, whole_objects_close, 0, sizeof whole / sizeof whole[0]);
    tcase_add_loop_test(tcase, wrong_bytes_are_refused, 0, sizeof wrong / sizeof wrong[0]);
    tcase_add_test(tcase, depth_and_white_space_have_an_end);
    suite_add_tcase(suite, tcase);
    return pv_test_main(suite);
}
