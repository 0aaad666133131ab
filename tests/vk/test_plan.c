/* label: unit
 * The plan of saved devices against golden files, what a few facts must lead to, and overrides good and bad.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/rng.h"
#include "harness.h"
#include "vk/plan/plan.h"
#include "vk/plan/quirks.h"

static const char *const devices[] = {"lavapipe",        "swiftshader",           "radv_navi21",
                                      "anv_arc_a770",    "nvidia_rtx2080",        "radv_polaris10",
                                      "radv_vega20",     "radv_navi10",           "radv_gfx1100",
                                      "radv_vangogh",    "radv_renoir",           "moltenvk_m1",
                                      "anv_arc_pro_b50", "intel_windows_arc_b60", "intel_windows_iris_xe",
                                      "radv_gfx1201",    "amd_windows_rx9070xt",  "amdvlk_rx5700xt",
                                      "nvidia_rtx5090",  "arm_mali_g720",         "qualcomm_adreno750",
                                      "anv_xe_tgl"};
enum { LAVAPIPE, SWIFTSHADER, RADV, ANV, NVIDIA, N_DEVICES = sizeof devices / sizeof devices[0] };

static char *read_file(const char *device, const char *suffix)
{
    char name[128], path[PV_TEST_PATH_ROOM], *text = NULL;
    size_t size_bytes = 0;
    snprintf(name, sizeof name, "tests/data/caps/%s%s", device, suffix);
    ck_assert_msg(pv_test_source(name, path), "%s is missing", name);
    ck_assert_int_eq(pv_file_read(path, NULL, &text, &size_bytes), PV_OK);
    return text;
}

static struct pv_caps load(int device)
{
    struct pv_caps caps;
    char *text = read_file(devices[device], ".json");
    ck_assert_int_eq(pv_caps_from_json(text, NULL, &caps), PV_OK);
    free(text);
    return caps;
}

static struct pv_plan make(const struct pv_caps *caps, const char *overrides)
{
    struct pv_plan plan;
    ck_assert_int_eq(pv_plan_make(caps, pv_quirks_find(caps), overrides, NULL, &plan), PV_OK);
    return plan;
}

START_TEST(plans_match_the_golden_files)
{
    struct pv_caps caps = load(_i);
    struct pv_plan plan = make(&caps, NULL);
    char *text = pv_plan_to_json(&plan), *golden = read_file(devices[_i], ".plan.json");
    ck_assert_ptr_nonnull(text);
    golden[strcspn(golden, "}") + 1] = '\0'; /* the final newline */
    ck_assert_str_eq(text, golden);
    free(text);
    free(golden);
}
END_TEST

/* Where the facts come from is said: dumped, or a link for each report. */
START_TEST(every_file_names_its_source)
{
    char *text = read_file(devices[_i], ".json");
    const char *source = strstr(text, "\"source\": \"");
    ck_assert_msg(source == strchr(text, '"'), "%s: the first key is not source", devices[_i]);
    source += strlen("\"source\": \"");
    const size_t n = strcspn(source, "\"");
    char said[2048];
    ck_assert_uint_lt(n, sizeof said);
    memcpy(said, source, n);
    said[n] = '\0';
    ck_assert_msg(strstr(said, "dumped by parvin") || strstr(said, "github.com/"), "%s: %s", devices[_i],
                  said);
    free(text);
}
END_TEST

START_TEST(software_drivers_get_what_was_measured_best)
{
    struct pv_caps caps = load(LAVAPIPE);
    struct pv_plan plan = make(&caps, NULL);
    ck_assert_int_eq(plan.access, PV_ACCESS_TEXEL);
    ck_assert_int_eq(plan.reduce, PV_REDUCE_INVOCATION);
    ck_assert(!plan.kv_f16);
    ck_assert(!plan.learn_clusters);
    ck_assert(!plan.learn_router);
    ck_assert(make(&caps, "learn_clusters=1").learn_clusters);
    ck_assert(!make(&caps, "learn_clusters=1").kv_f16);
    ck_assert(make(&caps, "learn_router=1").learn_router);
    caps = load(SWIFTSHADER);
    plan = make(&caps, NULL);
    ck_assert_int_eq(plan.access, PV_ACCESS_STORAGE);
    ck_assert_int_eq(plan.reduce, PV_REDUCE_INVOCATION);
    ck_assert_uint_le(plan.elementwise_workgroup, 256);
    ck_assert(!plan.learn_clusters && !plan.learn_router);
}
END_TEST

