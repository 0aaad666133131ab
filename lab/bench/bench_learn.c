/* What `fit` does for a layer (algo/layer.h), on a layer that is made up: what `fit` costs at a size that no
 * model here has, and whether it finds what was planted. The fastest iteration and epoch count, since
 * whatever else the machine does only ever makes them slower. */
#include "lab/bench/bench_learn.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/threads.h"
#include "lab/bench/synthetic.h"
#include "learn/algo/layer.h"
#include "vk/device.h"

enum { GROWTH_ITERS = 3, GROWTH_EPOCHS = 2 };

/* Times the parts of a stage (iterations, epochs) by its reports of progress, and passes those on. */
struct clock {
    struct pv_progress sink;
    double from, n_parts;   /* the parts share 1 - from of the progress between them */
    double begin, last;     /* seconds: of the stage, of the part under way (0: none yet) */
    double before, fastest; /* seconds that went by before the first part; of the fastest part */
    double part;            /* number of the one under way */
};
struct layer {
    const struct pv_learn_bench_params *p;
    struct pv_layer_params params;
    struct pv_synthetic data;
    struct pv_split split;
    struct pv_layer_tokens tokens;
    struct pv_learned learned;
    struct pv_mask_lists lists;
    struct pv_learn_bench_row row;
};

static void end_part(struct clock *c)
{
    const double now = pv_now_s();

    if (c->last > 0.0 && (c->fastest == 0.0 || now - c->last < c->fastest))
        c->fastest = now - c->last;
    if (c->last == 0.0)
        c->before = now - c->begin;
    c->last = now;
}

static bool on_report(void *user, const char *stage, double done, double total)
{
    struct clock *c = user;
    const double part = floor((done - c->from) / (1.0 - c->from) * c->n_parts + 1e-6);

    if (part > c->part) {
        end_part(c);
        c->part = part;
    }
    return !c->sink.fn || c->sink.fn(c->sink.user, stage, done, total);
}

static struct pv_steps clock_start(struct clock *c, const struct pv_progress *sink, const char *stage,
                                   double from, uint32_t n_parts)
{
    *c = (struct clock){.sink = *sink, .from = from, .n_parts = n_parts, .begin = pv_now_s(), .part = -1.0};
    return (struct pv_steps){.sink = {on_report, c}, .stage = stage, .total = 1.0};
}

static enum pv_status cluster(struct layer *l)
{
    const uint32_t n_iters = l->params.n_iters;
    struct clock clock;
    struct pv_steps steps = clock_start(&clock, &l->p->progress, "cluster", 1.0 / (1.0 + n_iters), n_iters);

    PV_TRY(pv_layer_cluster(&l->params, &l->tokens, &steps, &l->learned));
    l->row.n_iters = l->learned.clustering.n_iters;
    end_part(&clock);
    l->row.s_seed = clock.before;
    l->row.s_iteration = clock.fastest;
    return PV_OK;
}

static enum pv_status route(struct layer *l)
{
    struct clock clock;
    struct pv_steps steps = clock_start(&clock, &l->p->progress, "router", 0.0, l->params.n_epochs);

    PV_TRY(pv_layer_train(&l->params, &l->tokens, &steps, &l->learned));
    l->row.n_epochs = l->learned.router.n_epochs;
    end_part(&clock);
    l->row.s_epoch = clock.fastest;
    l->row.router_accuracy = l->learned.router.accuracy;
    return PV_OK;
}

/* A refinement of the router for its masks, for its time alone. */
static enum pv_status refine(struct layer *l)
{
    const uint32_t n_epochs = pv_layer_router_params(&l->params, 1).n_epochs;
    struct clock clock;
    struct pv_steps steps = clock_start(&clock, &l->p->progress, "refine", 0.0, n_epochs);
    const enum pv_status status = pv_layer_refine(&l->params, &l->tokens, &l->lists, 1, &steps, &l->learned);

    end_part(&clock);
    l->row.s_refine = clock.fastest;
    return status;
}

static enum pv_status mask(struct layer *l)
{
    const struct pv_rows train = pv_split_train(&l->split, &l->data.x),
                         judge = pv_split_judge(&l->split, &l->data.x);
    struct pv_mask_budget budget = {.density = l->p->density > 0.0 ? l->p->density : 0.2};
    struct pv_energy energy = {0};
    struct pv_mask_score score = {0};
    const double begin = pv_now_s();
    enum pv_status status;

