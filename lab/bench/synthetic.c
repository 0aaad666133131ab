/* Rows are made twice: once to count their neurons, once to write them where they belong. Two bit rows stand
 * for a token, its group's neurons thinned out and the noise drawn by geometric steps; a row is what is set
 * in either, in order. */
#include "lab/bench/synthetic.h"

#include <math.h>
#include <stdlib.h>
#include "base/half.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/threads.h"

enum { CHUNK_ROWS = 128, WORD = 64 };
static const double PRESENT = 0.8125; /* of a group's own neurons */

struct maker {
    const struct pv_synthetic_params *p;
    struct pv_synthetic *out;
    uint64_t *own;   /* [n_groups][n_words] the groups' neurons */
    float *centre;   /* [n_groups][d] */
    size_t n_words;  /* of a row of bits */
    double log_miss; /* log(1 - probability of noise), for geometric steps */
    uint64_t *bits;  /* [n_chunks][n_words] scratch */
    bool writing;
};

static struct pv_rng row_rng(const struct maker *m, size_t i, uint64_t purpose)
{
    struct pv_rng rng;

    pv_rng_seed(&rng, m->p->seed * 0x9e3779b97f4a7c15u + i * 4 + purpose);
    return rng;
}

/* Distance to the next neuron of the noise. */
static size_t step(struct pv_rng *rng, double log_miss)
{
    const double u = 1.0 - pv_rng_double(rng);

    return 1 + (size_t)(log(u) / log_miss);
}

/* The bits of token i. */
static void draw_pattern(const struct maker *m, size_t i, struct pv_rng *rng, uint64_t *bits)
{
    const uint64_t *own = m->own + m->out->group[i] * m->n_words;

    for (size_t w = 0; w < m->n_words; w++) { /* 1 - 1/2 * 1/2 * 3/4 of them: PRESENT */
        const uint64_t some = pv_rng_u64(rng) | pv_rng_u64(rng) | (pv_rng_u64(rng) & pv_rng_u64(rng));

        bits[w] = own[w] & some;
    }
    for (size_t j = step(rng, m->log_miss) - 1; j < m->p->d_ffn; j += step(rng, m->log_miss))
        bits[j / WORD] |= (uint64_t)1 << (j % WORD);
}

static void write_row(const struct maker *m, size_t i, struct pv_rng *rng, const uint64_t *bits)
{
    const uint64_t *own = m->own + m->out->group[i] * m->n_words;
    uint64_t at = m->out->offset[i];

    for (size_t j = 0; j < m->p->d_ffn; j++) {
        if ((bits[j / WORD] >> (j % WORD) & 1) == 0)
            continue;
        m->out->col[at] = (uint16_t)j;
        m->out->root[at++] =
            pv_float_to_half((own[j / WORD] >> (j % WORD) & 1 ? 1.0f : 0.5f) * (0.25f + pv_rng_float(rng)));
    }
}

static void make_rows(void *user, size_t chunk, size_t begin, size_t end)
{
    struct maker *m = user;
    uint64_t *bits = m->bits + chunk * m->n_words;

    for (size_t i = begin; i < end; i++) {
        struct pv_rng rng = row_rng(m, i, 1);

        draw_pattern(m, i, &rng, bits);
        if (m->writing) {
            write_row(m, i, &rng, bits);
            continue;
        }
        for (size_t j = 0; j < m->p->d_ffn; j++)
            m->out->offset[i + 1] += bits[j / WORD] >> (j % WORD) & 1;
    }
}

static void make_z(void *user, size_t chunk, size_t begin, size_t end)
{
    struct maker *m = user;
    const size_t d = m->p->d_model;

    (void)chunk;
    for (size_t i = begin; i < end; i++) {
        struct pv_rng rng = row_rng(m, i, 2);
        const float *centre = m->centre + m->out->group[i] * d;

        for (size_t j = 0; j < d; j++) { /* noise of variance 1, uniform */
            const float noise = (pv_rng_float(&rng) - 0.5f) * 3.4641f;

            m->out->z[i * d + j] = pv_float_to_half(centre[j] + noise);
        }
    }
}

