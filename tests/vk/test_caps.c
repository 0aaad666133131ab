/* label: unit
 * Caps as JSON: there and back, and files that are damaged or malicious. */
#include <check.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/rng.h"
#include "harness.h"
#include "vk/plan/caps.h"

static struct pv_caps sample(void)
{
    struct pv_caps caps;
    memset(&caps, 0, sizeof caps); /* padding too: the test compares bytes */
    strcpy(caps.name, "A \"name\" with \\ and \t and \xc3\xa9");
    strcpy(caps.uuid, "00010203-0405-0607-0809-0a0b0c0d0e0f");
    caps.vendor_id = UINT32_MAX;
    caps.max_storage_range = INT64_MAX;
    caps.max_workgroup_size[0] = 1;
    caps.max_workgroup_size[1] = 2;
    caps.max_workgroup_size[2] = UINT32_MAX;
    caps.timestamp_period_ns = 52.083332f;
    caps.float16 = caps.unified = caps.has_compute_queue = true;
    caps.device_heap_bytes = (uint64_t)80 << 30;
    return caps;
}

START_TEST(round_trip_is_exact)
{
    struct pv_caps caps = sample(), back;
    char *text = pv_caps_to_json(&caps);
    ck_assert_ptr_nonnull(text);
    memset(&back, 0, sizeof back);
    ck_assert_int_eq(pv_caps_from_json(text, NULL, &back), PV_OK);
    char *again = pv_caps_to_json(&back);
    ck_assert_str_eq(text, again);
    ck_assert_str_eq(back.name, caps.name);
    ck_assert_uint_eq(back.max_storage_range, caps.max_storage_range);
    ck_assert_uint_eq(back.max_workgroup_size[2], UINT32_MAX);
    ck_assert(back.timestamp_period_ns == caps.timestamp_period_ns);
    ck_assert(back.float16 && back.unified && back.has_compute_queue && !back.float64);
    free(text);
    free(again);
}
END_TEST

START_TEST(odd_values_are_written_as_valid_json)
{
    struct pv_caps caps = sample(), back;
    strcpy(caps.name, "not utf-8: \xff\xfe");
    caps.max_allocation = UINT64_MAX;
    caps.timestamp_period_ns = INFINITY;
    char *text = pv_caps_to_json(&caps);
    ck_assert_ptr_nonnull(text);
    ck_assert_int_eq(pv_caps_from_json(text, NULL, &back), PV_OK);
    ck_assert_str_eq(back.name, "not utf-8: ??");
    ck_assert_uint_eq(back.max_allocation, INT64_MAX);
    ck_assert(back.timestamp_period_ns == 0.0f);
    free(text);
}
END_TEST

START_TEST(unknown_keys_are_ignored_and_missing_ones_zero)
{
    struct pv_caps caps;
    ck_assert_int_eq(pv_caps_from_json("{\"source\": \"x\", \"future\": [1, {\"a\": null}]}", NULL, &caps),
                     PV_OK);
    ck_assert_uint_eq(caps.max_invocations, 0);
    ck_assert_str_eq(caps.name, "");
    ck_assert_int_eq(pv_caps_from_json("{\"timestamp_period_ns\": 3}", NULL, &caps), PV_OK);
    ck_assert(caps.timestamp_period_ns == 3.0f);
}
END_TEST

static const char *const hostile[] = {
    "",
    "{",
    "[]",
    "null",
    "3",
    "{\"name\": 3}",
    "{\"name\": null}",
    "{\"name\": \"a\\u0000b\"}",
    "{\"uuid\": \"00010203-0405-0607-0809-0a0b0c0d0e0f-and-more\"}",
    "{\"vendor_id\": -1}",
    "{\"vendor_id\": 4294967296}",
    "{\"vendor_id\": 1.5}",
    "{\"vendor_id\": \"5\"}",
    "{\"vendor_id\": true}",
    "{\"max_storage_range\": -1}",
    "{\"max_storage_range\": 18446744073709551616}",
    "{\"max_storage_range\": 1e9}",
    "{\"max_workgroup_size\": [1, 2]}",
    "{\"max_workgroup_size\": [1, 2, 3, 4]}",
    "{\"max_workgroup_size\": [1, 2, -3]}",
    "{\"max_workgroup_size\": [1, 2, null]}",
    "{\"max_workgroup_size\": 3}",
    "{\"timestamp_period_ns\": -1.0}",
    "{\"timestamp_period_ns\": 1e300}",
    "{\"timestamp_period_ns\": \"fast\"}",
    "{\"unified\": 1}",
    "{\"unified\": \"yes\"}",
    "{\"unified\": true, \"unified\": false}",
    "{\"unified\": true} and more",
};

