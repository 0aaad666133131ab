/* Shares are rounded to whole layers by giving out one layer at a time, each to the stage that is furthest
 * below its share among those with room. */
#include "infer/load/split.h"

#include "base/threads.h"
#include "base/log.h"
#include "kernel/kernels.h"

bool pv_split_layers(uint32_t n_layers, uint32_t n_stages, const double *weight, const uint32_t *room,
                     uint32_t *begin)
{
    double total = 0.0;
    for (uint32_t i = 0; i < n_stages; i++) {
        total += weight ? weight[i] : 1.0;
        begin[i + 1] = 1; /* counts of layers until the end */
        if (room && room[i] == 0)
            return false;
    }
    for (uint32_t given = n_stages; given < n_layers; given++) {
        uint32_t best = n_stages;
        double most = 0.0;
        for (uint32_t i = 0; i < n_stages; i++) {
            const double lack = (weight ? weight[i] : 1.0) / total * n_layers - begin[i + 1];
            if (room && begin[i + 1] >= room[i])
                continue;
            if (best == n_stages || lack > most) {
                best = i;
                most = lack;
            }
        }
        if (best == n_stages)
            return false;
        begin[best + 1]++;
    }
    begin[0] = 0;
    for (uint32_t i = 0; i < n_stages; i++)
        begin[i + 1] += begin[i];
    return true;
}

struct probe {
    struct pv_tensor w;
    struct pv_buffer *x, *y;
    struct pv_recorder *recorder;
};

static enum pv_status make_probe(struct pv_device *device, struct probe *p)
{
    enum { n_rows = 2048, n_cols = 1024 };
    PV_TRY(pv_tensor_create(device, PV_F16, n_rows, n_cols, "probe", &p->w));
    PV_TRY(pv_buffer_create(device, pv_rows_bytes(1, n_cols), PV_MEM_DEVICE, "probe x", &p->x));
    PV_TRY(pv_buffer_create(device, pv_rows_bytes(1, n_rows), PV_MEM_DEVICE, "probe y", &p->y));
    for (uint32_t i = 0; i < p->w.n_parts; i++)
        PV_TRY(pv_buffer_fill(p->w.parts[i].data, 0));
    PV_TRY(pv_buffer_fill(p->x, 0));
    PV_TRY(pv_recorder_create(device, &p->recorder));
    PV_TRY(pv_recorder_begin(p->recorder, 0));
    PV_TRY(
        pv_kernel_linear(p->recorder, &(struct pv_linear){.w = &p->w, .x = p->x, .y = p->y, .n_tokens = 1}));
    return pv_recorder_end(p->recorder);
}

static enum pv_status run_probe(struct probe *p, double *bytes_per_s)
{
    enum { n_runs = 5 };
    *bytes_per_s = 0.0;
    for (int i = 0; i < n_runs; i++) {
        const double start = pv_now_s();
        PV_TRY(pv_recorder_run(p->recorder));
        const double speed = (double)pv_tensor_bytes(&p->w) / (pv_now_s() - start + 1e-9);
        if (i > 0 && speed > *bytes_per_s) /* the first run warms up */
            *bytes_per_s = speed;
    }
    return PV_OK;
}

enum pv_status pv_measure_matvec(struct pv_device *device, double *bytes_per_s)
{
    struct probe p = {0};
    enum pv_status status = make_probe(device, &p);
    if (status == PV_OK)
        status = run_probe(&p, bytes_per_s);
    pv_recorder_destroy(p.recorder);
    pv_tensor_destroy(&p.w);
    pv_buffer_destroy(p.x);
    pv_buffer_destroy(p.y);
    return status;
}
