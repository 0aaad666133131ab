/* The first stage of a fit on its own: the same journal, given its final name when every window is there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/threads.h"
#include "learn/capture/capture_file.h"

enum { MAX_CTX = 512, MAX_SHARDS = 1 << 16, MAX_THIN = 1 << 20 };

uint32_t pv_capture_ctx(uint32_t n_ctx)
{
    return n_ctx < MAX_CTX ? n_ctx : MAX_CTX;
}

static enum pv_status check(const struct pv_capture_options *o, const struct pv_source *source,
                            const struct pv_windows *windows, const struct pv_log *log)
{
    if (windows->n_tokens == 0 || windows->n_run > UINT32_MAX)
        return pv_fail(log, PV_ERR_ARG, "capture: %zu tokens; there must be at least 1, below 2^32",
                       windows->n_run);
    if (windows->n_ctx > source->n_ctx)
        return pv_fail(log, PV_ERR_ARG, "capture: windows of %u tokens do not fit the context of %u",
                       windows->n_ctx, source->n_ctx);
    if (o->active_share < 0.0 || o->active_share > 1.0)
        return pv_fail(log, PV_ERR_ARG, "capture: active share must be above 0 and at most 1");
    if (o->n_shards > MAX_SHARDS || (o->n_shards > 0 && o->shard >= o->n_shards) ||
        o->n_shards > windows->n_windows)
        return pv_fail(log, PV_ERR_ARG, "capture: part %u of %u, but the text has %u windows", o->shard + 1,
                       o->n_shards, windows->n_windows);
    return PV_OK;
}

static enum pv_status capture(const struct pv_source *source, const struct pv_windows *windows,
                              const struct pv_capture_params *params, struct pv_journal *j,
                              const struct pv_progress *progress, bool *resumed)
{
    struct pv_steps steps = {.sink = *progress, .stage = "capture", .total = windows->n_windows};
    struct pv_capture_state state = {.tau = pv_calloc(source->n_layers, sizeof *state.tau)};
    enum pv_status status = PV_ERR_NOMEM;

    if (state.tau)
        status = pv_capture_text(source, windows, params, j, &steps, &state);
    free(state.tau);
    *resumed = state.resumed;
    return status;
}

char *pv_resume_path(const char *out_path, const char *asked)
{
    const size_t room = strlen(out_path) + sizeof ".resume";
    char *path = asked ? pv_strndup(asked, strlen(asked)) : pv_calloc(room, 1);

    if (path && !asked)
        snprintf(path, room, "%s.resume", out_path);
    return path;
}

enum pv_status pv_capture_to_file(const struct pv_source *source, struct pv_text text, const char *out_path,
                                  const struct pv_capture_options *o, const struct pv_log *log,
                                  struct pv_capture_result *out)
{
    const uint32_t n_ctx = o->n_ctx != 0 ? o->n_ctx : pv_capture_ctx(source->n_ctx);
    const uint32_t thin = o->thin == 0 ? 1 : o->thin < MAX_THIN ? o->thin : MAX_THIN;
    struct pv_windows windows = pv_windows_plan_thin(text.tokens, text.n, o->n_tokens, n_ctx, thin);
    struct pv_capture_params params = {.active_share = o->active_share > 0.0 ? o->active_share : 0.5,
                                       .shard = o->shard,
                                       .n_shards = o->n_shards};
    struct pv_journal j = {.fd = -1};
    char *path = pv_resume_path(out_path, NULL);
    const double begin = pv_now_s();
    enum pv_status status;

    *out = (struct pv_capture_result){.n_tokens = windows.n_tokens, .n_windows = windows.n_windows};
    if (log)
        params.log = *log;
    if (!path)
        return pv_fail(log, PV_ERR_NOMEM, "%s: no memory to capture", out_path);
    PV_TRY_GOTO(check(o, source, &windows, log));
    PV_TRY_GOTO(pv_journal_open(
        &j, path, pv_capture_journal_key(pv_capture_key(source, &windows, &params), &params), log));
    PV_TRY_GOTO(capture(source, &windows, &params, &j, &o->progress, &out->resumed));
    status = pv_journal_finish(&j, out_path);
    for (uint32_t w = 0; w < windows.n_windows; w++)
        out->n_captured += o->n_shards <= 1 || w % o->n_shards == o->shard;
    out->seconds = pv_now_s() - begin;
fail:
    pv_journal_close(&j, false);
    free(path);
    return status;
}
