/* Neurons are ordered by the stretch of clusters that holds them most, which brings a matrix of masks near to a
 * diagonal. */
#include "viz/masks.h"

#include <stdlib.h>
#include <string.h>

struct pv_maskset {
    uint32_t n_layers, n_clusters, d_ffn, n_words;
    uint32_t *bits; /* [L][K][words] */
};

enum pv_status pv_maskset_create(uint32_t n_layers, uint32_t n_clusters, uint32_t d_ffn,
                                 struct pv_maskset **out)
{
    struct pv_maskset *m = calloc(1, sizeof *m);
    const size_t n_words = ((size_t)d_ffn + 31) / 32;
    const size_t n_cells = (size_t)n_layers * n_clusters;

    *out = NULL;
    if (!m || (n_cells > 0 && n_words > SIZE_MAX / 8 / n_cells)) {
        free(m);
        return PV_ERR_NOMEM;
    }
    *m = (struct pv_maskset){n_layers, n_clusters, d_ffn, (uint32_t)n_words, NULL};
    m->bits = calloc(n_cells * n_words + 1, sizeof *m->bits);
    if (!m->bits) {
        free(m);
        return PV_ERR_NOMEM;
    }
    *out = m;
    return PV_OK;
}

void pv_maskset_destroy(struct pv_maskset *masks)
{
    if (!masks)
        return;
    free(masks->bits);
    free(masks);
}

uint32_t pv_maskset_n_layers(const struct pv_maskset *masks)
{
    return masks->n_layers;
}

uint32_t pv_maskset_n_clusters(const struct pv_maskset *masks)
{
    return masks->n_clusters;
}

uint32_t pv_maskset_d_ffn(const struct pv_maskset *masks)
{
    return masks->d_ffn;
}

const uint32_t *pv_maskset_row(const struct pv_maskset *m, uint32_t layer, uint32_t cluster)
{
    return m->bits + ((size_t)layer * m->n_clusters + cluster) * m->n_words;
}

void pv_maskset_add(struct pv_maskset *m, uint32_t layer, uint32_t cluster, const uint16_t *neurons,
                    uint32_t n)
{
    uint32_t *row = m->bits + ((size_t)layer * m->n_clusters + cluster) * m->n_words;

    for (uint32_t i = 0; i < n; i++) {
        if (neurons[i] < m->d_ffn)
            row[neurons[i] / 32] |= (uint32_t)1 << (neurons[i] % 32);
    }
}

static uint32_t popcount(uint32_t x)
{
    x = x - (x >> 1 & 0x55555555u);
    x = (x & 0x33333333u) + (x >> 2 & 0x33333333u);
    return ((x + (x >> 4)) & 0x0f0f0f0fu) * 0x01010101u >> 24;
}

uint32_t pv_maskset_size(const struct pv_maskset *m, uint32_t layer, uint32_t cluster)
{
    const uint32_t *row = pv_maskset_row(m, layer, cluster);
    uint32_t n = 0;

    for (uint32_t i = 0; i < m->n_words; i++)
        n += popcount(row[i]);
    return n;
}

double pv_maskset_jaccard(const struct pv_maskset *m, uint32_t layer, uint32_t a, uint32_t b)
{
    const uint32_t *x = pv_maskset_row(m, layer, a), *y = pv_maskset_row(m, layer, b);
    uint32_t both = 0, any = 0;

    for (uint32_t i = 0; i < m->n_words; i++) {
        both += popcount(x[i] & y[i]);
        any += popcount(x[i] | y[i]);
    }
    return any > 0 ? (double)both / any : 0.0;
}

struct place {
    uint32_t neuron;
    uint32_t group; /* 0: shared by most, 1: by some, 2: none; */
    double centre;  /* where most of the clusters that hold it stand */
    uint32_t n_holders;
};

static int by_place(const void *a, const void *b)
{
    const struct place *x = a, *y = b;

    if (x->group != y->group)
        return x->group < y->group ? -1 : 1;
    if (x->group == 0 && x->n_holders != y->n_holders)
        return x->n_holders > y->n_holders ? -1 : 1;
    if (x->centre < y->centre || x->centre > y->centre)
        return x->centre < y->centre ? -1 : 1;
    if (x->n_holders != y->n_holders)
        return x->n_holders > y->n_holders ? -1 : 1;
    return (x->neuron > y->neuron) - (x->neuron < y->neuron);
}

/* The stretch of neighbouring clusters that holds the neuron most decides where it goes. */
static struct place find_place(const struct pv_maskset *m, uint32_t layer, const uint32_t *clusters,
                               uint32_t n, uint32_t neuron)
{
    struct place place = {.neuron = neuron};
    uint32_t span = n / 8 + 1, held = 0, most = 0;

    for (uint32_t i = 0; i < n; i++) {
        const uint32_t bit = (uint32_t)pv_maskset_bit(pv_maskset_row(m, layer, clusters[i]), neuron);

        place.n_holders += bit;
        held += bit;
        if (i >= span)
            held -= (uint32_t)pv_maskset_bit(pv_maskset_row(m, layer, clusters[i - span]), neuron);
        if (held > most) {
            most = held;
            place.centre = i;
        }
    }
    place.group = place.n_holders == 0 ? 2 : place.n_holders * 3 > n * 2 ? 0 : 1;
    return place;
}

enum pv_status pv_maskset_order_neurons(const struct pv_maskset *m, uint32_t layer, const uint32_t *clusters,
                                        uint32_t n, uint32_t *out)
{
    struct place *places = calloc(m->d_ffn, sizeof *places);

    if (!places)
        return PV_ERR_NOMEM;
    for (uint32_t j = 0; j < m->d_ffn; j++)
        places[j] = find_place(m, layer, clusters, n, j);
    qsort(places, m->d_ffn, sizeof *places, by_place);
    for (uint32_t j = 0; j < m->d_ffn; j++)
        out[j] = places[j].neuron;
    free(places);
    return PV_OK;
}
