/* Going on without a device: whatever call fails while a model over two devices is loaded, reads a prompt or
 * generates, the text is that of an undisturbed run, without a leak, a hang or a message of the validation
 * layers; losing the last device as well is an error. PV_FAULTS=all takes every call and every
 * result, PV_FAULTS=first the first call only. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "faults.h"
#include "rig.h"
#include "vk/device.h"

enum phase { LOAD, SESSION, PREFILL, DECODE, CLOSE };
enum { N_PROMPT = 20, N_MADE = 6, MAX_CALLS = 20000 };

static struct rig model; /* model and clusters; a life has its own engine */
static enum phase phase;
static struct {
    const char *name;
    enum phase phase;
} calls[MAX_CALLS];
static long n_seen;

static void see(const char *name)
{
    if (n_seen < MAX_CALLS) {
        calls[n_seen].name = name;
        calls[n_seen].phase = phase;
    }
    n_seen++;
}

struct life {
    uint32_t devices[3], n_devices;
    bool stops, prefill_dense;
    struct pv_engine *engine;
    struct pv_session *session;
    uint32_t n_left; /* devices at the end */
    uint32_t made[N_MADE];
    float logits[256];
};

static enum pv_status generate(struct life *l, struct pv_session *session)
{
    uint32_t prompt[N_PROMPT];
    rig_random_tokens(3, pv_model_hparams(model.model)->n_vocab, prompt, N_PROMPT);
    phase = PREFILL;
    PV_TRY(pv_session_prefill(session, prompt, N_PROMPT));
    phase = DECODE;
    for (uint32_t i = 0; i < N_MADE; i++) {
        l->made[i] = pv_session_argmax(session);
        PV_TRY(pv_session_decode(session, l->made[i]));
    }
    memcpy(l->logits, pv_session_logits(session), sizeof l->logits);
    return PV_OK;
}

static enum pv_status start(struct life *l)
{
    static const double split[] = {1.0, 1.0, 2.0};
    const struct pv_engine_params params = {.devices = l->devices,
                                            .n_devices = l->n_devices,
                                            .split = split,
                                            .clusters = model.clusters,
                                            .n_batch = 16,
                                            .failover = !l->stops};
    const struct pv_session_params routed = {.ffn = PV_FFN_ROUTED, .prefill_dense = l->prefill_dense};
    phase = LOAD;
    PV_TRY(pv_engine_create(rig_context(), model.model, &params, &l->engine));
    phase = SESSION;
    return pv_session_create(l->engine, &routed, &l->session);
}

static void end(struct life *l)
{
    phase = CLOSE;
    pv_session_destroy(l->session);
    pv_engine_destroy(l->engine);
    l->session = NULL;
    l->engine = NULL;
}

static enum pv_status live(struct life *l)
{
    enum pv_status status = start(l);
    if (status == PV_OK)
        status = generate(l, l->session);
    l->n_left = l->engine ? pv_engine_n_stages(l->engine) : 0;
    end(l);
    return status;
}

static struct life on(uint32_t n_devices)
{
    struct life l = {.n_devices = n_devices};
    uint32_t there[2] = {0, 0};
    if (rig_devices(there, 2) == 1)
        there[1] = there[0]; /* opened twice */
    for (uint32_t i = 0; i < n_devices; i++)
        l.devices[i] = there[i % 2];
    return l;
}

static void open_model(void)
{
    static const struct pv_tiny_params tiny = {.n_layers = 4, .n_ctx = 40};
    rig_open(&model, &tiny, 5, 0.4, NULL);
    pv_faults_install();
}

static void close_model(void)
{
    pv_faults_watch(NULL);
    pv_faults_remove();
    rig_close(&model);
}

static void check_same(const struct life *got, const struct life *good, long n)
{
    const char *what = pv_faults_which();
    ck_assert_msg(memcmp(got->made, good->made, sizeof got->made) == 0, "call %ld, %s: another text", n,
                  what);
    ck_assert_msg(rig_nmse(got->logits, good->logits, 256) < 1e-6, "call %ld, %s: other logits", n, what);
    ck_assert_msg(rig_messages() == 0, "call %ld, %s: the validation layers: %.1500s", n, what,
                  rig_log()->text);
}

