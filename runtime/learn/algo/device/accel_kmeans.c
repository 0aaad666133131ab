/* Rows go to the device as sparse entries, a batch at a time, and are spread out there, so that memory does
 * not grow with the tokens. A batch's clusters come back before the next batch goes out; the host sorts a
 * batch by cluster for the sums. */
#include "learn/algo/device/accel.h"

#include <stdlib.h>
#include "base/log.h"
#include "base/mem.h"
#include "kernel/kernels.h"
#include "learn/algo/device/accel_batch.h"
#include "vk/recorder.h"

enum { MOST_ROWS = 1024, MOST_BYTES = 64 << 20 };

struct pv_accel_kmeans {
    struct pv_accel_rows in;
    struct pv_device *device;
    struct pv_recorder *recorder;
    uint32_t n_clusters, n_batch;
    struct pv_accel_batch batch;
    struct pv_tensor centroids;                 /* [K][F] float16 */
    struct pv_buffer *scores, *choice, *margin; /* [n_batch][K], [n_batch], [n_batch] */
    struct pv_buffer *first, *order, *sums;     /* [K + 1], [n_batch], [K][F] */
    uint32_t *host_words, *host_first;          /* images of them */
};

static uint32_t batch_rows(uint32_t n_clusters, uint32_t n_cols)
{
    const size_t row = (n_cols > n_clusters ? n_cols : n_clusters) * sizeof(float), n = MOST_BYTES / row;

    return n < 1 ? 1 : n > MOST_ROWS ? MOST_ROWS : (uint32_t)n;
}

bool pv_accel_kmeans_fits(const struct pv_device *device, uint32_t n_clusters, uint32_t n_cols)
{
    struct pv_packed_size size;
    const uint64_t sums = pv_rows_bytes(n_clusters, n_cols);

    return pv_packed_size(PV_F16, n_cols, &size) &&
           (uint64_t)n_clusters * size.row_words * 16 <= device->plan.max_binding_bytes &&
           sums <= device->caps.max_storage_range && n_clusters <= device->caps.max_workgroup_count[1] &&
           pv_accel_batch_fits(device, batch_rows(n_clusters, n_cols), n_cols);
}

static enum pv_status create_buffers(struct pv_accel_kmeans *a)
{
    const uint32_t n_cols = a->in.rows.x->n_cols, k = a->n_clusters, n = a->n_batch;
    const uint64_t words = (uint64_t)n * sizeof(uint32_t);
    struct {
        struct pv_buffer **buffer;
        uint64_t bytes;
        enum pv_memory_kind kind;
        const char *name;
    } all[] = {
        {&a->scores, pv_rows_bytes(n, k), PV_MEM_DEVICE, "cluster scores"},
        {&a->choice, words, PV_MEM_HOST, "clusters"},
        {&a->margin, words, PV_MEM_DEVICE, "margins"},
        {&a->first, ((uint64_t)k + 1) * 4, PV_MEM_HOST, "cluster starts"},
        {&a->order, words, PV_MEM_HOST, "row order"},
        {&a->sums, pv_rows_bytes(k, n_cols), PV_MEM_DEVICE, "cluster sums"},
    };

    PV_TRY(pv_accel_batch_create(&a->batch));
    PV_TRY(pv_tensor_create(a->device, PV_F16, k, n_cols, "centroids", &a->centroids));
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        PV_TRY(pv_buffer_create(a->device, all[i].bytes, all[i].kind, all[i].name, all[i].buffer));
    a->host_words = pv_calloc(n, sizeof(uint32_t));
    a->host_first = pv_calloc(k + (size_t)2, sizeof(uint32_t));
    if (!a->host_words || !a->host_first)
        return pv_fail(a->device->log, PV_ERR_NOMEM, "no memory to cluster on %s", a->device->caps.name);
    return pv_recorder_create(a->device, &a->recorder);
}

enum pv_status pv_accel_kmeans_create(struct pv_device *device, const struct pv_accel_rows *rows,
                                      uint32_t n_clusters, struct pv_accel_kmeans **out)
{
    struct pv_accel_kmeans *a = pv_calloc(1, sizeof *a);
    enum pv_status status;

    *out = NULL;
    if (!a)
        return PV_ERR_NOMEM;
    *a = (struct pv_accel_kmeans){.in = *rows,
                                  .device = device,
                                  .n_clusters = n_clusters,
                                  .n_batch = batch_rows(n_clusters, rows->rows.x->n_cols)};
    a->batch = (struct pv_accel_batch){.device = device,
                                       .x = rows->rows.x,
                                       .n_batch = a->n_batch,
                                       .value = rows->bits ? PV_BATCH_BITS : PV_BATCH_ROOTS,
                                       .n_threads = rows->n_threads};
    status = create_buffers(a);
    if (status == PV_OK)
        *out = a;
    else
        pv_accel_kmeans_destroy(a);
    return status;
}

