/* Any head, thresholds and windows as a capture file with sound checksums, which no fuzzer would find by
 * itself: {head, uint32 sizes of the thresholds and of each window's record, their bytes}. What opens must
 * load or fail, layer by layer, and keep its promises. */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "fuzz.h"
#include "learn/capture/capture_file.h"
#include "parvin/fit.h"

enum { MOST_WINDOWS = 8, MOST_TOKENS = 1 << 16, MOST_CELLS = 1 << 22 };

struct input {
    const uint8_t *data;
    size_t n;
};

static bool take(struct input *in, void *to, size_t n)
{
    if (in->n < n)
        return false;
    memcpy(to, in->data, n);
    in->data += n;
    in->n -= n;
    return true;
}

/* One record of the next `size` bytes; false at the end of the input. */
static bool put(struct input *in, struct pv_journal *j, uint32_t kind, uint32_t index, uint64_t key)
{
    uint32_t size;

    if (!take(in, &size, sizeof size))
        return false;
    if (size > in->n)
        size = (uint32_t)in->n;
    pv_journal_begin(j, kind, index, key);
    pv_journal_put(j, in->data, size);
    in->data += size;
    in->n -= size;
    return pv_journal_commit(j) == PV_OK;
}

static bool forge(struct input in, const char *path)
{
    struct pv_capture_params params;
    struct pv_capture_head head;
    struct pv_journal j;
    uint64_t key;

    if (!take(&in, &head, sizeof head))
        return false;
    params = (struct pv_capture_params){.shard = head.shard, .n_shards = head.n_shards};
    key = pv_capture_head_key(&head);
    remove(path);
    if (pv_journal_open(&j, path, pv_capture_journal_key(key, &params), NULL) != PV_OK)
        abort();
    pv_journal_begin(&j, PV_RECORD_HEAD, 0, key);
    pv_journal_put(&j, &head, sizeof head);
    if (pv_journal_commit(&j) != PV_OK)
        abort();
    if (put(&in, &j, PV_RECORD_TAU, 0, key)) {
        for (uint32_t w = 0; w < MOST_WINDOWS && put(&in, &j, PV_RECORD_WINDOW, w, key); w++)
            continue;
    }
    if (pv_journal_finish(&j, path) != PV_OK)
        abort();
    return true;
}

static void check_layer(const struct pv_layer_data *data, uint32_t n_cols, size_t n_tokens)
{
    if (data->x.n_rows != n_tokens || data->offset[0] != 0)
        abort();
    for (size_t i = 0; i < n_tokens; i++) {
        if (data->offset[i + 1] < data->offset[i])
            abort();
        for (uint64_t p = data->offset[i]; p < data->offset[i + 1]; p++) {
            if (data->col[p] >= n_cols || (p > data->offset[i] && data->col[p] <= data->col[p - 1]))
                abort();
        }
    }
}

static void load(const struct pv_capture_file *file)
{
    const struct pv_capture_head *h = &file->head;
    const struct pv_source source = {.n_layers = h->n_layers,
                                     .d_model = h->d_model,
                                     .d_ffn = h->d_ffn,
                                     .variant = h->variant,
                                     .exact_zeros = h->exact_zeros != 0,
                                     .fingerprint = h->fingerprint};
    float *tau;

    /* sizes that would only take memory; the records' own sizes are checked against them before use */
    if (file->windows.n_tokens > MOST_TOKENS || file->windows.n_tokens * h->d_model > MOST_CELLS ||
        pv_capture_file_check(file, &source) != PV_OK)
        return;
    tau = calloc(h->n_layers, sizeof *tau);
    if (!tau)
        abort();
    (void)!pv_capture_file_tau(file, tau);
    free(tau);
    for (uint32_t l = 0; l < h->n_layers && l < 4; l++) {
        struct pv_layer_data data;

        if (pv_capture_load(&(struct pv_captured){&file->journal, file->key, &source, &file->windows}, l,
                            true, &data) != PV_OK)
            continue;
        check_layer(&data, h->d_ffn, file->windows.n_tokens);
        pv_layer_data_free(&data);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    void *copy = pv_fuzz_copy(data, size_bytes);
    const struct input in = {.data = copy, .n = size_bytes};
    struct pv_capture_info info;
    struct pv_capture_file file;
    char path[64];

    snprintf(path, sizeof path, "fuzz-capture-%ld", (long)getpid());
    if (forge(in, path)) {
        (void)!pv_capture_read_info(path, NULL, &info);
        if (pv_capture_file_open(&file, path, NULL) == PV_OK) {
            load(&file);
            pv_capture_file_close(&file);
        }
        remove(path);
    }
    free(copy);
    return 0;
}
