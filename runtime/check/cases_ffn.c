/* Cases of one token's feed-forward network: the router's choice and what hangs on it, dense and masked, with
 * lists of 0, 1, some and all neurons. Masked, `a` must be compact in list order and untouched past it. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "base/half.h"
#include "base/log.h"
#include "kernel/call.h"
#include "check/case_tables.h"

enum { N_CLUSTERS = 5, CHOSEN = 3 };
enum { GATED = 1, ACCUMULATE = 2, BIASES = 4, NORM = 64 };
/* How many activations of a ReLU are zero; half of them with none of these. */
enum { NO_ZEROS = 8, MOST_ZEROS = 16, ALL_ZEROS = 32 };
enum { DENSE = UINT16_MAX, ALL = UINT16_MAX - 1 }; /* list lengths */

/* Everything of one feed-forward network; F = c->n neurons, d = c->k. */
struct ffn {
    struct pv_tensor *up, *gate, *down_t;
    struct pv_ref_matrix up_ref, gate_ref, down_ref;
    float *z, *next_weight;                 /* next_weight: NULL without NORM */
    float *up_bias, *gate_bias, *down_bias; /* NULL: none */
    uint32_t *list;                         /* of the chosen cluster */
    uint32_t n_list;
    struct pv_ffn_args args;
};

/* `n` of F neurons in random order (a device does not mind), the first `n` of a shuffle. */
static enum pv_status make_list(struct pv_case_run *run, uint32_t n_neurons, uint16_t **out)
{
    uint16_t *list = pv_arena_alloc(&run->arena, n_neurons, sizeof *list);
    if (!list)
        return pv_fail(run->device->log, PV_ERR_NOMEM, "no memory for a kernel case");
    for (uint32_t i = 0; i < n_neurons; i++)
        list[i] = (uint16_t)i;
    for (uint32_t i = n_neurons - 1; i > 0; i--) {
        const uint32_t j = pv_rng_below(&run->rng, i + 1);
        const uint16_t swap = list[i];
        list[i] = list[j];
        list[j] = swap;
    }
    *out = list;
    return PV_OK;
}

/* Five clusters; the chosen one has n_list neurons, in natural order if that is all of them. */
static enum pv_status make_masks(struct pv_case_run *run, const struct pv_case *c, uint32_t n_list,
                                 struct ffn *f)
{
    const uint16_t *lists[N_CLUSTERS];
    uint32_t counts[N_CLUSTERS];
    PV_TRY(pv_case_words(run, n_list, &f->list));
    f->n_list = n_list;
    for (uint32_t k = 0; k < N_CLUSTERS; k++) {
        uint16_t *list = NULL;
        PV_TRY(make_list(run, c->n, &list));
        counts[k] = k == CHOSEN ? n_list : pv_rng_below(&run->rng, c->n + 1);
        lists[k] = list;
        for (uint32_t i = 0; k == CHOSEN && i < n_list; i++) {
            if (n_list == c->n)
                list[i] = (uint16_t)i;
            f->list[i] = list[i];
        }
    }
    return pv_masks_create_lists(run->device, N_CLUSTERS, c->n, lists, counts, &run->masks);
}

/* ffn_down lies in the layouts that its kernels have; beside others it is float16. */
static enum pv_type down_type(enum pv_type type)
{
    return pv_type_block(type) == 1 || type == PV_Q8_0 || type == PV_Q4_0 || type == PV_Q6_K ? type : PV_F16;
}

static enum pv_status make_bias(struct pv_case_run *run, uint32_t n, float **values, struct pv_buffer **out)
{
    PV_TRY(pv_case_random(run, n, 1.0f, values));
    return pv_case_rows(run, *values, 1, n, out);
}

/* Of what a ReLU is taken: a product of variance 1, and a bias of variance 1 about this. */
static float relu_shift(const struct pv_case *c)
{
    return c->flags & NO_ZEROS     ? 16.0f
           : c->flags & ALL_ZEROS  ? -16.0f
           : c->flags & MOST_ZEROS ? -1.81f
                                   : 0.0f;
}

