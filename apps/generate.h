/* Generating text: feed a prompt, pick tokens, stream their bytes. */
#ifndef GENERATE_H
#define GENERATE_H

#include "cli/app.h"
#include "cli/output.h"

struct generate_params {
    const uint32_t *prompt; /* [n_prompt], n_prompt > n_fed */
    uint32_t n_prompt, n_predict;
    uint32_t n_fed; /* of the prompt, the tokens that the session holds already */
    struct pv_sampler_params sampler;
    bool ignore_end;                 /* go on after a token that ends a text or a turn */
    const struct option_texts *stop; /* texts that end the run and are left out; NULL: none */
    bool stream;                     /* write the text to stdout as it comes */
    /* Prints what is streamed, whole characters; NULL: text_print. */
    void (*print)(void *user, const char *bytes, size_t n);
    void *print_user;
    const struct text *echo; /* printed once the prompt is read; NULL: nothing */
    struct console *console; /* its bar, which shows how much of the prompt is read, ends then; or NULL */
    /* Told of every decoded token; a failure ends the run. NULL: nobody asks. */
    enum pv_status (*token)(void *user, uint32_t token, const struct pv_token_stats *stats, double ms);
    void *token_user;
    /* Set: tokens are fed as prompts of one, for a session with a capture; the statistics come from here. */
    enum pv_status (*stats)(void *user, struct pv_token_stats *out);
    void *stats_user;
};
struct generate_result {
    struct text text;   /* without the prompt */
    uint32_t *tokens;   /* [n_tokens] */
    uint32_t n_tokens;  /* generated */
    uint32_t n_decoded; /* of them, how many were fed back */
    /* Wall clock, without what the device's compiler took: the prompt; then everything to the last token (choosing,
     * printing, watching). */
    double prefill_s, decode_s, compile_s;
    double density; /* mean over the decoded tokens; NAN without any */
    const char
        *stopped; /* why it ended: "length", "end of text", "stop text", "context full", "interrupted" */
};

/* On PV_ERR_INTERRUPTED the result holds what there was; free it in any case. */
PV_MUST_USE enum pv_status generate(struct pv_engine *engine, const struct pv_model *model,
                                    struct pv_session *session, const struct generate_params *params,
                                    struct generate_result *out);
void generate_result_free(struct generate_result *result);

#endif
