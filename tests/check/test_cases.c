/* label: gpu
 * The checker is checked: cases that are wrong on purpose must fail, each in its own way; and the kernels'
 * refusals. */
#include <math.h>

#include "base/log.h"
#include "check/case_run.h"
#include "check/cases.h"
#include "vk/fixture.h"

/* ---- cases that must fail ---- */

enum { N = 33, T = 3 };

/* Uploads rows and hands them back through `change` as what the "kernel" wrote. */
static enum pv_status check_changed(struct pv_case_run *run, size_t word, uint32_t value)
{
    float *rows = NULL;
    struct pv_buffer *buffer = NULL;
    PV_TRY(pv_case_random(run, (size_t)T * N, 1.0f, &rows));
    PV_TRY(pv_case_rows(run, rows, T, N, &buffer));
    if (word != SIZE_MAX)
        PV_TRY(pv_buffer_write(buffer, word * 4, &value, 4));
    return pv_case_check_rows(run, "rows", buffer, rows, T, N);
}

static enum pv_status nothing_wrong(struct pv_case_run *run, const struct pv_case *c)
{
    (void)c;
    return check_changed(run, SIZE_MAX, 0);
}
static enum pv_status wrong_value(struct pv_case_run *run, const struct pv_case *c)
{
    (void)c;
    return check_changed(run, 2 * 36 + 32, 0x40400000u); /* the last value is 3.0 */
}
static enum pv_status not_a_number(struct pv_case_run *run, const struct pv_case *c)
{
    (void)c;
    return check_changed(run, 5, 0x7fc00000u);
}
static enum pv_status not_written(struct pv_case_run *run, const struct pv_case *c)
{
    (void)c;
    return check_changed(run, 36, 0xffffffffu);
}
static enum pv_status written_padding(struct pv_case_run *run, const struct pv_case *c)
{
    (void)c;
    return check_changed(run, 33, 0);
}
static enum pv_status written_past_the_end(struct pv_case_run *run, const struct pv_case *c)
{
    (void)c;
    return check_changed(run, 3 * 36, 0);
}
static enum pv_status wrong_bit(struct pv_case_run *run, const struct pv_case *c)
{
    const uint32_t words[2] = {5, 6}, expected[2] = {5, 7};
    struct pv_buffer *buffer = NULL;
    (void)c;
    PV_TRY(pv_case_buffer(run, words, 2, &buffer));
    return pv_case_check_words(run, "bits", buffer, expected, 2);
}
static enum pv_status wrong_bits_past_the_end(struct pv_case_run *run, const struct pv_case *c)
{
    const uint32_t words[2] = {5, 6};
    struct pv_buffer *buffer = NULL;
    (void)c;
    PV_TRY(pv_case_buffer(run, words, 2, &buffer));
    return pv_case_check_words(run, "bits", buffer, words, 1);
}
static enum pv_status wrong_fact(struct pv_case_run *run, const struct pv_case *c)
{
    (void)c;
    pv_case_expect(run, false, "a fact");
    return PV_OK;
}
/* Matvec as it is against a reference that has other weights. */
static enum pv_status other_weights(struct pv_case_run *run, const struct pv_case *c)
{
    struct pv_tensor *w = NULL, *other = NULL;
    struct pv_ref_matrix ref;
    float *x = NULL, *y = NULL;
    struct pv_linear a = {.n_tokens = 1};
    (void)c;
    PV_TRY(pv_case_matrix(run, PV_F16, N, N, &w, &ref));
    PV_TRY(pv_case_matrix(run, PV_F16, N, N, &other, &ref));
    PV_TRY(pv_case_random(run, N, 1.0f, &x));
    PV_TRY(pv_case_floats(run, N, &y));
    a.w = w;
    PV_TRY(pv_case_rows(run, x, 1, N, &a.x));
    PV_TRY(pv_case_rows(run, NULL, 1, N, &a.y));
    PV_TRY(pv_case_begin(run));
    PV_TRY(pv_kernel_linear(run->recorder, &a));
    PV_TRY(pv_case_submit(run));
    pv_ref_linear(&ref, NULL, x, 1, false, y);
    return pv_case_check_rows(run, "y", a.y, y, 1, N);
}

static const struct {
    const char *name, *detail;
    enum pv_status (*run)(struct pv_case_run *run, const struct pv_case *c);
} wrongs[] = {{"wrong value", "rows[98] is 3", wrong_value},
              {"not a number", "rows[5] is", not_a_number},
              {"not written", "rows[33] is", not_written},
              {"written padding", "word 33 was written", written_padding},
              {"written past the end", "word 108 was written", written_past_the_end},
              {"wrong bit", "word 1 is 0x00000006, expected 0x00000007", wrong_bit},
              {"wrong bits past the end", "word 1 was written", wrong_bits_past_the_end},
              {"wrong fact", "a fact", wrong_fact},
              {"other weights", "y[", other_weights}};

