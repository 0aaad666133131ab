/* A method takes one table of a grouping, finds the threshold that spends the density, and keeps the
 * clusters' masks as bits. Where a token computes two clusters, the threshold is the one at which the union
 * of the router's best two, over a sample of training tokens, has the density. */
#include "lab/methods/baseline_clusters.h"

#include <stdlib.h>
#include "base/bits.h"
#include "base/mem.h"
#include "base/threads.h"
#include "lab/methods/baseline_group.h"

enum { TOKEN_CHUNK = 8, UNION_STEPS = 12 };

struct clustered {
    struct pv_predictor head;
    struct pv_predict_ops ops;
    const struct pv_cluster_kind *kind;
    const struct pv_grouping *g;
    uint32_t **bits;           /* [n_layers] [K][words] */
    struct pv_mask_lists *own; /* [n_layers] masks from the tokens' own clusters, to judge by */
};

static enum pv_status train(struct pv_predictor *p, const struct pv_predict_layer *layer,
                            const struct pv_steps *steps)
{
    (void)p, (void)layer, (void)steps;
    return PV_OK;
}

static enum pv_status fill_bits(struct clustered *c, const struct pv_energy *table, float threshold)
{
    const size_t f = c->head.params.shape.d_ffn, words = pv_bit_words(f);

    for (uint32_t l = 0; l < c->head.params.shape.n_layers; l++) {
        struct pv_mask_lists lists;
        const enum pv_status status = pv_mask_lists_choose(&lists, &table[l], threshold);

        if (status != PV_OK)
            return status;
        memset(c->bits[l], 0, lists.n_clusters * words * sizeof **c->bits);
        for (uint32_t k = 0; k < lists.n_clusters; k++) {
            for (uint32_t i = lists.offset[k]; i < lists.offset[k + 1]; i++)
                pv_bit_set(c->bits[l] + k * words, lists.neurons[i]);
        }
        pv_mask_lists_free(&lists);
    }
    return PV_OK;
}

static double union_density(const struct clustered *c)
{
    const size_t f = c->head.params.shape.d_ffn, words = pv_bit_words(f);
    double sum = 0.0;

    for (uint32_t l = 0; l < c->head.params.shape.n_layers; l++) {
        const struct pv_group_layer *layer = &c->g->layers[l];
        size_t count = 0;

        for (size_t i = 0; i < layer->n_pairs; i++) {
            const uint32_t *a = c->bits[l] + layer->pairs[2 * i] * words;
            const uint32_t *b = c->bits[l] + layer->pairs[2 * i + 1] * words;

            for (size_t w = 0; w < words; w++)
                count += pv_popcount(a[w] | b[w]);
        }
        sum += (double)count / ((double)layer->n_pairs * (double)f);
    }
    return sum / c->head.params.shape.n_layers;
}

static enum pv_status set_density(struct pv_predictor *p, double density)
{
    struct clustered *c = (struct clustered *)p;
    const struct pv_energy *table = c->g->tables[c->kind->route][c->kind->rule];
    double low = 0.0, high = density, reached;
    float threshold;

    for (int i = 0; i < UNION_STEPS && c->kind->n_union > 1; i++) {
        const double middle = i == 0 ? density * 0.7 : 0.5 * (low + high);
        enum pv_status status = pv_energy_threshold(table, p->params.shape.n_layers, middle,
                                                    p->params.n_threads, &threshold, &reached);

        if (status == PV_OK)
            status = fill_bits(c, table, threshold);
        if (status != PV_OK)
            return status;
        if (union_density(c) <= density)
            low = middle;
        else
            high = middle;
    }
    if (c->kind->n_union == 1)
        low = density;
    const enum pv_status status =
        pv_energy_threshold(table, p->params.shape.n_layers, low, p->params.n_threads, &threshold, &reached);
    return status == PV_OK ? fill_bits(c, table, threshold) : status;
}

struct predicting {
    const struct clustered *c;
    const struct pv_capture *tokens;
    uint32_t *bits;
    bool failed;
};

static void predict_tokens(void *user, size_t chunk, size_t begin, size_t end)
{
    struct predicting *g = user;
    const struct pv_predict_params *params = &g->c->head.params;
    const uint32_t l = g->tokens->layer;
    const size_t d = params->shape.d_model, words = pv_bit_words(params->shape.d_ffn);
    const struct pv_group_router *router = &g->c->g->layers[l].routers[g->c->kind->route];
    float *room = pv_calloc(d + router->trained.n_in + params->n_clusters, sizeof *room);

    (void)chunk;
    if (!room) {
        g->failed = true;
        return;
    }
    for (size_t t = begin; t < end; t++) {
        uint16_t best[2];

        pv_group_best(router, g->tokens->z + t * d, room, best);
        for (uint32_t u = 0; u < g->c->kind->n_union; u++) {
            for (size_t w = 0; w < words; w++)
                g->bits[t * words + w] |= g->c->bits[l][best[u] * words + w];
        }
    }
    free(room);
}

