/* Ties the parts together: a text is cut at its special tokens (leftmost, then longest), and what lies between them is
 * merged by the vocabulary's kind, each stretch as if it were a text of its own. */
#include "format/tokenizer/tokenizer.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "format/tokenizer/bpe.h"
#include "format/tokenizer/specials.h"
#include "format/tokenizer/spm.h"

/* A text longer than this must be encoded in parts: symbols count bytes in 32 bits. */
static const size_t max_text_bytes = (size_t)1 << 31;

struct pv_tokenizer {
    struct pv_vocab vocab;
    struct pv_bpe *bpe; /* one of the two */
    struct pv_spm *spm;
    struct pv_specials *specials;
    bool wants_bos;
    bool space_prefix;
    bool strips_right; /* Phi-3: special tokens take the spaces after them */
};

static enum pv_status find_rule(const struct pv_vocab *v, const struct pv_gguf *g, const char *pre,
                                const struct pv_pre_rule **out)
{
    struct pv_str name;

    if (pre) {
        *out = pv_pre_find(pre, strlen(pre));
        return *out ? PV_OK : pv_fail(&v->log, PV_ERR_ARG, "there is no pre-tokenizer \"%.64s\"", pre);
    }
    if (!pv_gguf_str(g, "tokenizer.ggml.pre", &name)) {
        pv_warn(
            &v->log,
            "the file does not name its pre-tokenizer (tokenizer.ggml.pre): \"default\" is used, and words "
            "may be cut otherwise than the model expects");
        name = (struct pv_str){.data = "default", .size_bytes = 7};
    }
    *out = pv_pre_find(name.data, name.size_bytes);
    if (*out)
        return PV_OK;
    return pv_fail(
        &v->log, PV_ERR_UNSUPPORTED,
        "the file's pre-tokenizer \"%.*s\" is not known, and another may cut words otherwise than the model "
        "expects: name a known one that cuts alike (such as gpt-2, llama-bpe, qwen2, gpt-4o)",
        name.size_bytes < 64 ? (int)name.size_bytes : 64, name.data);
}

/* Whether the model is a Phi-3 by its architecture or its name. */
static bool is_phi3(const struct pv_gguf *g)
{
    struct pv_str text;

    if (pv_gguf_str(g, "general.architecture", &text) && text.size_bytes == 4 &&
        memcmp(text.data, "phi3", 4) == 0)
        return true;
    if (!pv_gguf_str(g, "general.name", &text))
        return false;
    for (size_t i = 0; i + 4 <= text.size_bytes; i++) {
        const size_t dash = i + 5 <= text.size_bytes && text.data[i + 3] == '-' ? 1 : 0;

        if (tolower((unsigned char)text.data[i]) == 'p' && tolower((unsigned char)text.data[i + 1]) == 'h' &&
            tolower((unsigned char)text.data[i + 2]) == 'i' && text.data[i + 3 + dash] == '3')
            return true;
    }
    return false;
}

static enum pv_status create(struct pv_tokenizer *t, const struct pv_gguf *g, const char *pre,
                             const struct pv_log *log)
{
    struct pv_vocab *v = &t->vocab;

    PV_TRY(pv_vocab_read(v, g, log));
    if (v->is_spm) {
        PV_TRY(pv_spm_create(v, g, &t->spm));
        t->wants_bos = true;
        t->space_prefix = true;
        pv_gguf_bool(g, "tokenizer.ggml.add_space_prefix", &t->space_prefix);
        t->strips_right = is_phi3(g);
    } else {
        const struct pv_pre_rule *rule;

        PV_TRY(find_rule(v, g, pre, &rule));
        PV_TRY(pv_bpe_create(v, g, rule, &t->bpe));
        t->wants_bos = rule->wants_bos;
    }
    PV_TRY(pv_specials_create(v, &t->specials));
    pv_gguf_bool(g, "tokenizer.ggml.add_bos_token", &t->wants_bos);
    t->wants_bos = t->wants_bos && v->bos != PV_NO_TOKEN;
    return PV_OK;
}

enum pv_status pv_tokenizer_create(const struct pv_gguf *g, const char *pre, const struct pv_log *log,
                                   struct pv_tokenizer **out)
{
    struct pv_tokenizer *t = pv_calloc(1, sizeof *t);
    enum pv_status status;

    *out = NULL;
    if (!t)
        return pv_fail(log, PV_ERR_NOMEM, "no memory for the tokenizer");
    status = create(t, g, pre, log);
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
    pv_specials_destroy(t->specials);
    pv_bpe_destroy(t->bpe);
    pv_spm_destroy(t->spm);
    pv_vocab_free(&t->vocab);
    free(t);
}

/* Encodes a stretch without special tokens; `first`: at the start of the text or after a special token. */
static enum pv_status encode_plain(const struct pv_tokenizer *t, const char *text, size_t n_bytes, bool first,
                                   struct pv_ids *out)
{
    if (n_bytes == 0)
        return PV_OK;
    if (t->bpe)
        return pv_bpe_encode(t->bpe, text, n_bytes, out);
    return pv_spm_encode(t->spm, text, n_bytes, first && t->space_prefix, out);
}

