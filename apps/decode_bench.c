/* Two sessions of one engine decode the same tokens in turns, so that whatever else the machine does hits
 * both. */
#include "decode_bench.h"

#include <stdlib.h>

#include "cli/stats.h"

/* Decodes the tokens; milliseconds a token, mean density. The first token warms up. */
static enum pv_status decode_round(struct pv_session *session, const uint32_t *tokens, uint32_t n_timed,
                                   double *ms, double *density)
{
    struct pv_token_stats stats;
    pv_session_reset(session);
    enum pv_status status = pv_session_decode(session, tokens[0]);
    const double started = console_seconds();
    *density = 0;
    for (uint32_t i = 1; !status && i <= n_timed; i++) {
        status = pv_session_decode(session, tokens[i]);
        if (!status)
            status = pv_session_token_stats(session, &stats);
        if (!status)
            *density += stats.density / n_timed;
    }
    *ms = 1e3 * (console_seconds() - started) / n_timed;
    return status;
}

/* session[0] is dense, session[1] masked or NULL. */
static enum pv_status decode_rounds(struct pv_session *const session[2], const uint32_t *tokens,
                                    double *const ms[2], struct decode_bench *out)
{
    enum pv_status status = PV_OK;
    for (uint32_t r = 0; !status && r < out->n_rounds; r++)
        for (uint32_t s = 0; !status && s < 2 && session[s]; s++) {
            status = decode_round(session[s], tokens, out->n_timed, &ms[s][r], &out->density);
            if (console_interrupted())
                status = PV_ERR_INTERRUPTED;
        }
    return status;
}

/* What the same tokens read, counted by the kernels. */
static enum pv_status count_bytes(struct pv_engine *engine, enum pv_ffn_mode ffn, const uint32_t *tokens,
                                  uint32_t n_timed, uint32_t d_ffn, struct decode_bytes *out)
{
    const struct pv_session_params params = {.ffn = ffn, .count_rows = true};
    struct pv_session *session = NULL;
    struct pv_token_stats stats;
    enum pv_status status = pv_session_create(engine, &params, &session);
    for (uint32_t i = 0; !status && i <= n_timed; i++) {
        status = pv_session_decode(session, tokens[i]);
        if (!status)
            status = pv_session_token_stats(session, &stats);
        if (status || i == 0)
            continue;
        out->read += stats.ffn_bytes / n_timed;
        out->all += stats.ffn_bytes_all / n_timed;
        for (uint32_t l = 0; l < stats.n_layers; l++)
            out->rows += (double)stats.n_rows[l] / ((double)d_ffn * stats.n_layers * n_timed);
    }
    pv_session_destroy(session);
    return status;
}

enum pv_status decode_bench(struct pv_engine *engine, const uint32_t *tokens, uint32_t n_tokens, bool masked,
                            uint32_t n_rounds, struct decode_bench *out)
{
    const struct pv_session_params modes[2] = {{.ffn = PV_FFN_DENSE}, {.ffn = PV_FFN_ROUTED}};
    const uint32_t n_ctx = pv_engine_n_ctx(engine), n = n_tokens < n_ctx ? n_tokens : n_ctx;
    struct pv_session *session[2] = {NULL, NULL};
    double *times = calloc(2 * (size_t)n_rounds, sizeof *times);
    double *const ms[2] = {times, times ? times + n_rounds : NULL};
    enum pv_status status = !times ? PV_ERR_NOMEM : n < 2 ? PV_ERR_ARG : PV_OK;
    *out = (struct decode_bench){.n_rounds = n_rounds, .n_timed = n - 1};
    for (uint32_t s = 0; !status && s < (masked ? 2 : 1); s++)
        status = pv_session_create(engine, &modes[s], &session[s]);
    if (!status)
        status = decode_rounds(session, tokens, ms, out);
    if (!status) {
        out->dense_ms = stats_median(ms[0], n_rounds);
        out->masked_ms = masked ? stats_median(ms[1], n_rounds) : 0;
    }
    pv_session_destroy(session[0]);
    pv_session_destroy(session[1]);
    free(times);
    return status;
}

enum pv_status decode_bench_bytes(struct pv_engine *engine, const uint32_t *tokens, uint32_t n_tokens,
                                  uint32_t d_ffn, struct decode_bench *out)
{
    const uint32_t n_ctx = pv_engine_n_ctx(engine), n_timed = (n_tokens < n_ctx ? n_tokens : n_ctx) - 1;
    enum pv_status status = count_bytes(engine, PV_FFN_DENSE, tokens, n_timed, d_ffn, &out->bytes[0]);
    if (!status && out->masked_ms > 0)
        status = count_bytes(engine, PV_FFN_ROUTED, tokens, n_timed, d_ffn, &out->bytes[1]);
    return status;
}