static void plant(struct maker *m)
{
    const double share = m->p->density / 2.0 / PRESENT;
    struct pv_rng rng;

    pv_rng_seed(&rng, m->p->seed);
    for (uint32_t g = 0; g < m->p->n_groups; g++) {
        for (uint32_t j = 0; j < m->p->d_ffn; j++) {
            if (pv_rng_double(&rng) < share)
                m->own[g * m->n_words + j / WORD] |= (uint64_t)1 << (j % WORD);
        }
        for (uint32_t j = 0; j < m->p->d_model; j++)
            m->centre[(size_t)g * m->p->d_model + j] = 0.25f * pv_rng_normal(&rng);
    }
    for (size_t i = 0; i < m->p->n_tokens; i++)
        m->out->group[i] = (uint16_t)pv_rng_below(&rng, m->p->n_groups);
    m->log_miss = log(1.0 - m->p->density / 2.0);
}

static bool make(struct maker *m)
{
    const struct pv_synthetic_params *p = m->p;
    const size_t chunks = (p->n_tokens + CHUNK_ROWS - 1) / CHUNK_ROWS;

    m->bits = pv_calloc(chunks * m->n_words, sizeof *m->bits);
    if (!m->bits)
        return false;
    plant(m);
    pv_parallel_for(p->n_threads, p->n_tokens, chunks, make_rows, m);
    for (size_t i = 0; i < p->n_tokens; i++)
        m->out->offset[i + 1] += m->out->offset[i];
    m->out->col = pv_calloc(m->out->offset[p->n_tokens], sizeof *m->out->col);
    m->out->root = pv_calloc(m->out->offset[p->n_tokens], sizeof *m->out->root);
    if (!m->out->col || !m->out->root)
        return false;
    m->writing = true;
    pv_parallel_for(p->n_threads, p->n_tokens, chunks, make_rows, m);
    pv_parallel_for(p->n_threads, p->n_tokens, chunks, make_z, m);
    return true;
}

enum pv_status pv_synthetic_make(const struct pv_synthetic_params *p, struct pv_synthetic *out)
{
    struct maker m = {.p = p, .out = out, .n_words = (p->d_ffn + (size_t)WORD - 1) / WORD};
    bool made = false;

    *out = (struct pv_synthetic){0};
    m.own = pv_calloc(p->n_groups * m.n_words, sizeof *m.own);
    m.centre = pv_calloc((size_t)p->n_groups * p->d_model, sizeof *m.centre);
    out->offset = pv_calloc(p->n_tokens + 1, sizeof *out->offset);
    out->group = pv_calloc(p->n_tokens, sizeof *out->group);
    out->z = pv_calloc(p->n_tokens * p->d_model, sizeof *out->z);
    if (m.own && m.centre && out->offset && out->group && out->z)
        made = make(&m);
    free(m.own);
    free(m.centre);
    free(m.bits);
    if (!made) {
        pv_synthetic_free(out);
        return PV_ERR_NOMEM;
    }
    out->x = (struct pv_sparse){
        .n_rows = p->n_tokens, .n_cols = p->d_ffn, .offset = out->offset, .col = out->col, .root = out->root};
    return PV_OK;
}

void pv_synthetic_free(struct pv_synthetic *layer)
{
    free(layer->z);
    free(layer->group);
    free(layer->offset);
    free(layer->col);
    free(layer->root);
    *layer = (struct pv_synthetic){0};
}

enum pv_status pv_purity(const uint16_t *cluster, const uint16_t *group, const uint32_t *rows, size_t n_rows,
                         uint32_t n_clusters, uint32_t n_groups, double *out)
{
    uint32_t *count = pv_calloc((size_t)n_clusters * n_groups, sizeof *count);
    size_t n_own = 0;

    *out = 0.0;
    if (!count)
        return PV_ERR_NOMEM;
    for (size_t i = 0; i < n_rows; i++) {
        const size_t row = rows ? rows[i] : i;

        count[(size_t)cluster[row] * n_groups + group[row]]++;
    }
    for (uint32_t k = 0; k < n_clusters; k++) {
        uint32_t most = 0;

        for (uint32_t g = 0; g < n_groups; g++) {
            if (count[(size_t)k * n_groups + g] > most)
                most = count[(size_t)k * n_groups + g];
        }
        n_own += most;
    }
    free(count);
    *out = n_rows > 0 ? (double)n_own / (double)n_rows : 0.0;
    return PV_OK;
}
