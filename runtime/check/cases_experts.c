/* Cases of mixtures of experts: which experts a token has, their weights, the list that decode makes of them, and what
 * the weights do to activations. */
#include <math.h>
#include <string.h>

#include "base/log.h"
#include "check/case_tables.h"
#include "iface.h"
#include "kernel/call.h"

enum { SIGMOID = 1, LIST = 2, TIES = 4, NANS = 8 };

/* t tokens, n experts, k used, `list` neurons of each. */
static struct pv_experts_args args_of(const struct pv_case *c)
{
    return (struct pv_experts_args){.n_tokens = c->t,
                                    .n_experts = c->n,
                                    .n_used = c->k,
                                    .d_ffn = c->n * c->list,
                                    .gating = c->flags & SIGMOID ? PV_GATING_SIGMOID : PV_GATING_SOFTMAX};
}

static struct pv_ref_experts ref_of(const struct pv_experts_args *a)
{
    return (struct pv_ref_experts){.n_experts = a->n_experts, .n_used = a->n_used, .gating = a->gating};
}

/* The neurons of the chosen experts, and what the route says of them. */
static enum pv_status check_list(struct pv_case_run *run, const struct pv_case *c,
                                 const struct pv_experts_args *a, const uint32_t *chosen)
{
    uint32_t *words = NULL, *list = NULL;
    struct pv_route route;
    const uint32_t n = c->k * c->list, per_group = pv_row_split(&run->device->plan).rows_per_workgroup;
    PV_TRY(pv_case_words(run, n, &list));
    for (uint32_t i = 0; i < n; i++)
        list[i] = chosen[i / c->list] * c->list + i % c->list;
    PV_TRY(pv_case_read(run, a->route, &words));
    memcpy(&route, words, sizeof route);
    pv_case_expect(run, route.cluster == chosen[0] && route.n_neurons == n && route.list_offset == 0,
                   "route: not the chosen experts' neurons");
    pv_case_expect(run, route.up_x == pv_ceil_div(n, per_group) && route.up_y == 1 && route.up_z == 1,
                   "route: wrong indirect arguments for ffn_up");
    pv_case_expect(run, words[sizeof route / 4] == run->poison, "route: written past the end");
    return pv_case_check_words(run, "list", a->list, list, n);
}

static enum pv_status run_top(struct pv_case_run *run, const struct pv_case *c)
{
    struct pv_experts_args a = args_of(c);
    const struct pv_ref_experts ref = ref_of(&a);
    float *scores = NULL, *weights = NULL;
    uint32_t *chosen = NULL;
    PV_TRY(pv_case_random(run, (size_t)c->t * c->n, 2.0f, &scores));
    PV_TRY(pv_case_floats(run, (size_t)c->t * c->n, &weights));
    PV_TRY(pv_case_words(run, c->k, &chosen));
    for (size_t i = 0; i < (size_t)c->t * c->n; i++) {
        if (c->flags & TIES)
            scores[i] = floorf(scores[i]);
        if (c->flags & NANS && i % 3 == 1)
            scores[i] = NAN;
    }
    PV_TRY(pv_case_rows(run, scores, c->t, c->n, &a.scores));
    PV_TRY(pv_case_rows(run, NULL, c->t, c->n, &a.weights));
    if (c->flags & LIST) {
        PV_TRY(pv_case_buffer(run, NULL, pv_row_stride(c->k * c->list), &a.list));
        PV_TRY(pv_case_buffer(run, NULL, (size_t)pv_route_bytes() / 4, &a.route));
    }
    PV_TRY(pv_case_begin(run));
    PV_TRY(pv_kernel_top_experts(run->recorder, &a));
    PV_TRY(pv_case_submit(run));
    for (uint32_t t = 0; t < c->t; t++)
        pv_ref_top_experts(scores + (size_t)t * c->n, &ref, chosen, weights + (size_t)t * c->n);
    if (c->flags & LIST)
        PV_TRY(check_list(run, c, &a, chosen));
    return pv_case_check_rows(run, "weights", a.weights, weights, c->t, c->n);
}

