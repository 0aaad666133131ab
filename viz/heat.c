/* Counting. Recent use decays by a constant factor a token, over all cells at once (a few thousand
 * multiplications). Which tokens choose a cluster is kept by Space-Saving (Metwally, Agrawal, El Abbadi
 * 2005): a few slots per cluster, the rarest gives way; the frequent ones, which are what is shown, stay
 * exact or nearly so. */
#include "viz/heat.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "viz/order/fire.h"
#include "viz/order/order.h"
#include "viz/palette.h"
#include "viz/picture/text.h"

#define N_SLOTS      24u
#define MAX_SKETCHES (1u << 17)
#define MAX_KNOWN    (1u << 20)

struct sketch {
    uint32_t n;
    struct {
        uint32_t token, count, error;
    } slots[N_SLOTS];
};
struct known {      /* a token of the vocabulary that was seen */
    uint64_t count; /* 0: free */
    uint32_t token;
    char text[PV_HEAT_TEXT];
};
struct row {
    struct pv_heat_row view;
    uint32_t *u32s;        /* [4][L] */
    float *floats;         /* [2][L] */
    uint32_t *bits;        /* [L][words], made when needed */
    const uint32_t **rows; /* [L] */
};

struct pv_heat {
    struct pv_trace_header header;
    double half_life;
    uint64_t n_tokens;
    size_t n_cells;
    float *recent;            /* [L][K] weighed counts */
    double recent_sum;        /* weighed count of all tokens */
    double weight;            /* of the newest token */
    uint64_t *uses;           /* [L][K] */
    uint64_t *neurons;        /* [L][K] neurons computed, summed over uses */
    double *density;          /* [L] summed over tokens */
    struct sketch **sketches; /* [L][K], NULL until used */
    uint32_t n_sketches;
    struct known *known;
    uint32_t n_known, known_room; /* room is a power of two */
    struct row *rows;             /* ring */
    uint32_t n_rows, n_kept, newest;
    uint32_t back; /* shares are of so many tokens ago */
    struct pv_order order;
    struct pv_fire *fire; /* of a dense run with true patterns, else NULL */
    char *strings;
};

static enum pv_status make_strings(struct pv_heat *h, const struct pv_trace_header *header)
{
    const char *model = header->model ? header->model : "";
    const char *device = header->device ? header->device : "";
    const size_t n_model = strlen(model) + 1, n_device = strlen(device) + 1;

    h->strings = malloc(n_model + n_device);
    if (!h->strings)
        return PV_ERR_NOMEM;
    memcpy(h->strings, model, n_model);
    memcpy(h->strings + n_model, device, n_device);
    h->header.model = h->strings;
    h->header.device = h->strings + n_model;
    return PV_OK;
}

enum pv_status pv_heat_create(const struct pv_trace_header *header, const struct pv_heat_params *params,
                              struct pv_heat **out)
{
    struct pv_heat *h = calloc(1, sizeof *h);
    const uint32_t n_layers = header->n_layers, n_clusters = header->n_clusters > 0 ? header->n_clusters : 1;

    *out = NULL;
    if (!h)
        return PV_ERR_NOMEM;
    h->header = *header;
    h->weight = 1.0;
    h->half_life = params && params->half_life > 0.0 ? params->half_life : 32.0;
    h->n_rows = params && params->n_recent > 0 ? params->n_recent : 512;
    h->n_cells = (size_t)n_layers * n_clusters;
    pv_order_init(&h->order, n_layers, header->n_clusters);
    h->recent = calloc(h->n_cells, sizeof *h->recent);
    h->uses = calloc(h->n_cells, sizeof *h->uses);
    h->neurons = calloc(h->n_cells, sizeof *h->neurons);
    h->density = calloc(n_layers, sizeof *h->density);
    h->sketches = calloc(h->n_cells, sizeof *h->sketches);
    h->rows = calloc(h->n_rows, sizeof *h->rows);
    h->known_room = 1024;
    h->known = calloc(h->known_room, sizeof *h->known);
    if (!h->recent || !h->uses || !h->neurons || !h->density || !h->sketches || !h->rows || !h->known ||
        make_strings(h, header) != PV_OK) {
        pv_heat_destroy(h);
        return PV_ERR_NOMEM;
    }
    *out = h;
    return PV_OK;
}

void pv_heat_destroy(struct pv_heat *h)
{
    if (!h)
        return;
    for (size_t i = 0; h->sketches && i < h->n_cells; i++)
        free(h->sketches[i]);
    for (uint32_t i = 0; h->rows && i < h->n_rows; i++) {
        free(h->rows[i].u32s);
        free(h->rows[i].floats);
        free(h->rows[i].bits);
        free(h->rows[i].rows);
    }
    free(h->recent);
    free(h->uses);
    free(h->neurons);
    free(h->density);
    free(h->sketches);
    free(h->rows);
    free(h->known);
    free(h->strings);
    pv_order_free(&h->order);
    pv_fire_destroy(h->fire);
    free(h);
}

