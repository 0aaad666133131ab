/* SentencePiece BPE: the text starts as single characters, and the neighbouring pair that makes the piece of
 * highest score is joined (of equal scores the leftmost) until no pair makes a piece. What is no piece in the
 * end is spelled in byte tokens, or as the unknown token where the vocabulary has none.
 *
 * Pieces in the file spell a space as U+2581. They are kept here with plain spaces, and so is the text: a U+2581 in it
 * is a space from then on. */
#include "format/tokenizer/spm.h"

#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "base/utf8.h"

struct pv_spm {
    const struct pv_vocab *vocab;
    const struct pv_gguf_kv *scores;
    bool splits[256]; /* no piece of several characters holds this byte */
};

static const char space_mark[] = "\xe2\x96\x81"; /* U+2581 */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The value of a text such as <0x0A>, or -1. */
static int parse_byte_text(struct pv_str text)
{
    const char *s = text.data;

    if (text.size_bytes != 6 || memcmp(s, "<0x", 3) != 0 || s[5] != '>' || hex_digit(s[3]) < 0 ||
        hex_digit(s[4]) < 0)
        return -1;
    return hex_digit(s[3]) * 16 + hex_digit(s[4]);
}

static size_t decode_spaces(struct pv_str text, char *out)
{
    size_t n = 0;

    for (size_t i = 0; i < text.size_bytes;) {
        if (text.size_bytes - i >= 3 && memcmp(text.data + i, space_mark, 3) == 0) {
            out[n++] = ' ';
            i += 3;
        } else {
            out[n++] = text.data[i++];
        }
    }
    return n;
}

static void add_byte_token(struct pv_vocab *v, uint32_t id, int byte)
{
    v->types[id] = TOKEN_BYTE;
    *v->store = (char)byte;
    v->bytes[id] = (struct pv_str){.data = v->store++, .size_bytes = 1};
    if (v->byte_token[byte] == PV_NO_TOKEN)
        v->byte_token[byte] = id;
}

static void decode_vocab(struct pv_spm *spm, struct pv_vocab *v)
{
    memset(spm->splits, true, sizeof spm->splits);
    for (uint32_t id = 0; id < v->n; id++) {
        struct pv_str text = v->texts[id], *bytes = &v->bytes[id];
        const int byte = v->types[id] == TOKEN_BYTE || !v->has_types ? parse_byte_text(text) : -1;
        char *data = v->store;

        if (byte >= 0) {
            add_byte_token(v, id, byte);
            continue;
        }
        if (v->types[id] == TOKEN_CONTROL || v->types[id] == TOKEN_UNKNOWN)
            continue;
        *bytes = (struct pv_str){.data = data, .size_bytes = decode_spaces(text, data)};
        v->store += bytes->size_bytes;
        if (v->types[id] != TOKEN_NORMAL && v->types[id] != TOKEN_UNUSED)
            continue;
        pv_str_map_add(&v->pieces, *bytes, id);
        if (pv_utf8_char(data, bytes->size_bytes, NULL) != bytes->size_bytes)
            for (size_t i = 0; i < bytes->size_bytes; i++)
                spm->splits[(uint8_t)data[i]] = false;
    }
}

static enum pv_status read_scores(struct pv_spm *spm, const struct pv_gguf *g)
{
    const struct pv_vocab *v = spm->vocab;

    spm->scores = pv_gguf_find(g, "tokenizer.ggml.scores");
    if (!spm->scores || spm->scores->type != PV_GGUF_ARRAY || spm->scores->item_type != PV_GGUF_F32 ||
        spm->scores->n_items != v->n)
        return pv_fail(
            &v->log, PV_ERR_FORMAT,
            "tokenizer.ggml.scores is missing or not one float32 for each of %u tokens: convert the model "
            "again",
            v->n);
    for (uint32_t id = 0; id < v->n; id++) {
        const double score = pv_gguf_item_f64(spm->scores, id);

        if (!(score >= -1e30 && score <= 1e30)) /* also NaN, which has no order */
            return pv_fail(&v->log, PV_ERR_FORMAT,
                           "tokenizer.ggml.scores: the score of token %u is not finite", id);
    }
    return PV_OK;
}

enum pv_status pv_spm_create(struct pv_vocab *v, const struct pv_gguf *g, struct pv_spm **out)
{
    struct pv_spm *spm = pv_calloc(1, sizeof *spm);
    enum pv_status status;

    *out = NULL;
    if (!spm)
        return pv_fail(&v->log, PV_ERR_NOMEM, "no memory for the tokenizer");
    decode_vocab(spm, v);
    spm->vocab = v;
    status = read_scores(spm, g);
    if (status != PV_OK) {
        pv_spm_destroy(spm);
        return status;
    }
    *out = spm;
    return PV_OK;
}