/* By subgroup where its arithmetic is known to be there, else through shared memory. */
START_TEST(gpus_share_rows)
{
    int n_subgroup = 0;
    for (int i = RADV; i < N_DEVICES; i++) {
        struct pv_caps caps = load(i);
        const struct pv_plan plan = make(&caps, NULL);
        const bool arithmetic = caps.subgroup_ops & 4;
        n_subgroup += arithmetic;
        ck_assert_uint_eq(pv_quirks_find(&caps) & ~(uint32_t)PV_QUIRK_WIDE_SUBGROUPS_SPILL, 0);
        ck_assert_int_eq(plan.access, PV_ACCESS_STORAGE);
        ck_assert_int_eq(plan.reduce, arithmetic ? PV_REDUCE_SUBGROUP : PV_REDUCE_WORKGROUP);
        ck_assert(!arithmetic || plan.matvec_workgroup % plan.subgroup_size == 0);
        ck_assert_uint_le(plan.max_binding_bytes, caps.max_storage_range);
        ck_assert(caps.max_allocation == 0 || plan.max_binding_bytes <= caps.max_allocation);
        ck_assert(plan.kv_f16);
        ck_assert(plan.learn_clusters && plan.learn_router);
        caps.subgroup_ops = 1;
        ck_assert_int_eq(make(&caps, NULL).reduce, PV_REDUCE_WORKGROUP);
    }
    ck_assert_int_ge(n_subgroup, 12);
}
END_TEST

/* On Intel's GPUs with registers for it, and with a driver that is asked for it, only. */
START_TEST(subgroups_that_would_spill_are_halved)
{
    struct pv_caps caps = load(ANV);
    ck_assert_uint_eq(caps.subgroup_size, 32);
    ck_assert_uint_eq(make(&caps, NULL).subgroup_size, 16);
    ck_assert_uint_eq(make(&caps, "subgroup_size=32").subgroup_size, 32);
    caps.min_subgroup_size = 16; /* Xe2 */
    ck_assert_uint_eq(make(&caps, NULL).subgroup_size, 32);
    caps.min_subgroup_size = 8;
    caps.subgroup_size_control = false;
    ck_assert_uint_eq(make(&caps, NULL).subgroup_size, 32);
    caps = load(NVIDIA);
    ck_assert_uint_eq(make(&caps, NULL).subgroup_size, 32);
}
END_TEST

/* Whatever the caps say, the plan keeps to them and has no zero in it. */
static void check_sound(const struct pv_caps *caps, const struct pv_plan *p)
{
    const uint32_t groups[] = {p->matvec_workgroup, p->ffn_down_workgroup, p->matmul_workgroup,
                               p->attn_workgroup, p->elementwise_workgroup};
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        ck_assert_uint_ge(groups[i], 1);
        ck_assert_uint_eq(groups[i] & (groups[i] - 1), 0);
        if (groups[i] > 1) {
            ck_assert_uint_le(groups[i], caps->max_invocations);
            ck_assert_uint_le(groups[i], caps->max_workgroup_size[0]);
        }
    }
    ck_assert_uint_ge(p->ffn_down_splits, 1);
    ck_assert(p->matmul_lanes >= 1 && p->matmul_workgroup % p->matmul_lanes == 0);
    ck_assert(p->matvec_rows >= 1 && p->attn_tokens >= 1);
    ck_assert_uint_ge(p->matmul_tile_rows, 1);
    ck_assert_uint_ge(p->matmul_tile_cols, 1);
    ck_assert_uint_ge(p->n_batch, 1);
    ck_assert_uint_ge(p->subgroup_size, 1);
    ck_assert(p->access == PV_ACCESS_STORAGE || caps->max_texel_elements > 0);
    const uint64_t reach =
        p->access == PV_ACCESS_TEXEL ? caps->max_texel_elements : caps->max_storage_range / 16;
    ck_assert_uint_le(p->max_binding_bytes / 16, reach);
    if (p->reduce == PV_REDUCE_SUBGROUP)
        ck_assert_uint_eq(p->matvec_workgroup % p->subgroup_size, 0);
}