static struct pv_conform_row execute(struct fixture *f, struct pv_case c)
{
    struct pv_recorder *recorder = NULL;
    struct pv_conform_row row;
    c.kernel = "test";
    ck_assert_int_eq(pv_recorder_create(f->device, &recorder), PV_OK);
    ck_assert_int_eq(pv_case_execute(recorder, &c, &(struct pv_case_how){.seed = 1}, &row, NULL), PV_OK);
    pv_recorder_destroy(recorder);
    return row;
}

START_TEST(a_right_case_passes)
{
    struct fixture f;
    fixture_open(&f, _i);
    const struct pv_conform_row row = execute(&f, (struct pv_case){.name = "right", .run = nothing_wrong});
    ck_assert_msg(row.passed && row.error <= 0.0, "%s", row.detail);
    fixture_close(&f);
}
END_TEST

START_TEST(wrong_cases_fail)
{
    struct fixture f;
    fixture_open(&f, _i);
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
        const struct pv_case c = {.name = wrongs[i].name, .run = wrongs[i].run, .tolerance = 1e-10};
        const struct pv_conform_row row = execute(&f, c);
        ck_assert_msg(!row.passed && !row.skipped, "%s passed", wrongs[i].name);
        ck_assert_msg(strstr(row.detail, wrongs[i].detail), "%s: %s", wrongs[i].name, row.detail);
    }
    fixture_close(&f);
}
END_TEST

/* ---- the table ---- */

START_TEST(names_are_unique)
{
    for (uint32_t i = 0; i < pv_case_count(); i++)
        for (uint32_t j = 0; j < i; j++) {
            const struct pv_case *a = pv_case_at(i), *b = pv_case_at(j);
            ck_assert_msg(strcmp(a->kernel, b->kernel) != 0 || strcmp(a->name, b->name) != 0,
                          "two cases %s/%s", a->kernel, a->name);
        }
    ck_assert_ptr_null(pv_case_at(pv_case_count()));
}
END_TEST

/* ---- refusals ---- */

static struct pv_recorder *recording(struct fixture *f)
{
    struct pv_recorder *r = NULL;
    ck_assert_int_eq(pv_recorder_create(f->device, &r), PV_OK);
    ck_assert_int_eq(pv_recorder_begin(r, 0), PV_OK);
    return r;
}

START_TEST(shapes_that_do_not_fit_are_refused)
{
    struct fixture f;
    fixture_open(&f, _i);
    struct pv_recorder *r = recording(&f);
    struct pv_buffer *small = new_buffer(&f, 64, PV_MEM_DEVICE), *big = new_buffer(&f, 4096, PV_MEM_DEVICE);
    struct pv_tensor w;
    ck_assert_int_eq(pv_tensor_create(f.device, PV_F16, 100, 16, "w", &w), PV_OK);
    struct pv_norm_args norm = {.x = big, .weight = small, .out = big, .n_rows = 1, .n_cols = 100};
    ck_assert_int_eq(pv_kernel_norm(r, &norm), PV_ERR_ARG);
    ck_assert(pv_test_logged(&f.log, "rmsnorm: weight has 64 bytes, the shape needs 400"));
    norm.n_cols = 4;
    norm.weight = NULL;
    ck_assert_int_eq(pv_kernel_norm(r, &norm), PV_ERR_ARG);
    ck_assert(pv_test_logged(&f.log, "rmsnorm: no buffer for weight"));
    norm.weight = big;
    norm.n_rows = 0;
    ck_assert_int_eq(pv_kernel_norm(r, &norm), PV_ERR_ARG);
    struct pv_linear a = {.w = &w, .x = small, .y = small, .n_tokens = 1};
    ck_assert_int_eq(pv_kernel_linear(r, &a), PV_ERR_ARG);
    a.x = big;
    ck_assert_int_eq(pv_kernel_linear(r, &a), PV_ERR_ARG);
    ck_assert(pv_test_logged(&f.log, "matvec: y has 64 bytes"));
    a.n_tokens = 0;
    ck_assert_int_eq(pv_kernel_linear_t(r, &a), PV_ERR_ARG);
    struct pv_attention_args at = {.q = big,
                                   .cache_k = big,
                                   .cache_v = big,
                                   .out = small,
                                   .step = small,
                                   .n_tokens = 1,
                                   .n_heads = 3,
                                   .n_kv_heads = 2,
                                   .head_dim = 4,
                                   .n_ctx = 2};
    ck_assert_int_eq(pv_kernel_attention(r, &at), PV_ERR_ARG);
    at.n_kv_heads = 1;
    at.head_dim = 6;
    ck_assert_int_eq(pv_kernel_attention(r, &at), PV_ERR_UNSUPPORTED);
    const struct pv_rope_kv_args rope = {.qkv = big,
                                         .cache_k = big,
                                         .cache_v = big,
                                         .step = small,
                                         .n_tokens = 1,
                                         .n_heads = 1,
                                         .n_kv_heads = 1,
                                         .head_dim = 8,
                                         .n_ctx = 1,
                                         .rope_dim = 9,
                                         .freq_base = 1e4f};
    ck_assert_int_eq(pv_kernel_rope_kv(r, &rope), PV_ERR_ARG);
    pv_tensor_destroy(&w);
    pv_buffer_destroy(small);
    pv_buffer_destroy(big);
    pv_recorder_destroy(r);
    fixture_close(&f);
}
END_TEST