    PV_TRY(pv_layer_route(&l->params, &l->tokens, &l->learned));
    status = pv_energy_init(&energy, &train, l->learned.routed, l->params.n_clusters, l->params.n_threads);
    if (status == PV_OK)
        status = pv_mask_lists_spend(&l->lists, &energy, 1, l->params.n_threads, &budget);
    if (status == PV_OK)
        status = pv_mask_lists_judge(&l->lists, &judge, l->learned.routed, &score);
    l->row.s_masks = pv_now_s() - begin;
    l->row.energy_kept = pv_mask_weighted_recall(&score);
    pv_energy_free(&energy);
    return status;
}

static enum pv_status learn(struct layer *l)
{
    struct pv_learn_bench_row *row = &l->row;

    PV_TRY(cluster(l));
    PV_TRY(route(l));
    PV_TRY(mask(l));
    PV_TRY(refine(l));
    PV_TRY(pv_purity(l->learned.own, l->data.group, l->split.held_out, l->split.n_held_out, row->n_clusters,
                     row->n_clusters, &row->purity));
    return pv_purity(l->learned.routed, l->data.group, l->split.held_out, l->split.n_held_out,
                     row->n_clusters, row->n_clusters, &row->routed_purity);
}

/* Fills in the row, whose sizes are given. */
static enum pv_status run(const struct pv_learn_bench_params *p, struct pv_device *device,
                          struct pv_learn_bench_row *row, uint32_t n_iters, uint32_t n_epochs)
{
    struct pv_synthetic_params synthetic = {.n_tokens = row->n_tokens,
                                            .n_groups = row->n_clusters,
                                            .d_model = row->d_model,
                                            .d_ffn = row->d_ffn,
                                            .density = p->active > 0.0 ? p->active : 0.1,
                                            .n_threads = p->n_threads,
                                            .seed = p->seed};
    struct layer l = {.p = p,
                      .params = {.n_layers = 1,
                                 .n_clusters = row->n_clusters,
                                 .d_model = row->d_model,
                                 .n_iters = n_iters,
                                 .n_epochs = n_epochs,
                                 .n_threads = p->n_threads,
                                 .seed = p->seed},
                      .row = *row};
    enum pv_status status = pv_synthetic_make(&synthetic, &l.data);
    double begin;

    if (device && (p->learn_on == PV_LEARN_DEVICE || device->plan.learn_clusters))
        l.params.clusters_on = device;
    if (device && (p->learn_on == PV_LEARN_DEVICE || device->plan.learn_router))
        l.params.router_on = device;
    if (status == PV_OK)
        status = pv_split_rows(row->n_tokens, NULL, NULL, &l.split);
    l.tokens = (struct pv_layer_tokens){.x = &l.data.x, .z = l.data.z, .split = &l.split};
    begin = pv_now_s();
    if (status == PV_OK)
        status = learn(&l);
    *row = l.row;
    row->s_total = pv_now_s() - begin;
    row->n_active = status == PV_OK ? l.data.offset[row->n_tokens] : 0;
    row->router_bytes = pv_router_bytes(row->n_clusters, row->d_model, 0);
    row->ffn_bytes = 4.0 * row->d_ffn * (double)row->d_model;
    row->peak_bytes = pv_peak_memory();
    pv_synthetic_free(&l.data);
    pv_layer_free(&l.learned);
    pv_mask_lists_free(&l.lists);
    pv_split_free(&l.split);
    if (status == PV_ERR_NOMEM)
        return pv_fail(&p->log, status, "bench: no memory for %llu tokens of %u neurons",
                       (unsigned long long)row->n_tokens, row->d_ffn);
    return status;
}

static enum pv_status check(const struct pv_learn_bench_params *p, const struct pv_learn_bench_row *full)
{
    if (full->d_ffn > 65536)
        return pv_fail(&p->log, PV_ERR_ARG, "bench: %u neurons; a layer has at most 65536", full->d_ffn);
    if (full->n_tokens > UINT32_MAX || full->n_tokens / 4 < (uint64_t)full->n_clusters * 2)
        return pv_fail(&p->log, PV_ERR_ARG, "bench: %llu tokens for %u clusters; give at least 8 a cluster",
                       (unsigned long long)full->n_tokens, full->n_clusters);
    if (p->active < 0.0 || p->active > 0.8)
        return pv_fail(&p->log, PV_ERR_ARG, "bench: active share %g; it must be at most 0.8", p->active);
    return PV_OK;
}

