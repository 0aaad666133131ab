/* SentencePiece BPE: the text starts as single characters, and the neighbouring pair that makes the piece of
 * highest score is joined (of equal scores the leftmost) until no pair makes a piece. What is no piece in the
 * end is spelled in byte tokens, or as the unknown token where the vocabulary has none.
 *
 * Pieces in the file spell a space as U+2581. They are kept here with plain spaces, so the text needs no
 * rewriting, and a U+2581 in the text itself matches no piece: it goes through byte tokens and comes back as
 * it was. */
#include "format/tokenizer/tokenizer_impl.h"

#include <string.h>
#include "base/log.h"

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

static void add_byte_token(struct pv_tokenizer *t, uint32_t id, int byte)
{
    t->types[id] = TOKEN_BYTE;
    *t->store = (char)byte;
    t->bytes[id] = (struct pv_str){.data = t->store++, .size_bytes = 1};
    if (t->byte_token[byte] == PV_NO_TOKEN)
        t->byte_token[byte] = id;
}

void pv_spm_decode_vocab(struct pv_tokenizer *t)
{
    memset(t->splits, true, sizeof t->splits);
    for (uint32_t id = 0; id < t->n_vocab; id++) {
        struct pv_str text = t->texts[id], *bytes = &t->bytes[id];
        const int byte = t->types[id] == TOKEN_BYTE || !t->has_types ? parse_byte_text(text) : -1;
        char *data = t->store;

        if (byte >= 0) {
            add_byte_token(t, id, byte);
            continue;
        }
        if (t->types[id] == TOKEN_CONTROL || t->types[id] == TOKEN_UNKNOWN)
            continue;
        *bytes = (struct pv_str){.data = data, .size_bytes = decode_spaces(text, data)};
        t->store += bytes->size_bytes;
        if (t->types[id] != TOKEN_NORMAL && t->types[id] != TOKEN_UNUSED)
            continue;
        pv_str_map_add(&t->pieces, *bytes, id);
        if (pv_utf8_length(data, bytes->size_bytes) != bytes->size_bytes)
            for (size_t i = 0; i < bytes->size_bytes; i++)
                t->splits[(uint8_t)data[i]] = false;
    }
}

enum pv_status pv_spm_create(struct pv_tokenizer *t, const struct pv_gguf *g)
{
    t->scores = pv_gguf_find(g, "tokenizer.ggml.scores");
    if (!t->scores || t->scores->type != PV_GGUF_ARRAY || t->scores->item_type != PV_GGUF_F32 ||
        t->scores->n_items != t->n_vocab)
        return pv_fail(
            &t->log, PV_ERR_FORMAT,
            "tokenizer.ggml.scores is missing or not one float32 for each of %u tokens: convert the model "
            "again",
            t->n_vocab);
    for (uint32_t id = 0; id < t->n_vocab; id++) {
        const double score = pv_gguf_item_f64(t->scores, id);

        if (!(score >= -1e30 && score <= 1e30)) /* also NaN, which has no order */
            return pv_fail(&t->log, PV_ERR_FORMAT,
                           "tokenizer.ggml.scores: the score of token %u is not finite", id);
    }
    t->wants_bos = true;
    t->space_prefix = true;
    return PV_OK;
}

/* The text of one run: an optional space in front, then the bytes as they are. */
struct run {
    const char *text;
    size_t n_bytes;
};

static void push_pair(const struct pv_tokenizer *t, struct pv_merge_scratch *s, const char *text,
                      uint32_t left, uint32_t right)
{
    const struct pv_symbol *l, *r;
    uint32_t id;

    if (left == PV_NO_TOKEN || right == PV_NO_TOKEN)
        return;
    l = &s->symbols[left];
    r = &s->symbols[right];
    id = pv_str_map_find(&t->pieces, text + l->start, (size_t)l->n_bytes + r->n_bytes);
    if (id == PV_NO_TOKEN)
        return;
    pv_heap_push(&s->heap, (struct pv_candidate){.key = -pv_gguf_item_f64(t->scores, id),
                                                 .left = left,
                                                 .right = right,
                                                 .merged_id = id,
                                                 .n_bytes = l->n_bytes + r->n_bytes});
}

