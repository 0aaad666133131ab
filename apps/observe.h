/* Runs a text through the model and looks at every token's true activations: a trace with oracle statistics.
 */
#ifndef OBSERVE_H
#define OBSERVE_H

#include "cli/app.h"
#include "parvin/trace.h"
#include "cli/setup.h"
#include "viz/heat.h"
#include "viz/masks.h"

#define OBSERVE_ALL  0xfffffffeu
#define OBSERVE_NONE 0xffffffffu

struct observe_params {
    const struct pv_maskset *masks; /* of the engine's clusters; NULL: dense */
    uint32_t active_layer;          /* whose true patterns are passed on; OBSERVE_ALL, OBSERVE_NONE */
    uint64_t n_tokens;              /* at most; 0: all */
    struct pv_progress progress;
};
/* Feeds tokens in windows of the engine's context; `token` gets each with its statistics, in order. */
PV_MUST_USE enum pv_status observe(struct pv_engine *engine, const struct pv_model *model,
                                   const uint32_t *tokens, size_t n, const struct observe_params *params,
                                   enum pv_status (*token)(void *user, const struct pv_trace_token *token),
                                   void *user);
/* Oracle statistics of a run, with clusters or without: its session gets oracle_capture with the oracle as user, and
 * feeds tokens one by one with pv_session_prefill; afterwards oracle_stats says what the token did and oracle_tell
 * what its mask missed. */
struct oracle;
PV_MUST_USE enum pv_status oracle_create(struct app *app, const struct setup *setup, struct oracle **out);
void oracle_destroy(struct oracle *oracle);
enum pv_status oracle_capture(void *oracle, const struct pv_capture *capture);
enum pv_status oracle_stats(void *oracle, struct pv_token_stats *out);
/* Sets what is optional in a trace's token; valid until the next token is fed. */
void oracle_tell(const struct oracle *oracle, struct pv_trace_token *token);
/* The header of a trace of this model. */
struct pv_trace_header observe_header(const struct setup *setup);
/* Model, clusters and text, all tokens into a heat: what explain and heatmap start from.
 * Close it in any case. */
struct observed {
    /* Set before, as are the options of `setup`. */
    const char *text_path;  /* NULL: Parvin's own tales */
    const char *trace_path; /* NULL: no trace */
    uint64_t n_most;        /* tokens of the text at most; 0: all */
    /* Set before: told of the header, then of every token. NULL: nobody asks. */
    enum pv_status (*begin)(void *user, const struct pv_trace_header *header);
    enum pv_status (*see)(void *user, const struct pv_trace_token *token);
    void *user;
    struct setup setup;
    struct pv_maskset *masks;
    struct pv_heat *heat;
    struct pv_trace_writer *writer; /* with --trace */
    uint32_t *tokens;
    size_t n_tokens;
    uint64_t n_seen;
};
PV_MUST_USE enum pv_status observe_text(struct app *app, uint32_t active_layer, struct observed *out);
enum pv_status observed_close(struct app *app, struct observed *observed);

#endif
