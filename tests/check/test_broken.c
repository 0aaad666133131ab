/* label: gpu
 * Conformance catches every kernel that is wrong: each is replaced in turn by a build of it whose first
 * workgroup does nothing (PV_BREAK in shaders/include/access.glsl), and the rows that fail must be its own.
 * Whose rows use which kernel does not depend on the driver: where PV_SECOND_DRIVER says that another driver has
 * run all rows, only a kernel's own are run.
 */
#include <stdlib.h>
#include <string.h>

#include "iface.h"
#include "parvin/conform.h"
#include "vk/fixture.h"

extern const struct pv_spirv pv_broken_table[];
extern const size_t pv_broken_count;

#define NAME(kernel, letters, pc) #kernel,
static const char *const kernels[] = {PV_KERNELS(NAME)};
#undef NAME
enum { N_KERNELS = sizeof kernels / sizeof kernels[0] };

/* Case families that several kernels work in together. */
static const struct {
    const char *kernel, *family;
} families[] = {
    {"attn_decode_reg", "attn_decode"}, {"ffn_up", "ffn"}, {"ffn_down", "ffn"}, {"ffn_reduce", "ffn"}};

static const char *family_of(const char *kernel)
{
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
        if (strcmp(families[i].kernel, kernel) == 0)
            return families[i].family;
    return kernel;
}

struct seen {
    const char *family;
    uint32_t n_own, n_others;
    char other[160];
};

static void on_row(void *user, const struct pv_conform_row *row)
{
    struct seen *s = user;
    if (row->passed || row->skipped)
        return;
    if (strcmp(row->kernel, s->family) == 0) {
        s->n_own++;
        return;
    }
    s->n_others++;
    snprintf(s->other, sizeof s->other, "%s/%s", row->kernel, row->name);
}

/* All shaders, with the broken forms of `kernel` in place of the right ones; free. */
static struct pv_spirv *with_broken(const char *kernel, uint32_t *n_broken)
{
    struct pv_spirv *table = calloc(pv_spirv_count, sizeof *table);
    const size_t n = strlen(kernel);
    ck_assert_ptr_nonnull(table);
    memcpy(table, pv_spirv_table, pv_spirv_count * sizeof *table);
    *n_broken = 0;
    for (size_t b = 0; b < pv_broken_count; b++) {
        const char *name = pv_broken_table[b].name;
        if (strncmp(name, kernel, n) != 0 || (name[n] != '.' && name[n] != '\0'))
            continue;
        for (size_t i = 0; i < pv_spirv_count; i++)
            if (strcmp(table[i].name, name) == 0) {
                table[i] = pv_broken_table[b];
                ++*n_broken;
            }
    }
    return table;
}

START_TEST(each_broken_kernel_is_caught_by_name)
{
    struct fixture f;
    fixture_open(&f, _i);
    for (uint32_t k = 0; k < N_KERNELS; k++) {
        uint32_t n_broken = 0;
        struct pv_spirv *table = with_broken(kernels[k], &n_broken);
        struct seen seen = {.family = family_of(kernels[k])};
        struct pv_conform_result result;
        /* attn_decode itself runs where rows are reduced over the workgroup */
        const bool shared = strcmp(kernels[k], "attn_decode") == 0;
        char own[64];
        snprintf(own, sizeof own, "%s/", seen.family);
        const struct pv_conform_params params = {.filter = getenv("PV_SECOND_DRIVER") ? own : NULL,
                                                 .variant =
                                                     shared ? "storage-workgroup" : "storage-invocation",
                                                 .quick = true};
        ck_assert_msg(n_broken > 0, "there is no broken %s", kernels[k]);
        f.context->shaders = table;
        ck_assert_int_eq(pv_conform(f.context, (uint32_t)_i, &params, on_row, &seen, &result), PV_OK);
        f.context->shaders = pv_spirv_table;
        free(table);
        ck_assert_msg(seen.n_own > 0, "%s is broken, and no row of %s failed", kernels[k], seen.family);
        ck_assert_msg(seen.n_others == 0, "%s is broken, and %u rows of others failed: %s", kernels[k],
                      seen.n_others, seen.other);
    }
    fixture_close(&f);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {each_broken_kernel_is_caught_by_name};
    return fixture_main("check/broken", tests, sizeof tests / sizeof tests[0]);
}
