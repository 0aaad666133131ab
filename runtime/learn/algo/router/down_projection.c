/* Rows are projected in parallel, each by one thread in a fixed order. */
#include "learn/algo/router/down_projection.h"

#include <math.h>
#include <stdlib.h>
#include "base/half.h"
#include "base/mem.h"
#include "base/threads.h"
#include "learn/algo/router/lowrank_map.h"

enum { ROW_CHUNK = 64, MAX_CHUNKS = 256 };

enum pv_status pv_down_create(struct pv_down_projection *down, uint32_t rank, uint32_t d_model)
{
    *down =
        (struct pv_down_projection){.rank = rank,
                                    .d_model = d_model,
                                    .weight = pv_calloc((size_t)rank * d_model, sizeof *down->weight),
                                    .weight_t = pv_calloc((size_t)rank * d_model, sizeof *down->weight_t)};
    if (down->weight && down->weight_t)
        return PV_OK;
    pv_down_free(down);
    return PV_ERR_NOMEM;
}

void pv_down_transpose(struct pv_down_projection *down)
{
    const size_t rank = down->rank, d = down->d_model;

    for (size_t k = 0; k < rank; k++) {
        for (size_t i = 0; i < d; i++)
            down->weight_t[i * rank + k] = pv_half_to_float(down->weight[k * d + i]);
    }
}

void pv_down_free(struct pv_down_projection *down)
{
    free(down->weight);
    free(down->weight_t);
    *down = (struct pv_down_projection){0};
}

void pv_down_project(const struct pv_down_projection *down, const float *z, float *h)
{
    const struct pv_lowrank map = {.n_cols = down->d_model, .rank = down->rank, .b_t = down->weight_t};

    pv_lowrank_project(&map, z, h);
}

struct projecting {
    const struct pv_down_projection *down;
    const uint16_t *z;
    const uint32_t *rows; /* NULL: row i */
    uint16_t *h;
    float *room; /* [n_chunks][d + rank] */
};

static void project_rows(void *user, size_t chunk, size_t begin, size_t end)
{
    const struct projecting *p = user;
    const size_t d = p->down->d_model, rank = p->down->rank;
    float *z = p->room + chunk * (d + rank), *h = z + d;

    for (size_t i = begin; i < end; i++) {
        const uint16_t *row = p->z + (p->rows ? p->rows[i] : i) * d;

        for (size_t k = 0; k < d; k++)
            z[k] = pv_half_to_float(row[k]);
        pv_down_project(p->down, z, h);
        for (size_t k = 0; k < rank; k++)
            p->h[i * rank + k] = pv_float_to_half(fminf(fmaxf(h[k], -65504.0f), 65504.0f));
    }
}

enum pv_status pv_down_rows(const struct pv_down_projection *down, const uint16_t *z, const uint32_t *rows,
                            size_t n_rows, uint32_t n_threads, uint16_t **h)
{
    size_t n_chunks = (n_rows + ROW_CHUNK - 1) / ROW_CHUNK;
    struct projecting p = {.down = down, .z = z, .rows = rows};

    n_chunks = n_chunks < MAX_CHUNKS ? n_chunks : MAX_CHUNKS;
    p.h = pv_calloc(n_rows * down->rank, sizeof *p.h);
    p.room = pv_calloc(n_chunks * ((size_t)down->d_model + down->rank), sizeof *p.room);
    if (!p.h || !p.room) {
        free(p.h);
        free(p.room);
        return PV_ERR_NOMEM;
    }
    pv_parallel_for(n_threads, n_rows, n_chunks, project_rows, &p);
    free(p.room);
    *h = p.h;
    return PV_OK;
}