START_TEST(tensors_and_masks_are_checked)
{
    struct fixture f;
    struct pv_tensor t = {0};
    struct pv_masks m = {0};
    const uint16_t list[2] = {0, 9};
    fixture_open(&f, _i);
    ck_assert_int_eq(pv_tensor_create(f.device, PV_Q8_0, 4, 33, "odd", &t), PV_ERR_UNSUPPORTED);
    ck_assert_int_eq(pv_tensor_create(f.device, PV_I32, 4, 32, "integers", &t), PV_ERR_UNSUPPORTED);
    ck_assert_int_eq(pv_tensor_create(f.device, PV_F32, 0, 32, "empty", &t), PV_ERR_UNSUPPORTED);
    f.device->plan.max_binding_bytes = 1024;
    ck_assert_int_eq(pv_tensor_create(f.device, PV_F32, 8, 32, "fits", &t), PV_OK);
    ck_assert_uint_eq(pv_tensor_bytes(&t), 1024);
    ck_assert_uint_eq(t.n_parts, 1);
    pv_tensor_destroy(&t);
    ck_assert_int_eq(pv_tensor_create(f.device, PV_F32, 21, 32, "large", &t), PV_OK);
    ck_assert_uint_eq(t.n_parts, 3);
    ck_assert_uint_eq(pv_tensor_bytes(&t), 21 * 128);
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(t.parts[i].first_row, 8 * i);
        ck_assert_uint_eq(t.parts[i].n_rows, i < 2 ? 8 : 5);
        ck_assert_uint_le(t.parts[i].data->size_bytes, 1024);
    }
    pv_tensor_destroy(&t);
    f.device->plan.max_binding_bytes = 511;
    ck_assert_int_eq(pv_tensor_create(f.device, PV_F32, 9, 32, "wide", &t), PV_ERR_UNSUPPORTED);
    ck_assert(pv_test_logged(&f.log, "wide: 4 rows of 128 bytes"));
    ck_assert_uint_eq(t.n_parts, 0);
    pv_tensor_destroy(&t); /* safe on a zeroed struct */
    ck_assert_int_eq(pv_masks_create_lists(f.device, 1, 9, (const uint16_t *[]){list}, (uint32_t[]){2}, &m),
                     PV_ERR_ARG);
    ck_assert(pv_test_logged(&f.log, "neuron 9 in cluster 0 of a layer of 9"));
    ck_assert_int_eq(pv_masks_create_lists(f.device, 1, 1, (const uint16_t *[]){list}, (uint32_t[]){2}, &m),
                     PV_ERR_ARG);
    ck_assert_int_eq(pv_masks_create_lists(f.device, 0, 9, NULL, NULL, &m), PV_ERR_ARG);
    ck_assert_int_eq(pv_masks_create_lists(f.device, 1, 10, (const uint16_t *[]){list}, (uint32_t[]){2}, &m),
                     PV_OK);
    ck_assert_uint_eq(m.max_neurons, 2);
    uint32_t bits = 0;
    ck_assert_int_eq(pv_buffer_read(m.bits, 0, &bits, 4), PV_OK);
    ck_assert_uint_eq(bits, 1u << 9 | 1u);
    pv_masks_destroy(&m);
    fixture_close(&f);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {a_right_case_passes, wrong_cases_fail, names_are_unique,
                                  shapes_that_do_not_fit_are_refused, tensors_and_masks_are_checked};
    return fixture_main("kernel/cases", tests, sizeof tests / sizeof tests[0]);
}
