/* Which tokens are fed and which of them are kept: functions of sizes, window number and position alone, so
 * that shards and resumed runs agree. */
#include "base/hash.h"
#include "learn/capture/capture.h"
#include "learn/capture/capture_file.h"

static uint32_t parts(size_t n, uint32_t size)
{
    return (uint32_t)((n + size - 1) / size);
}

struct pv_windows pv_windows_plan(const uint32_t *text, size_t n_text, uint64_t n_tokens, uint32_t n_ctx)
{
    return pv_windows_plan_thin(text, n_text, n_tokens, n_ctx, 1);
}

struct pv_windows pv_windows_plan_thin(const uint32_t *text, size_t n_text, uint64_t n_tokens, uint32_t n_ctx,
                                       uint32_t thin)
{
    const size_t n = n_tokens == 0 || n_tokens > n_text ? n_text : (size_t)n_tokens;
    const size_t a_window = parts(n_ctx, thin), whole = n / a_window, rest = (n - whole * a_window) * thin;
    const size_t n_run = whole * n_ctx + (rest < n_ctx ? rest : n_ctx);
    struct pv_windows w = {.text = text,
                           .n_text = n_text,
                           .n_run = n_run < n_text ? n_run : n_text,
                           .n_ctx = n_ctx,
                           .thin = thin};

    pv_windows_count(&w);
    return w;
}

void pv_windows_count(struct pv_windows *w)
{
    size_t a_window = parts(w->n_ctx, w->thin), last;

    w->n_windows = parts(w->n_run, w->n_ctx);
    w->n_tokens = 0;
    if (w->n_windows > 0) {
        last = w->n_run - (size_t)(w->n_windows - 1) * w->n_ctx;
        w->n_tokens = (w->n_windows - 1) * a_window + parts(last, w->thin);
    }
}

size_t pv_windows_at(const struct pv_windows *windows, uint32_t w, uint32_t *n)
{
    const size_t begin = (size_t)w * windows->n_ctx, left = windows->n_run - begin;

    *n = left < windows->n_ctx ? (uint32_t)left : windows->n_ctx;
    return begin + w * ((windows->n_text - windows->n_run) / windows->n_windows);
}

uint32_t pv_windows_kept(const struct pv_windows *windows, uint32_t w)
{
    uint32_t n;

    pv_windows_at(windows, w, &n);
    return parts(n, windows->thin);
}

bool pv_windows_keeps(const struct pv_windows *windows, uint32_t w, uint32_t pos, uint32_t n)
{
    uint32_t group = pos / windows->thin, first = group * windows->thin, place[2] = {w, group};
    const uint32_t size = n - first < windows->thin ? n - first : windows->thin;

    return size == 1 || pv_hash64(place, sizeof place, 7) % size == pos - first;
}

uint64_t pv_windows_text_hash(const struct pv_windows *windows)
{
    if (!windows->text)
        return windows->text_hash;
    return pv_hash64(windows->text, windows->n_text * sizeof *windows->text, 1);
}

const struct pv_journal_record *pv_capture_find(const struct pv_journal *j, uint64_t key, uint32_t w)
{
    return pv_journal_find(j, PV_RECORD_WINDOW, w, key);
}
