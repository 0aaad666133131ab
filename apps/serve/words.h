/* Which tokens the clusters compute: for each cluster of each layer, those that came to it most often, of the answers so far. */
#ifndef SERVE_WORDS_H
#define SERVE_WORDS_H

#include "cli/output.h"
#include "parvin/session.h"

enum { SERVE_WORDS = 4 };

struct serve_words;

/* NULL: no memory. */
struct serve_words *serve_words_create(uint32_t n_layers, uint32_t n_clusters);
struct serve_words *serve_words_copy(const struct serve_words *words);
void serve_words_destroy(struct serve_words *words);
void serve_words_add(struct serve_words *words, uint32_t token, const struct pv_token_stats *stats);
/* [layer][cluster], up to SERVE_WORDS texts each, the most frequent first. */
json_t *serve_words_json(const struct serve_words *words, const struct pv_model *model);

#endif
