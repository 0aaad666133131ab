/* The automaton of Aho and Corasick ("Efficient string matching", 1975) over the reversed tokens, run over the
 * text from its end: the state before a byte then says which is the longest token that begins there, whatever
 * tokens and text are. */
#include "format/tokenizer/specials.h"

#include <stdlib.h>
#include <string.h>
#include "base/log.h"

/* A state: the last bytes read (from the right) as a node of the tree of reversed tokens. Children lie side by side in
 * the order of their bytes. */
struct node {
    uint32_t first_child;
    uint16_t n_children;
    uint8_t byte;
    uint32_t fail; /* the longest proper suffix of what was read that is a node too */
    uint32_t all,
        user; /* longest token, and longest user-defined one, that ends what was read; or PV_NO_TOKEN */
};

struct key {
    struct pv_str text;
    uint32_t id;
};

struct pv_specials {
    struct node *nodes; /* nodes[0]: nothing read */
    size_t n, room;
    uint32_t root_child[256]; /* 0: none */
};

/* While building: the keys below a node, and their common length. */
struct span {
    size_t low, high, depth;
};
struct builder {
    struct pv_specials *s;
    const struct pv_vocab *v;
    struct key *keys;
    struct span *spans; /* [s->room] */
};

struct pv_str pv_special_text(const struct pv_vocab *v, uint32_t id)
{
    return v->types[id] == TOKEN_USER ? v->bytes[id] : v->texts[id];
}

