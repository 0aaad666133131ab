/* Byte-level BPE, as GPT-2 defined it: a regular expression cuts the text into words, each word starts as its
 * bytes, and the neighbouring pair with the lowest merge rank is joined until no pair has one. Vocabulary and
 * merges in the file spell bytes as printable characters; they are turned back into bytes once, at creation.
 *
 * Text that is not valid UTF-8 is cut at the invalid bytes: each becomes a token of its own, and the
 * expression sees the valid stretches between them as if each were the whole text (what
 * PCRE2_MATCH_INVALID_UTF defines; cutting first keeps matching linear, since that option would validate the
 * rest of the text at every word). */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "format/tokenizer/tokenizer_impl.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"

/* One merge: the pair of tokens, its rank and what they become. */
struct merge {
    uint32_t left, right, rank, merged; /* left PV_NO_TOKEN: free slot */
};
struct pv_bpe {
    pcre2_code *pattern;
    struct merge *merges; /* open addressing */
    size_t n_slots;
    bool ignore_merges; /* a word that is a token is taken whole */
};

/* Sources of the patterns: OpenAI's gpt-2 encoder.py, the tokenizer.json files of Llama 3 and Qwen2. */
#define PATTERN_GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define PATTERN_LLAMA3                                                                                       \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" \
    "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define PATTERN_QWEN2                                                                                        \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"      \
    "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static const struct pre {
    const char *name, *pattern;
    bool ignore_merges, wants_bos;
} pres[] = {
    {"gpt-2", PATTERN_GPT2, false, false},
    {"default", PATTERN_GPT2, false, false},
    {"llama-bpe", PATTERN_LLAMA3, true, true},
    {"llama3", PATTERN_LLAMA3, true, true},
    {"llama-v3", PATTERN_LLAMA3, true, true},
    {"qwen2", PATTERN_QWEN2, false, false},
    {"deepseek-r1-qwen", PATTERN_QWEN2, false, false},
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
        const size_t length = pv_utf8_length(text.data + i, text.size_bytes - i);
        const int byte = length != 0 ? alphabet_byte(pv_utf8_decode(text.data + i, length)) : -1;

        if (byte < 0)
            return SIZE_MAX;
        out[n++] = (char)byte;
        i += length;
    }
    return n;
}

void pv_bpe_decode_vocab(struct pv_tokenizer *t)
{
    for (uint32_t id = 0; id < t->n_vocab; id++) {
        char *bytes = t->store;
        size_t n;

        if (t->types[id] != TOKEN_NORMAL && t->types[id] != TOKEN_UNUSED)
            continue;
        n = decode_text(t->texts[id], bytes);
        if (n == SIZE_MAX ||
            n == 0) /* not spelled in the alphabet: merging cannot make it, but it can be shown */
            continue;
        t->store += n;
        t->bytes[id] = (struct pv_str){.data = bytes, .size_bytes = n};
        pv_str_map_add(&t->pieces, t->bytes[id], id);
        if (n == 1 && t->byte_token[(uint8_t)bytes[0]] == PV_NO_TOKEN)
            t->byte_token[(uint8_t)bytes[0]] = id;
    }
}

static size_t merge_slot(const struct pv_bpe *bpe, uint32_t left, uint32_t right)
{
    const uint64_t key = ((uint64_t)left << 32 | right) * 0x9e3779b97f4a7c15u;
    size_t slot = (size_t)(key ^ key >> 32) & (bpe->n_slots - 1);

    while (bpe->merges[slot].left != PV_NO_TOKEN &&
           (bpe->merges[slot].left != left || bpe->merges[slot].right != right))
        slot = (slot + 1) & (bpe->n_slots - 1);
    return slot;
}

/* Adds merge number `rank`, spelled "left right". False: malformed. Pairs that name no token are counted. */
static bool add_merge(struct pv_tokenizer *t, struct pv_str text, uint32_t rank, char *scratch,
                      size_t *n_unknown)
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
    m.left = pv_str_map_find(&t->pieces, scratch, n_left);
    m.right = pv_str_map_find(&t->pieces, scratch + n_left, n_right);
    m.merged = pv_str_map_find(&t->pieces, scratch, n_left + n_right);
    if (m.left == PV_NO_TOKEN || m.right == PV_NO_TOKEN || m.merged == PV_NO_TOKEN) {
        ++*n_unknown;
        return true;
    }
    slot = merge_slot(t->bpe, m.left, m.right);
    if (t->bpe->merges[slot].left == PV_NO_TOKEN)
        t->bpe->merges[slot] = m;
    return true;
}

