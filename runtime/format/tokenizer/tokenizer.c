/* What both kinds of tokenizer share: vocabulary, special tokens, and cutting the text at them (leftmost,
 * then longest). The merging itself is in bpe.c and spm.c. */
#include "format/tokenizer/tokenizer_impl.h"

#include <stdlib.h>
#include <string.h>
#include "base/log.h"

/* A text longer than this must be encoded in parts: symbols count bytes in 32 bits. */
static const size_t max_text_bytes = (size_t)1 << 31;

size_t pv_utf8_length(const char *s, size_t n_bytes)
{
    const unsigned char *u = (const unsigned char *)s;
    size_t n;

    if (n_bytes == 0)
        return 0;
    if (u[0] < 0x80)
        return 1;
    n = u[0] >= 0xf0 ? 4 : u[0] >= 0xe0 ? 3 : 2;
    if (u[0] < 0xc2 || u[0] > 0xf4 || n > n_bytes)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((u[i] & 0xc0) != 0x80)
            return 0;
    if ((u[0] == 0xe0 && u[1] < 0xa0) || (u[0] == 0xf0 && u[1] < 0x90)) /* overlong */
        return 0;
    if ((u[0] == 0xed && u[1] > 0x9f) || (u[0] == 0xf4 && u[1] > 0x8f)) /* surrogate; past U+10FFFF */
        return 0;
    return n;
}

uint32_t pv_utf8_decode(const char *s, size_t n)
{
    static const uint8_t first_mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t code_point = (uint8_t)s[0] & first_mask[n];

    for (size_t i = 1; i < n; i++)
        code_point = code_point << 6 | ((uint8_t)s[i] & 0x3fu);
    return code_point;
}

void pv_add_byte(const struct pv_tokenizer *t, uint8_t byte, struct pv_ids *out)
{
    if (t->byte_token[byte] != PV_NO_TOKEN)
        pv_ids_add(out, t->byte_token[byte]);
    else if (t->unknown != PV_NO_TOKEN)
        pv_ids_add(out, t->unknown);
}

static enum pv_status no_memory(const struct pv_tokenizer *t)
{
    return pv_fail(&t->log, PV_ERR_NOMEM, "no memory for the tokenizer");
}

uint32_t pv_tokenizer_special_id(const struct pv_tokenizer *t, const struct pv_gguf *g, const char *key)
{
    uint64_t id;

    if (!pv_gguf_u64(g, key, &id))
        return PV_NO_TOKEN;
    if (id < t->n_vocab)
        return (uint32_t)id;
    if (id != UINT32_MAX) /* the usual way to write "none" */
        pv_warn(&t->log, "%s: there is no token %llu in a vocabulary of %u; ignored", key,
                (unsigned long long)id, t->n_vocab);
    return PV_NO_TOKEN;
}

static bool is_special(const struct pv_tokenizer *t, uint32_t id)
{
    return t->types[id] == TOKEN_CONTROL || t->types[id] == TOKEN_UNKNOWN || t->types[id] == TOKEN_USER;
}

static enum pv_status read_vocab(struct pv_tokenizer *t, const struct pv_gguf *g)
{
    const struct pv_gguf_kv *tokens = pv_gguf_find(g, "tokenizer.ggml.tokens");
    size_t n_bytes = 0;

    if (!tokens || tokens->type != PV_GGUF_ARRAY || tokens->item_type != PV_GGUF_STRING ||
        tokens->n_items == 0 || tokens->n_items >= PV_NO_TOKEN)
        return pv_fail(&t->log, PV_ERR_FORMAT,
                       "tokenizer.ggml.tokens is missing or no array of strings: convert the model again");
    t->n_vocab = (uint32_t)tokens->n_items;
    t->texts = tokens->strings;
    t->bytes = pv_arena_alloc(&t->arena, t->n_vocab, sizeof t->bytes[0]);
    for (uint32_t id = 0; id < t->n_vocab; id++)
        n_bytes += t->texts[id].size_bytes;
    t->store = pv_arena_alloc(&t->arena, n_bytes, 1);
    if (!t->bytes || !t->store || !pv_str_map_init(&t->pieces, &t->arena, t->n_vocab))
        return no_memory(t);
    return PV_OK;
}