/* By reversed text, a text before those it begins; equal texts by id. */
static int compare_keys(const void *a, const void *b)
{
    const struct key *x = a, *y = b;
    const size_t n = x->text.size_bytes < y->text.size_bytes ? x->text.size_bytes : y->text.size_bytes;

    for (size_t i = 1; i <= n; i++) {
        const uint8_t p = (uint8_t)x->text.data[x->text.size_bytes - i];
        const uint8_t q = (uint8_t)y->text.data[y->text.size_bytes - i];

        if (p != q)
            return p < q ? -1 : 1;
    }
    if (x->text.size_bytes != y->text.size_bytes)
        return x->text.size_bytes < y->text.size_bytes ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

static uint32_t child_of(const struct pv_specials *s, uint32_t node, uint8_t byte)
{
    const struct node *n = &s->nodes[node];
    uint32_t low = 0, high = n->n_children;

    if (node == 0)
        return s->root_child[byte];
    while (low < high) {
        const uint32_t middle = (low + high) / 2;

        if (s->nodes[n->first_child + middle].byte < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low < n->n_children && s->nodes[n->first_child + low].byte == byte ? n->first_child + low : 0;
}

/* The state after one more byte. Each failing step shortens what was read, so a text makes no more of them than it
 * has bytes. */
static uint32_t step(const struct pv_specials *s, uint32_t node, uint8_t byte)
{
    uint32_t child;

    while ((child = child_of(s, node, byte)) == 0 && node != 0)
        node = s->nodes[node].fail;
    return child;
}

static bool reserve(struct builder *b)
{
    const size_t room = b->s->room != 0 ? b->s->room * 2 : 256;
    void *nodes = b->s->nodes, *spans = b->spans;

    if (b->s->n < b->s->room)
        return true;
    if (b->s->n >= UINT32_MAX / 2 || !pv_grow(&nodes, room, sizeof b->s->nodes[0]))
        return false;
    b->s->nodes = nodes;
    if (!pv_grow(&spans, room, sizeof b->spans[0]))
        return false;
    b->spans = spans;
    b->s->room = room;
    return true;
}

/* Adds the node of `span`, whose `fail` is known, and takes the tokens that end there off the span. */
static bool add_node(struct builder *b, struct span span, uint8_t byte, uint32_t fail)
{
    struct node node = {.byte = byte, .fail = fail, .all = PV_NO_TOKEN, .user = PV_NO_TOKEN};

    if (!reserve(b))
        return false;
    for (; span.low < span.high && b->keys[span.low].text.size_bytes == span.depth; span.low++) {
        const uint32_t id = b->keys[span.low].id;

        if (node.all == PV_NO_TOKEN)
            node.all = id;
        if (node.user == PV_NO_TOKEN && b->v->types[id] == TOKEN_USER)
            node.user = id;
    }
    if (b->s->n != 0 && node.all == PV_NO_TOKEN)
        node.all = b->s->nodes[fail].all;
    if (b->s->n != 0 && node.user == PV_NO_TOKEN)
        node.user = b->s->nodes[fail].user;
    b->spans[b->s->n] = span;
    b->s->nodes[b->s->n++] = node;
    return true;
}

/* Level by level, so that the shorter nodes that `fail` needs are there. */
static bool add_children(struct builder *b, uint32_t parent)
{
    const struct span span = b->spans[parent];
    struct pv_specials *s = b->s;

    s->nodes[parent].first_child = (uint32_t)s->n;
    for (size_t low = span.low, high; low < span.high; low = high) {
        const struct pv_str *text = &b->keys[low].text;
        const uint8_t byte = (uint8_t)text->data[text->size_bytes - 1 - span.depth];
        const uint32_t fail = parent != 0 ? step(s, s->nodes[parent].fail, byte) : 0;

        for (high = low + 1; high < span.high; high++) {
            text = &b->keys[high].text;
            if ((uint8_t)text->data[text->size_bytes - 1 - span.depth] != byte)
                break;
        }
        if (parent == 0)
            s->root_child[byte] = (uint32_t)s->n;
        if (!add_node(b, (struct span){.low = low, .high = high, .depth = span.depth + 1}, byte, fail))
            return false;
        s->nodes[parent].n_children++;
    }
    return true;
}

static bool build(struct builder *b, size_t n_keys)
{
    if (!add_node(b, (struct span){.high = n_keys}, 0, 0))
        return false;
    for (uint32_t node = 0; node < b->s->n; node++)
        if (!add_children(b, node))
            return false;
    return true;
}

static size_t collect(const struct pv_vocab *v, struct key *keys)
{
    size_t n = 0;

    for (uint32_t id = 0; id < v->n; id++) {
        if (!pv_vocab_is_special(v, id) || pv_special_text(v, id).size_bytes == 0)
            continue;
        if (keys)
            keys[n] = (struct key){.text = pv_special_text(v, id), .id = id};
        n++;
    }
    return n;
}

enum pv_status pv_specials_create(const struct pv_vocab *v, struct pv_specials **out)
{
    const size_t n = collect(v, NULL);
    struct builder b = {.v = v};
    bool good;

    *out = NULL;
    if (n == 0)
        return PV_OK;
    b.s = pv_calloc(1, sizeof *b.s);
    b.keys = pv_calloc(n, sizeof b.keys[0]);
    good = b.s && b.keys;
    if (good) {
        collect(v, b.keys);
        qsort(b.keys, n, sizeof b.keys[0], compare_keys);
        good = build(&b, n);
    }
    free(b.keys);
    free(b.spans);
    if (!good) {
        pv_specials_destroy(b.s);
        return pv_fail(&v->log, PV_ERR_NOMEM, "no memory for the tokenizer's special tokens");
    }
    *out = b.s;
    return PV_OK;
}

void pv_specials_destroy(struct pv_specials *s)
{
    if (!s)
        return;
    free(s->nodes);
    free(s);
}

enum pv_status pv_specials_find(const struct pv_specials *s, const char *text, size_t n_bytes, bool parse,
                                struct pv_special_match **matches, size_t *n)
{
    struct pv_special_match *found = NULL;
    uint32_t state = 0;
    size_t room = 0;

    *matches = NULL;
    *n = 0;
    for (size_t i = s ? n_bytes : 0; i-- > 0;) {
        uint32_t id;

        state = step(s, state, (uint8_t)text[i]);
        id = parse ? s->nodes[state].all : s->nodes[state].user;
        if (id == PV_NO_TOKEN)
            continue;
        if (*n == room) {
            void *grown = found;

            room = room != 0 ? room * 2 : 16;
            if (!pv_grow(&grown, room, sizeof found[0])) {
                free(found);
                *n = 0;
                return PV_ERR_NOMEM;
            }
            found = grown;
        }
        found[(*n)++] = (struct pv_special_match){.start = i, .id = id};
    }
    for (size_t i = 0; i < *n / 2; i++) {
        const struct pv_special_match swap = found[i];

        found[i] = found[*n - 1 - i];
        found[*n - 1 - i] = swap;
    }
    *matches = found;
    return PV_OK;
}
