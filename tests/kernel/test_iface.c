/* label: unit
 * Every embedded SPIR-V module against shaders/iface.h: its name, the bindings that the letters promise and
 * how each is read, the size of its push constants, and the workgroup that PV_SPEC_WG sets. */
#include <stdio.h>
#include <string.h>

#include "harness.h"
#include "iface.h"
#include "vk/pipeline/reflect.h"
#include "vk/pipeline/spirv.h"

struct kernel {
    const char *name, *letters;
    uint32_t push_bytes;
};
#define ROW(kernel, letters, pc) {#kernel, letters, (uint32_t)sizeof(struct pc)},
static const struct kernel kernels[] = {PV_KERNELS(ROW)};
enum { N_KERNELS = sizeof kernels / sizeof *kernels };

/* Whether `name` has `part` between dots after the kernel's name. */
static bool has_part(const char *name, const char *part)
{
    const size_t n = strlen(part);
    for (const char *dot = strchr(name, '.'); dot; dot = strchr(dot + 1, '.'))
        if (strncmp(dot + 1, part, n) == 0 && (dot[1 + n] == '.' || dot[1 + n] == '\0'))
            return true;
    return false;
}

static const struct kernel *find(const char *name)
{
    const size_t n = strcspn(name, ".");
    for (size_t i = 0; i < N_KERNELS; i++)
        if (strlen(kernels[i].name) == n && strncmp(kernels[i].name, name, n) == 0)
            return &kernels[i];
    return NULL;
}

static struct pv_reflection reflect(const struct pv_spirv *m, const uint32_t *spec, uint32_t n_spec)
{
    struct pv_reflection r;
    ck_assert_msg(pv_reflect(m->words, m->size_bytes, spec, n_spec, m->name, NULL, &r) == PV_OK, "%s",
                  m->name);
    return r;
}

START_TEST(modules_follow_the_interface)
{
    for (size_t i = 0; i < pv_spirv_count; i++) {
        const struct pv_spirv *m = &pv_spirv_table[i];
        const struct kernel *k = find(m->name);
        ck_assert_msg(k != NULL, "%s is no kernel of iface.h", m->name);
        const bool scaled = strchr(k->letters, 'S') && !has_part(m->name, "f32") &&
                            !has_part(m->name, "f16") && !has_part(m->name, "bf16");
        const size_t n = scaled ? strlen(k->letters) : strcspn(k->letters, "S");
        const struct pv_reflection r = reflect(m, NULL, 0);
        ck_assert_msg(r.n_bindings == n, "%s has %u bindings, iface.h says %zu", m->name, r.n_bindings, n);
        ck_assert_msg(r.push_bytes == k->push_bytes, "%s takes %u bytes of push constants, iface.h says %u",
                      m->name, r.push_bytes, k->push_bytes);
        for (size_t b = 0; b < n; b++) {
            const bool texel = has_part(m->name, "texel") && k->letters[b] != 'B';
            const enum pv_binding_kind kind = texel ? PV_BINDING_TEXEL : PV_BINDING_STORAGE;
            ck_assert_msg(r.bindings[b].kind == kind, "%s: binding %zu is of kind %d, '%c' says %d", m->name,
                          b, (int)r.bindings[b].kind, k->letters[b], (int)kind);
            ck_assert_msg(k->letters[b] == 'B' || !r.bindings[b].writes, "%s writes its input %zu", m->name,
                          b);
        }
    }
}
END_TEST

START_TEST(the_workgroup_is_specialised)
{
    for (size_t i = 0; i < pv_spirv_count; i++) {
        const uint32_t spec[] = {48};
        const struct pv_reflection set = reflect(&pv_spirv_table[i], spec, 1);
        ck_assert_msg(set.local_size[0] == 48, "%s: %u", pv_spirv_table[i].name, set.local_size[0]);
        ck_assert_uint_eq(set.local_size[1] * set.local_size[2], 1);
    }
}
END_TEST

START_TEST(sg_alone_uses_subgroups)
{
    for (size_t i = 0; i < pv_spirv_count; i++)
        ck_assert_msg(reflect(&pv_spirv_table[i], NULL, 0).subgroups ==
                          has_part(pv_spirv_table[i].name, "sg"),
                      "%s", pv_spirv_table[i].name);
}
END_TEST

START_TEST(every_kernel_has_every_variant)
{
    static const char *const types[] = {"f32",  "f16",  "bf16", "q8_0", "q4_0",   "q6_k", "q4_1",
                                        "q5_1", "q2_k", "q4_k", "q5_k", "iq4_nl", "mxfp4"};
    static const char *const access[] = {"storage", "texel"};
    for (size_t i = 0; i < N_KERNELS; i++) {
        const bool weights = strchr(kernels[i].letters, 'S') != NULL,
                   cache = strchr(kernels[i].letters, 'C') != NULL;
        const bool reads = strspn(kernels[i].letters, "B") != strlen(kernels[i].letters);
        const bool by_neuron =
            strcmp(kernels[i].name, "matmul_t") == 0 || strcmp(kernels[i].name, "ffn_down") == 0;
        const size_t n_types = by_neuron ? 6 : weights ? 13 : cache ? 2 : 1;
        for (size_t t = 0; t < n_types; t++)
            for (size_t a = 0; a < (reads ? 2u : 1u); a++) {
                char name[64];
                bool found = false;
                const bool writes_cache = strcmp(kernels[i].name, "rope_kv") == 0; /* typed, B */
                snprintf(name, sizeof name, "%s%s%s%s%s", kernels[i].name, weights || cache ? "." : "",
                         weights || cache ? types[t] : (writes_cache ? ".f32" : ""), reads ? "." : "",
                         reads ? access[a] : "");
                for (size_t m = 0; m < pv_spirv_count; m++)
                    found = found || strcmp(pv_spirv_table[m].name, name) == 0;
                ck_assert_msg(found, "no module %s", name);
            }
    }
}
END_TEST

START_TEST(structs_have_no_padding)
{
    ck_assert_uint_eq(sizeof(struct pv_step), 16);
    ck_assert_uint_eq(sizeof(struct pv_route), 32);
    ck_assert_uint_eq(sizeof(struct pv_cluster_entry), 8);
    ck_assert_uint_eq(PV_ROUTE_UP_OFFSET, offsetof(struct pv_route, up_x));
    for (size_t i = 0; i < N_KERNELS; i++)
        ck_assert_uint_le(kernels[i].push_bytes, 128); /* what every device has */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kernel/iface");
    TCase *tc = tcase_create("modules");
    tcase_add_test(tc, modules_follow_the_interface);
    tcase_add_test(tc, the_workgroup_is_specialised);
    tcase_add_test(tc, sg_alone_uses_subgroups);
    tcase_add_test(tc, every_kernel_has_every_variant);
    tcase_add_test(tc, structs_have_no_padding);
    suite_add_tcase(suite, tc);
    return pv_test_main(suite);
}
