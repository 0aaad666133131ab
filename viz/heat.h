/* The state that every view draws: how often each cluster of each layer was used (lately, and in all), which
 * tokens chose it, and the last tokens one by one. Fed with the tokens of a trace, live or read back; draws
 * nothing. One thread at a time. */
#ifndef PV_VIZ_HEAT_H
#define PV_VIZ_HEAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "parvin/trace.h"

#define PV_HEAT_TEXT 40u /* bytes of a token's text as displayed, with its NUL */

struct pv_heat;

struct pv_heat_params {
    double half_life;  /* tokens after which a use counts half; 0: 32; INFINITY: every use counts alike */
    uint32_t n_recent; /* tokens kept one by one; 0: 512 */
};
/* One of the last tokens. Arrays are [n_layers]; NULL where the trace did not have them. */
struct pv_heat_row {
    uint64_t index;
    uint32_t token;
    char text[PV_HEAT_TEXT]; /* printable UTF-8, by itself */
    const char *word;        /* as it is in running text; `joined`: without a space in front */
    bool joined;
    const uint32_t *cluster, *n_neurons, *n_active, *n_hit;
    const float *margin, *energy_kept;
    const uint32_t *const *active; /* see pv_trace_token */
    double density, ms, device_ms;
    double firing; /* share of neurons of the true patterns, mean over the layers; NAN: unknown */
};
struct pv_heat_top {
    uint32_t token;
    uint64_t count; /* times it chose this cluster (at most overcounted by `error`) */
    uint64_t error;
    uint64_t count_all; /* times it came at all */
    const char *text;
};

PV_MUST_USE enum pv_status pv_heat_create(const struct pv_trace_header *header,
                                          const struct pv_heat_params *params, struct pv_heat **out);
void pv_heat_destroy(struct pv_heat *heat);
PV_MUST_USE enum pv_status pv_heat_push(struct pv_heat *heat, const struct pv_trace_token *token);
/* Reads all that a trace has, and settles. With `follow` traces: all that is there now. *n_read may be NULL. */
PV_MUST_USE enum pv_status pv_heat_read(struct pv_heat *heat, struct pv_trace_reader *reader,
                                        uint64_t *n_read);

const struct pv_trace_header *pv_heat_header(const struct pv_heat *heat);
uint64_t pv_heat_n_tokens(const struct pv_heat *heat);
double pv_heat_half_life(const struct pv_heat *heat);
/* Weighs the tokens that are still kept anew. */
void pv_heat_set_half_life(struct pv_heat *heat, double half_life);
/* Shows the past: shares are as they were `back` tokens ago (as far as tokens are kept); 0: now. A push goes
 * back to now. */
void pv_heat_set_back(struct pv_heat *heat, uint32_t back);
/* Share of recent tokens that chose the cluster, 0..1, weighted by the half-life. */
double pv_heat_share(const struct pv_heat *heat, uint32_t layer, uint32_t cluster);
double pv_heat_max_share(const struct pv_heat *heat);
uint64_t pv_heat_uses(const struct pv_heat *heat, uint32_t layer, uint32_t cluster);
/* Mean share of neurons computed in a layer over all tokens. */
double pv_heat_density(const struct pv_heat *heat, uint32_t layer);
/* Clusters of a layer that were ever chosen. */
uint32_t pv_heat_n_used(const struct pv_heat *heat, uint32_t layer);
/* Recent tokens: 0 is the newest; `back` < pv_heat_n_recent. Valid until the next push. */
uint32_t pv_heat_n_recent(const struct pv_heat *heat);
const struct pv_heat_row *pv_heat_recent(const struct pv_heat *heat, uint32_t back);
/* The tokens that chose a cluster most often, most frequent first; returns how many (at most n). */
uint32_t pv_heat_tops(const struct pv_heat *heat, uint32_t layer, uint32_t cluster, struct pv_heat_top *tops,
                      uint32_t n);
/* The order in which a layer's clusters are shown: those that take the same tokens have like places in every layer.
 * It is made anew as the tokens double in number, and when pv_heat_settle asks. */
uint32_t pv_heat_place(const struct pv_heat *heat, uint32_t layer, uint32_t cluster);
/* The cluster that has a place. */
uint32_t pv_heat_at(const struct pv_heat *heat, uint32_t layer, uint32_t place);
/* Makes the order of all tokens up to now; call it when no more will come. */
PV_MUST_USE enum pv_status pv_heat_settle(struct pv_heat *heat);
/* Share of all steps of tokens from one layer to the next that move the colour by less than a sixth of the circle. */
double pv_heat_steadiness(const struct pv_heat *heat);
/* Of a dense run whose tokens have true patterns: the share of a group of neurons that fired lately, 0..1. Neurons that
 * fire for the same tokens are of one group; group < n_groups <= d_ffn. 0 if nothing is known. */
double pv_heat_fire(const struct pv_heat *heat, uint32_t layer, uint32_t group, uint32_t n_groups);
bool pv_heat_has_fire(const struct pv_heat *heat);
/* Mean neurons computed when this cluster was chosen, 0 if never. */
double pv_heat_size(const struct pv_heat *heat, uint32_t layer, uint32_t cluster);

#endif