static uint32_t any_number(struct pv_rng *rng)
{
    static const uint32_t odd[] = {0, 1, 3, 4, 31, 32, 64, 128, 1000, 1024, 65535, UINT32_MAX};
    return pv_rng_below(rng, 4) == 0 ? (uint32_t)pv_rng_u64(rng) : odd[pv_rng_below(rng, 12)];
}

START_TEST(hostile_caps_still_give_a_plan)
{
    struct pv_rng rng;
    pv_rng_seed(&rng, 11);
    struct pv_caps zero = {0};
    struct pv_plan of_zero = make(&zero, NULL);
    check_sound(&zero, &of_zero);
    for (int round = 0; round < 20000; round++) {
        struct pv_caps caps = {.driver_id = pv_rng_below(&rng, 16), .device_type = pv_rng_below(&rng, 6)};
        caps.max_storage_range = any_number(&rng);
        caps.max_texel_elements = pv_rng_below(&rng, 2) ? any_number(&rng) : pv_rng_u64(&rng);
        caps.max_allocation = any_number(&rng);
        caps.max_shared_bytes = any_number(&rng);
        caps.max_invocations = any_number(&rng);
        caps.max_workgroup_size[0] = any_number(&rng);
        caps.subgroup_size = any_number(&rng);
        caps.subgroup_ops = any_number(&rng);
        struct pv_plan plan = make(&caps, NULL);
        check_sound(&caps, &plan);
    }
}
END_TEST

START_TEST(overrides_force_every_key)
{
    struct pv_caps caps = load(NVIDIA);
    const struct pv_plan p = make(
        &caps,
        "access=texel,reduce=workgroup,matvec_workgroup=512,ffn_down_workgroup=32,"
        "ffn_down_words=5,ffn_down_groups=3,ffn_down_splits=7,matmul_workgroup=16,matmul_tile_rows=3,matmul_tile_cols=8,"
        "matmul_lanes=4,matvec_rows=2,attn_tokens=3,attn_values=64,"
        "attn_workgroup=64,elementwise_workgroup=1,n_batch=5,kv_f16=off,"
        "max_binding_bytes=4096,subgroup_size=32");
    ck_assert_int_eq(p.access, PV_ACCESS_TEXEL);
    ck_assert_int_eq(p.reduce, PV_REDUCE_WORKGROUP);
    ck_assert_uint_eq(p.matvec_workgroup, 512);
    ck_assert_uint_eq(p.ffn_down_workgroup, 32);
    ck_assert_uint_eq(p.ffn_down_words, 5);
    ck_assert_uint_eq(p.ffn_down_groups, 3);
    ck_assert_uint_eq(p.ffn_down_splits, 7);
    ck_assert_uint_eq(p.matmul_workgroup, 16);
    ck_assert_uint_eq(p.matmul_tile_rows, 3);
    ck_assert_uint_eq(p.matmul_tile_cols, 8);
    ck_assert_uint_eq(p.matmul_lanes, 4);
    ck_assert_uint_eq(p.matvec_rows, 2);
    ck_assert_uint_eq(p.attn_tokens, 3);
    ck_assert_uint_eq(p.attn_values, 64);
    ck_assert_uint_eq(p.attn_workgroup, 64);
    ck_assert_uint_eq(p.elementwise_workgroup, 1);
    ck_assert_uint_eq(p.n_batch, 5);
    ck_assert(!p.kv_f16);
    ck_assert_uint_eq(p.max_binding_bytes, 4096);
    ck_assert(make(&caps, "kv_f16=1").kv_f16);
    ck_assert_uint_eq(make(&caps, "ffn_down_groups=0").ffn_down_groups, 0);
    ck_assert_uint_eq(make(&caps, "ffn_down_workgroup=1024").ffn_down_groups,
                      1);                                                 /* what shared memory holds */
    ck_assert_uint_eq(make(&caps, "matmul_workgroup=4").matmul_lanes, 4); /* follows what is forced */
    ck_assert_uint_eq(make(&caps, "access=texel").max_binding_bytes, 2147483648u);
    ck_assert_uint_eq(make(&caps, "").n_batch, 256);
}
END_TEST

