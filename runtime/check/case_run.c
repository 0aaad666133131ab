/* Inputs, poisoned outputs and comparison for kernel cases. */
#include "check/case_run.h"

#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"

enum { GUARD_WORDS = 16 };

static enum pv_status no_memory(const struct pv_case_run *run)
{
    return pv_fail(run->device->log, PV_ERR_NOMEM, "no memory for a kernel case");
}

enum pv_status pv_case_floats(struct pv_case_run *run, size_t n, float **out)
{
    *out = pv_arena_alloc(&run->arena, n ? n : 1, sizeof **out);
    return *out ? PV_OK : no_memory(run);
}

enum pv_status pv_case_words(struct pv_case_run *run, size_t n, uint32_t **out)
{
    *out = pv_arena_alloc(&run->arena, n ? n : 1, sizeof **out);
    return *out ? PV_OK : no_memory(run);
}

enum pv_status pv_case_random(struct pv_case_run *run, size_t n, float scale, float **out)
{
    PV_TRY(pv_case_floats(run, n, out));
    for (size_t i = 0; i < n; i++)
        (*out)[i] = scale * pv_rng_normal(&run->rng);
    return PV_OK;
}

/* A device buffer of `n` words and the guard; host image in *image, poisoned. */
static enum pv_status new_image(struct pv_case_run *run, size_t n, uint32_t **image)
{
    PV_TRY(pv_case_words(run, n + GUARD_WORDS, image));
    for (size_t i = 0; i < n + GUARD_WORDS; i++)
        (*image)[i] = run->poison;
    return PV_OK;
}

static enum pv_status upload(struct pv_case_run *run, const uint32_t *image, size_t n, struct pv_buffer **out)
{
    const uint64_t bytes = (n + GUARD_WORDS) * sizeof *image;
    if (run->n_buffers == PV_CASE_BUFFERS)
        return pv_fail(run->device->log, PV_ERR_ARG, "a kernel case makes more than %d buffers",
                       PV_CASE_BUFFERS);
    PV_TRY(pv_buffer_create(run->device, bytes, PV_MEM_DEVICE, "case", out));
    run->buffers[run->n_buffers++] = *out;
    return pv_buffer_write(*out, 0, image, bytes);
}

enum pv_status pv_case_rows(struct pv_case_run *run, const float *rows, uint32_t n_tokens, uint32_t n,
                            struct pv_buffer **out)
{
    const size_t stride = pv_row_stride(n);
    uint32_t *image = NULL;
    PV_TRY(new_image(run, n_tokens * stride, &image));
    for (size_t t = 0; rows && t < n_tokens; t++)
        memcpy(image + t * stride, rows + t * n, n * sizeof *rows);
    return upload(run, image, n_tokens * stride, out);
}

enum pv_status pv_case_buffer(struct pv_case_run *run, const void *words, size_t n, struct pv_buffer **out)
{
    uint32_t *image = NULL;
    PV_TRY(new_image(run, n, &image));
    if (words)
        memcpy(image, words, n * sizeof *image);
    return upload(run, image, n, out);
}

enum pv_status pv_case_step(struct pv_case_run *run, uint32_t pos, struct pv_buffer **out)
{
    return pv_case_buffer(run, (const uint32_t[4]){pos, 0, 0, 0}, 4, out);
}

enum pv_status pv_case_matrix(struct pv_case_run *run, enum pv_type type, uint32_t n_rows, uint32_t n_cols,
                              struct pv_tensor **out, struct pv_ref_matrix *ref)
{
    const size_t row_bytes = (size_t)pv_type_row_bytes(type, n_cols);
    float *w = NULL;
    if (run->n_tensors == PV_CASE_TENSORS)
        return pv_fail(run->device->log, PV_ERR_ARG, "a kernel case makes more than %d matrices",
                       PV_CASE_TENSORS);
    PV_TRY(pv_case_random(run, (size_t)n_rows * n_cols, 1.0f / sqrtf((float)n_cols), &w));
    uint8_t *gguf = pv_arena_alloc(&run->arena, n_rows, row_bytes);
    if (!gguf)
        return no_memory(run);
    for (size_t i = 0; i < n_rows; i++) {
        pv_quantize(type, w + i * n_cols, gguf + i * row_bytes, n_cols);
        pv_dequantize(type, gguf + i * row_bytes, w + i * n_cols, n_cols);
    }
    *ref = (struct pv_ref_matrix){n_rows, n_cols, w};
    *out = &run->tensors[run->n_tensors];
    PV_TRY(pv_tensor_create(run->device, type, n_rows, n_cols, "case", *out));
    run->n_tensors++;
    return pv_tensor_upload(*out, gguf);
}

enum pv_status pv_case_begin(struct pv_case_run *run)
{
    return pv_recorder_begin(run->recorder, 0);
}

enum pv_status pv_case_submit(struct pv_case_run *run)
{
    PV_TRY(pv_recorder_end(run->recorder));
    if (run->device->compile_only) {
        run->skipped = true;
        snprintf(run->detail, sizeof run->detail, "its pipelines were built, nothing more");
        return PV_ERR_UNSUPPORTED;
    }
    return pv_recorder_run(run->recorder);
}

void pv_case_fail(struct pv_case_run *run, enum pv_conform_fault fault, const char *format, ...)
{
    va_list arguments;
    if (run->failed)
        return;
    run->failed = true;
    run->fault = fault;
    va_start(arguments, format);
    vsnprintf(run->detail, sizeof run->detail, format, arguments);
    va_end(arguments);
}