void pv_spm_destroy(struct pv_spm *spm)
{
    free(spm);
}

/* The order of scores, best first, as whole numbers: the bits of a float, turned so that they sort. */
static uint32_t rank_of_score(float score)
{
    const float plain = score + 0.0f; /* no -0 */
    uint32_t bits;

    memcpy(&bits, &plain, sizeof bits);
    return bits >> 31 ? bits : 0x7fffffffu - bits;
}

static bool find_piece(const void *user, const char *text, const struct pv_symbol *left,
                       const struct pv_symbol *right, uint32_t *merged, uint32_t *rank)
{
    const struct pv_spm *spm = user;

    *merged = pv_str_map_find(&spm->vocab->pieces, text, (size_t)left->n_bytes + right->n_bytes);
    if (*merged == PV_NO_TOKEN)
        return false;
    *rank = rank_of_score((float)pv_gguf_item_f64(spm->scores, *merged));
    return true;
}

/* Characters become symbols; a byte that is not valid UTF-8 is a symbol of its own. */
static void make_symbols(const struct pv_spm *spm, struct pv_merger *m, const char *text, size_t n_bytes)
{
    uint32_t prev = PV_NO_TOKEN;

    for (uint32_t pos = 0; pos < n_bytes;) {
        const size_t valid = pv_utf8_char(text + pos, n_bytes - pos, NULL), length = valid != 0 ? valid : 1;
        const uint32_t next = pos + (uint32_t)length;

        m->symbols[pos] = (struct pv_symbol){
            .n_bytes = (uint32_t)length,
            .prev = prev,
            .next = next < n_bytes ? next : PV_NO_TOKEN,
            .id = valid != 0 ? pv_str_map_find(&spm->vocab->pieces, text + pos, length) : PV_NO_TOKEN};
        prev = pos;
        pos = next;
    }
}

static void add_spelled(const struct pv_vocab *v, const char *text, size_t n_bytes, struct pv_ids *out)
{
    bool all = true;

    for (size_t i = 0; i < n_bytes; i++)
        all = all && v->byte_token[(uint8_t)text[i]] != PV_NO_TOKEN;
    if (!all) { /* one unknown token a character, not one a byte */
        if (v->unknown != PV_NO_TOKEN)
            pv_ids_add(out, v->unknown);
        return;
    }
    for (size_t i = 0; i < n_bytes; i++)
        pv_vocab_add_byte(v, (uint8_t)text[i], out);
}

static enum pv_status encode_run(const struct pv_spm *spm, struct pv_merger *m, const char *text,
                                 size_t n_bytes, struct pv_ids *out)
{
    if (!pv_merger_start(m, text, n_bytes))
        return PV_ERR_NOMEM;
    make_symbols(spm, m, text, n_bytes);
    if (!pv_merger_run(m, find_piece, spm))
        return PV_ERR_NOMEM;
    for (uint32_t i = 0; i != PV_NO_TOKEN; i = m->symbols[i].next) {
        if (m->symbols[i].id != PV_NO_TOKEN)
            pv_ids_add(out, m->symbols[i].id);
        else
            add_spelled(spm->vocab, text + i, m->symbols[i].n_bytes, out);
    }
    return PV_OK;
}

/* Runs are cut after ASCII bytes that occur in no longer piece (such as line feeds): no merge could cross
 * them, so the result is the same and the memory is a line's, not a book's. */
static enum pv_status encode_runs(const struct pv_spm *spm, const char *text, size_t n_bytes,
                                  struct pv_ids *out)
{
    struct pv_merger merger = {0};
    enum pv_status status = PV_OK;
    size_t pos = 0;

    while (status == PV_OK && pos < n_bytes) {
        size_t end = pos + 1;

        while (end < n_bytes && ((uint8_t)text[end - 1] >= 0x80 || !spm->splits[(uint8_t)text[end - 1]]))
            end++;
        status = encode_run(spm, &merger, text + pos, end - pos, out);
        pos = end;
    }
    pv_merger_free(&merger);
    return status;
}

enum pv_status pv_spm_encode(const struct pv_spm *spm, const char *text, size_t n_bytes, bool space,
                             struct pv_ids *out)
{
    char *plain = pv_calloc(n_bytes + 1, 1);
    enum pv_status status;
    size_t n = 0;

    if (!plain)
        return PV_ERR_NOMEM;
    if (space)
        plain[n++] = ' ';
    n += decode_spaces((struct pv_str){.data = text, .size_bytes = n_bytes}, plain + n);
    status = encode_runs(spm, plain, n, out);
    free(plain);
    return status;
}