START_TEST(a_wave_of_32_can_be_asked_of_rdna)
{
    struct pv_caps caps = load(RADV);
    const struct pv_plan p = make(&caps, "subgroup_size=32");
    ck_assert_uint_eq(p.subgroup_size, 32);
    ck_assert_uint_eq(p.matvec_workgroup, 128);
}
END_TEST

static const struct {
    const char *text, *named;
} bad[] = {
    {"warp=3", "warp=3"},
    {"n_batch", "n_batch"},
    {"n_batch=", "n_batch"},
    {"=4", "=4"},
    {"n_batch=4,", "expected key=value"},
    {",n_batch=4", "expected key=value"},
    {"n_batch=4,n_batch=5", "twice"},
    {"n_batch=-1", "n_batch"},
    {"n_batch=4k", "n_batch"},
    {"n_batch= 4", "n_batch"},
    {"n_batch=0", "n_batch"},
    {"n_batch=4294967296", "n_batch"},
    {"n_batch=99999999999999999999999", "n_batch"},
    {"n_batch=4294967295", "n_batch"},
    {"access=image", "access"},
    {"access=Texel", "access"},
    {"reduce=2", "reduce"},
    {"kv_f16=maybe", "kv_f16"},
    {"matvec_workgroup=48", "power of two"},
    {"matvec_workgroup=0", "matvec_workgroup"},
    {"matvec_workgroup=2048", "matvec_workgroup"},
    {"matvec_workgroup=16", "matvec_workgroup"}, /* below the subgroup */
    {"attn_workgroup=4096", "attn_workgroup"},
    {"ffn_down_splits=0", "ffn_down_splits"},
    {"ffn_down_groups=65", "ffn_down_groups"},
    {"ffn_down_groups=64,ffn_down_workgroup=64", "shared memory"},
    {"matmul_tile_rows=17", "matmul_tile_rows"},
    {"matmul_workgroup=8,matmul_lanes=16", "matmul_lanes"},
    {"matvec_rows=0", "matvec_rows"},
    {"attn_tokens=99", "attn_tokens"},
    {"attn_values=257", "attn_values"},
    {"subgroup_size=64", "subgroup_size"},
    {"subgroup_size=0", "subgroup_size"},
    {"max_binding_bytes=0", "max_binding_bytes"},
    {"max_binding_bytes=18446744073709551615", "max_binding_bytes"},
    {"max_binding_bytes=4294967296", "max_binding_bytes"},
};

START_TEST(bad_overrides_are_refused_by_name)
{
    struct pv_test_log captured;
    struct pv_log log = pv_test_log(&captured);
    struct pv_caps caps = load(NVIDIA);
    struct pv_plan plan = {.n_batch = 77};
    ck_assert_int_eq(pv_plan_make(&caps, 0, bad[_i].text, &log, &plan), PV_ERR_ARG);
    ck_assert_uint_eq(plan.n_batch, 77);
    ck_assert_uint_eq(captured.n_messages, 1);
    ck_assert_msg(pv_test_logged(&captured, bad[_i].named), "%s: %s", bad[_i].text, captured.text);
}
END_TEST