static enum pv_status run_scale(struct pv_case_run *run, const struct pv_case *c)
{
    struct pv_experts_args args = args_of(c);
    const struct pv_ref_experts ref = ref_of(&args);
    const bool listed = (c->flags & LIST) != 0;
    const uint32_t n = listed ? c->k * c->list : args.d_ffn;
    float *scores = NULL, *weights = NULL, *a = NULL;
    uint32_t *chosen = NULL, *list = NULL;
    struct pv_buffer *ab = NULL;
    PV_TRY(pv_case_random(run, (size_t)c->t * c->n, 2.0f, &scores));
    PV_TRY(pv_case_floats(run, (size_t)c->t * c->n, &weights));
    PV_TRY(pv_case_random(run, (size_t)c->t * n, 1.0f, &a));
    PV_TRY(pv_case_words(run, c->k, &chosen));
    PV_TRY(pv_case_words(run, n, &list));
    for (uint32_t t = 0; t < c->t; t++)
        pv_ref_top_experts(scores + (size_t)t * c->n, &ref, chosen, weights + (size_t)t * c->n);
    for (uint32_t i = 0; listed && i < n; i++)
        list[i] = chosen[i / c->list] * c->list + i % c->list;
    PV_TRY(pv_case_rows(run, weights, c->t, c->n, &args.weights));
    PV_TRY(pv_case_rows(run, a, c->t, n, &ab));
    if (listed)
        PV_TRY(pv_case_buffer(run, list, n, &args.list));
    PV_TRY(pv_case_begin(run));
    PV_TRY(pv_kernel_scale_experts(run->recorder, &args, ab));
    PV_TRY(pv_case_submit(run));
    for (uint32_t t = 0; t < c->t; t++)
        pv_ref_scale_experts(weights + (size_t)t * c->n, c->list, listed ? list : NULL, n, a + (size_t)t * n);
    return pv_case_check_rows(run, "a", ab, a, c->t, n);
}

#define EXPERTS(kernel_, run_, axes_, t_, n_, k_, neurons_, flags_, text)                                    \
    {.kernel = kernel_,                                                                                      \
     .name = #k_ " of " #n_ "x" #neurons_ " T=" #t_ text,                                                    \
     .run = run_,                                                                                            \
     .axes = axes_,                                                                                          \
     .tolerance = 1e-10,                                                                                     \
     .t = t_,                                                                                                \
     .n = n_,                                                                                                \
     .k = k_,                                                                                                \
     .list = neurons_,                                                                                       \
     .flags = flags_},
#define TOP(t, n, k, neurons, flags, text)                                                                   \
    EXPERTS("top_experts", run_top, PV_AXIS_REDUCE, t, n, k, neurons, flags, text)
#define SCALE(t, n, k, neurons, flags, text)                                                                 \
    EXPERTS("scale_experts", run_scale, 0, t, n, k, neurons, flags, text)

const struct pv_case pv_cases_experts[] = {
    TOP(1, 1, 1, 1, LIST, " list") TOP(1, 8, 2, 31, LIST, " list")
        TOP(1, 33, 4, 33, LIST | SIGMOID, " sigmoid list") TOP(1, 300, 31, 5, LIST, " list")
            TOP(1, 33, 33, 3, LIST, " all list") TOP(1, 31, 5, 7, LIST | TIES, " ties list")
                TOP(3, 4, 2, 31, 0, "") TOP(5, 31, 8, 1, SIGMOID, " sigmoid") TOP(2, 129, 64, 2, 0, "")
                    TOP(3, 33, 6, 2, TIES, " ties") TOP(2, 31, 6, 2, NANS, " NaN") SCALE(1, 1, 1, 1, 0, "")
                        SCALE(1, 8, 2, 31, LIST, " list") SCALE(1, 33, 5, 33, LIST, " list")
                            SCALE(3, 4, 2, 31, 0, "") SCALE(2, 31, 3, 7, 0, "")};
const uint32_t pv_n_cases_experts = sizeof pv_cases_experts / sizeof *pv_cases_experts;
