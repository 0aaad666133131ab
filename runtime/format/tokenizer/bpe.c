/* Byte-level BPE, as GPT-2 defined it: a pre-tokenizer cuts the text into words, each word starts as its bytes, and the
 * neighbouring pair with the lowest merge rank is joined until no pair has one. Vocabulary and merges in the file
 * spell bytes as printable characters; they are turned back into bytes once, at creation.
 *
 * Text that is not valid UTF-8 is cut at the invalid bytes: each becomes a token of its own, and the pre-tokenizer
 * sees the valid stretches between them as if each were the whole text. */
#include "format/tokenizer/bpe.h"

#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "base/rng.h"
#include "base/utf8.h"

/* One merge: the pair of tokens, its rank and what they become. */
struct merge {
    uint32_t left, right, rank, merged; /* left PV_NO_TOKEN: free slot */
};
struct pv_bpe {
    const struct pv_vocab *vocab;
    struct pv_pre *pre;
    struct merge *merges; /* open addressing */
    size_t n_slots;
    uint64_t secret[2]; /* of the hash: a file cannot choose pairs that collide */
    bool ignore_merges; /* a word that is a token is taken whole */
};

/* GPT-2's bytes_to_unicode: printable Latin-1 bytes stand for themselves, the others for U+0100 onwards. */
static bool byte_is_plain(uint32_t byte)
{
    return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

/* The byte that a character of the alphabet stands for, or -1. The others are 0x00-0x20, 0x7f-0xa0 and 0xad.
 */
static int alphabet_byte(uint32_t code_point)
{
    if (code_point < 0x100)
        return byte_is_plain(code_point) ? (int)code_point : -1;
    if (code_point < 0x121)
        return (int)(code_point - 0x100);
    if (code_point < 0x143)
        return (int)(code_point - 0x121 + 0x7f);
    return code_point == 0x143 ? 0xad : -1;
}

/* Characters of the alphabet to bytes; returns how many, or SIZE_MAX if some character is none of it. */
static size_t decode_text(struct pv_str text, char *out)
{
    size_t n = 0;

    for (size_t i = 0; i < text.size_bytes;) {
        uint32_t code_point;
        const size_t length = pv_utf8_char(text.data + i, text.size_bytes - i, &code_point);
        const int byte = length != 0 ? alphabet_byte(code_point) : -1;

        if (byte < 0)
            return SIZE_MAX;
        out[n++] = (char)byte;
        i += length;
    }
    return n;
}

static void decode_vocab(struct pv_vocab *v)
{
    for (uint32_t id = 0; id < v->n; id++) {
        char *bytes = v->store;
        size_t n;

        if (v->types[id] != TOKEN_NORMAL && v->types[id] != TOKEN_UNUSED)
            continue;
        n = decode_text(v->texts[id], bytes);
        if (n == SIZE_MAX ||
            n == 0) /* not spelled in the alphabet: merging cannot make it, but it can be shown */
            continue;
        v->store += n;
        v->bytes[id] = (struct pv_str){.data = bytes, .size_bytes = n};
        pv_str_map_add(&v->pieces, v->bytes[id], id);
        if (n == 1 && v->byte_token[(uint8_t)bytes[0]] == PV_NO_TOKEN)
            v->byte_token[(uint8_t)bytes[0]] = id;
    }
}

static size_t merge_slot(const struct pv_bpe *bpe, uint32_t left, uint32_t right)
{
    uint64_t key = ((uint64_t)left << 32 | right) + bpe->secret[0];
    size_t slot;

    key = (key ^ key >> 32) * (bpe->secret[1] | 1);
    key = (key ^ key >> 29) * 0x9e3779b97f4a7c15u;
    slot = (size_t)(key ^ key >> 32) & (bpe->n_slots - 1);

    while (bpe->merges[slot].left != PV_NO_TOKEN &&
           (bpe->merges[slot].left != left || bpe->merges[slot].right != right))
        slot = (slot + 1) & (bpe->n_slots - 1);
    return slot;
}

/* Adds merge number `rank`, spelled "left right". False: malformed. Pairs that name no token are counted. */
static bool add_merge(struct pv_bpe *bpe, struct pv_str text, uint32_t rank, char *scratch, size_t *n_unknown)
{
    const char *space = text.size_bytes > 2 ? memchr(text.data + 1, ' ', text.size_bytes - 2) : NULL;
    struct pv_str left, right;
    size_t n_left, n_right, slot;
    struct merge m = {.rank = rank};

    if (!space)
        return false;
    left = (struct pv_str){.data = text.data, .size_bytes = (size_t)(space - text.data)};
    right = (struct pv_str){.data = space + 1, .size_bytes = text.size_bytes - left.size_bytes - 1};
    n_left = decode_text(left, scratch);
    n_right = n_left != SIZE_MAX ? decode_text(right, scratch + n_left) : SIZE_MAX;
    if (n_left == SIZE_MAX || n_right == SIZE_MAX)
        return false;
    m.left = pv_str_map_find(&bpe->vocab->pieces, scratch, n_left);
    m.right = pv_str_map_find(&bpe->vocab->pieces, scratch + n_left, n_right);
    m.merged = pv_str_map_find(&bpe->vocab->pieces, scratch, n_left + n_right);
    if (m.left == PV_NO_TOKEN || m.right == PV_NO_TOKEN || m.merged == PV_NO_TOKEN) {
        ++*n_unknown;
        return true;
    }
    slot = merge_slot(bpe, m.left, m.right);
    if (bpe->merges[slot].left == PV_NO_TOKEN)
        bpe->merges[slot] = m;
    return true;
}

static enum pv_status read_merges(struct pv_bpe *bpe, const struct pv_gguf_kv *kv)
{
    const struct pv_log *log = &bpe->vocab->log;
    size_t longest = 0, n_unknown = 0;
    char *scratch;

    bpe->n_slots = 16;
    while (bpe->n_slots / 2 < kv->n_items)
        bpe->n_slots *= 2;
    for (uint64_t i = 0; i < kv->n_items; i++)
        if (kv->strings[i].size_bytes > longest)
            longest = kv->strings[i].size_bytes;
    bpe->merges = pv_calloc(bpe->n_slots, sizeof bpe->merges[0]);
    scratch = pv_calloc(longest, 1);
    if (!bpe->merges || !scratch) {
        free(scratch);
        return pv_fail(log, PV_ERR_NOMEM, "no memory for the tokenizer's merges");
    }
    for (size_t i = 0; i < bpe->n_slots; i++)
        bpe->merges[i].left = PV_NO_TOKEN;
    for (uint64_t i = 0; i < kv->n_items; i++) {
        if (!add_merge(bpe, kv->strings[i], (uint32_t)i, scratch, &n_unknown)) {
            free(scratch);
            return pv_fail(log, PV_ERR_FORMAT, "tokenizer.ggml.merges: item %llu is not a pair of tokens",
                           (unsigned long long)i);
        }
    }
    free(scratch);
    if (n_unknown != 0)
        pv_warn(log, "tokenizer: %zu of %llu merges name tokens that the vocabulary lacks; ignored",
                n_unknown, (unsigned long long)kv->n_items);
    return PV_OK;
}

static enum pv_status create(struct pv_bpe *bpe, const struct pv_gguf *g, const struct pv_pre_rule *rule)
{
    const struct pv_gguf_kv *merges = pv_gguf_find(g, "tokenizer.ggml.merges");
    const struct pv_log *log = &bpe->vocab->log;

    if (!merges || merges->type != PV_GGUF_ARRAY || merges->item_type != PV_GGUF_STRING ||
        merges->n_items > UINT32_MAX)
        return pv_fail(log, PV_ERR_FORMAT,
                       "tokenizer.ggml.merges is missing or no array of strings: convert the model again");
    bpe->ignore_merges = rule->ignore_merges;
    bpe->secret[0] = pv_random_secret();
    bpe->secret[1] = pv_random_secret();
    PV_TRY(pv_pre_create(rule, log, &bpe->pre));
    return read_merges(bpe, merges);
}

enum pv_status pv_bpe_create(struct pv_vocab *v, const struct pv_gguf *g, const struct pv_pre_rule *rule,
                             struct pv_bpe **out)
{
    struct pv_bpe *bpe = pv_calloc(1, sizeof *bpe);
    enum pv_status status;

    *out = NULL;
    if (!bpe)
        return pv_fail(&v->log, PV_ERR_NOMEM, "no memory for the tokenizer");
    decode_vocab(v);
    bpe->vocab = v;
    status = create(bpe, g, rule);
    if (status != PV_OK) {
        pv_bpe_destroy(bpe);
        return status;
    }
    *out = bpe;
    return PV_OK;
}

void pv_bpe_destroy(struct pv_bpe *bpe)
{
    if (!bpe)
        return;
    pv_pre_destroy(bpe->pre);
    free(bpe->merges);
    free(bpe);
}

static bool find_merge(const void *user, const char *text, const struct pv_symbol *left,
                       const struct pv_symbol *right, uint32_t *merged, uint32_t *rank)
{
    const struct pv_bpe *bpe = user;
    const struct merge *m;

    (void)text;
    if (left->id == PV_NO_TOKEN || right->id == PV_NO_TOKEN)
        return false;
    m = &bpe->merges[merge_slot(bpe, left->id, right->id)];
    *merged = m->merged;
    *rank = m->rank;
    return m->left != PV_NO_TOKEN;
}

/* One encoding: where tokens go, and the memory of merging. */
struct encoding {
    const struct pv_bpe *bpe;
    struct pv_merger merger;
    struct pv_ids *out;
};

static enum pv_status encode_word(void *user, const char *word, size_t n_bytes)
{
    struct encoding *e = user;
    const struct pv_vocab *v = e->bpe->vocab;
    const uint32_t whole = e->bpe->ignore_merges ? pv_str_map_find(&v->pieces, word, n_bytes) : PV_NO_TOKEN;
    struct pv_symbol *symbols;

    if (whole != PV_NO_TOKEN) {
        pv_ids_add(e->out, whole);
        return PV_OK;
    }
    if (!pv_merger_start(&e->merger, word, n_bytes))
        return PV_ERR_NOMEM;
    symbols = e->merger.symbols;
    for (uint32_t i = 0; i < n_bytes; i++)
        symbols[i] = (struct pv_symbol){.n_bytes = 1,
                                        .prev = i > 0 ? i - 1 : PV_NO_TOKEN,
                                        .next = i + 1 < n_bytes ? i + 1 : PV_NO_TOKEN,
                                        .id = v->byte_token[(uint8_t)word[i]]};
    if (!pv_merger_run(&e->merger, find_merge, e->bpe))
        return PV_ERR_NOMEM;
    for (uint32_t i = 0; i != PV_NO_TOKEN; i = symbols[i].next) {
        if (symbols[i].id != PV_NO_TOKEN)
            pv_ids_add(e->out, symbols[i].id);
        else
            pv_vocab_add_byte(v, (uint8_t)word[i], e->out);
    }
    return PV_OK;
}

enum pv_status pv_bpe_encode(const struct pv_bpe *bpe, const char *text, size_t n_bytes, struct pv_ids *out)
{
    struct encoding e = {.bpe = bpe, .out = out};
    enum pv_status status = PV_OK;
    size_t pos = 0;

    while (status == PV_OK && pos < n_bytes) {
        const size_t valid = pv_utf8_valid(text + pos, n_bytes - pos);

        if (valid != 0)
            status = pv_pre_split(bpe->pre, text + pos, valid, encode_word, &e);
        else
            pv_vocab_add_byte(bpe->vocab, (uint8_t)text[pos], out);
        pos += valid != 0 ? valid : 1;
    }
    pv_merger_free(&e.merger);
    return status;
}
