/* Two sessions of one engine decode the same tokens in turns, so that whatever else the machine does hits
 * both. */
#include "decode_bench.h"

#include <stdlib.h>

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *values, uint32_t n)
{
    qsort(values, n, sizeof *values, compare);
    return n % 2 ? values[n / 2] : 0.5 * (values[n / 2 - 1] + values[n / 2]);
}

/* Decodes n_tokens greedily from the first token; milliseconds a token. */
static enum pv_status decode_round(struct pv_session *session, uint32_t first, uint32_t n_tokens, double *ms,
                                   double *density)
{
    struct pv_token_stats stats;
    uint32_t token = first;
    pv_session_reset(session);
    enum pv_status status = pv_session_decode(session, token); /* warms up */
    double started = console_seconds();
    *density = 0;
    for (uint32_t i = 0; !status && i < n_tokens; i++) {
        token = pv_session_argmax(session);
        status = pv_session_decode(session, token);
        if (!status)
            status = pv_session_token_stats(session, &stats);
        if (!status)
            *density += stats.density / n_tokens;
    }
    *ms = 1e3 * (console_seconds() - started) / n_tokens;
    return status;
}

static enum pv_status rounds(struct pv_session *const session[2], uint32_t first, double *const ms[2],
                             struct decode_bench *out)
{
    enum pv_status status = PV_OK;
    for (uint32_t r = 0; !status && r < out->n_rounds; r++)
        for (uint32_t s = 0; !status && s < 2; s++) {
            double density = 0;
            if (session[s])
                status = decode_round(session[s], first, out->n_tokens, &ms[s][r], &density);
            if (s == 1)
                out->density += density / out->n_rounds;
            if (console_interrupted())
                status = PV_ERR_INTERRUPTED;
        }
    return status;
}

enum pv_status decode_bench(struct pv_engine *engine, const struct pv_model *model, bool masked,
                            uint32_t n_rounds, uint32_t n_tokens, struct decode_bench *out)
{
    const struct pv_session_params modes[2] = {{.ffn = PV_FFN_DENSE}, {.ffn = PV_FFN_ROUTED}};
    uint32_t n_ctx = pv_engine_n_ctx(engine), bos = pv_token_bos(model), n_sessions = masked ? 2 : 1;
    struct pv_session *session[2] = {NULL, NULL};
    double *times = calloc(2 * (size_t)n_rounds, sizeof *times);
    double *const ms[2] = {times, times ? times + n_rounds : NULL};
    enum pv_status status = times ? PV_OK : PV_ERR_NOMEM;
    *out = (struct decode_bench){.n_rounds = n_rounds, .n_tokens = n_tokens < n_ctx ? n_tokens : n_ctx - 1};
    if (!out->n_tokens)
        out->n_tokens = 1;
    for (uint32_t s = 0; !status && s < n_sessions; s++)
        status = pv_session_create(engine, &modes[s], &session[s]);
    if (!status)
        status = rounds(session, bos == UINT32_MAX ? 0 : bos, ms, out);
    if (!status) {
        out->dense_ms = median(ms[0], n_rounds);
        out->masked_ms = masked ? median(ms[1], n_rounds) : 0;
    }
    pv_session_destroy(session[0]);
    pv_session_destroy(session[1]);
    free(times);
    return status;
}