static enum pv_status read_merges(struct pv_tokenizer *t, const struct pv_gguf_kv *kv)
{
    struct pv_bpe *bpe = t->bpe;
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
        return pv_fail(&t->log, PV_ERR_NOMEM, "no memory for the tokenizer's merges");
    }
    for (size_t i = 0; i < bpe->n_slots; i++)
        bpe->merges[i].left = PV_NO_TOKEN;
    for (uint64_t i = 0; i < kv->n_items; i++) {
        if (!add_merge(t, kv->strings[i], (uint32_t)i, scratch, &n_unknown)) {
            free(scratch);
            return pv_fail(&t->log, PV_ERR_FORMAT, "tokenizer.ggml.merges: item %llu is no pair of tokens",
                           (unsigned long long)i);
        }
    }
    free(scratch);
    if (n_unknown != 0)
        pv_warn(&t->log, "tokenizer: %zu of %llu merges name tokens that the vocabulary lacks; ignored",
                n_unknown, (unsigned long long)kv->n_items);
    return PV_OK;
}

static const struct pre *find_pre(const struct pv_tokenizer *t, const struct pv_gguf *g)
{
    struct pv_str name;

    if (!pv_gguf_str(g, "tokenizer.ggml.pre", &name))
        return &pres[0];
    for (size_t i = 0; i < sizeof pres / sizeof pres[0]; i++)
        if (strlen(pres[i].name) == name.size_bytes && memcmp(pres[i].name, name.data, name.size_bytes) == 0)
            return &pres[i];
    pv_warn(&t->log,
            "tokenizer: pre-tokenizer \"%.*s\" is not known, gpt-2's is used: some words may be cut wrongly",
            name.size_bytes < 64 ? (int)name.size_bytes : 64, name.data);
    return &pres[0];
}

enum pv_status pv_bpe_create(struct pv_tokenizer *t, const struct pv_gguf *g)
{
    const struct pv_gguf_kv *merges = pv_gguf_find(g, "tokenizer.ggml.merges");
    const struct pre *pre = find_pre(t, g);
    PCRE2_SIZE error_offset;
    int error;

    if (!merges || merges->type != PV_GGUF_ARRAY || merges->item_type != PV_GGUF_STRING ||
        merges->n_items > UINT32_MAX)
        return pv_fail(&t->log, PV_ERR_FORMAT,
                       "tokenizer.ggml.merges is missing or no array of strings: convert the model again");
    t->bpe = pv_calloc(1, sizeof *t->bpe);
    if (!t->bpe)
        return pv_fail(&t->log, PV_ERR_NOMEM, "no memory for the tokenizer");
    t->bpe->ignore_merges = pre->ignore_merges;
    t->wants_bos = pre->wants_bos;
    t->bpe->pattern = pcre2_compile((PCRE2_SPTR)pre->pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP,
                                    &error, &error_offset, NULL);
    if (!t->bpe->pattern)
        return pv_fail(&t->log, PV_ERR_UNSUPPORTED,
                       "tokenizer: PCRE2 refuses the pre-tokenizer (error %d): it was built without Unicode",
                       error);
    (void)pcre2_jit_compile(t->bpe->pattern, PCRE2_JIT_COMPLETE); /* only faster: failure is fine */
    return read_merges(t, merges);
}

void pv_bpe_destroy(struct pv_bpe *bpe)
{
    if (!bpe)
        return;
    pcre2_code_free(bpe->pattern);
    free(bpe->merges);
    free(bpe);
}

