/* Reads a vocabulary's arrays and ids. Files disagree on types: a token that ends a turn may be called
 * user-defined or normal. It is made a control token here, so that a user's text cannot spell it. */
#include "format/tokenizer/vocab.h"

#include <string.h>
#include "base/log.h"

static enum pv_status no_memory(const struct pv_vocab *v)
{
    return pv_fail(&v->log, PV_ERR_NOMEM, "no memory for the tokenizer");
}

/* The token that a key of the file names, or PV_NO_TOKEN (with a warning where the id is out of range). */
static uint32_t special_id(const struct pv_vocab *v, const struct pv_gguf *g, const char *key)
{
    uint64_t id;

    if (!pv_gguf_u64(g, key, &id))
        return PV_NO_TOKEN;
    if (id < v->n)
        return (uint32_t)id;
    if (id != UINT32_MAX) /* the usual way to write "none" */
        pv_warn(&v->log, "%s: there is no token %llu in a vocabulary of %u; ignored", key,
                (unsigned long long)id, v->n);
    return PV_NO_TOKEN;
}

bool pv_vocab_is_special(const struct pv_vocab *v, uint32_t id)
{
    return v->types[id] == TOKEN_CONTROL || v->types[id] == TOKEN_UNKNOWN || v->types[id] == TOKEN_USER;
}

void pv_vocab_add_byte(const struct pv_vocab *v, uint8_t byte, struct pv_ids *out)
{
    if (v->byte_token[byte] != PV_NO_TOKEN)
        pv_ids_add(out, v->byte_token[byte]);
    else if (v->unknown != PV_NO_TOKEN)
        pv_ids_add(out, v->unknown);
}

static enum pv_status read_kind(struct pv_vocab *v, const struct pv_gguf *g)
{
    struct pv_str kind;

    if (!pv_gguf_str(g, "tokenizer.ggml.model", &kind))
        return pv_fail(&v->log, PV_ERR_FORMAT, "tokenizer.ggml.model is missing: the file has no tokenizer");
    v->is_spm = kind.size_bytes == 5 && memcmp(kind.data, "llama", 5) == 0;
    if (!v->is_spm && (kind.size_bytes != 4 || memcmp(kind.data, "gpt2", 4) != 0))
        return pv_fail(&v->log, PV_ERR_UNSUPPORTED, "tokenizer \"%.*s\" is not supported; gpt2 and llama are",
                       kind.size_bytes < 64 ? (int)kind.size_bytes : 64, kind.data);
    return PV_OK;
}

static enum pv_status read_texts(struct pv_vocab *v, const struct pv_gguf *g)
{
    const struct pv_gguf_kv *tokens = pv_gguf_find(g, "tokenizer.ggml.tokens");
    size_t n_bytes = 0;

    if (!tokens || tokens->type != PV_GGUF_ARRAY || tokens->item_type != PV_GGUF_STRING ||
        tokens->n_items == 0 || tokens->n_items >= PV_NO_TOKEN)
        return pv_fail(&v->log, PV_ERR_FORMAT,
                       "tokenizer.ggml.tokens is missing or no array of strings: convert the model again");
    v->n = (uint32_t)tokens->n_items;
    v->texts = tokens->strings;
    v->bytes = pv_arena_alloc(&v->arena, v->n, sizeof v->bytes[0]);
    for (uint32_t id = 0; id < v->n; id++)
        n_bytes += v->texts[id].size_bytes;
    v->store = pv_arena_alloc(&v->arena, n_bytes, 1);
    if (!v->bytes || !v->store || !pv_str_map_init(&v->pieces, &v->arena, v->n))
        return no_memory(v);
    return PV_OK;
}

static enum pv_status read_types(struct pv_vocab *v, const struct pv_gguf *g)
{
    const struct pv_gguf_kv *types = pv_gguf_find(g, "tokenizer.ggml.token_type");

    v->types = pv_arena_alloc(&v->arena, v->n, sizeof v->types[0]);
    if (!v->types)
        return no_memory(v);
    v->has_types = types != NULL;
    if (types &&
        (types->type != PV_GGUF_ARRAY || types->item_type == PV_GGUF_STRING || types->n_items != v->n))
        return pv_fail(&v->log, PV_ERR_FORMAT,
                       "tokenizer.ggml.token_type is not one number for each of %u tokens", v->n);
    for (uint32_t id = 0; id < v->n; id++) {
        const int64_t type = types ? pv_gguf_item_i64(types, id) : TOKEN_NORMAL;

        v->types[id] = type >= TOKEN_NORMAL && type <= TOKEN_BYTE ? (uint8_t)type : TOKEN_NORMAL;
    }
    return PV_OK;
}

/* SentencePiece vocabularies have an unknown token, named by a key or not. */
static uint32_t find_unknown(const struct pv_vocab *v, const struct pv_gguf *g)
{
    const uint32_t named = special_id(v, g, "tokenizer.ggml.unknown_token_id");

    for (uint32_t id = 0; named == PV_NO_TOKEN && v->is_spm && id < v->n; id++)
        if (v->types[id] == TOKEN_UNKNOWN)
            return id;
    return named;
}

static void read_special_ids(struct pv_vocab *v, const struct pv_gguf *g)
{
    v->bos = special_id(v, g, "tokenizer.ggml.bos_token_id");
    v->eos = special_id(v, g, "tokenizer.ggml.eos_token_id");
    v->unknown = find_unknown(v, g);
    if (v->bos != PV_NO_TOKEN && (!v->has_types || v->types[v->bos] == TOKEN_USER))
        v->types[v->bos] = TOKEN_CONTROL;
    if (!v->has_types && v->eos != PV_NO_TOKEN)
        v->types[v->eos] = TOKEN_CONTROL;
    if (!v->has_types && v->unknown != PV_NO_TOKEN)
        v->types[v->unknown] = TOKEN_UNKNOWN;
}

enum pv_status pv_vocab_read(struct pv_vocab *v, const struct pv_gguf *g, const struct pv_log *log)
{
    if (log)
        v->log = *log;
    for (int i = 0; i < 256; i++)
        v->byte_token[i] = PV_NO_TOKEN;
    PV_TRY(read_kind(v, g));
    PV_TRY(read_texts(v, g));
    PV_TRY(read_types(v, g));
    read_special_ids(v, g);
    const uint32_t ends[] = {v->eos, special_id(v, g, "tokenizer.ggml.eot_token_id"),
                             special_id(v, g, "tokenizer.ggml.eom_token_id")};
    PV_TRY(pv_vocab_find_ends(v, ends, sizeof ends / sizeof ends[0]));
    for (uint32_t id = 0; id < v->n; id++)
        if (v->types[id] != TOKEN_CONTROL && v->types[id] != TOKEN_UNKNOWN)
            v->bytes[id] = v->texts[id];
    return PV_OK;
}

void pv_vocab_free(struct pv_vocab *v)
{
    pv_arena_free(&v->arena);
}
