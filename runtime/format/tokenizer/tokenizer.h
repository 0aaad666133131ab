/* Tokenizers from a GGUF file's own keys: byte-level BPE (tokenizer.ggml.model = gpt2) and SentencePiece BPE
 * by scores (llama). Public entry points: parvin/model.h. */
#ifndef PV_FORMAT_TOKENIZER_TOKENIZER_H
#define PV_FORMAT_TOKENIZER_TOKENIZER_H

#include "format/gguf/gguf.h"

struct pv_tokenizer;
/* Keeps pointers into `g`. `pre` names the pre-tokenizer; NULL: as the file says ("default", with a warning, where it
 * says nothing). Missing or malformed tokenizer keys: PV_ERR_FORMAT; a kind or a pre-tokenizer that is not known:
 * PV_ERR_UNSUPPORTED, or PV_ERR_ARG where `pre` named it. */
PV_MUST_USE enum pv_status pv_tokenizer_create(const struct pv_gguf *g, const char *pre,
                                               const struct pv_log *log, struct pv_tokenizer **out);
void pv_tokenizer_destroy(struct pv_tokenizer *t);
uint32_t pv_tokenizer_n_vocab(const struct pv_tokenizer *t);
/* As pv_encode, pv_token_bytes and friends in parvin/model.h. */
PV_MUST_USE enum pv_status pv_tokenizer_encode(const struct pv_tokenizer *t, const char *text, size_t n_bytes,
                                               bool add_bos, bool parse_special, uint32_t **out,
                                               size_t *n_out);
/* The same for a text made of spans that follow one another: control tokens are found in those alone that are
 * `special`, and no special token across two. `begins`: nothing stands before the text. */
struct pv_text_span {
    size_t n_bytes;
    bool special;
};
PV_MUST_USE enum pv_status pv_tokenizer_encode_spans(const struct pv_tokenizer *t, const char *text,
                                                     const struct pv_text_span *spans, size_t n_spans,
                                                     bool begins, bool add_bos, uint32_t **out,
                                                     size_t *n_out);
size_t pv_tokenizer_bytes(const struct pv_tokenizer *t, uint32_t token, bool special, const char **out);
/* As pv_decode: the exact inverse of encoding without BOS and without parse_special (whose tokens are left
 * out), but for U+2581 from SentencePiece vocabularies, which is a space there. */
PV_MUST_USE enum pv_status pv_tokenizer_decode(const struct pv_tokenizer *t, const uint32_t *tokens, size_t n,
                                               char **out, size_t *n_out);
uint32_t pv_tokenizer_bos(const struct pv_tokenizer *t);
uint32_t pv_tokenizer_eos(const struct pv_tokenizer *t);
/* Whether generation stops at this token: see pv_token_is_end. */
bool pv_tokenizer_is_end(const struct pv_tokenizer *t, uint32_t token);
bool pv_tokenizer_wants_bos(const struct pv_tokenizer *t);
/* SentencePiece models put a space before the text and after every special token; decoding removes it. */
bool pv_tokenizer_space_prefix(const struct pv_tokenizer *t);

#endif