static enum pv_status make_shifted_bias(struct pv_case_run *run, const struct pv_case *c, float **values,
                                        struct pv_buffer **out)
{
    PV_TRY(pv_case_random(run, c->n, 1.0f, values));
    for (uint32_t i = 0; i < c->n; i++)
        (*values)[i] += relu_shift(c);
    return pv_case_rows(run, *values, 1, c->n, out);
}

/* z is the norm of a stream, and the network takes stream * weight; beside y it makes y * next_weight. */
static enum pv_status make_unnormed(struct pv_case_run *run, const struct pv_case *c, struct ffn *f)
{
    struct pv_ffn_args *a = &f->args;
    float *stream = NULL, *weight = NULL, *weighted = NULL;
    a->unnormed.eps = 1e-5f;
    PV_TRY(pv_case_random(run, c->k, 3.0f, &stream));
    PV_TRY(pv_case_random(run, c->k, 1.0f, &weight));
    PV_TRY(pv_case_random(run, c->k, 1.0f, &f->next_weight));
    PV_TRY(pv_case_floats(run, c->k, &weighted));
    for (uint32_t i = 0; i < c->k; i++)
        weighted[i] = stream[i] * weight[i];
    const struct pv_ref_norm norm = {.weight = weight, .n_rows = 1, .n_cols = c->k, .eps = a->unnormed.eps};
    pv_ref_norm(&norm, stream, f->z);
    PV_TRY(pv_case_rows(run, stream, 1, c->k, &a->unnormed.stream));
    PV_TRY(pv_case_rows(run, weighted, 1, c->k, &a->z));
    PV_TRY(pv_case_rows(run, f->next_weight, 1, c->k, &a->next.weight));
    return pv_case_rows(run, NULL, 1, c->k, &a->next.out);
}

static enum pv_status make_ffn(struct pv_case_run *run, const struct pv_case *c, struct ffn *f)
{
    const size_t partial_words = (size_t)pv_ffn_partial_bytes(&run->device->plan, c->k) / 4;
    PV_TRY(pv_case_matrix(run, c->type, c->n, c->k, &f->up, &f->up_ref));
    PV_TRY(pv_case_matrix(run, down_type(c->type), c->n, c->k, &f->down_t, &f->down_ref));
    if (c->flags & GATED)
        PV_TRY(pv_case_matrix(run, c->type, c->n, c->k, &f->gate, &f->gate_ref));
    PV_TRY(pv_case_random(run, c->k, 1.0f, &f->z));
    f->args = (struct pv_ffn_args){.up = f->up, .gate = f->gate, .down_t = f->down_t, .act = c->act};
    PV_TRY(c->flags & NORM ? make_unnormed(run, c, f) : pv_case_rows(run, f->z, 1, c->k, &f->args.z));
    PV_TRY(pv_case_rows(run, NULL, 1, c->n, &f->args.a));
    if (c->flags & BIASES) {
        PV_TRY(f->gate ? make_bias(run, c->n, &f->up_bias, &f->args.up_bias)
                       : make_shifted_bias(run, c, &f->up_bias, &f->args.up_bias));
        PV_TRY(make_bias(run, c->k, &f->down_bias, &f->args.down_bias));
    }
    if (c->flags & BIASES && f->gate)
        PV_TRY(make_shifted_bias(run, c, &f->gate_bias, &f->args.gate_bias));
    return pv_case_buffer(run, NULL, partial_words, &f->args.partial);
}

/* A route that names no neurons, so that a kernel that does not write it does no harm. */
static enum pv_status make_route(struct pv_case_run *run, struct pv_buffer **out)
{
    const struct pv_route none = {0};
    return pv_case_buffer(run, &none, sizeof none / 4, out);
}

