/* Inside of the tokenizers, shared by tokenizer.c (common), bpe.c and spm.c. Nothing else includes it. */
#ifndef PV_FORMAT_TOKENIZER_TOKENIZER_IMPL_H
#define PV_FORMAT_TOKENIZER_TOKENIZER_IMPL_H

#include "format/tokenizer/tokenizer.h"

/* Token types, numbered as in tokenizer.ggml.token_type. */
enum {
    TOKEN_NORMAL = 1,
    TOKEN_UNKNOWN = 2,
    TOKEN_CONTROL = 3,
    TOKEN_USER = 4,
    TOKEN_UNUSED = 5,
    TOKEN_BYTE = 6
};

#define PV_NO_TOKEN UINT32_MAX

/* Bytes -> token id: open addressing, keys are slices that live as long as the tokenizer. */
struct pv_str_map {
    struct pv_str *keys; /* [n_slots]; data NULL: free */
    uint32_t *ids;
    size_t n_slots; /* a power of two, at least twice the keys; 0: empty */
};
/* Room for n keys, in the arena. False when memory is out. */
bool pv_str_map_init(struct pv_str_map *map, struct pv_arena *arena, size_t n);
/* The first id added for a key stays. Empty keys are ignored. */
void pv_str_map_add(struct pv_str_map *map, struct pv_str key, uint32_t id);
uint32_t pv_str_map_find(const struct pv_str_map *map, const char *data,
                         size_t size_bytes); /* or PV_NO_TOKEN */

/* A growing list of token ids; after a failed growth `no_memory` stays set and additions are dropped. */
struct pv_ids {
    uint32_t *ids;
    size_t n, room;
    bool no_memory;
};
void pv_ids_add(struct pv_ids *list, uint32_t id);

/* Candidate merges, the least `key` first, of equal keys the leftmost. */
struct pv_candidate {
    double key;           /* BPE: rank; SentencePiece: minus the score */
    uint32_t left, right; /* symbol indices */
    uint32_t merged_id;
    uint32_t n_bytes; /* of both symbols when the candidate was made */
};
struct pv_heap {
    struct pv_candidate *items;
    size_t n, room;
    bool no_memory;
};
void pv_heap_push(struct pv_heap *heap, struct pv_candidate item);
bool pv_heap_pop(struct pv_heap *heap, struct pv_candidate *out); /* false: empty */

/* A run of text that is one token so far, in a doubly linked list over an array. */
struct pv_symbol {
    uint32_t start, n_bytes; /* n_bytes 0: merged into its left neighbour */
    uint32_t prev, next;     /* PV_NO_TOKEN at the ends */
    uint32_t id;             /* PV_NO_TOKEN: no such token */
};
/* Scratch memory of one encoding, reused from word to word. */
struct pv_merge_scratch {
    struct pv_symbol *symbols;
    size_t n_symbols, room;
    struct pv_heap heap;
};
bool pv_merge_scratch_reserve(struct pv_merge_scratch *s, size_t n_symbols);
void pv_merge_scratch_free(struct pv_merge_scratch *s);
/* Joins candidate `c` if both its symbols are still as they were; returns whether it did. */
bool pv_symbols_join(struct pv_merge_scratch *s, const struct pv_candidate *c);

struct pv_bpe;

struct pv_tokenizer {
    bool is_spm, has_types;
    uint32_t n_vocab;
    const struct pv_str *texts;      /* [n_vocab] as in the file */
    struct pv_str *bytes;            /* [n_vocab] as in running text */
    uint8_t *types;                  /* [n_vocab] TOKEN_... */
    const struct pv_gguf_kv *scores; /* SentencePiece */
    uint32_t bos, eos, unknown;      /* PV_NO_TOKEN: none */
    uint32_t *ends;                  /* [n_ends] tokens that end a turn */
    size_t n_ends;
    bool wants_bos, space_prefix;
    uint32_t byte_token[256];   /* the token of a single byte, or PV_NO_TOKEN */
    struct pv_str_map pieces;   /* running-text bytes of the tokens that merging can make */
    struct pv_str_map specials; /* text of control, unknown and user-defined tokens */
    uint32_t *special_lengths;  /* [n_special_lengths] of the specials' texts, longest first */
    size_t n_special_lengths;
    bool special_start[256]; /* some special token starts with this byte */
    bool splits[256];        /* SentencePiece: no piece of several characters holds this byte */
    struct pv_bpe *bpe;
    char *store; /* room for `bytes` that differ from the text: as many bytes as all texts have */
    struct pv_arena arena;
    struct pv_log log;
};

/* Bytes of the UTF-8 character at s (1 to 4), or 0 if the bytes there are not valid UTF-8. */
size_t pv_utf8_length(const char *s, size_t n_bytes);
/* The code point of a valid character of `n` bytes. */
uint32_t pv_utf8_decode(const char *s, size_t n);
/* One byte as a token of its own: its byte token, else the unknown token, else nothing. */
void pv_add_byte(const struct pv_tokenizer *t, uint8_t byte, struct pv_ids *out);

/* The token that a key of the file names, or PV_NO_TOKEN (with a warning where the id is out of range). */
uint32_t pv_tokenizer_special_id(const struct pv_tokenizer *t, const struct pv_gguf *g, const char *key);

/* ends.c: fills t->ends. */
enum pv_status pv_tokenizer_find_ends(struct pv_tokenizer *t, const struct pv_gguf *g);

/* bpe.c: merges and pre-tokenizer; bytes and byte tokens. */
enum pv_status pv_bpe_create(struct pv_tokenizer *t, const struct pv_gguf *g);
void pv_bpe_destroy(struct pv_bpe *bpe);
/* Fills t->bytes of normal tokens from the byte-level alphabet. */
void pv_bpe_decode_vocab(struct pv_tokenizer *t);
enum pv_status pv_bpe_encode(const struct pv_tokenizer *t, const char *text, size_t n_bytes,
                             struct pv_ids *out);

/* spm.c */
enum pv_status pv_spm_create(struct pv_tokenizer *t, const struct pv_gguf *g);
void pv_spm_decode_vocab(struct pv_tokenizer *t);
enum pv_status pv_spm_encode(const struct pv_tokenizer *t, const char *text, size_t n_bytes,
                             struct pv_ids *out);

#endif
