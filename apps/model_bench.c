/* Sessions of one engine feed the same tokens in turns. The text repeats itself, but not within what a mask's density
 * needs: what a model writes greedily from nothing says little about that. */
#include "model_bench.h"

#include <stdlib.h>

#include "cli/stats.h"

struct run {
    struct pv_session *sessions[2];
    uint32_t *tokens;  /* as many as the longer test takes */
    double *speeds[4]; /* [n_rounds] prompt and decode of each mode */
};

static enum pv_status time_prompt(struct pv_session *session, const uint32_t *tokens, uint32_t n,
                                  double *tok_s)
{
    pv_session_reset(session);
    const double started = console_seconds();
    const enum pv_status status = pv_session_prefill(session, tokens, n);
    *tok_s = n / (console_seconds() - started);
    return status;
}

/* The first token is fed untimed: it may record what the others submit again. */
static enum pv_status time_decode(struct pv_session *session, const uint32_t *tokens, uint32_t n,
                                  double *tok_s)
{
    pv_session_reset(session);
    enum pv_status status = pv_session_decode(session, tokens[0]);
    const double started = console_seconds();
    for (uint32_t i = 1; !status && i <= n; i++)
        status = pv_session_decode(session, tokens[i]);
    *tok_s = n / (console_seconds() - started);
    return status;
}

/* Round `r` of all modes, or with UINT32_MAX one that is not kept. */
static enum pv_status time_round(const struct model_bench *b, struct run *run, uint32_t r)
{
    enum pv_status status = PV_OK;
    for (uint32_t m = 0; !status && m < b->n_modes; m++) {
        double tok_s[2] = {0};
        if (b->n_prompt > 0)
            status = time_prompt(run->sessions[m], run->tokens, b->n_prompt, &tok_s[0]);
        if (!status && b->n_decode > 0)
            status = time_decode(run->sessions[m], run->tokens, b->n_decode, &tok_s[1]);
        for (uint32_t i = 0; r != UINT32_MAX && i < 2; i++)
            run->speeds[2 * m + i][r] = tok_s[i];
        if (console_interrupted())
            status = PV_ERR_INTERRUPTED;
    }
    return status;
}

/* What decoding the same tokens reads, counted by the kernels. */
static enum pv_status count(struct pv_engine *engine, enum pv_ffn_mode ffn, const uint32_t *tokens,
                            uint32_t n, uint32_t d_ffn, struct model_bench_mode *out)
{
    const struct pv_session_params params = {.ffn = ffn, .count_rows = true};
    struct pv_session *session = NULL;
    struct pv_token_stats stats;
    enum pv_status status = pv_session_create(engine, &params, &session);
    for (uint32_t i = 0; !status && i <= n; i++) {
        status = pv_session_decode(session, tokens[i]);
        if (!status)
            status = pv_session_token_stats(session, &stats);
        if (status || i == 0)
            continue;
        out->density += stats.density / n;
        out->bytes += stats.bytes / n;
        out->ffn_read += stats.ffn_bytes / n;
        out->ffn_all += stats.ffn_bytes_all / n;
        for (uint32_t l = 0; l < stats.n_layers; l++)
            out->down_rows += (double)stats.n_rows[l] / ((double)d_ffn * stats.n_layers * n);
        out->n_dispatches = stats.n_dispatches;
    }
    pv_session_destroy(session);
    return status;
}

static enum pv_status prepare(struct pv_engine *engine, const uint32_t *tokens, uint32_t n_tokens,
                              struct model_bench *b, struct run *run)
{
    static const struct pv_session_params modes[2] = {{.ffn = PV_FFN_DENSE}, {.ffn = PV_FFN_ROUTED}};
    const uint32_t n_ctx = pv_engine_n_ctx(engine);
    enum pv_status status = PV_OK;
    b->n_prompt = b->n_prompt < n_ctx ? b->n_prompt : n_ctx;
    b->n_decode = b->n_decode < n_ctx ? b->n_decode : n_ctx - 1;
    const uint32_t n = b->n_prompt > b->n_decode ? b->n_prompt : b->n_decode + 1;
    run->tokens = calloc(n, sizeof *run->tokens);
    if (!run->tokens)
        return PV_ERR_NOMEM;
    for (uint32_t i = 0; i < n; i++)
        run->tokens[i] = tokens[i % n_tokens];
    for (uint32_t i = 0; i < 4; i++) {
        run->speeds[i] = calloc(b->n_rounds, sizeof *run->speeds[i]);
        if (!run->speeds[i])
            return PV_ERR_NOMEM;
    }
    for (uint32_t m = 0; !status && m < b->n_modes; m++)
        status = pv_session_create(engine, &modes[m], &run->sessions[m]);
    return status;
}

static struct speed speed_of(const double *values, uint32_t n)
{
    struct speed s;
    s.mean = stats_mean(values, n, &s.deviation);
    return s;
}

enum pv_status model_bench(struct pv_engine *engine, const uint32_t *tokens, uint32_t n_tokens,
                           struct model_bench *bench)
{
    struct run run = {0};
    enum pv_status status = prepare(engine, tokens, n_tokens, bench, &run);
    if (!status)
        status = time_round(bench, &run, UINT32_MAX);
    for (uint32_t r = 0; !status && r < bench->n_rounds; r++)
        status = time_round(bench, &run, r);
    for (uint32_t m = 0; !status && m < bench->n_modes; m++) {
        bench->modes[m].prompt = speed_of(run.speeds[2 * m], bench->n_rounds);
        bench->modes[m].decode = speed_of(run.speeds[2 * m + 1], bench->n_rounds);
        if (bench->n_decode > 0)
            status = count(engine, m ? PV_FFN_ROUTED : PV_FFN_DENSE, run.tokens, bench->n_decode,
                           bench->d_ffn, &bench->modes[m]);
    }
    for (uint32_t i = 0; i < 4; i++)
        free(run.speeds[i]);
    free(run.tokens);
    pv_session_destroy(run.sessions[0]);
    pv_session_destroy(run.sessions[1]);
    return status;
}