static struct known *known_slot(struct known *table, uint32_t room, uint32_t token)
{
    uint32_t i = (token * 2654435769u) & (room - 1);

    while (table[i].count != 0 && table[i].token != token)
        i = (i + 1) & (room - 1);
    return &table[i];
}

static enum pv_status know(struct pv_heat *h, const struct pv_trace_token *token, struct known **out)
{
    struct known *slot;

    if (h->n_known * 2 >= h->known_room && h->known_room < MAX_KNOWN * 2) {
        const uint32_t room = h->known_room * 2;
        struct known *table = calloc(room, sizeof *table);

        if (!table)
            return PV_ERR_NOMEM;
        for (uint32_t i = 0; i < h->known_room; i++) {
            if (h->known[i].count != 0)
                *known_slot(table, room, h->known[i].token) = h->known[i];
        }
        free(h->known);
        h->known = table;
        h->known_room = room;
    }
    slot = known_slot(h->known, h->known_room, token->token);
    *out = slot;
    if (slot->count == 0) {
        if (h->n_known >= MAX_KNOWN) { /* no vocabulary is that large: the rest goes uncounted */
            *out = NULL;
            return PV_OK;
        }
        slot->token = token->token;
        pv_text_label(token->text, token->text ? token->text_bytes : 0, slot->text, sizeof slot->text);
        h->n_known++;
    }
    slot->count++;
    return PV_OK;
}

static enum pv_status sketch_add(struct pv_heat *h, size_t cell, uint32_t token)
{
    struct sketch *s = h->sketches[cell];
    uint32_t least = 0;

    if (!s) {
        if (h->n_sketches >= MAX_SKETCHES)
            return PV_OK;
        s = h->sketches[cell] = calloc(1, sizeof *s);
        if (!s)
            return PV_ERR_NOMEM;
        h->n_sketches++;
    }
    for (uint32_t i = 0; i < s->n; i++) {
        if (s->slots[i].token == token) {
            s->slots[i].count++;
            return PV_OK;
        }
        if (s->slots[i].count < s->slots[least].count)
            least = i;
    }
    if (s->n < N_SLOTS) {
        s->slots[s->n].token = token;
        s->slots[s->n++].count = 1;
        return PV_OK;
    }
    s->slots[least].token = token;
    s->slots[least].error = s->slots[least].count++;
    return PV_OK;
}

static enum pv_status make_row(const struct pv_heat *h, struct row *row, bool active)
{
    const size_t n = h->header.n_layers, words = (h->header.d_ffn + 31) / 32;

    if (!row->u32s)
        row->u32s = calloc(n * 4, sizeof *row->u32s);
    if (!row->floats)
        row->floats = calloc(n * 2, sizeof *row->floats);
    if (active && !row->bits)
        row->bits = calloc(n * words, sizeof *row->bits);
    if (active && !row->rows)
        row->rows = calloc(n, sizeof *row->rows);
    if (!row->u32s || !row->floats || (active && (!row->bits || !row->rows)))
        return PV_ERR_NOMEM;
    return PV_OK;
}

static const uint32_t *keep_u32s(uint32_t *to, const uint32_t *from, size_t n)
{
    if (!from)
        return NULL;
    memcpy(to, from, n * sizeof *to);
    return to;
}

static const float *keep_floats(float *to, const float *from, size_t n)
{
    if (!from)
        return NULL;
    memcpy(to, from, n * sizeof *to);
    return to;
}

static enum pv_status keep_row(struct pv_heat *h, const struct pv_trace_token *t)
{
    const uint32_t next = h->n_kept == 0 ? 0 : (h->newest + 1) % h->n_rows;
    struct row *row = &h->rows[next];
    const size_t n = h->header.n_layers, words = (h->header.d_ffn + 31) / 32;
    const enum pv_status status = make_row(h, row, t->active != NULL);