void pv_case_expect(struct pv_case_run *run, bool holds, const char *message)
{
    if (!holds)
        pv_case_fail(run, PV_FAULT_VALUES, "%s", message);
}

enum pv_status pv_case_read(struct pv_case_run *run, struct pv_buffer *buffer, uint32_t **out)
{
    const size_t n = (size_t)(buffer->size_bytes / 4);
    uint32_t *alike = NULL;
    PV_TRY(pv_case_words(run, n, out));
    PV_TRY(pv_case_words(run, n, &alike));
    PV_TRY(pv_buffer_read(buffer, 0, *out, buffer->size_bytes));
    for (size_t i = 0; i < n; i++)
        alike[i] = (*out)[i] == run->poison ? PV_POISON_NAN : (*out)[i];
    run->digest = pv_hash64(alike, n * sizeof *alike, run->digest);
    return PV_OK;
}

/* What is wrong with values that are too far off, from what they have in common. */
static enum pv_conform_fault fault_of(const float *got, const float *expected, size_t n, double rms)
{
    const double largest_half = 65504, step_of_half = 1.0 / 512;
    size_t n_wrong = 0, n_nan = 0, n_over = 0, n_infinite = 0, n_flushed = 0, n_near = 0;
    for (size_t i = 0; i < n; i++) {
        const double want = (double)expected[i], have = (double)got[i], off = fabs(have - want);
        if (off <= 1e-6 * fabs(want))
            continue;
        n_wrong++;
        n_nan += isnan(have) && !isnan(want);
        n_infinite += isinf(have) && isfinite(want);
        n_over +=
            (!isfinite(have) || fabs(have) == largest_half) && isfinite(want) && fabs(want) > largest_half;
        n_flushed += have == 0 && want != 0 && fabs(want) < (double)FLT_MIN;
        n_near += off <= step_of_half * fmax(fabs(want), rms);
    }
    return n_over > 0             ? PV_FAULT_HALF_RANGE
           : n_nan > 0            ? PV_FAULT_NAN
           : n_infinite > 0       ? PV_FAULT_INFINITE
           : n_flushed == n_wrong ? PV_FAULT_DENORMALS
           : n_near == n_wrong    ? PV_FAULT_ROUNDING
                                  : PV_FAULT_VALUES;
}

/* Normalised mean squared error of n values; infinite if one is NaN. */
void pv_case_compare(struct pv_case_run *run, const char *what, const float *got, const float *expected,
                     size_t n)
{
    double sum = 0.0, norm = 0.0, worst = -1.0;
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        const double want = (double)expected[i];
        double e = ((double)got[i] - want) * ((double)got[i] - want);
        if (isnan(e) || isinf(e))
            e = INFINITY;
        sum += e;
        norm += want * want;
        if (e > worst) {
            worst = e;
            at = i;
        }
    }
    const double error = sum > 0.0 ? sum / (norm > 1e-30 ? norm : 1e-30) : 0.0;
    run->error = error > run->error ? error : run->error;
    if (error > run->tolerance)
        pv_case_fail(run, fault_of(got, expected, n, n > 0 ? sqrt(norm / (double)n) : 0),
                     "%s[%zu] is %.9g, expected %.9g", what, at, (double)got[at], (double)expected[at]);
}

/* Words of [first, last) must be poison. */
static void check_poison(struct pv_case_run *run, const char *what, const uint32_t *words, size_t first,
                         size_t last)
{
    for (size_t i = first; i < last; i++)
        if (words[i] != run->poison) {
            pv_case_fail(run, PV_FAULT_OUTSIDE,
                         "%s: word %zu was written (0x%08x), it is padding or past the end", what, i,
                         (unsigned)words[i]);
            return;
        }
}

enum pv_status pv_case_check_rows(struct pv_case_run *run, const char *what, struct pv_buffer *buffer,
                                  const float *expected, uint32_t n_tokens, uint32_t n)
{
    const size_t stride = pv_row_stride(n), n_words = (size_t)(buffer->size_bytes / 4);
    uint32_t *words = NULL;
    float *rows = NULL;
    PV_TRY(pv_case_read(run, buffer, &words));
    PV_TRY(pv_case_floats(run, (size_t)n_tokens * n, &rows));
    for (size_t t = 0; t < n_tokens; t++) {
        memcpy(rows + t * n, words + t * stride, n * sizeof *rows);
        check_poison(run, what, words, t * stride + n, (t + 1) * stride);
    }
    check_poison(run, what, words, n_tokens * stride, n_words);
    pv_case_compare(run, what, rows, expected, (size_t)n_tokens * n);
    return PV_OK;
}

enum pv_status pv_case_check_words(struct pv_case_run *run, const char *what, struct pv_buffer *buffer,
                                   const void *expected, size_t n)
{
    uint32_t *words = NULL, n_wrong = 0;
    PV_TRY(pv_case_read(run, buffer, &words));
    for (size_t i = 0; i < n; i++) {
        uint32_t want;
        memcpy(&want, (const char *)expected + i * sizeof want, sizeof want);
        if (words[i] == want)
            continue;
        if (n_wrong++ == 0)
            pv_case_fail(run, PV_FAULT_VALUES, "%s: word %zu is 0x%08x, expected 0x%08x", what, i,
                         (unsigned)words[i], (unsigned)want);
    }
    if ((double)n_wrong > run->error)
        run->error = (double)n_wrong;
    check_poison(run, what, words, n, (size_t)(buffer->size_bytes / 4));
    return PV_OK;
}