START_TEST(impossible_for_this_device)
{
    struct pv_caps caps = load(SWIFTSHADER);
    struct pv_plan plan;
    ck_assert_int_eq(pv_plan_make(&caps, 0, "matvec_workgroup=512", NULL, &plan), PV_ERR_ARG);
    ck_assert_int_eq(pv_plan_make(&caps, 0, "max_binding_bytes=2147483648", NULL, &plan), PV_ERR_ARG);
    ck_assert_int_eq(pv_plan_make(&caps, 0, "access=texel,max_binding_bytes=1048577", NULL, &plan),
                     PV_ERR_ARG);
    ck_assert_int_eq(pv_plan_make(&caps, 0, "access=texel,max_binding_bytes=1048576", NULL, &plan), PV_OK);
    caps.subgroup_ops = 0;
    ck_assert_int_eq(pv_plan_make(&caps, 0, "reduce=subgroup", NULL, &plan), PV_ERR_ARG);
    caps.max_texel_elements = 0;
    ck_assert_int_eq(pv_plan_make(&caps, 0, "access=texel", NULL, &plan), PV_ERR_ARG);
}
END_TEST

START_TEST(random_overrides_never_give_an_unsound_plan)
{
    static const char alphabet[] = "access=texel,reduce=subgroup,n_batch=0123456789kv_f16=matvec_workgroup";
    struct pv_rng rng;
    pv_rng_seed(&rng, 5);
    struct pv_caps caps = load(ANV);
    for (int round = 0; round < 20000; round++) {
        char text[64] = "";
        const uint32_t n = pv_rng_below(&rng, 60);
        for (uint32_t i = 0; i < n; i++)
            text[i] = alphabet[pv_rng_below(&rng, sizeof alphabet - 1)];
        struct pv_plan plan;
        if (pv_plan_make(&caps, 0, text, NULL, &plan) == PV_OK)
            check_sound(&caps, &plan);
    }
}
END_TEST

START_TEST(quirk_rows_are_complete)
{
    uint32_t n = 0, all = 0;
    const struct pv_quirk_row *rows = pv_quirks_table(&n);
    ck_assert_uint_gt(n, 0);
    for (uint32_t i = 0; i < n; i++) {
        ck_assert(rows[i].vendor_id != 0 || rows[i].driver_id != 0);
        ck_assert_uint_le(rows[i].min_version, rows[i].max_version);
        ck_assert_uint_ne(rows[i].quirk, 0);
        ck_assert_uint_gt(strlen(rows[i].symptom), 20);
        ck_assert_msg(strncmp(rows[i].url, "https://", 8) == 0, "%s", rows[i].url);
        /* one report or one file, not a project's front door */
        const char *path = strchr(rows[i].url + 8, '/');
        ck_assert_msg(path && strpbrk(path, "0123456789."), "%s", rows[i].url);
        all |= rows[i].quirk;
    }
    ck_assert_uint_eq(all, PV_QUIRK_SLOW_STORAGE_READS | PV_QUIRK_SLOW_BARRIERS |
                               PV_QUIRK_NO_SUBGROUP_SPEEDUP |
                               PV_QUIRK_WIDE_SUBGROUPS_SPILL); /* no flag without a row */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("vk/plan");
    TCase *tc = tcase_create("plan");
    tcase_add_loop_test(tc, plans_match_the_golden_files, 0, N_DEVICES);
    tcase_add_loop_test(tc, every_file_names_its_source, 0, N_DEVICES);
    tcase_add_test(tc, software_drivers_get_what_was_measured_best);
    tcase_add_test(tc, gpus_share_rows);
    tcase_add_test(tc, subgroups_that_would_spill_are_halved);
    tcase_add_test(tc, hostile_caps_still_give_a_plan);
    tcase_add_test(tc, overrides_force_every_key);
    tcase_add_test(tc, a_wave_of_32_can_be_asked_of_rdna);
    tcase_add_loop_test(tc, bad_overrides_are_refused_by_name, 0, (int)(sizeof bad / sizeof bad[0]));
    tcase_add_test(tc, impossible_for_this_device);
    tcase_add_test(tc, random_overrides_never_give_an_unsound_plan);
    tcase_add_test(tc, quirk_rows_are_complete);
    suite_add_tcase(suite, tc);
    return pv_test_main(suite);
}
