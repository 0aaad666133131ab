/* label: unit
 * The variants that conformance forces, for the devices of tests/data/caps: each keeps to what it may, and no
 * shader needs a feature that a variant denies. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "harness.h"
#include "check/variants.h"
#include "vk/plan/quirks.h"
#include "vk/pipeline/spirv.h"

struct all {
    struct pv_caps caps;
    struct pv_variant v[PV_VARIANTS_MAX];
    uint32_t n;
};

static void make(const char *device, struct all *a)
{
    char name[128], path[PV_TEST_PATH_ROOM], *text = NULL;
    size_t size_bytes = 0;
    struct pv_plan own;
    snprintf(name, sizeof name, "tests/data/caps/%s.json", device);
    ck_assert_msg(pv_test_source(name, path), "%s is missing", name);
    ck_assert_int_eq(pv_file_read(path, NULL, &text, &size_bytes), PV_OK);
    ck_assert_int_eq(pv_caps_from_json(text, NULL, &a->caps), PV_OK);
    free(text);
    const uint32_t quirks = pv_quirks_find(&a->caps);
    ck_assert_int_eq(pv_plan_make(&a->caps, quirks, NULL, NULL, &own), PV_OK);
    a->n = pv_variants_make(&a->caps, quirks, &own, a->v);
    ck_assert_str_eq(a->v[0].name, "plan");
    ck_assert(pv_plan_same(&a->v[0].plan, &own));
}

static const struct pv_variant *find(const struct all *a, const char *name)
{
    for (uint32_t i = 0; i < a->n; i++)
        if (strcmp(a->v[i].name, name) == 0)
            return &a->v[i];
    return NULL;
}

START_TEST(names_are_unique_and_told)
{
    struct all a;
    make("anv_arc_a770", &a);
    for (uint32_t i = 0; i < a.n; i++) {
        ck_assert_uint_gt(strlen(a.v[i].about), 10);
        ck_assert_ptr_eq(find(&a, a.v[i].name), &a.v[i]);
        ck_assert(!strpbrk(a.v[i].name, " '[]")); /* it goes into a command line */
        ck_assert((a.v[i].state == PV_VARIANT_RUNS) == (a.v[i].detail[0] == '\0'));
    }
}
END_TEST

START_TEST(each_offered_subgroup_size_is_a_variant)
{
    struct all a;
    make("radv_navi21", &a); /* usually 64, from 32 */
    ck_assert_uint_eq(find(&a, "subgroup-32")->plan.subgroup_size, 32);
    ck_assert_int_eq(find(&a, "subgroup-32")->plan.reduce, PV_REDUCE_SUBGROUP);
    ck_assert_ptr_null(find(&a, "subgroup-64"));
    ck_assert_ptr_null(find(&a, "subgroup-16"));
    make("lavapipe", &a);
    ck_assert_ptr_null(find(&a, "subgroup-4"));
}
END_TEST

START_TEST(denied_facts_stay_denied)
{
    struct all a;
    make("nvidia_rtx2080", &a);
    ck_assert_int_eq(find(&a, "no-subgroups")->plan.reduce, PV_REDUCE_WORKGROUP);
    const struct pv_variant *small = find(&a, "small-shared"), *minimum = find(&a, "minimum");
    ck_assert_uint_eq(small->caps.max_shared_bytes, 512);
    ck_assert_uint_le(small->plan.elementwise_workgroup, 16);
    ck_assert_uint_le(minimum->plan.elementwise_workgroup, 128);
    ck_assert_uint_eq(minimum->plan.max_binding_bytes, 1u << 27);
    ck_assert(!minimum->caps.float16 && !minimum->caps.storage_16bit);
    make("lavapipe", &a);
    ck_assert_int_eq(find(&a, "no-subgroups")->plan.reduce, PV_REDUCE_WORKGROUP); /* quirks are off */
    ck_assert_int_eq(find(&a, "gpu-sizes")->plan.reduce, PV_REDUCE_SUBGROUP);
    a.caps.subgroup_ops = 0;
    a.n = pv_variants_make(&a.caps, 0, &a.v[0].plan, a.v);
    ck_assert_int_eq(find(&a, "storage-subgroup")->state, PV_VARIANT_IMPOSSIBLE);
}
END_TEST

/* So that no-fp16-storage, no-fp16-arithmetic and no-int8-dot are the plan itself. The numbers are the
 * SPIR-V specification's: Float16, Float64, Int64, Int16, Int8, StorageBuffer16BitAccess and its three
 * fellows, StorageBuffer8BitAccess and its two, DotProductInputAll to DotProduct. */
START_TEST(no_shader_needs_an_optional_type)
{
    static const uint32_t optional[] = {9,    10,   11,   22,   39,   4433, 4434, 4435,
                                        4436, 4448, 4449, 4450, 6016, 6017, 6018, 6019};
    struct all a;
    make("lavapipe", &a);
    for (size_t i = 0; i < pv_spirv_count; i++) {
        const uint32_t *w = pv_spirv_table[i].words;
        const size_t n = pv_spirv_table[i].size_bytes / 4;
        uint32_t n_capabilities = 0;
        for (size_t at = 5; at < n && (w[at] & 0xffff) == 17; at += w[at] >> 16, n_capabilities++)
            for (size_t k = 0; k < sizeof optional / sizeof optional[0]; k++)
                ck_assert_msg(w[at + 1] != optional[k], "%s needs the capability %u", pv_spirv_table[i].name,
                              w[at + 1]);
        ck_assert_uint_gt(n_capabilities, 0);
    }
    ck_assert_int_eq(find(&a, "no-fp16-storage")->state, PV_VARIANT_SAME);
    ck_assert_int_eq(find(&a, "no-fp16-arithmetic")->state, PV_VARIANT_SAME);
    ck_assert_int_eq(find(&a, "no-int8-dot")->state, PV_VARIANT_SAME);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kernel/variants");
    TCase *tc = tcase_create("variants");
    tcase_add_test(tc, names_are_unique_and_told);
    tcase_add_test(tc, each_offered_subgroup_size_is_a_variant);
    tcase_add_test(tc, denied_facts_stay_denied);
    tcase_add_test(tc, no_shader_needs_an_optional_type);
    suite_add_tcase(suite, tc);
    return pv_test_main(suite);
}