START_TEST(hostile_files_are_refused)
{
    struct pv_test_log captured;
    struct pv_log log = pv_test_log(&captured);
    struct pv_caps caps = {.max_invocations = 77};
    ck_assert_int_eq(pv_caps_from_json(hostile[_i], &log, &caps), PV_ERR_FORMAT);
    ck_assert_uint_eq(caps.max_invocations, 77); /* untouched */
    ck_assert_uint_eq(captured.n_messages, 1);
}
END_TEST

START_TEST(a_deep_file_does_not_overflow_the_stack)
{
    enum { DEPTH = 100000 };
    char *text = malloc(DEPTH + 1);
    ck_assert_ptr_nonnull(text);
    memset(text, '[', DEPTH);
    text[DEPTH] = '\0';
    struct pv_caps caps;
    ck_assert_int_eq(pv_caps_from_json(text, NULL, &caps), PV_ERR_FORMAT);
    free(text);
}
END_TEST

START_TEST(damaged_files_never_crash)
{
    struct pv_caps caps = sample(), back;
    struct pv_rng rng;
    char *text = pv_caps_to_json(&caps);
    const size_t n = strlen(text);
    pv_rng_seed(&rng, 3);
    for (int round = 0; round < 5000; round++) {
        char *copy = malloc(n + 1);
        ck_assert_ptr_nonnull(copy);
        memcpy(copy, text, n + 1);
        for (uint32_t k = pv_rng_below(&rng, 4); k < 4; k++)
            copy[pv_rng_below(&rng, (uint32_t)n)] = (char)pv_rng_below(&rng, 256);
        if (pv_rng_below(&rng, 4) == 0)
            copy[pv_rng_below(&rng, (uint32_t)n)] = '\0';
        const enum pv_status status = pv_caps_from_json(copy, NULL, &back);
        ck_assert(status == PV_OK || status == PV_ERR_FORMAT);
        free(copy);
    }
    free(text);
}
END_TEST

START_TEST(saved_devices_load_and_name_their_source)
{
    static const char *const names[] = {"lavapipe", "swiftshader", "radv_navi21", "anv_arc_a770",
                                        "nvidia_rtx2080"};
    char path[PV_TEST_PATH_ROOM], name[128] = "tests/data/caps/", *text = NULL;
    size_t n = 0;
    strcat(strcat(name, names[_i]), ".json");
    ck_assert(pv_test_source(name, path));
    ck_assert_int_eq(pv_file_read(path, NULL, &text, &n), PV_OK);
    struct pv_caps caps;
    ck_assert_int_eq(pv_caps_from_json(text, NULL, &caps), PV_OK);
    ck_assert_ptr_nonnull(strstr(text, "\"source\": \""));
    ck_assert(caps.timeline && caps.has_compute_queue && caps.max_invocations >= 128 &&
              caps.device_heap_bytes > 0);
    free(text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("vk/caps");
    TCase *tc = tcase_create("json");
    tcase_add_test(tc, round_trip_is_exact);
    tcase_add_test(tc, odd_values_are_written_as_valid_json);
    tcase_add_test(tc, unknown_keys_are_ignored_and_missing_ones_zero);
    tcase_add_loop_test(tc, hostile_files_are_refused, 0, (int)(sizeof hostile / sizeof hostile[0]));
    tcase_add_test(tc, a_deep_file_does_not_overflow_the_stack);
    tcase_add_test(tc, damaged_files_never_crash);
    tcase_add_loop_test(tc, saved_devices_load_and_name_their_source, 0, 5);
    suite_add_tcase(suite, tc);
    return pv_test_main(suite);
}