    if (status != PV_OK)
        return status;
    row->view = (struct pv_heat_row){.index = t->index,
                                     .token = t->token,
                                     .cluster = keep_u32s(row->u32s, t->cluster, n),
                                     .n_neurons = keep_u32s(row->u32s + n, t->n_neurons, n),
                                     .n_active = keep_u32s(row->u32s + 2 * n, t->n_active, n),
                                     .n_hit = keep_u32s(row->u32s + 3 * n, t->n_hit, n),
                                     .margin = keep_floats(row->floats, t->margin, n),
                                     .energy_kept = keep_floats(row->floats + n, t->energy_kept, n),
                                     .density = t->density,
                                     .ms = t->ms,
                                     .device_ms = t->device_ms};
    pv_text_label(t->text, t->text ? t->text_bytes : 0, row->view.text, sizeof row->view.text);
    row->view.word = row->view.text;
    if (t->text && t->text_bytes > 0) {
        row->view.joined = t->text[0] != ' ' && t->text[0] != '\n';
        row->view.word += t->text[0] >= 'a' && t->text[0] <= 'z'; /* without the hyphen of a label */
    }
    for (size_t i = 0; t->active && i < n; i++) {
        row->rows[i] = keep_u32s(row->bits + i * words, t->active[i], words);
        row->view.active = row->rows;
    }
    row->view.firing = NAN;
    if (t->n_active) {
        row->view.firing = 0.0;
        for (size_t i = 0; i < n; i++)
            row->view.firing += (double)t->n_active[i] / h->header.d_ffn / (double)n;
    }
    h->newest = next;
    if (h->n_kept < h->n_rows)
        h->n_kept++;
    return PV_OK;
}

static double factor_of(const struct pv_heat *h)
{
    return isinf(h->half_life) ? 1.0 : exp2(-1.0 / h->half_life);
}

/* The new token weighs more, instead of all the others less: one multiplication instead of as many as there are cells. */
static void decay(struct pv_heat *h)
{
    h->weight /= factor_of(h);
    if (h->weight > 1e12) { /* long before floats end */
        for (size_t i = 0; i < h->n_cells; i++)
            h->recent[i] = (float)((double)h->recent[i] / h->weight);
        h->recent_sum /= h->weight;
        h->weight = 1.0;
    }
    h->recent_sum += h->weight;
}

static bool counts(const struct pv_heat *h, uint32_t cluster)
{
    return cluster < h->header.n_clusters;
}

/* Weighs the tokens that are kept, without the last `skip`. */
static void weigh(struct pv_heat *h, uint32_t skip)
{
    h->back = skip;
    h->recent_sum = 0.0;
    h->weight = 1.0;
    memset(h->recent, 0, h->n_cells * sizeof *h->recent);
    if (h->fire)
        pv_fire_forget(h->fire);
    for (uint32_t back = h->n_kept; back-- > skip;) {
        const struct pv_heat_row *row = pv_heat_recent(h, back);
        const float weight = isinf(h->half_life) ? 1.0f : (float)exp2(-(double)(back - skip) / h->half_life);

        h->recent_sum += (double)weight;
        if (h->fire && row->active)
            pv_fire_add(h->fire, row->active, factor_of(h));
        for (uint32_t l = 0; l < h->header.n_layers; l++) {
            if (counts(h, row->cluster[l]))
                h->recent[(size_t)l * h->header.n_clusters + row->cluster[l]] += weight;
        }
    }
}

static enum pv_status see_fire(struct pv_heat *h, const struct pv_trace_token *t)
{
    enum pv_status status = PV_OK;

    if (!t->active)
        return PV_OK;
    if (!h->fire)
        status = pv_fire_create(h->header.n_layers, h->header.d_ffn, &h->fire);
    if (status != PV_OK)
        return status;
    pv_fire_add(h->fire, t->active, factor_of(h));
    return pv_fire_learn(h->fire, t->active);
}

enum pv_status pv_heat_push(struct pv_heat *h, const struct pv_trace_token *t)
{
    struct known *known;
    enum pv_status status = know(h, t, &known);

    if (status == PV_OK)
        status = keep_row(h, t);
    if (status != PV_OK)
        return status;
    if (h->back > 0) {
        weigh(h, 1); /* the tokens before this one, weighed anew */
        h->back = 0;
    }
    decay(h);
    h->n_tokens++;
    for (uint32_t l = 0; l < h->header.n_layers; l++) {
        const size_t cell = (size_t)l * h->header.n_clusters + t->cluster[l];

        h->density[l] += (double)t->n_neurons[l] / h->header.d_ffn;
        if (!counts(h, t->cluster[l]))
            continue;
        h->recent[cell] += (float)h->weight;
        h->uses[cell]++;
        h->neurons[cell] += t->n_neurons[l];
        if (known) {
            status = sketch_add(h, cell, t->token);
            if (status != PV_OK)
                return status;
        }
    }
    return h->header.n_clusters > 0 ? pv_order_push(&h->order, t->cluster) : see_fire(h, t);
}

enum pv_status pv_heat_read(struct pv_heat *heat, struct pv_trace_reader *reader, uint64_t *n_read)
{
    uint64_t n = 0;
    const struct pv_trace_token *token = NULL;
    enum pv_status status;

    while ((status = pv_trace_next(reader, &token)) == PV_OK && token) {
        status = pv_heat_push(heat, token);
        if (status != PV_OK)
            break;
        n++;
    }
    if (n_read)
        *n_read = n;
    return status == PV_OK ? pv_heat_settle(heat) : status;
}