/* Phi-3's control tokens take the spaces after them, but for <s>, <unk> and <|endoftext|>. */
static bool strips_right(const struct pv_tokenizer *t, uint32_t id)
{
    static const char *const others[] = {"<s>", "<unk>", "<|endoftext|>"};
    const struct pv_str text = t->vocab.texts[id];

    if (!t->strips_right || t->vocab.types[id] != TOKEN_CONTROL)
        return false;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (text.size_bytes == strlen(others[i]) && memcmp(text.data, others[i], text.size_bytes) == 0)
            return false;
    return true;
}

/* Bytes of the white space that the text starts with. */
static size_t count_space(const char *text, size_t n_bytes)
{
    size_t n = 0, length;
    uint32_t code;

    while ((length = pv_utf8_char(text + n, n_bytes - n, &code)) != 0 && pv_utf8_is_space(code))
        n += length;
    return n;
}

static enum pv_status encode(const struct pv_tokenizer *t, const char *text, size_t n_bytes,
                             const struct pv_special_match *matches, size_t n_matches, bool first,
                             struct pv_ids *out)
{
    size_t pos = 0;

    for (size_t i = 0; i < n_matches; i++) {
        const struct pv_special_match *match = &matches[i];

        if (match->start < pos)
            continue;
        PV_TRY(encode_plain(t, text + pos, match->start - pos, first, out));
        if (out->n != 1 || match->start != 0 || out->ids[0] != t->vocab.bos || match->id != t->vocab.bos)
            pv_ids_add(out, match->id);
        pos = match->start + pv_special_text(&t->vocab, match->id).size_bytes;
        if (strips_right(t, match->id))
            pos += count_space(text + pos, n_bytes - pos);
        first = true;
    }
    return encode_plain(t, text + pos, n_bytes - pos, first, out);
}

enum { MOST_MARKERS = 32 };

/* Tokens spelled <...> or [...] that stand in the special spans: marks of turns, say. Elsewhere their names are text,
 * even if the file calls them user-defined. */
struct markers {
    uint32_t ids[MOST_MARKERS];
    size_t n;
};

static bool is_marker(const struct markers *markers, uint32_t id)
{
    for (size_t i = 0; i < markers->n; i++)
        if (markers->ids[i] == id)
            return true;
    return false;
}

static void note_marker(const struct pv_tokenizer *t, uint32_t id, struct markers *markers)
{
    const struct pv_str text = pv_special_text(&t->vocab, id);

    if (markers->n < MOST_MARKERS && text.size_bytes > 2 && (text.data[0] == '<' || text.data[0] == '[') &&
        !is_marker(markers, id))
        markers->ids[markers->n++] = id;
}

/* What is found in one span, `at` bytes into the text, is appended to `*matches`, but for `markers`. */
static enum pv_status find_in_span(const struct pv_tokenizer *t, const char *text, size_t at,
                                   const struct pv_text_span *span, const struct markers *markers,
                                   struct pv_special_match **matches, size_t *n_matches)
{
    struct pv_special_match *found;
    void *grown = *matches;
    size_t n;

    PV_TRY(pv_specials_find(t->specials, text + at, span->n_bytes, span->special, &found, &n));
    if (n > 0 && !pv_grow(&grown, *n_matches + n, sizeof **matches)) {
        free(found);
        return PV_ERR_NOMEM;
    }
    *matches = grown;
    for (size_t i = 0; i < n; i++)
        if (span->special || !is_marker(markers, found[i].id))
            (*matches)[(*n_matches)++] = (struct pv_special_match){found[i].start + at, found[i].id};
    free(found);
    return PV_OK;
}

/* Special tokens of all spans; `*matches` is malloc'ed. */
static enum pv_status find_specials(const struct pv_tokenizer *t, const char *text,
                                    const struct pv_text_span *spans, size_t n_spans,
                                    struct pv_special_match **matches, size_t *n_matches)
{
    struct markers markers = {.n = 0};

    for (size_t pass = 0; pass < 2; pass++) {
        free(pass == 1 ? *matches : NULL);
        *matches = NULL;
        *n_matches = 0;
        for (size_t i = 0, at = 0; i < n_spans; at += spans[i++].n_bytes)
            if (pass == 1 || (spans[i].special && n_spans > 1))
                PV_TRY(find_in_span(t, text, at, &spans[i], &markers, matches, n_matches));
        for (size_t i = 0; pass == 0 && i < *n_matches; i++)
            note_marker(t, (*matches)[i].id, &markers);
    }
    return PV_OK;
}

