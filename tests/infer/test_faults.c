/* A whole program, a driver call at a time failing: load, prompt, score, decode, fit, on one device and on
 * two. Each must end in a status with a reason, without a crash, a hang, a leak (the sanitizer looks) or a
 * message of the validation layers; what succeeds in spite of it must be right. Which calls: for every
 * function and phase the first, the middle one and the last, with results in turn; PV_FAULTS=all in the
 * environment takes every call and every result, PV_FAULTS=first only the first. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "faults.h"
#include "rig.h"
#include "vk/device.h"

enum phase { OPEN, LOAD, SESSION, PREFILL, SCORE, DECODE, FIT, CLOSE, N_PHASES };
enum { N_TOKENS = 20, N_DECODED = 2, N_FIT = 72, MAX_CALLS = 20000 };

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
    struct pv_model *model;
    struct pv_clusters *clusters;
    struct pv_engine *engine;
    struct pv_session *session;
    char fit_path[PV_TEST_PATH_ROOM], resume_path[PV_TEST_PATH_ROOM];
    uint32_t tokens[N_FIT];
    float nll[N_TOKENS], logits[256];
};

static enum pv_status infer(struct life *l, const uint32_t *devices, uint32_t n_devices)
{
    static const double split[] = {1.0, 1.0};
    const struct pv_engine_params params = {
        .devices = devices, .n_devices = n_devices, .split = split, .clusters = l->clusters, .n_batch = 16};
    const struct pv_session_params routed = {.ffn = PV_FFN_ROUTED};
    phase = LOAD;
    PV_TRY(pv_engine_create(rig_context(), l->model, &params, &l->engine));
    phase = SESSION;
    PV_TRY(pv_session_create(l->engine, &routed, &l->session));
    phase = SCORE;
    PV_TRY(pv_session_score(l->session, l->tokens, l->tokens + 1, N_TOKENS, l->nll, NULL));
    pv_session_reset(l->session);
    phase = PREFILL;
    PV_TRY(pv_session_prefill(l->session, l->tokens, N_TOKENS - N_DECODED));
    phase = DECODE;
    for (uint32_t i = N_TOKENS - N_DECODED; i < N_TOKENS; i++)
        PV_TRY(pv_session_decode(l->session, l->tokens[i]));
    memcpy(l->logits, pv_session_logits(l->session), sizeof l->logits);
    return PV_OK;
}

static enum pv_status learn(struct life *l, const uint32_t *devices, uint32_t n_devices)
{
    static const double split[] = {1.0, 1.0};
    const struct pv_engine_params params = {
        .devices = devices, .n_devices = n_devices, .split = split, .n_ctx = 16, .n_batch = 16};
    const struct pv_fit_params fit = {
        .n_clusters = 2, .n_epochs = 1, .n_iters = 1, .n_threads = 1, .resume_path = l->resume_path};
    struct pv_fit_result result;
    phase = FIT;
    PV_TRY(pv_engine_create(rig_context(), l->model, &params, &l->engine));
    PV_TRY(pv_fit(l->engine, l->tokens, N_FIT, l->fit_path, &fit, &result));
    pv_fit_result_free(&result);
    return PV_OK;
}

/* A life up to its first failure, and its end. */
static enum pv_status live(struct life *l, const uint32_t *devices, uint32_t n_devices, bool learns)
{
    const enum pv_status status = learns ? learn(l, devices, n_devices) : infer(l, devices, n_devices);
    phase = CLOSE;
    pv_session_destroy(l->session);
    pv_engine_destroy(l->engine);
    remove(l->fit_path);
    remove(l->resume_path);
    return status;
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

static void check_life(const struct life *got, const struct life *good, bool learns, enum pv_status status,
                       long n)
{
    const char *what = pv_faults_which();
    ck_assert_msg(rig_messages() == 0, "call %ld, %s: the validation layers: %.1500s", n, what,
                  rig_log()->text);
    if (status == PV_OK && learns)
        return;
    if (status == PV_OK) {
        ck_assert_msg(rig_nmse(got->nll, good->nll, N_TOKENS) < 1e-9, "call %ld, %s: other scores", n, what);
        ck_assert_msg(rig_nmse(got->logits, good->logits, 256) < 1e-9, "call %ld, %s: other logits", n, what);
        return;
    }
    ck_assert_msg(pv_faults_fired(), "call %ld: failed without a fault: %.1000s", n, rig_log()->text);
    ck_assert_msg(pv_test_logged(rig_log(), "error:"), "call %ld, %s: no reason given", n, what);
}

static void fail_each(const struct life *fresh, const uint32_t *devices, uint32_t n_devices, bool learns)
{
    static const int32_t results[] = {VK_ERROR_DEVICE_LOST, VK_ERROR_OUT_OF_DEVICE_MEMORY,
                                      VK_ERROR_OUT_OF_HOST_MEMORY};
    const char *how = getenv("PV_FAULTS") ? getenv("PV_FAULTS") : "";
    const bool all = strcmp(how, "all") == 0, first = strcmp(how, "first") == 0;
    struct life good = *fresh;
    uint32_t n_lives = 0, n_failed = 0;
    pv_faults_install();
    pv_faults_watch(see);
    n_seen = 0;
    ck_assert_msg(live(&good, devices, n_devices, learns) == PV_OK, "%.1000s", rig_log()->text);
    pv_faults_watch(NULL);
    ck_assert_int_lt(n_seen, MAX_CALLS);
    for (long n = 0; n < n_seen; n++) {
        if (!all && !is_chosen(n, first))
            continue;
        for (int kind = 0; kind < (all ? 3 : 1); kind++, n_lives++) {
            struct life l = *fresh;
            pv_test_log(rig_log());
            pv_faults_arm(n, results[(all ? (uint32_t)kind : n_lives) % 3]);
            const enum pv_status status = live(&l, devices, n_devices, learns);
            n_failed += status != PV_OK;
            check_life(&l, &good, learns, status, n);
        }
    }
    pv_faults_remove();
    printf("%ld calls, %u lives with one of them failing, %u failures reported\n", n_seen, n_lives, n_failed);
    ck_assert_uint_gt(n_failed, n_lives / 2);
}

/* Both lives on these devices. */
static void fail_on(const uint32_t *devices, uint32_t n_devices)
{
    static const struct pv_tiny_params tiny = {.n_layers = 2, .n_ctx = 32};
    struct life fresh = {0};
    struct rig rig;
    rig_open(&rig, &tiny, 5, 0.4, NULL);
    fresh.model = rig.model;
    fresh.clusters = rig.clusters;
    pv_test_temp("fault.clusters.gguf", fresh.fit_path);
    pv_test_temp("fault.resume", fresh.resume_path);
    rig_random_tokens(3, pv_model_hparams(rig.model)->n_vocab, fresh.tokens, N_FIT);
    fail_each(&fresh, devices, n_devices, false);
    fail_each(&fresh, devices, n_devices, true);
    rig_close(&rig);
}

START_TEST(on_each_device)
{
    uint32_t devices[8];
    const uint32_t n = rig_devices(devices, 8);
    for (uint32_t i = 0; i < n; i++)
        fail_on(&devices[i], 1);
}
END_TEST

START_TEST(on_two_devices)
{
    uint32_t devices[2] = {0, 0};
    if (rig_devices(devices, 2) == 1)
        devices[1] = devices[0]; /* opened twice */
    fail_on(devices, 2);
}
END_TEST

int main(void)
{
    if (!rig_start())
        return pv_test_skip("no usable Vulkan device");
    Suite *suite = suite_create("infer/faults");
    TCase *tcase = tcase_create("faults");
    tcase_add_test(tcase, on_each_device);
    tcase_add_test(tcase, on_two_devices);
    tcase_add_unchecked_fixture(tcase, NULL, rig_stop);
    suite_add_tcase(suite, tcase);
    return pv_test_main(suite);
}