/* Masks of n_list neurons, and router scores under which CHOSEN wins by 0.5. */
static enum pv_status mask(struct pv_case_run *run, const struct pv_case *c, uint32_t n_list, struct ffn *f)
{
    const float scores[N_CLUSTERS] = {-1.0f, 0.25f, 0.75f, 1.25f, -0.5f};
    PV_TRY(make_masks(run, c, n_list, f));
    PV_TRY(make_route(run, &f->args.route));
    f->args.masks = &run->masks;
    return pv_case_rows(run, scores, 1, N_CLUSTERS, &f->args.scores);
}

/* What the router must write for the chosen cluster. */
static enum pv_status check_route(struct pv_case_run *run, const struct ffn *f)
{
    uint32_t *words = NULL, offset = 0;
    struct pv_route route;
    struct pv_cluster_entry entries[N_CLUSTERS];
    PV_TRY(pv_case_read(run, f->args.route, &words));
    memcpy(&route, words, sizeof route);
    PV_TRY(pv_buffer_read(run->masks.entries, 0, entries, sizeof entries));
    offset = entries[CHOSEN].list_offset;
    const uint32_t per_group = pv_row_split(&run->device->plan).rows_per_workgroup;
    pv_case_expect(run, route.cluster == CHOSEN, "route: another cluster than the greatest score's");
    pv_case_expect(run, route.n_neurons == f->n_list && route.list_offset == offset && offset % 4 == 0,
                   "route: not the chosen cluster's list");
    const float margin = 0.5f;
    pv_case_expect(run, memcmp(&route.margin, &margin, sizeof margin) == 0, "route: wrong margin");
    pv_case_expect(run, route.up_x == pv_ceil_div(f->n_list, per_group) && route.up_y == 1 && route.up_z == 1,
                   "route: wrong indirect arguments for ffn_up");
    pv_case_expect(run, words[sizeof route / 4] == run->poison, "route: written past the end");
    return PV_OK;
}

static enum pv_status run_ffn(struct pv_case_run *run, const struct pv_case *c)
{
    const bool dense = c->list == DENSE;
    struct ffn f = {0};
    float *a = NULL, *y = NULL;
    PV_TRY(make_ffn(run, c, &f));
    PV_TRY(pv_case_random(run, c->k, 1.0f, &y));
    f.args.accumulate = (c->flags & ACCUMULATE) != 0;
    PV_TRY(pv_case_rows(run, f.args.accumulate ? y : NULL, 1, c->k, &f.args.y));
    if (!dense)
        PV_TRY(mask(run, c, c->list == ALL ? c->n : c->list, &f));
    PV_TRY(pv_case_begin(run));
    PV_TRY(pv_kernel_ffn_up(run->recorder, &f.args));
    PV_TRY(pv_kernel_ffn_down(run->recorder, &f.args));
    PV_TRY(pv_case_submit(run));

    const uint32_t n = dense ? c->n : f.n_list;
    PV_TRY(pv_case_floats(run, c->n, &a));
    const struct pv_ref_ffn ref = {.up = &f.up_ref,
                                   .gate = f.gate ? &f.gate_ref : NULL,
                                   .down_t = &f.down_ref,
                                   .up_bias = f.up_bias,
                                   .gate_bias = f.gate_bias,
                                   .down_bias = f.down_bias,
                                   .act = c->act,
                                   .list = f.list,
                                   .n = n,
                                   .accumulate = f.args.accumulate};
    pv_ref_ffn_up(&ref, f.z, a);
    pv_ref_ffn_down(&ref, a, y);
    if (!dense)
        PV_TRY(check_route(run, &f));
    PV_TRY(pv_case_check_rows(run, "a", f.args.a, a, 1, n)); /* the first n, then poison */
    PV_TRY(pv_case_check_rows(run, "y", f.args.y, y, 1, c->k));
    if (!f.next_weight)
        return PV_OK;
    for (uint32_t i = 0; i < c->k; i++)
        y[i] *= f.next_weight[i];
    return pv_case_check_rows(run, "next", f.args.next.out, y, 1, c->k);
}

