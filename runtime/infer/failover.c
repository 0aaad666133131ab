/* Going on without a device. A session remembers its tokens and the FFN mode each was fed with; when a call
 * on a device fails, every session gives up its states, the device is closed, its layers are loaded on those
 * that are left (which keep what they have), and the session that met the failure makes new states, feeds its
 * tokens again as one prompt and repeats the call. Other sessions do so at their next call. */
#include "infer/failover.h"

#include <string.h>

#include "base/log.h"
#include "infer/batch.h"
#include "infer/load/place.h"
#include "infer/forward/states.h"
#include "infer/load/weights.h"

/* A lost one before one that has merely failed: a failure that had a way around is remembered too. */
static uint32_t find_failed(const struct pv_engine *e)
{
    uint32_t found = e->n_stages;
    for (uint32_t i = 0; i < e->n_stages; i++) {
        if (e->stages[i].device->lost)
            return i;
        if (e->stages[i].device->failed)
            found = i;
    }
    return found;
}

static void remove_stage(struct pv_engine *e, uint32_t index)
{
    pv_stage_unload(&e->stages[index]);
    pv_device_close(e->stages[index].device);
    for (uint32_t i = index; i + 1 < e->n_stages; i++) {
        e->stages[i] = e->stages[i + 1];
        e->split[i] = e->split[i + 1];
    }
    e->n_stages--;
    e->stages[e->n_stages] = (struct pv_stage){0};
    e->stages[0].has_embed = true;
    e->stages[e->n_stages - 1].has_output = true;
}

static void say_where(const struct pv_engine *e)
{
    for (uint32_t i = 0; i < e->n_stages; i++) {
        const struct pv_stage *stage = &e->stages[i];
        pv_warn(e->log, "layers %u to %u are on %s now", stage->first_layer,
                stage->first_layer + stage->n_layers - 1, stage->device->caps.name);
    }
}

enum pv_status pv_engine_failover(struct pv_engine *e, enum pv_status failure, const char *done)
{
    struct pv_placement placement;
    while (failure != PV_OK) {
        const uint32_t failed = find_failed(e);
        if (!e->failover || failed == e->n_stages)
            return failure;
        const struct pv_stage *stage = &e->stages[failed];
        if (e->n_stages == 1)
            return pv_fail(e->log, failure,
                           "%s failed %s and is the only device left: there is none to go on with",
                           stage->device->caps.name, done);
        pv_warn(e->log, "%s %s %s: going on with the other %u of %u devices", stage->device->caps.name,
                stage->device->lost ? "was lost" : "failed", done, e->n_stages - 1, e->n_stages);
        for (struct pv_session *s = e->sessions; s; s = s->next)
            pv_session_drop_states(s);
        remove_stage(e, failed);
        failure = pv_engine_place(e, &placement);
    }
    say_where(e);
    return PV_OK;
}

/* The tokens fed so far once more, each with the mode it was fed with. */
static enum pv_status feed_again(struct pv_session *s)
{
    const struct pv_session_params params = s->params;
    const uint32_t n = s->n_past;
    enum pv_status status = PV_OK;
    uint32_t end = 0;
    if (n == 0)
        return PV_OK;
    pv_warn(s->engine->log, "%u tokens are fed again", n);
    s->params.prefill_dense = false;
    s->params.capture = NULL;
    s->n_past = 0;
    for (uint32_t first = 0; first < n && status == PV_OK; first = end) {
        for (end = first + 1; end < n && s->fed_ffn[end] == s->fed_ffn[first];)
            end++;
        struct pv_batch text = {.tokens = s->fed + first, .n = end - first, .last_logits = end == n};
        s->params.ffn = (enum pv_ffn_mode)s->fed_ffn[first];
        status = pv_session_text(s, &text);
    }
    s->n_past = n;
    s->params = params;
    return status;
}

enum pv_status pv_session_restore(struct pv_session *s)
{
    if (s->states)
        return PV_OK;
    if (!s->engine->placed) /* a call before has said why */
        return pv_fail(s->engine->log, PV_ERR_DEVICE, "the model has no devices left to run on");
    PV_TRY(pv_session_make_states(s));
    const enum pv_status status = feed_again(s);
    if (status != PV_OK)
        pv_session_drop_states(s);
    return status;
}

void pv_session_remember(struct pv_session *s, const uint32_t *tokens, uint32_t n, enum pv_ffn_mode mode)
{
    if (!s->fed)
        return;
    memcpy(s->fed + s->n_past - n, tokens, n * sizeof *tokens);
    memset(s->fed_ffn + s->n_past - n, (int)mode, n);
}