static enum pv_status read_types(struct pv_tokenizer *t, const struct pv_gguf *g)
{
    const struct pv_gguf_kv *types = pv_gguf_find(g, "tokenizer.ggml.token_type");

    t->types = pv_arena_alloc(&t->arena, t->n_vocab, sizeof t->types[0]);
    if (!t->types)
        return no_memory(t);
    t->has_types = types != NULL;
    if (types &&
        (types->type != PV_GGUF_ARRAY || types->item_type == PV_GGUF_STRING || types->n_items != t->n_vocab))
        return pv_fail(&t->log, PV_ERR_FORMAT,
                       "tokenizer.ggml.token_type is not one number for each of %u tokens", t->n_vocab);
    for (uint32_t id = 0; id < t->n_vocab; id++) {
        const int64_t type = types ? pv_gguf_item_i64(types, id) : TOKEN_NORMAL;

        t->types[id] = type >= TOKEN_NORMAL && type <= TOKEN_BYTE ? (uint8_t)type : TOKEN_NORMAL;
    }
    t->bos = pv_tokenizer_special_id(t, g, "tokenizer.ggml.bos_token_id");
    t->eos = pv_tokenizer_special_id(t, g, "tokenizer.ggml.eos_token_id");
    t->unknown = pv_tokenizer_special_id(t, g, "tokenizer.ggml.unknown_token_id");
    if (!t->has_types && t->bos != PV_NO_TOKEN)
        t->types[t->bos] = TOKEN_CONTROL;
    if (!t->has_types && t->eos != PV_NO_TOKEN)
        t->types[t->eos] = TOKEN_CONTROL;
    if (!t->has_types && t->unknown != PV_NO_TOKEN)
        t->types[t->unknown] = TOKEN_UNKNOWN;
    for (uint32_t id = 0; id < t->n_vocab; id++)
        if (t->types[id] != TOKEN_CONTROL && t->types[id] != TOKEN_UNKNOWN)
            t->bytes[id] = t->texts[id];
    return PV_OK;
}

static int longest_first(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x < y) - (x > y);
}

/* The key a special token is found by: user-defined tokens are text, so as text spells them. */
static struct pv_str special_key(const struct pv_tokenizer *t, uint32_t id)
{
    return t->types[id] == TOKEN_USER ? t->bytes[id] : t->texts[id];
}

static enum pv_status index_specials(struct pv_tokenizer *t)
{
    size_t n = 0, n_distinct = 0;
    uint32_t *lengths;

    for (uint32_t id = 0; id < t->n_vocab; id++)
        n += is_special(t, id);
    if (n == 0)
        return PV_OK;
    lengths = pv_arena_alloc(&t->arena, n, sizeof lengths[0]);
    if (!lengths || !pv_str_map_init(&t->specials, &t->arena, n))
        return no_memory(t);
    n = 0;
    for (uint32_t id = 0; id < t->n_vocab; id++) {
        struct pv_str key = is_special(t, id) ? special_key(t, id) : (struct pv_str){0};

        if (key.size_bytes == 0 || key.size_bytes > UINT32_MAX)
            continue;
        pv_str_map_add(&t->specials, key, id);
        t->special_start[(uint8_t)key.data[0]] = true;
        lengths[n++] = (uint32_t)key.size_bytes;
    }
    qsort(lengths, n, sizeof lengths[0], longest_first);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || lengths[i] != lengths[i - 1])
            lengths[n_distinct++] = lengths[i];
    t->special_lengths = lengths;
    t->n_special_lengths = n_distinct;
    return PV_OK;
}

static enum pv_status create(struct pv_tokenizer *t, const struct pv_gguf *g)
{
    struct pv_str kind;