static enum pv_status predict(struct pv_predictor *p, const struct pv_capture *tokens, uint32_t *bits)
{
    struct predicting g = {.c = (struct clustered *)p, .tokens = tokens, .bits = bits};

    pv_parallel_for(p->params.n_threads, tokens->n_tokens, (tokens->n_tokens + TOKEN_CHUNK - 1) / TOKEN_CHUNK,
                    predict_tokens, &g);
    return g.failed ? PV_ERR_NOMEM : PV_OK;
}

static double predictor_bytes(const struct pv_predictor *p)
{
    const struct clustered *c = (const struct clustered *)p;
    double sum = 0.0;

    for (uint32_t l = 0; l < p->params.shape.n_layers; l++)
        sum += pv_router_bytes(p->params.n_clusters, p->params.shape.d_model,
                               c->g->layers[l].routers[c->kind->route].trained.down.rank);
    return sum;
}

/* Rows and the list that names them, two bytes a neuron. */
static double neuron_bytes(const struct pv_predictor *p, double density)
{
    return pv_predict_all_rows(p, density) + 2.0 * density * p->params.shape.d_ffn * p->params.shape.n_layers;
}

static void free_own(struct clustered *c)
{
    for (uint32_t l = 0; c->own && l < c->head.params.shape.n_layers; l++)
        pv_mask_lists_free(&c->own[l]);
}

static void destroy(struct pv_predictor *p)
{
    struct clustered *c = (struct clustered *)p;

    if (!c)
        return;
    for (uint32_t l = 0; c->bits && l < p->params.shape.n_layers; l++)
        free(c->bits[l]);
    free_own(c);
    free(c->bits);
    free(c->own);
    free(c);
}

enum pv_status pv_predict_clusters_create(const struct pv_cluster_kind *kind, const struct pv_grouping *g,
                                          struct pv_predictor **out)
{
    const struct pv_predict_params *params = &g->params.base;
    struct clustered *c = pv_calloc(1, sizeof *c);
    bool good = c != NULL;

    if (!good)
        return PV_ERR_NOMEM;
    c->ops = (struct pv_predict_ops){.name = kind->name,
                                     .label = kind->label,
                                     .clustered = true,
                                     .train = train,
                                     .set_density = set_density,
                                     .predict = predict,
                                     .predictor_bytes = predictor_bytes,
                                     .neuron_bytes = neuron_bytes,
                                     .destroy = destroy};
    c->head = (struct pv_predictor){.ops = &c->ops, .params = *params};
    c->kind = kind;
    c->g = g;
    c->bits = pv_calloc(params->shape.n_layers, sizeof *c->bits);
    c->own = pv_calloc(params->shape.n_layers, sizeof *c->own);
    good = c->bits && c->own;
    for (uint32_t l = 0; good && l < params->shape.n_layers; l++) {
        c->bits[l] = pv_calloc(params->n_clusters * pv_bit_words(params->shape.d_ffn), sizeof **c->bits);
        good = c->bits[l] != NULL;
    }
    if (!good) {
        destroy(&c->head);
        return PV_ERR_NOMEM;
    }
    *out = &c->head;
    return PV_OK;
}

/* Neurons of a layer that are active on average, out of its frequencies. */
static uint32_t mean_pattern(const struct pv_energy *frequencies)
{
    return (uint32_t)(frequencies->total + 0.5);
}

enum pv_status pv_predict_clusters_choose_own(struct pv_predictor *p, enum pv_sweep_own masks, double density)
{
    struct clustered *c = (struct clustered *)p;
    const enum pv_mask_rule rule =
        masks == PV_SWEEP_RUN || masks == PV_SWEEP_OWN_BUDGET ? c->kind->rule : PV_RULE_ACTIVE;
    const struct pv_energy *table = c->g->tables[PV_ROUTE_OWN][rule];
    enum pv_status status = PV_OK;
    float threshold = 0.5f;
    double reached;

    if (masks == PV_SWEEP_RUN || masks == PV_SWEEP_OWN_BUDGET)
        status = pv_energy_threshold(table, p->params.shape.n_layers, density, p->params.n_threads,
                                     &threshold, &reached);
    free_own(c);
    for (uint32_t l = 0; l < p->params.shape.n_layers && status == PV_OK; l++)
        status = masks == PV_SWEEP_OWN_LAYER
                     ? pv_mask_lists_top(&c->own[l], &table[l], mean_pattern(&table[l]))
                     : pv_mask_lists_choose(&c->own[l], &table[l], threshold);
    return status;
}

enum pv_status pv_predict_clusters_judge_own(const struct pv_predictor *p, uint32_t layer,
                                             const struct pv_sparse *test_x, struct pv_mask_score *score)
{
    const struct clustered *c = (const struct clustered *)p;

    const struct pv_rows rows = {.x = test_x, .n = test_x->n_rows};

    return pv_mask_lists_judge(&c->own[layer], &rows, c->g->layers[layer].own_test, score);
}
