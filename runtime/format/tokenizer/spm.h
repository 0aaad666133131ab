/* SentencePiece BPE by scores (tokenizer.ggml.model = llama). */
#ifndef PV_FORMAT_TOKENIZER_SPM_H
#define PV_FORMAT_TOKENIZER_SPM_H

#include "format/tokenizer/vocab.h"

struct pv_spm;
/* Reads scores, and fills the vocabulary's `bytes`, `pieces` and `byte_token`. The vocabulary is kept and must outlive
 * the result. */
PV_MUST_USE enum pv_status pv_spm_create(struct pv_vocab *v, const struct pv_gguf *g, struct pv_spm **out);
void pv_spm_destroy(struct pv_spm *spm);
/* Appends the tokens of a text without special tokens; `space`: with a space in front that is not in the text. Every
 * input has an encoding, valid UTF-8 or not. U+2581 counts as a space, as in SentencePiece. */
PV_MUST_USE enum pv_status pv_spm_encode(const struct pv_spm *spm, const char *text, size_t n_bytes,
                                         bool space, struct pv_ids *out);

#endif