/* Is call n the first (or the middle one, or the last) of its function in its phase? */
static bool is_chosen(long n, bool first)
{
    long before = 0, after = 0;
    for (long i = 0; i < n_seen; i++)
        if (calls[i].phase == calls[n].phase && strcmp(calls[i].name, calls[n].name) == 0) {
            before += i < n;
            after += i > n;
        }
    return before == 0 || (!first && (after == 0 || before == after || before == after + 1));
}

START_TEST(any_call)
{
    static const int32_t results[] = {VK_ERROR_DEVICE_LOST, VK_ERROR_OUT_OF_DEVICE_MEMORY,
                                      VK_ERROR_OUT_OF_HOST_MEMORY};
    const char *how = getenv("PV_FAULTS") ? getenv("PV_FAULTS") : "";
    const bool all = strcmp(how, "all") == 0, first = strcmp(how, "first") == 0;
    uint32_t n_lives = 0, n_without = 0;
    open_model();
    struct life good = on(2);
    n_seen = 0;
    pv_faults_watch(see);
    ck_assert_msg(live(&good) == PV_OK, "%.1000s", rig_log()->text);
    pv_faults_watch(NULL);
    ck_assert_int_lt(n_seen, MAX_CALLS);
    for (long n = 0; n < n_seen; n++) {
        if (calls[n].phase == CLOSE || (!all && !is_chosen(n, first)))
            continue;
        for (int kind = 0; kind < (all ? 3 : 1); kind++, n_lives++) {
            struct life l = on(2);
            pv_test_log(rig_log());
            pv_faults_arm(n, results[(all ? (uint32_t)kind : n_lives) % 3]);
            const enum pv_status status = live(&l);
            const bool opening = strcmp(pv_faults_which(), "vkCreateDevice") == 0 || l.n_left == 0;
            ck_assert_msg(status == PV_OK || opening, "call %ld, %s: %.1000s", n, pv_faults_which(),
                          rig_log()->text);
            if (status != PV_OK)
                continue;
            check_same(&l, &good, n);
            n_without += l.n_left == 1;
            ck_assert(l.n_left == 2 || pv_test_logged(rig_log(), "going on with the other 1 of 2 devices"));
        }
    }
    printf("%ld calls, %u lives with one of them failing, %u went on without a device\n", n_seen, n_lives,
           n_without);
    ck_assert_uint_gt(n_without, n_lives * 3 / 4);
    close_model();
}
END_TEST

/* The submits or waits of decoding that fail, by number. */
static const char *fatal;
static long fatal_at[3], n_fatal, n_met;
static void kill_some(const char *name)
{
    if (phase != DECODE || strcmp(name, fatal) != 0)
        return;
    n_met++;
    for (long i = 0; i < n_fatal; i++)
        if (fatal_at[i] == n_met)
            pv_faults_arm(0, VK_ERROR_DEVICE_LOST);
}

static enum pv_status live_with(struct life *l, const char *name, long n, const long *at)
{
    fatal = name;
    n_met = 0;
    n_fatal = n;
    memcpy(fatal_at, at, (size_t)n * sizeof *at);
    pv_test_log(rig_log());
    pv_faults_watch(kill_some);
    const enum pv_status status = live(l);
    pv_faults_watch(NULL);
    pv_faults_arm(-1, 0);
    return status;
}

START_TEST(one_after_another)
{
    open_model();
    struct life good = on(3), l = on(3);
    ck_assert_int_eq(live(&good), PV_OK);
    ck_assert_int_eq(live_with(&l, "vkQueueSubmit", 2, (const long[]){5, 14}), PV_OK);
    ck_assert_uint_eq(l.n_left, 1);
    check_same(&l, &good, 0);
    ck_assert(pv_test_logged(rig_log(), "going on with the other 2 of 3 devices"));
    ck_assert(pv_test_logged(rig_log(), "layers 0 to 3 are on"));
    ck_assert(pv_test_logged(rig_log(), "tokens are fed again"));
    /* lost again while the tokens are fed again */
    l = on(3);
    ck_assert_int_eq(live_with(&l, "vkQueueSubmit", 2, (const long[]){5, 6}), PV_OK);
    ck_assert_uint_eq(l.n_left, 1);
    check_same(&l, &good, 1);
    close_model();
}
END_TEST

