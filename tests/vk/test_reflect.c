/* label: unit
 * Reflection of every shader there is, against the contract in shaders/iface.h, and of damaged modules. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "harness.h"
#include "iface.h"
#include "vk/pipeline/reflect.h"
#include "vk/pipeline/spirv.h"

struct kernel {
    const char *name, *letters;
    uint32_t push_bytes;
};
#define ROW(name, letters, pc) {#name, letters, sizeof(struct pc)},
static const struct kernel kernels[] = {PV_KERNELS(ROW)};

static const struct kernel *kernel_of(const char *shader)
{
    const size_t n = strcspn(shader, ".");
    for (size_t i = 0; i < sizeof kernels / sizeof kernels[0]; i++)
        if (strlen(kernels[i].name) == n && memcmp(kernels[i].name, shader, n) == 0)
            return &kernels[i];
    return NULL;
}

START_TEST(every_shader_matches_the_contract)
{
    const struct pv_spirv *s = &pv_spirv_table[_i];
    const struct kernel *k = kernel_of(s->name);
    struct pv_test_log captured;
    struct pv_log log = pv_test_log(&captured);
    struct pv_reflection r;
    ck_assert_msg(k != NULL, "%s is not in PV_KERNELS", s->name);
    ck_assert_msg(pv_reflect(s->words, s->size_bytes, NULL, 0, s->name, &log, &r) == PV_OK, "%s",
                  captured.text);
    const bool texel = strstr(s->name, ".texel") != NULL;
    ck_assert_msg(r.n_bindings <= strlen(k->letters), "%s binds %u buffers", s->name, r.n_bindings);
    ck_assert_msg(r.push_bytes == k->push_bytes, "%s: %u bytes of push constants, %u in iface.h", s->name,
                  r.push_bytes, k->push_bytes);
    for (uint32_t i = 0; i < r.n_bindings; i++) {
        const enum pv_binding_kind wanted =
            k->letters[i] != 'B' && texel ? PV_BINDING_TEXEL : PV_BINDING_STORAGE;
        const enum pv_binding_kind found = r.bindings[i].kind;
        ck_assert_msg(found == wanted || found == PV_BINDING_NONE, "%s: binding %u is of kind %d", s->name, i,
                      found);
        ck_assert_msg(!r.bindings[i].writes || k->letters[i] == 'B', "%s writes binding %u", s->name, i);
    }
    ck_assert_msg(r.subgroups == (strstr(s->name, ".sg") != NULL), "%s: subgroups %d", s->name, r.subgroups);
}
END_TEST

START_TEST(workgroup_size_is_specialized)
{
    const struct pv_spirv *s = &pv_spirv_table[_i];
    const uint32_t spec[] = {48};
    struct pv_reflection r;
    ck_assert_int_eq(pv_reflect(s->words, s->size_bytes, spec, 1, s->name, NULL, &r), PV_OK);
    ck_assert_uint_eq(r.local_size[0], 48);
    ck_assert_uint_eq(r.local_size[1], 1);
    ck_assert_uint_eq(r.local_size[2], 1);
}
END_TEST

START_TEST(damaged_modules_never_crash)
{
    const struct pv_spirv *s = &pv_spirv_table[_i];
    struct pv_reflection r;
    struct pv_rng rng;
    const size_t n = s->size_bytes / 4;
    pv_rng_seed(&rng, 100 + (uint64_t)_i);
    for (int round = 0; round < 60; round++) {
        const size_t n_kept = round < 20 ? pv_rng_below(&rng, (uint32_t)n + 1) : n;
        uint32_t *copy = malloc(n_kept * 4 + 1); /* exact, so that a sanitizer sees one word too far */
        ck_assert_ptr_nonnull(copy);
        memcpy(copy, s->words, n_kept * 4);
        for (uint32_t k = 0; k < 5 && round >= 20; k++)
            copy[pv_rng_below(&rng, (uint32_t)n_kept)] =
                pv_rng_below(&rng, 3) ? pv_rng_below(&rng, 400) : UINT32_MAX;
        const enum pv_status status = pv_reflect(copy, n_kept * 4, NULL, 0, s->name, NULL, &r);
        ck_assert(status == PV_OK || status == PV_ERR_FORMAT || status == PV_ERR_UNSUPPORTED);
        if (status == PV_OK)
            ck_assert_uint_le(r.n_bindings, PV_REFLECT_BINDINGS);
        free(copy);
    }
}
END_TEST

START_TEST(the_table_is_sorted)
{
    for (size_t i = 1; i < pv_spirv_count; i++)
        ck_assert_str_lt(pv_spirv_table[i - 1].name, pv_spirv_table[i].name);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("vk/reflect");
    TCase *tc = tcase_create("shaders");
    tcase_add_loop_test(tc, every_shader_matches_the_contract, 0, (int)pv_spirv_count);
    tcase_add_loop_test(tc, workgroup_size_is_specialized, 0, (int)pv_spirv_count);
    tcase_add_loop_test(tc, damaged_modules_never_crash, 0, (int)pv_spirv_count);
    tcase_add_test(tc, the_table_is_sorted);
    suite_add_tcase(suite, tc);
    return pv_test_main(suite);
}