/* An all-neurons list must give the dense call's bits. */
static enum pv_status run_all_is_dense(struct pv_case_run *run, const struct pv_case *c)
{
    struct ffn f = {0};
    struct pv_buffer *dense_a = NULL, *dense_y = NULL;
    uint32_t *a = NULL, *y = NULL;
    PV_TRY(make_ffn(run, c, &f));
    PV_TRY(pv_case_rows(run, NULL, 1, c->k, &f.args.y));
    PV_TRY(pv_case_rows(run, NULL, 1, c->k, &dense_y));
    PV_TRY(pv_case_rows(run, NULL, 1, c->n, &dense_a));
    struct pv_ffn_args dense = f.args;
    PV_TRY(mask(run, c, c->n, &f));
    const struct pv_ffn_args masked = f.args;
    dense.a = dense_a;
    dense.y = dense_y;
    PV_TRY(pv_case_begin(run));
    PV_TRY(pv_kernel_ffn_up(run->recorder, &masked));
    PV_TRY(pv_kernel_ffn_down(run->recorder, &masked));
    PV_TRY(pv_kernel_ffn_up(run->recorder, &dense));
    PV_TRY(pv_kernel_ffn_down(run->recorder, &dense));
    PV_TRY(pv_case_submit(run));
    PV_TRY(pv_case_read(run, dense_a, &a));
    PV_TRY(pv_case_read(run, dense_y, &y));
    PV_TRY(pv_case_check_words(run, "a", masked.a, a, c->n));
    return pv_case_check_words(run, "y", masked.y, y, c->k);
}

static uint32_t sum_words(const uint32_t *words, uint32_t n)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += words[i];
    return sum;
}

/* Rows of zeros left out against all rows read, of the same activations: the same bits, and as many rows as are
 * counted. A call whose activation makes no zeros reads all. */
static enum pv_status run_zeros(struct pv_case_run *run, const struct pv_case *c)
{
    const uint32_t n_splits = run->device->plan.ffn_down_splits;
    struct ffn f = {0};
    struct pv_buffer *all_y = NULL, *counts = NULL, *all_counts = NULL;
    uint32_t *a = NULL, *y = NULL, *read = NULL, *all_read = NULL, n_nonzero = 0;
    PV_TRY(make_ffn(run, c, &f));
    PV_TRY(pv_case_rows(run, NULL, 1, c->k, &f.args.y));
    PV_TRY(pv_case_rows(run, NULL, 1, c->k, &all_y));
    PV_TRY(pv_case_buffer(run, NULL, n_splits, &counts));
    PV_TRY(pv_case_buffer(run, NULL, n_splits, &all_counts));
    if (c->list != DENSE)
        PV_TRY(mask(run, c, c->list, &f));
    struct pv_ffn_args all = f.args;
    f.args.rows_read = counts;
    all.rows_read = all_counts;
    all.act = PV_ACT_SILU;
    all.y = all_y;
    PV_TRY(pv_case_begin(run));
    PV_TRY(pv_kernel_ffn_up(run->recorder, &f.args));
    PV_TRY(pv_kernel_ffn_down(run->recorder, &f.args));
    PV_TRY(pv_kernel_ffn_down(run->recorder, &all));
    PV_TRY(pv_case_submit(run));
    const uint32_t n = f.args.masks ? f.n_list : c->n;
    PV_TRY(pv_case_read(run, f.args.a, &a));
    PV_TRY(pv_case_read(run, all_y, &y));
    PV_TRY(pv_case_read(run, counts, &read));
    PV_TRY(pv_case_read(run, all_counts, &all_read));
    for (uint32_t i = 0; i < n; i++)
        n_nonzero += (a[i] & 0x7fffffffu) != 0;
    const bool skips = run->device->plan.ffn_down_groups > 0;
    const uint32_t n_all = f.args.masks ? n * f.down_t->n_parts : n; /* each part walks a whole list */
    pv_case_expect(run, sum_words(all_read, n_splits) == n_all, "not all rows were read where all must be");
    pv_case_expect(run, sum_words(read, n_splits) == (skips ? n_nonzero : n_all),
                   "another number of rows was read than there are activations that are not zero");
    pv_case_expect(run, !(c->flags & NO_ZEROS) || n_nonzero == n, "an activation is zero");
    pv_case_expect(run, !(c->flags & ALL_ZEROS) || n_nonzero == 0, "an activation is not zero");
    return pv_case_check_words(run, "y", f.args.y, y, c->k);
}

