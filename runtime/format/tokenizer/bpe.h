/* Byte-level BPE (tokenizer.ggml.model = gpt2). */
#ifndef PV_FORMAT_TOKENIZER_BPE_H
#define PV_FORMAT_TOKENIZER_BPE_H

#include "format/tokenizer/pretoken.h"
#include "format/tokenizer/vocab.h"

struct pv_bpe;
/* Reads merges, and fills the vocabulary's `bytes`, `pieces` and `byte_token` from the byte-level alphabet. The
 * vocabulary is kept and must outlive the result. */
PV_MUST_USE enum pv_status pv_bpe_create(struct pv_vocab *v, const struct pv_gguf *g,
                                         const struct pv_pre_rule *rule, struct pv_bpe **out);
void pv_bpe_destroy(struct pv_bpe *bpe);
/* Appends the tokens of a text without special tokens. Every input has an encoding, valid UTF-8 or not. */
PV_MUST_USE enum pv_status pv_bpe_encode(const struct pv_bpe *bpe, const char *text, size_t n_bytes,
                                         struct pv_ids *out);

#endif