/* Characters become symbols; a byte that is not valid UTF-8 is a symbol of its own. */
static uint32_t make_symbols(const struct pv_tokenizer *t, struct pv_merge_scratch *s, struct run run)
{
    uint32_t n = 0;

    for (size_t pos = 0; pos < run.n_bytes; n++) {
        size_t length = pv_utf8_length(run.text + pos, run.n_bytes - pos);
        const bool valid = length != 0;

        length = valid ? length : 1;
        s->symbols[n] = (struct pv_symbol){.start = (uint32_t)pos,
                                           .n_bytes = (uint32_t)length,
                                           .prev = n > 0 ? n - 1 : PV_NO_TOKEN,
                                           .next = pos + length < run.n_bytes ? n + 1 : PV_NO_TOKEN,
                                           .id = valid ? pv_str_map_find(&t->pieces, run.text + pos, length)
                                                       : PV_NO_TOKEN};
        pos += length;
    }
    return n;
}

static void add_spelled(const struct pv_tokenizer *t, const char *text, size_t n_bytes, struct pv_ids *out)
{
    bool all = true;

    for (size_t i = 0; i < n_bytes; i++)
        all = all && t->byte_token[(uint8_t)text[i]] != PV_NO_TOKEN;
    if (!all) { /* one unknown token a character, not one a byte */
        if (t->unknown != PV_NO_TOKEN)
            pv_ids_add(out, t->unknown);
        return;
    }
    for (size_t i = 0; i < n_bytes; i++)
        pv_add_byte(t, (uint8_t)text[i], out);
}

static enum pv_status encode_run(const struct pv_tokenizer *t, struct pv_merge_scratch *s, struct run run,
                                 struct pv_ids *out)
{
    struct pv_candidate c;
    uint32_t n;

    if (!pv_merge_scratch_reserve(s, run.n_bytes))
        return PV_ERR_NOMEM;
    n = make_symbols(t, s, run);
    s->heap.n = 0;
    for (uint32_t i = 1; i < n; i++)
        push_pair(t, s, run.text, i - 1, i);
    while (pv_heap_pop(&s->heap, &c)) {
        if (!pv_symbols_join(s, &c))
            continue;
        push_pair(t, s, run.text, s->symbols[c.left].prev, c.left);
        push_pair(t, s, run.text, c.left, s->symbols[c.left].next);
    }
    for (uint32_t i = 0; i != PV_NO_TOKEN; i = s->symbols[i].next) {
        const struct pv_symbol *symbol = &s->symbols[i];

        if (symbol->id != PV_NO_TOKEN)
            pv_ids_add(out, symbol->id);
        else
            add_spelled(t, run.text + symbol->start, symbol->n_bytes, out);
    }
    return s->heap.no_memory ? PV_ERR_NOMEM : PV_OK;
}

/* Runs are cut after ASCII bytes that occur in no longer piece (such as line feeds): no merge could cross
 * them, so the result is the same and the memory is a line's, not a book's. */
enum pv_status pv_spm_encode(const struct pv_tokenizer *t, const char *text, size_t n_bytes,
                             struct pv_ids *out)
{
    struct pv_merge_scratch scratch = {0};
    enum pv_status status = PV_OK;
    size_t pos = 0;

    while (status == PV_OK && pos < n_bytes) {
        size_t end = pos + 1;

        while (end < n_bytes && ((uint8_t)text[end - 1] >= 0x80 || !t->splits[(uint8_t)text[end - 1]]))
            end++;
        status = encode_run(t, &scratch, (struct run){.text = text + pos, .n_bytes = end - pos}, out);
        pos = end;
    }
    pv_merge_scratch_free(&scratch);
    return status;
}