    if (!pv_gguf_str(g, "tokenizer.ggml.model", &kind))
        return pv_fail(&t->log, PV_ERR_FORMAT, "tokenizer.ggml.model is missing: the file has no tokenizer");
    t->is_spm = kind.size_bytes == 5 && memcmp(kind.data, "llama", 5) == 0;
    if (!t->is_spm && (kind.size_bytes != 4 || memcmp(kind.data, "gpt2", 4) != 0))
        return pv_fail(&t->log, PV_ERR_UNSUPPORTED, "tokenizer \"%.*s\" is not supported; gpt2 and llama are",
                       kind.size_bytes < 64 ? (int)kind.size_bytes : 64, kind.data);
    PV_TRY(read_vocab(t, g));
    PV_TRY(read_types(t, g));
    if (t->is_spm) {
        pv_spm_decode_vocab(t);
        PV_TRY(pv_spm_create(t, g));
    } else {
        pv_bpe_decode_vocab(t);
        PV_TRY(pv_bpe_create(t, g));
    }
    PV_TRY(index_specials(t));
    PV_TRY(pv_tokenizer_find_ends(t, g));
    pv_gguf_bool(g, "tokenizer.ggml.add_bos_token", &t->wants_bos);
    if (t->is_spm)
        pv_gguf_bool(g, "tokenizer.ggml.add_space_prefix", &t->space_prefix);
    t->wants_bos = t->wants_bos && t->bos != PV_NO_TOKEN;
    return PV_OK;
}

enum pv_status pv_tokenizer_create(const struct pv_gguf *g, const struct pv_log *log,
                                   struct pv_tokenizer **out)
{
    struct pv_tokenizer *t = pv_calloc(1, sizeof *t);
    enum pv_status status;

    *out = NULL;
    if (!t)
        return pv_fail(log, PV_ERR_NOMEM, "no memory for the tokenizer");
    if (log)
        t->log = *log;
    for (int i = 0; i < 256; i++)
        t->byte_token[i] = PV_NO_TOKEN;
    status = create(t, g);
    if (status != PV_OK) {
        pv_tokenizer_destroy(t);
        return status;
    }
    *out = t;
    return PV_OK;
}

void pv_tokenizer_destroy(struct pv_tokenizer *t)
{
    if (!t)
        return;
    pv_bpe_destroy(t->bpe);
    pv_arena_free(&t->arena);
    free(t);
}

/* The longest special token at the start of the text, or PV_NO_TOKEN. */
static uint32_t match_special(const struct pv_tokenizer *t, const char *text, size_t n_bytes,
                              bool parse_special)
{
    if (!t->special_start[(uint8_t)text[0]])
        return PV_NO_TOKEN;
    for (size_t i = 0; i < t->n_special_lengths; i++) {
        uint32_t id;

        if (t->special_lengths[i] > n_bytes)
            continue;
        id = pv_str_map_find(&t->specials, text, t->special_lengths[i]);
        if (id != PV_NO_TOKEN && (parse_special || t->types[id] == TOKEN_USER))
            return id;
    }
    return PV_NO_TOKEN;
}

/* Encodes text without special tokens; `first`: it stands at the very start. */
static enum pv_status encode_plain(const struct pv_tokenizer *t, const char *text, size_t n_bytes, bool first,
                                   struct pv_ids *out)
{
    enum pv_status status;
    char *prefixed;

    if (n_bytes == 0)
        return PV_OK;
    if (!t->is_spm)
        return pv_bpe_encode(t, text, n_bytes, out);
    if (!first || !t->space_prefix)
        return pv_spm_encode(t, text, n_bytes, out);
    prefixed = pv_calloc(n_bytes + 1, 1);
    if (!prefixed)
        return PV_ERR_NOMEM;
    prefixed[0] = ' ';
    memcpy(prefixed + 1, text, n_bytes);
    status = pv_spm_encode(t, prefixed, n_bytes + 1, out);
    free(prefixed);
    return status;
}