void pv_accel_kmeans_destroy(struct pv_accel_kmeans *a)
{
    if (!a)
        return;
    pv_recorder_destroy(a->recorder);
    pv_tensor_destroy(&a->centroids);
    pv_accel_batch_destroy(&a->batch);
    struct pv_buffer *buffers[] = {a->scores, a->choice, a->margin, a->first, a->order, a->sums};
    for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; i++)
        pv_buffer_destroy(buffers[i]);
    free(a->host_words);
    free(a->host_first);
    free(a);
}

void pv_accel_kmeans_aim(struct pv_accel_kmeans *a, const struct pv_rows *rows, const float *inv)
{
    a->in.rows = *rows;
    a->in.inv = inv;
}

/* Sends rows [begin, begin + n) and starts a recording that spreads them out. */
static enum pv_status start_batch(struct pv_accel_kmeans *a, size_t begin, uint32_t n)
{
    const uint32_t *from = a->in.rows.index ? a->in.rows.index + begin : NULL;

    PV_TRY(pv_accel_batch_send(&a->batch, from, begin, a->in.inv + begin, n));
    PV_TRY(pv_recorder_begin(a->recorder, 0));
    return pv_accel_batch_spread(&a->batch, a->recorder, n);
}

static enum pv_status finish_batch(struct pv_accel_kmeans *a)
{
    PV_TRY(pv_recorder_end(a->recorder));
    return pv_recorder_run(a->recorder);
}

static uint32_t rows_left(const struct pv_accel_kmeans *a, size_t begin)
{
    return a->in.rows.n - begin < a->n_batch ? (uint32_t)(a->in.rows.n - begin) : a->n_batch;
}

enum pv_status pv_accel_kmeans_assign(struct pv_accel_kmeans *a, const float *centroids, uint16_t *cluster)
{
    PV_TRY(pv_tensor_upload_f32(&a->centroids, centroids));
    for (size_t begin = 0; begin < a->in.rows.n; begin += a->n_batch) {
        const uint32_t n = rows_left(a, begin);
        struct pv_linear linear = {.w = &a->centroids, .x = a->batch.rows, .y = a->scores, .n_tokens = n};

        PV_TRY(start_batch(a, begin, n));
        PV_TRY(pv_kernel_linear(a->recorder, &linear));
        PV_TRY(pv_kernel_route_rows(a->recorder, a->scores, a->choice, a->margin, n, a->n_clusters));
        PV_TRY(finish_batch(a));
        PV_TRY(pv_buffer_read(a->choice, 0, a->host_words, (uint64_t)n * 4));
        for (uint32_t i = 0; i < n; i++) /* a device that gives nonsense must not take us out of bounds */
            cluster[begin + i] = (uint16_t)(a->host_words[i] < a->n_clusters ? a->host_words[i] : 0);
    }
    return PV_OK;
}

/* Sorts the batch by cluster, stable: starts to host_first, rows to host_words. */
static void sort_batch(struct pv_accel_kmeans *a, const uint16_t *cluster, uint32_t n)
{
    uint32_t *next = a->host_first + 1; /* while placing, next[k] is where k's next row goes */

    for (uint32_t k = 0; k < a->n_clusters + 2; k++)
        a->host_first[k] = 0;
    for (uint32_t i = 0; i < n; i++)
        a->host_first[cluster[i] + 2]++;
    for (uint32_t k = 0; k < a->n_clusters; k++)
        next[k + 1] += next[k];
    for (uint32_t i = 0; i < n; i++)
        a->host_words[next[cluster[i]]++] = i;
}

enum pv_status pv_accel_kmeans_sum(struct pv_accel_kmeans *a, const uint16_t *cluster, float *sums)
{
    const uint32_t n_cols = a->in.rows.x->n_cols;
    const uint64_t stride = pv_row_stride(n_cols) * sizeof(float);

    PV_TRY(pv_buffer_fill(a->sums, 0));
    for (size_t begin = 0; begin < a->in.rows.n; begin += a->n_batch) {
        const uint32_t n = rows_left(a, begin);
        struct pv_cluster_sum_args sum = {.x = a->batch.rows,
                                          .first = a->first,
                                          .order = a->order,
                                          .sums = a->sums,
                                          .n_tokens = n,
                                          .n_clusters = a->n_clusters,
                                          .n_cols = n_cols};

        sort_batch(a, cluster + begin, n);
        PV_TRY(pv_buffer_write(a->first, 0, a->host_first, ((uint64_t)a->n_clusters + 1) * 4));
        PV_TRY(pv_buffer_write(a->order, 0, a->host_words, (uint64_t)n * 4));
        PV_TRY(start_batch(a, begin, n));
        PV_TRY(pv_kernel_cluster_sum(a->recorder, &sum));
        PV_TRY(finish_batch(a));
    }
    if (stride == n_cols * sizeof(float))
        return pv_buffer_read(a->sums, 0, sums, a->n_clusters * stride);
    for (uint32_t k = 0; k < a->n_clusters; k++)
        PV_TRY(pv_buffer_read(a->sums, k * stride, sums + (size_t)k * n_cols, n_cols * sizeof(float)));
    return PV_OK;
}