/* The choice among c->n clusters, and the activations of the chosen one's neurons. */
static enum pv_status run_route(struct pv_case_run *run, const struct pv_case *c)
{
    enum { N_NEURONS = 40, WIDTH = 8 };
    const uint16_t **lists = pv_arena_alloc(&run->arena, c->n, sizeof *lists);
    uint32_t *counts = NULL, *words = NULL, *list = NULL;
    float *scores = NULL, *z = NULL, *a = NULL, margin = 0.0f;
    struct pv_tensor *up = NULL;
    struct pv_ref_matrix up_ref;
    struct pv_ffn_args args = {.masks = &run->masks, .act = PV_ACT_SILU};
    struct pv_route route;
    if (!lists)
        return pv_fail(run->device->log, PV_ERR_NOMEM, "no memory for a kernel case");
    PV_TRY(pv_case_words(run, c->n, &counts));
    PV_TRY(pv_case_words(run, N_NEURONS, &list));
    PV_TRY(pv_case_random(run, c->n, 1.0f, &scores));
    PV_TRY(pv_case_random(run, WIDTH, 1.0f, &z));
    PV_TRY(pv_case_floats(run, N_NEURONS, &a));
    PV_TRY(pv_case_matrix(run, PV_F32, N_NEURONS, WIDTH, &up, &up_ref));
    for (uint32_t k = 0; k < c->n; k++) {
        uint16_t *neurons = NULL;
        PV_TRY(make_list(run, N_NEURONS, &neurons));
        lists[k] = neurons;
        counts[k] = pv_rng_below(&run->rng, N_NEURONS + 1);
    }
    if (c->n > 2)
        scores[1] = NAN; /* never wins */
    args.up = up;
    PV_TRY(pv_masks_create_lists(run->device, c->n, N_NEURONS, lists, counts, &run->masks));
    PV_TRY(pv_case_rows(run, scores, 1, c->n, &args.scores));
    PV_TRY(pv_case_rows(run, z, 1, WIDTH, &args.z));
    PV_TRY(pv_case_rows(run, NULL, 1, N_NEURONS, &args.a));
    PV_TRY(make_route(run, &args.route));
    PV_TRY(pv_case_begin(run));
    PV_TRY(pv_kernel_ffn_up(run->recorder, &args));
    PV_TRY(pv_case_submit(run));
    PV_TRY(pv_case_read(run, args.route, &words));
    memcpy(&route, words, sizeof route);
    const uint32_t expected = pv_ref_route(scores, c->n, &margin), n = counts[expected];
    pv_case_expect(run, route.cluster == expected, "another cluster than the greatest score's");
    pv_case_expect(run, route.n_neurons == n, "not the list's length");
    pv_case_expect(run, memcmp(&route.margin, &margin, sizeof margin) == 0, "wrong margin");
    pv_case_expect(run, words[sizeof route / 4] == run->poison, "written past the end");
    for (uint32_t i = 0; i < n; i++)
        list[i] = lists[expected][i];
    pv_ref_ffn_up(&(struct pv_ref_ffn){.up = &up_ref, .act = args.act, .list = list, .n = n}, z, a);
    return pv_case_check_rows(run, "a", args.a, a, 1, n);
}