uint32_t pv_heat_place(const struct pv_heat *h, uint32_t layer, uint32_t cluster)
{
    return h->order.place ? h->order.place[(size_t)layer * h->header.n_clusters + cluster] : cluster;
}

uint32_t pv_heat_at(const struct pv_heat *h, uint32_t layer, uint32_t place)
{
    return h->order.at ? h->order.at[(size_t)layer * h->header.n_clusters + place] : place;
}

enum pv_status pv_heat_settle(struct pv_heat *h)
{
    return h->fire ? pv_fire_settle(h->fire) : pv_order_make(&h->order);
}

bool pv_heat_has_fire(const struct pv_heat *h)
{
    return h->fire != NULL;
}

double pv_heat_fire(const struct pv_heat *h, uint32_t layer, uint32_t group, uint32_t n_groups)
{
    return h->fire ? pv_fire_share(h->fire, layer, group, n_groups) : 0.0;
}

double pv_heat_steadiness(const struct pv_heat *h)
{
    return pv_order_steadiness(&h->order, 1.0 / 6.0 / PV_PLACE_TURN);
}

const struct pv_trace_header *pv_heat_header(const struct pv_heat *heat)
{
    return &heat->header;
}

uint64_t pv_heat_n_tokens(const struct pv_heat *heat)
{
    return heat->n_tokens;
}

double pv_heat_half_life(const struct pv_heat *heat)
{
    return heat->half_life;
}

void pv_heat_set_half_life(struct pv_heat *h, double half_life)
{
    h->half_life = half_life > 0.5 ? half_life : 0.5;
    weigh(h, h->back);
}

void pv_heat_set_back(struct pv_heat *h, uint32_t back)
{
    if (back >= h->n_kept)
        back = h->n_kept > 0 ? h->n_kept - 1 : 0;
    if (back != h->back)
        weigh(h, back);
}

double pv_heat_share(const struct pv_heat *h, uint32_t layer, uint32_t cluster)
{
    if (!counts(h, cluster) || h->recent_sum <= 0.0)
        return 0.0;
    return (double)h->recent[(size_t)layer * h->header.n_clusters + cluster] / h->recent_sum;
}

double pv_heat_max_share(const struct pv_heat *h)
{
    float most = 0.0f;

    for (size_t i = 0; i < h->n_cells; i++)
        most = h->recent[i] > most ? h->recent[i] : most;
    return h->recent_sum > 0.0 ? (double)most / h->recent_sum : 0.0;
}

uint64_t pv_heat_uses(const struct pv_heat *h, uint32_t layer, uint32_t cluster)
{
    return counts(h, cluster) ? h->uses[(size_t)layer * h->header.n_clusters + cluster] : 0;
}

double pv_heat_density(const struct pv_heat *h, uint32_t layer)
{
    return h->n_tokens > 0 ? h->density[layer] / (double)h->n_tokens : 0.0;
}

uint32_t pv_heat_n_used(const struct pv_heat *h, uint32_t layer)
{
    uint32_t n = 0;

    for (uint32_t k = 0; k < h->header.n_clusters; k++)
        n += pv_heat_uses(h, layer, k) > 0;
    return n;
}

uint32_t pv_heat_n_recent(const struct pv_heat *h)
{
    return h->n_kept;
}

const struct pv_heat_row *pv_heat_recent(const struct pv_heat *h, uint32_t back)
{
    return &h->rows[(h->newest + h->n_rows - back) % h->n_rows].view;
}

double pv_heat_size(const struct pv_heat *h, uint32_t layer, uint32_t cluster)
{
    const uint64_t uses = pv_heat_uses(h, layer, cluster);

    return uses > 0 ? (double)h->neurons[(size_t)layer * h->header.n_clusters + cluster] / (double)uses : 0.0;
}

static int by_count(const void *a, const void *b)
{
    const struct pv_heat_top *x = a, *y = b;

    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    return (x->token > y->token) - (x->token < y->token);
}

uint32_t pv_heat_tops(const struct pv_heat *h, uint32_t layer, uint32_t cluster, struct pv_heat_top *tops,
                      uint32_t n)
{
    const struct sketch *s;
    struct pv_heat_top all[N_SLOTS];

    if (!counts(h, cluster))
        return 0;
    s = h->sketches[(size_t)layer * h->header.n_clusters + cluster];
    if (!s)
        return 0;
    for (uint32_t i = 0; i < s->n; i++) {
        const struct known *known = known_slot(h->known, h->known_room, s->slots[i].token);

        all[i] = (struct pv_heat_top){.token = s->slots[i].token,
                                      .count = s->slots[i].count,
                                      .error = s->slots[i].error,
                                      .count_all = known->count,
                                      .text = known->text};
    }
    qsort(all, s->n, sizeof all[0], by_count);
    n = n < s->n ? n : s->n;
    memcpy(tops, all, n * sizeof *tops);
    return n;
}