static void push_pair(const struct pv_bpe *bpe, struct pv_merge_scratch *s, uint32_t left, uint32_t right)
{
    const struct pv_symbol *l, *r;
    const struct merge *m;

    if (left == PV_NO_TOKEN || right == PV_NO_TOKEN)
        return;
    l = &s->symbols[left];
    r = &s->symbols[right];
    if (l->id == PV_NO_TOKEN || r->id == PV_NO_TOKEN)
        return;
    m = &bpe->merges[merge_slot(bpe, l->id, r->id)];
    if (m->left == PV_NO_TOKEN)
        return;
    pv_heap_push(&s->heap, (struct pv_candidate){.key = m->rank,
                                                 .left = left,
                                                 .right = right,
                                                 .merged_id = m->merged,
                                                 .n_bytes = l->n_bytes + r->n_bytes});
}

static enum pv_status encode_word(const struct pv_tokenizer *t, struct pv_merge_scratch *s, const char *word,
                                  size_t n_bytes, struct pv_ids *out)
{
    const uint32_t whole = t->bpe->ignore_merges ? pv_str_map_find(&t->pieces, word, n_bytes) : PV_NO_TOKEN;
    struct pv_candidate c;

    if (whole != PV_NO_TOKEN) {
        pv_ids_add(out, whole);
        return PV_OK;
    }
    if (!pv_merge_scratch_reserve(s, n_bytes))
        return PV_ERR_NOMEM;
    for (uint32_t i = 0; i < n_bytes; i++)
        s->symbols[i] = (struct pv_symbol){.start = i,
                                           .n_bytes = 1,
                                           .prev = i > 0 ? i - 1 : PV_NO_TOKEN,
                                           .next = i + 1 < n_bytes ? i + 1 : PV_NO_TOKEN,
                                           .id = t->byte_token[(uint8_t)word[i]]};
    s->heap.n = 0;
    for (uint32_t i = 1; i < n_bytes; i++)
        push_pair(t->bpe, s, i - 1, i);
    while (pv_heap_pop(&s->heap, &c)) {
        if (!pv_symbols_join(s, &c))
            continue;
        push_pair(t->bpe, s, s->symbols[c.left].prev, c.left);
        push_pair(t->bpe, s, c.left, s->symbols[c.left].next);
    }
    for (uint32_t i = 0; i != PV_NO_TOKEN; i = s->symbols[i].next) {
        if (s->symbols[i].id != PV_NO_TOKEN)
            pv_ids_add(out, s->symbols[i].id);
        else
            pv_add_byte(t, (uint8_t)word[s->symbols[i].start], out);
    }
    return s->heap.no_memory ? PV_ERR_NOMEM : PV_OK;
}

/* Cuts a stretch of valid UTF-8 into words. Where PCRE2 gives up (its limits), the rest is one word. */
static enum pv_status encode_valid(const struct pv_tokenizer *t, struct pv_merge_scratch *s,
                                   pcre2_match_data *match, const char *text, size_t n_bytes,
                                   struct pv_ids *out)
{
    const PCRE2_SIZE *range = pcre2_get_ovector_pointer(match);
    size_t pos = 0;

    while (pos < n_bytes) {
        size_t end = n_bytes;
        const int n =
            pcre2_match(t->bpe->pattern, (PCRE2_SPTR)text, n_bytes, pos, PCRE2_NO_UTF_CHECK, match, NULL);

        if (n > 0 && range[0] > pos) /* a gap, which the patterns here never leave */
            end = range[0];
        else if (n > 0 && range[1] > pos)
            end = range[1];
        PV_TRY(encode_word(t, s, text + pos, end - pos, out));
        pos = end;
    }
    return PV_OK;
}

enum pv_status pv_bpe_encode(const struct pv_tokenizer *t, const char *text, size_t n_bytes,
                             struct pv_ids *out)
{
    pcre2_match_data *match = pcre2_match_data_create_from_pattern(t->bpe->pattern, NULL);
    struct pv_merge_scratch scratch = {0};
    enum pv_status status = match ? PV_OK : PV_ERR_NOMEM;
    size_t pos = 0;

    while (status == PV_OK && pos < n_bytes) {
        size_t end = pos, length;

        while ((length = pv_utf8_length(text + end, n_bytes - end)) != 0)
            end += length;
        if (end > pos)
            status = encode_valid(t, &scratch, match, text + pos, end - pos, out);
        else
            pv_add_byte(t, (uint8_t)text[end++], out);
        pos = end;
    }
    pcre2_match_data_free(match);
    pv_merge_scratch_free(&scratch);
    return status;
}