#define FFN_(kernel_, run_, ty, n_, k_, act_, flags_, list_, text, tolerance_, large_)                       \
    {.kernel = kernel_,                                                                                      \
     .name = #ty " " #n_ "x" #k_ " " #act_ text,                                                             \
     .run = run_,                                                                                            \
     .repeats = !PV_CASE_TILES(ty),                                                                          \
     .axes = PV_AXIS_ACCESS | PV_AXIS_REDUCE | PV_CASE_TILES(ty) | PV_CASE_PARTS(ty),                        \
     .tolerance = tolerance_,                                                                                \
     .large = large_,                                                                                        \
     .type = PV_CASE_TYPE(ty),                                                                               \
     .act = PV_ACT_##act_,                                                                                   \
     .n = n_,                                                                                                \
     .k = k_,                                                                                                \
     .list = list_,                                                                                          \
     .flags = flags_},
#define FFN(ty, n, k, act, flags, list, text)                                                                \
    FFN_("ffn", run_ffn, ty, n, k, act, flags, list, text, 1e-10, false)
#define SAME(ty, n, k, act, flags, text)                                                                     \
    FFN_("ffn", run_all_is_dense, ty, n, k, act, flags, ALL, text " all equals dense", 0.0, false)
#define ZEROS(ty, n, k, act, flags, list, text, large)                                                       \
    FFN_("ffn", run_zeros, ty, n, k, act, BIASES | flags, list, text " zeros left out", 0.0, large)
#define ROUTE(n_)                                                                                            \
    {.kernel = "ffn",                                                                                        \
     .name = "route K=" #n_,                                                                                 \
     .run = run_route,                                                                                       \
     .axes = PV_AXIS_ACCESS | PV_AXIS_REDUCE | PV_AXIS_TILES,                                                \
     .tolerance = 1e-10,                                                                                     \
     .n = n_},

/* F x d; d is odd for the plain types and whole blocks for the others. */
#define FFNS(ty, k1, k2, k3)                                                                                 \
    FFN(ty, 1, k1, SILU, 0, DENSE, " dense")                                                                 \
    FFN(ty, 33, k2, RELU2, 0, DENSE, " dense")                                                               \
    FFN(ty, 172, k3, SILU, GATED, DENSE, " gated dense")                                                     \
    FFN(ty, 33, k2, RELU2, ACCUMULATE, 0, " accumulate list=0")                                              \
    FFN(ty, 33, k2, GELU, 0, 0, " list=0")                                                                   \
    FFN(ty, 33, k2, GELU, 0, 1, " list=1")                                                                   \
    FFN(ty, 172, k3, RELU, GATED, 31, " gated list=31")                                                      \
    FFN(ty, 172, k3, RELU2, ACCUMULATE, 33, " accumulate list=33")                                           \
    FFN(ty, 31, k2, SILU, GATED, ALL, " gated list=all")                                                     \
    FFN(ty, 172, k3, DRELU, GATED | BIASES, DENSE, " gated biases dense")                                    \
    FFN(ty, 33, k2, RELU2, NORM | BIASES | ACCUMULATE, DENSE, " norm biases accumulate dense")               \
    FFN(ty, 172, k3, SILU, NORM | GATED | BIASES | ACCUMULATE, 31, " norm gated biases accumulate list=31")  \
    SAME(ty, 172, k3, SILU, NORM | GATED | BIASES, " norm gated biases")                                     \
    SAME(ty, 1, k1, SILU, 0, "")                                                                             \
    SAME(ty, 33, k2, RELU2, 0, "")                                                                           \
    ZEROS(ty, 1, k1, RELU, NO_ZEROS, DENSE, " no", true)                                                     \
    ZEROS(ty, 33, k2, RELU2, NO_ZEROS, DENSE, " no", true)                                                   \
    ZEROS(ty, 33, k2, RELU2, ALL_ZEROS, DENSE, " all", false)                                                \
    ZEROS(ty, 172, k3, RELU2, 0, DENSE, " half dense", true)                                                 \
    ZEROS(ty, 172, k3, RELU, GATED | MOST_ZEROS, DENSE, " gated most dense", false)                          \
    ZEROS(ty, 172, k3, DRELU, GATED | MOST_ZEROS, 101, " gated most list=101", false)                        \
    ZEROS(ty, 33, k2, RELU, GATED | ALL_ZEROS, DENSE, " gated all", true)                                    \
    ZEROS(ty, 172, k3, RELU2, MOST_ZEROS, 101, " most list=101", false)                                      \
    ZEROS(ty, 172, k3, RELU, GATED, 0, " gated list=0", true)                                                \
    ZEROS(ty, 1500, 256, RELU2, MOST_ZEROS, DENSE, " most dense", true)                                      \
    ZEROS(ty, 1500, 256, RELU, 0, 1100, " half list=1100", true)                                             \
    FFN_("ffn", run_ffn, ty, 1500, 256, RELU2, 0, 300, " list=300", 1e-10, true)