enum pv_status pv_tokenizer_encode(const struct pv_tokenizer *t, const char *text, size_t n_bytes,
                                   bool add_bos, bool parse_special, uint32_t **out, size_t *n_out)
{
    struct pv_ids ids = {0};
    enum pv_status status = PV_OK;
    size_t start = 0, pos = 0;

    *out = NULL;
    *n_out = 0;
    if (n_bytes >= max_text_bytes)
        return pv_fail(&t->log, PV_ERR_ARG, "a text of %zu bytes is too long to encode at once: split it",
                       n_bytes);
    if (add_bos && t->bos != PV_NO_TOKEN)
        pv_ids_add(&ids, t->bos);
    while (status == PV_OK && pos < n_bytes) {
        const uint32_t id = match_special(t, text + pos, n_bytes - pos, parse_special);

        if (id == PV_NO_TOKEN) {
            pos++;
            continue;
        }
        status = encode_plain(t, text + start, pos - start, start == 0, &ids);
        pv_ids_add(&ids, id);
        pos += special_key(t, id).size_bytes;
        start = pos;
    }
    if (status == PV_OK)
        status = encode_plain(t, text + start, n_bytes - start, start == 0, &ids);
    if (!ids.ids && !ids.no_memory) { /* no tokens: still something to free */
        ids.ids = pv_calloc(1, sizeof ids.ids[0]);
        ids.no_memory = !ids.ids;
    }
    if (status != PV_OK || ids.no_memory) {
        free(ids.ids);
        return pv_fail(&t->log, PV_ERR_NOMEM, "no memory to encode a text of %zu bytes", n_bytes);
    }
    *out = ids.ids;
    *n_out = ids.n;
    return PV_OK;
}

size_t pv_tokenizer_bytes(const struct pv_tokenizer *t, uint32_t token, bool special, const char **out)
{
    static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

    *out = "";
    if (token >= t->n_vocab)
        return 0;
    if (t->types[token] != TOKEN_CONTROL && t->types[token] != TOKEN_UNKNOWN) {
        *out = t->bytes[token].data;
        return t->bytes[token].size_bytes;
    }
    if (special) {
        *out = t->texts[token].data;
        return t->texts[token].size_bytes;
    }
    if (t->types[token] == TOKEN_CONTROL)
        return 0;
    *out = replacement;
    return sizeof replacement - 1;
}

/* Whether the text of these tokens starts with the space that encoding put there. */
static bool has_space_prefix(const struct pv_tokenizer *t, const uint32_t *tokens, size_t n)
{
    const size_t first = n > 0 && tokens[0] == t->bos ? 1 : 0;
    const char *bytes;

    return t->space_prefix && first < n && !is_special(t, tokens[first]) &&
           pv_tokenizer_bytes(t, tokens[first], false, &bytes) > 0 && bytes[0] == ' ';
}

enum pv_status pv_tokenizer_decode(const struct pv_tokenizer *t, const uint32_t *tokens, size_t n, char **out,
                                   size_t *n_out)
{
    size_t n_bytes = 0, used = 0, skip;
    const char *bytes;
    char *text;

    *out = NULL;
    for (size_t i = 0; i < n; i++) {
        if (tokens[i] >= t->n_vocab)
            return pv_fail(&t->log, PV_ERR_ARG, "token %u is none of the vocabulary's %u", tokens[i],
                           t->n_vocab);
        if (!pv_add_size(n_bytes, pv_tokenizer_bytes(t, tokens[i], false, &bytes), &n_bytes) ||
            n_bytes == SIZE_MAX)
            return pv_fail(&t->log, PV_ERR_NOMEM, "the text of %zu tokens is too long", n);
    }
    text = pv_calloc(n_bytes + 1, 1);
    if (!text)
        return pv_fail(&t->log, PV_ERR_NOMEM, "no memory for a text of %zu bytes", n_bytes);
    skip = has_space_prefix(t, tokens, n) ? 1 : 0;
    for (size_t i = 0; i < n; i++) {
        const size_t length = pv_tokenizer_bytes(t, tokens[i], false, &bytes);
        const size_t cut = length < skip ? length : skip;

        if (length > cut)
            memcpy(text + used, bytes + cut, length - cut);
        used += length - cut;
        skip -= cut;
    }
    *out = text;
    if (n_out)
        *n_out = used;
    return PV_OK;
}

uint32_t pv_tokenizer_n_vocab(const struct pv_tokenizer *t)
{
    return t->n_vocab;
}

uint32_t pv_tokenizer_bos(const struct pv_tokenizer *t)
{
    return t->bos;
}

uint32_t pv_tokenizer_eos(const struct pv_tokenizer *t)
{
    return t->eos;
}

bool pv_tokenizer_wants_bos(const struct pv_tokenizer *t)
{
    return t->wants_bos;
}

bool pv_tokenizer_space_prefix(const struct pv_tokenizer *t)
{
    return t->space_prefix;
}