START_TEST(the_last_one)
{
    open_model();
    struct life l = on(2);
    ck_assert_int_eq(live_with(&l, "vkQueueSubmit", 2, (const long[]){5, 9}), PV_ERR_DEVICE_LOST);
    ck_assert(pv_test_logged(rig_log(), "going on with the other 1 of 2 devices"));
    ck_assert(pv_test_logged(rig_log(), "is the only device left: there is none to go on with"));
    ck_assert_uint_eq(rig_messages(), 0);
    l = on(1);
    ck_assert_int_eq(live_with(&l, "vkWaitSemaphores", 1, (const long[]){1}), PV_ERR_DEVICE_LOST);
    ck_assert(pv_test_logged(rig_log(), "is the only device left: there is none to go on with"));
    l = on(2); /* not asked to go on */
    l.stops = true;
    ck_assert_int_eq(live_with(&l, "vkQueueSubmit", 1, (const long[]){5}), PV_ERR_DEVICE_LOST);
    ck_assert(!pv_test_logged(rig_log(), "going on"));
    close_model();
}
END_TEST

/* A dense prompt is fed again dense, routed tokens routed. */
START_TEST(modes_are_kept)
{
    open_model();
    struct life good = on(2), routed = on(2), l = on(2);
    l.prefill_dense = good.prefill_dense = true;
    ck_assert_int_eq(live(&good), PV_OK);
    ck_assert_int_eq(live(&routed), PV_OK);
    ck_assert_double_gt(rig_nmse(good.logits, routed.logits, 256), 1e-6);
    ck_assert_int_eq(live_with(&l, "vkQueueSubmit", 1, (const long[]){9}), PV_OK);
    ck_assert_uint_eq(l.n_left, 1);
    check_same(&l, &good, 0);
    close_model();
}
END_TEST

/* The loss is met in one session; another one of the engine goes on as well. */
START_TEST(other_sessions)
{
    static const uint32_t other[] = {7, 8, 9, 10};
    float before[256];
    struct pv_session *second = NULL;
    open_model();
    struct life good = on(2), l = on(2);
    ck_assert_int_eq(live(&good), PV_OK);
    ck_assert_int_eq(start(&l), PV_OK);
    ck_assert_int_eq(pv_session_create(l.engine, NULL, &second), PV_OK);
    ck_assert_int_eq(pv_session_prefill(second, other, 4), PV_OK);
    memcpy(before, pv_session_logits(second), sizeof before);
    ck_assert_int_eq(pv_session_prefill(second, other, 2), PV_OK);
    pv_faults_arm(100, VK_ERROR_DEVICE_LOST);
    ck_assert_int_eq(generate(&l, l.session), PV_OK);
    ck_assert(pv_faults_fired());
    ck_assert_uint_eq(pv_engine_n_stages(l.engine), 1);
    check_same(&l, &good, 0);
    pv_session_reset(second);
    ck_assert_int_eq(pv_session_prefill(second, other, 3), PV_OK);
    ck_assert_int_eq(pv_session_decode(second, other[3]), PV_OK);
    ck_assert_double_lt(rig_nmse(pv_session_logits(second), before, 256), 1e-6);
    pv_session_destroy(second);
    end(&l);
    close_model();
}
END_TEST

int main(void)
{
    if (!rig_start())
        return pv_test_skip("no usable Vulkan device");
    Suite *suite = suite_create("infer/lost");
    TCase *tcase = tcase_create("lost");
    tcase_add_test(tcase, any_call);
    tcase_add_test(tcase, one_after_another);
    tcase_add_test(tcase, the_last_one);
    tcase_add_test(tcase, modes_are_kept);
    tcase_add_test(tcase, other_sessions);
    tcase_add_unchecked_fixture(tcase, NULL, rig_stop);
    suite_add_tcase(suite, tcase);
    return pv_test_main(suite);
}
