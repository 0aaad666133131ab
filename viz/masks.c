/* Clusters are ordered by reciprocal averaging (the first axis of correspondence analysis; M. O. Hill, 1973):
 * it brings a matrix of zeros and ones near to a diagonal. */
#include "viz/masks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_WORDS (1u << 16) /* of the masks that an order of clusters looks at */

struct pv_maskset {
    uint32_t n_layers, n_clusters, d_ffn, n_words;
    uint32_t *bits;       /* [L][K][words] */
    uint32_t *at, *place; /* [L][K] both ways; NULL until arranged */
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
    *m = (struct pv_maskset){n_layers, n_clusters, d_ffn, (uint32_t)n_words, NULL, NULL, NULL};
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
    free(masks->at);
    free(masks->place);
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

struct scored {
    uint32_t cluster, size; /* size: neurons looked at */
    double score;
};

static int by_score(const void *a, const void *b)
{
    const struct scored *x = a, *y = b;

    if (x->score < y->score || x->score > y->score)
        return x->score < y->score ? -1 : 1;
    return (x->cluster > y->cluster) - (x->cluster < y->cluster);
}

/* One round over the neurons in every `stride`th word: a neuron's score is the mean of its clusters', a
 * cluster's the mean of its neurons'. */
static void average(const struct pv_maskset *m, uint32_t layer, uint32_t stride, struct scored *s, uint32_t n,
                    double *sums)
{
    double mean = 0.0, weight = 0.0, norm = 0.0;

    memset(sums, 0, n * sizeof *sums);
    for (uint32_t i = 0; i < n; i++)
        s[i].size = 0;
    for (uint32_t w = 0; w < m->n_words; w += stride) {
        double sum[32] = {0.0};
        uint32_t held[32] = {0};

        for (uint32_t i = 0; i < n; i++) {
            for (uint32_t bits = pv_maskset_row(m, layer, s[i].cluster)[w]; bits != 0; bits &= bits - 1) {
                uint32_t j = popcount((bits & (0u - bits)) - 1u);

                sum[j] += s[i].score;
                held[j]++;
            }
        }
        for (uint32_t i = 0; i < n; i++) {
            for (uint32_t bits = pv_maskset_row(m, layer, s[i].cluster)[w]; bits != 0; bits &= bits - 1) {
                const uint32_t j = popcount((bits & (0u - bits)) - 1u);

                sums[i] += sum[j] / held[j];
                s[i].size++;
            }
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        s[i].score = s[i].size > 0 ? sums[i] / s[i].size : 0.0;
        mean += s[i].score * s[i].size;
        weight += s[i].size;
    }
    mean = weight > 0.0 ? mean / weight : 0.0;
    for (uint32_t i = 0; i < n; i++) {
        s[i].score -= mean; /* all alike is a solution that says nothing */
        norm += s[i].score * s[i].score;
    }
    for (uint32_t i = 0; norm > 0.0 && i < n; i++)
        s[i].score /= sqrt(norm);
}

enum pv_status pv_maskset_order_clusters(const struct pv_maskset *m, uint32_t layer, uint32_t *clusters,
                                         uint32_t n)
{
    struct scored *s = calloc((size_t)n + 1, sizeof *s);
    double *sums = calloc((size_t)n + 1, sizeof *sums);
    const uint32_t stride =
        1 + (uint32_t)((uint64_t)n * m->n_words / MAX_WORDS); /* a sample is enough for many */

    if (!s || !sums) {
        free(s);
        free(sums);
        return PV_ERR_NOMEM;
    }
    for (uint32_t i = 0; i < n; i++) /* any start that is not all alike will do */
        s[i] = (struct scored){.cluster = clusters[i], .score = cos(2.4 * i)};
    for (int round = 0; round < 40; round++)
        average(m, layer, stride, s, n, sums);
    qsort(s, n, sizeof *s, by_score);
    for (uint32_t i = 0; i < n; i++)
        clusters[i] = s[i].cluster;
    free(s);
    free(sums);
    return PV_OK;
}

/* Small masks first: the direction of an order is arbitrary otherwise. */
static void small_first(const struct pv_maskset *m, uint32_t layer, uint32_t *clusters, uint32_t n)
{
    double lean = 0.0;

    for (uint32_t i = 0; i < n; i++)
        lean += (2.0 * i - n + 1.0) * pv_maskset_size(m, layer, clusters[i]);
    for (uint32_t i = 0; lean < 0.0 && i < n / 2; i++) {
        const uint32_t swap = clusters[i];

        clusters[i] = clusters[n - 1 - i];
        clusters[n - 1 - i] = swap;
    }
}

enum pv_status pv_maskset_arrange(struct pv_maskset *m)
{
    const size_t n_cells = (size_t)m->n_layers * m->n_clusters;
    uint32_t *at = calloc(n_cells + 1, sizeof *at), *place = calloc(n_cells + 1, sizeof *place);
    enum pv_status status = at && place ? PV_OK : PV_ERR_NOMEM;

    for (uint32_t l = 0; status == PV_OK && l < m->n_layers; l++) {
        uint32_t *row = at + (size_t)l * m->n_clusters;

        for (uint32_t k = 0; k < m->n_clusters; k++)
            row[k] = k;
        status = pv_maskset_order_clusters(m, l, row, m->n_clusters);
        small_first(m, l, row, m->n_clusters);
        for (uint32_t i = 0; i < m->n_clusters; i++)
            place[(size_t)l * m->n_clusters + row[i]] = i;
    }
    if (status != PV_OK) {
        free(at);
        free(place);
        return status;
    }
    free(m->at);
    free(m->place);
    m->at = at;
    m->place = place;
    return PV_OK;
}

uint32_t pv_maskset_place(const struct pv_maskset *m, uint32_t layer, uint32_t cluster)
{
    return m && m->place ? m->place[(size_t)layer * m->n_clusters + cluster] : cluster;
}

uint32_t pv_maskset_at(const struct pv_maskset *m, uint32_t layer, uint32_t place)
{
    return m && m->at ? m->at[(size_t)layer * m->n_clusters + place] : place;
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