enum pv_status pv_tokenizer_encode_spans(const struct pv_tokenizer *t, const char *text,
                                         const struct pv_text_span *spans, size_t n_spans, bool begins,
                                         bool add_bos, uint32_t **out, size_t *n_out)
{
    struct pv_special_match *matches;
    struct pv_ids ids = {0};
    enum pv_status status;
    size_t n_matches, n_bytes = 0;

    *out = NULL;
    *n_out = 0;
    for (size_t i = 0; i < n_spans; i++)
        n_bytes += spans[i].n_bytes;
    if (n_bytes >= max_text_bytes)
        return pv_fail(&t->vocab.log, PV_ERR_ARG,
                       "a text of %zu bytes is too long to encode at once: split it", n_bytes);
    status = find_specials(t, text, spans, n_spans, &matches, &n_matches);
    if (add_bos && t->vocab.bos != PV_NO_TOKEN)
        pv_ids_add(&ids, t->vocab.bos);
    if (status == PV_OK)
        status = encode(t, text, n_bytes, matches, n_matches, begins, &ids);
    free(matches);
    if (!ids.ids && !ids.no_memory) { /* no tokens: still something to free */
        ids.ids = pv_calloc(1, sizeof ids.ids[0]);
        ids.no_memory = !ids.ids;
    }
    if (status != PV_OK || ids.no_memory) {
        free(ids.ids);
        return pv_fail(&t->vocab.log, PV_ERR_NOMEM, "no memory to encode a text of %zu bytes", n_bytes);
    }
    *out = ids.ids;
    *n_out = ids.n;
    return PV_OK;
}

enum pv_status pv_tokenizer_encode(const struct pv_tokenizer *t, const char *text, size_t n_bytes,
                                   bool add_bos, bool parse_special, uint32_t **out, size_t *n_out)
{
    const struct pv_text_span whole = {.n_bytes = n_bytes, .special = parse_special};

    return pv_tokenizer_encode_spans(t, text, &whole, 1, true, add_bos, out, n_out);
}

size_t pv_tokenizer_bytes(const struct pv_tokenizer *t, uint32_t token, bool special, const char **out)
{
    static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */
    const struct pv_vocab *v = &t->vocab;

    *out = "";
    if (token >= v->n)
        return 0;
    if (v->types[token] != TOKEN_CONTROL && v->types[token] != TOKEN_UNKNOWN) {
        *out = v->bytes[token].data;
        return v->bytes[token].size_bytes;
    }
    if (special) {
        *out = v->texts[token].data;
        return v->texts[token].size_bytes;
    }
    if (v->types[token] == TOKEN_CONTROL)
        return 0;
    *out = replacement;
    return sizeof replacement - 1;
}

/* Bytes of a token within a text: without the space that encoding puts at the start and after special tokens. Unknown
 * tokens stand for characters of the text, so none comes after them. */
static size_t running_bytes(const struct pv_tokenizer *t, const uint32_t *tokens, size_t i,
                            const char **bytes)
{
    const size_t n = pv_tokenizer_bytes(t, tokens[i], false, bytes);
    const struct pv_vocab *v = &t->vocab;

    if (!t->space_prefix || n == 0 || (*bytes)[0] != ' ' || pv_vocab_is_special(v, tokens[i]))
        return n;
    if (i > 0 && v->types[tokens[i - 1]] != TOKEN_CONTROL && v->types[tokens[i - 1]] != TOKEN_USER)
        return n;
    ++*bytes;
    return n - 1;
}

enum pv_status pv_tokenizer_decode(const struct pv_tokenizer *t, const uint32_t *tokens, size_t n, char **out,
                                   size_t *n_out)
{
    size_t n_bytes = 0, used = 0;
    const char *bytes;
    char *text;

    *out = NULL;
    for (size_t i = 0; i < n; i++) {
        if (tokens[i] >= t->vocab.n)
            return pv_fail(&t->vocab.log, PV_ERR_ARG, "token %u is none of the vocabulary's %u", tokens[i],
                           t->vocab.n);
        if (!pv_add_size(n_bytes, running_bytes(t, tokens, i, &bytes), &n_bytes) || n_bytes == SIZE_MAX)
            return pv_fail(&t->vocab.log, PV_ERR_NOMEM, "the text of %zu tokens is too long", n);
    }
    text = pv_calloc(n_bytes + 1, 1);
    if (!text)
        return pv_fail(&t->vocab.log, PV_ERR_NOMEM, "no memory for a text of %zu bytes", n_bytes);
    for (size_t i = 0; i < n; i++) {
        const size_t length = running_bytes(t, tokens, i, &bytes);

        if (length > 0)
            memcpy(text + used, bytes, length);
        used += length;
    }
    *out = text;
    if (n_out)
        *n_out = used;
    return PV_OK;
}

uint32_t pv_tokenizer_n_vocab(const struct pv_tokenizer *t)
{
    return t->vocab.n;
}

uint32_t pv_tokenizer_bos(const struct pv_tokenizer *t)
{
    return t->vocab.bos;
}

uint32_t pv_tokenizer_eos(const struct pv_tokenizer *t)
{
    return t->vocab.eos;
}

bool pv_tokenizer_is_end(const struct pv_tokenizer *t, uint32_t token)
{
    return pv_vocab_is_end(&t->vocab, token);
}

bool pv_tokenizer_wants_bos(const struct pv_tokenizer *t)
{
    return t->wants_bos;
}

bool pv_tokenizer_space_prefix(const struct pv_tokenizer *t)
{
    return t->space_prefix;
}
