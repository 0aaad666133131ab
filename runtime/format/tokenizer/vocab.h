/* A vocabulary as a GGUF file has it: texts, types, bytes and the tokens with a part to play. */
#ifndef PV_FORMAT_TOKENIZER_VOCAB_H
#define PV_FORMAT_TOKENIZER_VOCAB_H

#include "format/tokenizer/merge.h"

/* Token types, numbered as in tokenizer.ggml.token_type. */
enum {
    TOKEN_NORMAL = 1,
    TOKEN_UNKNOWN = 2,
    TOKEN_CONTROL = 3,
    TOKEN_USER = 4,
    TOKEN_UNUSED = 5,
    TOKEN_BYTE = 6
};

struct pv_vocab {
    bool is_spm; /* SentencePiece by scores, else byte-level BPE */
    bool has_types;
    uint32_t n;
    const struct pv_str *texts; /* [n] as in the file */
    struct pv_str *bytes;       /* [n] as in running text; empty for control and unknown tokens */
    uint8_t *types;             /* [n] TOKEN_... */
    uint32_t bos, eos, unknown; /* PV_NO_TOKEN: none */
    uint32_t *ends;             /* [n_ends] tokens that end a turn */
    size_t n_ends;
    uint32_t byte_token[256]; /* the token of a single byte, or PV_NO_TOKEN */
    struct pv_str_map pieces; /* running-text bytes of the tokens that merging can make */
    char *store; /* room for `bytes` that differ from the text: as many bytes as all texts have */
    struct pv_arena arena;
    struct pv_log log;
};

/* Reads texts, types and special ids; `bytes`, `pieces` and `byte_token` are left to the kind (bpe.c, spm.c), but for
 * tokens whose bytes are their text. Keeps pointers into `g`. On failure the caller still calls pv_vocab_free. */
PV_MUST_USE enum pv_status pv_vocab_read(struct pv_vocab *v, const struct pv_gguf *g,
                                         const struct pv_log *log);
void pv_vocab_free(struct pv_vocab *v);
/* Control, unknown and user-defined tokens: never made by merging. */
bool pv_vocab_is_special(const struct pv_vocab *v, uint32_t id);
/* One byte as a token of its own: its byte token, else the unknown token, else nothing. */
void pv_vocab_add_byte(const struct pv_vocab *v, uint8_t byte, struct pv_ids *out);

/* ends.c: fills `ends` from the tokens that the file's keys name [n_named], PV_NO_TOKEN among them, and from names
 * that models use. A token that ends a turn is a control token, whatever the file calls it. */
PV_MUST_USE enum pv_status pv_vocab_find_ends(struct pv_vocab *v, const uint32_t *named, size_t n_named);
bool pv_vocab_is_end(const struct pv_vocab *v, uint32_t token);

#endif