/* The same kernels with other loads of a weight: a case of each kind. */
#define SOME(ty, k1, k2, k3)                                                                                 \
    FFN(ty, 1, k1, SILU, 0, DENSE, " dense")                                                                 \
    FFN(ty, 33, k2, RELU2, ACCUMULATE, 0, " accumulate list=0")                                              \
    FFN(ty, 172, k3, RELU, GATED, 31, " gated list=31")                                                      \
    FFN(ty, 31, k2, SILU, GATED, ALL, " gated list=all")                                                     \
    FFN(ty, 172, k3, SILU, NORM | GATED | BIASES | ACCUMULATE, 31, " norm gated biases accumulate list=31")  \
    SAME(ty, 33, k2, RELU2, 0, "")                                                                           \
    ZEROS(ty, 33, k2, RELU2, ALL_ZEROS, DENSE, " all", false)                                                \
    ZEROS(ty, 172, k3, RELU, GATED | MOST_ZEROS, DENSE, " gated most dense", false)                          \
    ZEROS(ty, 172, k3, RELU2, MOST_ZEROS, 101, " most list=101", false)                                      \
    ZEROS(ty, 1500, 256, RELU2, MOST_ZEROS, DENSE, " most dense", true)

/* Layouts of chunks, the first of them with the kernels of ffn_down too. */
#define BOTH(ty, k1, k2)                                                                                     \
    FFN(ty, 33, k1, RELU2, 0, DENSE, " dense")                                                               \
    FFN(ty, 31, k1, SILU, GATED, ALL, " gated list=all")                                                     \
    FFN(ty, 172, k2, RELU2, ACCUMULATE, 33, " accumulate list=33")                                           \
    SAME(ty, 33, k1, RELU2, 0, "")                                                                           \
    ZEROS(ty, 172, k1, RELU2, MOST_ZEROS, DENSE, " most dense", false)                                       \
    ZEROS(ty, 172, k2, RELU, GATED, 101, " gated half list=101", false)
#define UPS(ty, k)                                                                                           \
    FFN(ty, 31, k, SILU, GATED, DENSE, " gated dense")                                                       \
    FFN(ty, 33, k, RELU2, NORM, 17, " norm list=17")

const struct pv_case pv_cases_ffn[] = {
    ROUTE(1) ROUTE(2) ROUTE(31) ROUTE(33) ROUTE(300) SOME(f32, 1, 31, 172) FFNS(f16, 1, 31, 172)
        SOME(bf16, 1, 31, 172) FFNS(q8_0, 32, 96, 160) SOME(q4_0, 32, 96, 160) BOTH(q6_k, 256, 512)
            UPS(q4_1, 96) UPS(q5_1, 96) UPS(q2_k, 256) UPS(q4_k, 512) UPS(q5_k, 256) UPS(iq4_nl, 96)
                UPS(mxfp4, 96)};
const uint32_t pv_n_cases_ffn = sizeof pv_cases_ffn / sizeof *pv_cases_ffn;
