/* The token loop. A token's bytes may end within a UTF-8 sequence, or be the beginning of a text to stop at; such an
 * end waits for the next token. */
#include "generate.h"
#include "cli/text_print.h"
#include "stops.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct stream {
    bool on;
    const struct generate_params *params;
    size_t n_shown; /* bytes of the text already on stdout */
};

static void show(struct stream *stream, const struct text *text, bool all)
{
    const struct generate_params *params = stream->params;
    if (!stream->on || !text->n)
        return;
    const size_t ready = all ? text->n : text->n - stops_begun(params->stop, text);
    const size_t end = text_whole_utf8(text->bytes, ready);
    if (end <= stream->n_shown)
        return;
    if (params->print)
        params->print(params->print_user, text->bytes + stream->n_shown, end - stream->n_shown);
    else
        text_print(stdout, text->bytes + stream->n_shown, end - stream->n_shown);
    fflush(stdout);
    stream->n_shown = end;
}

static bool is_greedy(const struct pv_sampler_params *s)
{
    return s->temperature == 0 && (s->repeat_penalty == 0 || s->repeat_penalty == 1);
}

static enum pv_status pick(struct pv_session *session, struct pv_sampler *sampler, bool greedy,
                           uint32_t *token)
{
    if (!greedy)
        return pv_sampler_pick(sampler, pv_session_logits(session), token);
    *token = pv_session_argmax(session);
    return PV_OK;
}

static enum pv_status keep(const struct pv_model *model, uint32_t token, struct generate_result *out)
{
    const char *bytes = NULL;
    const size_t n = pv_token_bytes(model, token, false, &bytes);
    out->tokens[out->n_tokens++] = token;
    return text_append(&out->text, bytes ? bytes : "", n) ? PV_OK : PV_ERR_NOMEM;
}

static enum pv_status feed(struct pv_session *session, uint32_t token, const struct generate_params *params,
                           struct generate_result *out)
{
    struct pv_token_stats stats;
    const double started = console_seconds();
    enum pv_status status =
        params->stats ? pv_session_prefill(session, &token, 1) : pv_session_decode(session, token);
    const double seconds = console_seconds() - started;
    if (!status)
        status = params->stats ? params->stats(params->stats_user, &stats)
                               : pv_session_token_stats(session, &stats);
    if (status)
        return status;
    out->density += stats.density;
    out->n_decoded++;
    return params->token ? params->token(params->token_user, token, &stats, 1e3 * seconds) : PV_OK;
}

static enum pv_status loop(struct pv_engine *engine, const struct pv_model *model, struct pv_session *session,
                           struct pv_sampler *sampler, const struct generate_params *params,
                           struct generate_result *out)
{
    struct stream stream = {.on = params->stream, .params = params};
    const bool greedy = is_greedy(&params->sampler);
    enum pv_status status = PV_OK;
    out->stopped = "length";
    out->density = 0;
    while (!status && out->n_tokens < params->n_predict) {
        uint32_t token = 0;
        if (console_interrupted()) {
            out->stopped = "interrupted";
            status = PV_ERR_INTERRUPTED;
            break;
        }
        status = pick(session, sampler, greedy, &token);
        if (status)
            break;
        if (!params->ignore_end && pv_token_is_end(model, token)) {
            out->stopped = "end of text";
            break;
        }
        const size_t before = out->text.n;
        status = keep(model, token, out);
        pv_sampler_accept(sampler, token);
        if (!status && stops_cut(params->stop, before, &out->text)) {
            out->stopped = "stop text";
            break;
        }
        show(&stream, &out->text, false);
        if (status || out->n_tokens == params->n_predict)
            break;
        if (pv_session_n_past(session) >= pv_engine_n_ctx(engine)) {
            out->stopped = "context full";
            break;
        }
        status = feed(session, token, params, out);
        if (status == PV_ERR_INTERRUPTED)
            out->stopped = "interrupted";
    }
    show(&stream, &out->text, true);
    out->density = out->n_decoded ? out->density / out->n_decoded : NAN;
    return status;
}

/* A stretch of time, and what the device's compiler took of it. */
struct lap {
    double started, compiled;
};

static struct lap start_lap(const struct pv_engine *engine)
{
    return (struct lap){.started = console_seconds(), .compiled = pv_engine_compile_seconds(engine)};
}

static double end_lap(const struct pv_engine *engine, const struct lap *lap, struct generate_result *out)
{
    const double more = pv_engine_compile_seconds(engine) - lap->compiled;
    const double compiling = more > 0 ? more : 0; /* a lost device takes what it compiled with it */
    out->compile_s += compiling;
    return console_seconds() - lap->started - compiling;
}

enum pv_status generate(struct pv_engine *engine, const struct pv_model *model, struct pv_session *session,
                        const struct generate_params *params, struct generate_result *out)
{
    struct pv_sampler *sampler = NULL;
    const uint32_t room = pv_engine_n_ctx(engine) + 1,
                   most = params->n_predict < room ? params->n_predict : room;
    memset(out, 0, sizeof *out);
    out->tokens = malloc(((size_t)most + 1) * sizeof *out->tokens);
    if (!out->tokens || !text_append(&out->text, "", 0))
        return PV_ERR_NOMEM;
    enum pv_status status = pv_sampler_create(&params->sampler, pv_model_hparams(model)->n_vocab, &sampler);
    if (status)
        return status;
    for (uint32_t i = 0; i < params->n_prompt; i++)
        pv_sampler_accept(sampler, params->prompt[i]);
    struct lap lap = start_lap(engine);
    status = pv_session_prefill(session, params->prompt + params->n_fed, params->n_prompt - params->n_fed);
    out->prefill_s = end_lap(engine, &lap, out);
    if (params->console)
        console_end_bar(params->console);
    out->density = NAN;
    if (status == PV_ERR_INTERRUPTED)
        out->stopped = "interrupted";
    if (!status) {
        if (params->echo)
            text_print(stdout, params->echo->bytes, params->echo->n);
        lap = start_lap(engine);
        status = loop(engine, model, session, sampler, params, out);
        out->decode_s = end_lap(engine, &lap, out);
    }
    pv_sampler_destroy(sampler);
    return status;
}

void generate_result_free(struct generate_result *result)
{
    text_free(&result->text);
    free(result->tokens);
    result->tokens = NULL;
}