static enum pv_status run_all(const struct pv_learn_bench_params *p, struct pv_device *device,
                              struct pv_learn_bench_row full,
                              void (*row)(void *user, const struct pv_learn_bench_row *row), void *user)
{
    static const char *const growing[] = {"tokens", "K", "F"};
    struct pv_learn_bench_row next = full;

    PV_TRY(run(p, device, &next, p->n_iters != 0 ? p->n_iters : 20, p->n_epochs != 0 ? p->n_epochs : 12));
    row(user, &next);
    for (int g = 0; g < 3 && p->growth; g++) {
        for (uint32_t part = 2; part <= 4; part *= 2) {
            next = full;
            next.growing = growing[g];
            next.n_tokens = g == 0 ? full.n_tokens / part : full.n_tokens;
            next.n_clusters = g == 1 ? full.n_clusters / part : full.n_clusters;
            next.d_ffn = g == 2 ? full.d_ffn / part : full.d_ffn;
            PV_TRY(run(p, device, &next, GROWTH_ITERS, GROWTH_EPOCHS));
            row(user, &next);
        }
    }
    return PV_OK;
}

enum pv_status pv_bench_learn(const struct pv_learn_bench_params *params,
                              void (*row)(void *user, const struct pv_learn_bench_row *row), void *user)
{
    struct pv_learn_bench_params p = *params;
    struct pv_device *device = NULL;
    struct pv_learn_bench_row full = {.growing = "",
                                      .n_tokens = p.n_tokens != 0 ? p.n_tokens : 65536,
                                      .d_model = p.d_model != 0 ? p.d_model : 4096,
                                      .d_ffn = p.d_ffn != 0 ? p.d_ffn : 14336,
                                      .n_clusters = p.n_clusters != 0 ? p.n_clusters : 256};
    enum pv_status status;

    p.seed = p.seed != 0 ? p.seed : 1;
    PV_TRY(check(&p, &full));
    if (p.context && p.learn_on != PV_LEARN_CPU)
        PV_TRY(pv_device_open(p.context, p.device, NULL, &device));
    status = run_all(&p, device, full, row, user);
    pv_device_close(device);
    return status;
}

/* Slope of log y over log x. */
static double slope(const double *x, const double *y, uint32_t n)
{
    double mx = 0.0, my = 0.0, xy = 0.0, xx = 0.0;

    for (uint32_t i = 0; i < n; i++) {
        mx += log(x[i]) / n;
        my += log(y[i]) / n;
    }
    for (uint32_t i = 0; i < n; i++) {
        xy += (log(x[i]) - mx) * (log(y[i]) - my);
        xx += (log(x[i]) - mx) * (log(x[i]) - mx);
    }
    return xx > 0.0 ? xy / xx : NAN;
}

struct pv_learn_bench_growth pv_learn_bench_fit(const struct pv_learn_bench_row *rows, uint32_t n_rows,
                                                const char *growing)
{
    double size[16], seconds[5][16];
    uint32_t n = 0;

    for (uint32_t i = 0; i < n_rows && n < 16; i++) {
        const struct pv_learn_bench_row *r = &rows[i];

        if (r->growing[0] != '\0' && strcmp(r->growing, growing) != 0)
            continue;
        size[n] = strcmp(growing, "tokens") == 0 ? (double)r->n_tokens
                  : strcmp(growing, "K") == 0    ? (double)r->n_clusters
                                                 : (double)r->d_ffn;
        seconds[0][n] = r->s_seed;
        seconds[1][n] = r->s_iteration;
        seconds[2][n] = r->s_epoch;
        seconds[3][n] = r->s_refine;
        seconds[4][n++] = r->s_masks;
    }
    return (struct pv_learn_bench_growth){.seed = slope(size, seconds[0], n),
                                          .iteration = slope(size, seconds[1], n),
                                          .epoch = slope(size, seconds[2], n),
                                          .refine = slope(size, seconds[3], n),
                                          .masks = slope(size, seconds[4], n)};
}
