/* label: unit
 * A fit that is stopped at any moment and taken up again gives the same file, byte for byte: stopped politely
 * or killed at every report of progress, killed at random moments, and killed again and again. */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "base/file.h"
#include "base/threads.h"
#include "fake_source.h"
#include "harness.h"
#include "learn/fit/learn.h"

/* Few windows and little training: every point at which a fit can die is there, and each is two processes. */
enum { N_WINDOWS = 6, N_TOKENS = N_WINDOWS * FAKE_CTX, INTERRUPTED = 40, FAILED = 41, RANDOM_KILLS = 12 };
enum how { TO_THE_END, STOP, KILL };

static char out_path[PV_TEST_PATH_ROOM], resume_path[PV_TEST_PATH_ROOM + 16];
enum {
    PLAIN,
    SEARCH, /* for the density, by the rise of perplexity */
    LOW_RANK,
    BY_MASK, /* clusters */
    DENSE,   /* activations without exact zeros */
    N_KINDS
};
static int kind; /* one of these */

struct stopper {
    enum how how;
    uint32_t at, n; /* report number `at` stops it */
    char last[32];  /* stage */
    int stages;     /* named so far */
};

static bool on_progress(void *user, const char *stage, double done, double total)
{
    struct stopper *s = user;

    ck_assert_double_le(done, total);
    if (strcmp(stage, s->last) != 0) {
        snprintf(s->last, sizeof s->last, "%s", stage);
        s->stages++;
    }
    if (s->n++ != s->at || s->how == TO_THE_END)
        return true;
    if (s->how == KILL)
        raise(SIGKILL);
    return false;
}

static enum pv_status fit(struct stopper *stopper, struct pv_fit_result *result)
{
    struct fake fake = {.n_batch = 8, .dense = kind == DENSE};
    struct pv_source source = fake_source(&fake);
    struct pv_fit_params params = {.n_clusters = 3,
                                   .density = 0.3,
                                   .seed = 5,
                                   .n_iters = 3,
                                   .n_epochs = 2,
                                   .n_threads = 1,
                                   .progress = {on_progress, stopper}};

    uint32_t *text = fake_text(N_TOKENS, 3);
    enum pv_status status;

    params.router = kind == LOW_RANK ? PV_FIT_ROUTER_LOWRANK : PV_FIT_ROUTER_LINEAR;
    params.space = kind == BY_MASK ? PV_FIT_SPACE_MASK : PV_FIT_SPACE_CONTRIBUTION;
    if (kind == SEARCH) {
        params.density = 0.0;
        params.max_ppl_rise = 0.1;
    }
    status = pv_learn(
        &source,
        &(struct pv_learn_job){
            .tokens = text, .n_tokens = N_TOKENS, .out_path = out_path, .params = &params, .log = NULL},
        result);
    free(text);
    return status;
}

/* A process of its own, so that it can be killed. */
static pid_t start(enum how how, uint32_t at)
{
    pid_t pid;

    fflush(NULL);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        struct stopper stopper = {.how = how, .at = at};
        struct pv_fit_result result;
        const enum pv_status status = fit(&stopper, &result);

        _exit(status == PV_OK ? 0 : status == PV_ERR_INTERRUPTED ? INTERRUPTED : FAILED);
    }
    return pid;
}

static int finish(pid_t pid)
{
    int how = 0;

    while (waitpid(pid, &how, 0) < 0)
        ck_assert_int_eq(errno, EINTR);
    return WIFSIGNALED(how) ? 128 + WTERMSIG(how) : WEXITSTATUS(how);
}

/* The finished file; nothing else may be left. */
static char *take(size_t *n)
{
    const size_t stem = strlen(out_path);
    struct dirent *entry;
    char *bytes = NULL;
    DIR *dir = opendir(".");

    ck_assert_ptr_nonnull(dir);
    while ((entry = readdir(dir)))
        ck_assert_msg(strncmp(entry->d_name, out_path, stem) != 0 || entry->d_name[stem] == '\0',
                      "%s was left behind", entry->d_name);
    closedir(dir);
    ck_assert_int_eq(pv_file_read(out_path, NULL, &bytes, n), PV_OK);
    ck_assert_int_eq(remove(out_path), 0);
    return bytes;
}

static void expect_same(const char *whole, size_t n_whole)
{
    size_t n = 0;
    char *bytes = take(&n);

    ck_assert_uint_eq(n, n_whole);
    ck_assert_msg(memcmp(bytes, whole, n) == 0, "another file");
    free(bytes);
}

static char *whole_file(size_t *n)
{
    pv_test_temp("kill.gguf", out_path);
    snprintf(resume_path, sizeof resume_path, "%s.resume", out_path);
    remove(out_path);
    remove(resume_path);
    ck_assert_int_eq(finish(start(TO_THE_END, 0)), 0);
    return take(n);
}

START_TEST(same_seed_same_file)
{
    size_t n;
    char *whole;

    kind = _i;
    whole = whole_file(&n);
    ck_assert_int_eq(finish(start(TO_THE_END, 0)), 0);
    expect_same(whole, n);
    free(whole);
}
END_TEST

START_TEST(stopped_at_every_report)
{
    size_t n;
    char *whole;
    uint32_t at = 0;
    int code;

    kind = _i / 2;
    whole = whole_file(&n);
    for (;; at++) {
        code = finish(start(_i % 2 == 0 ? STOP : KILL, at));
        if (code == 0)
            break;
        ck_assert_int_eq(code, _i % 2 == 0 ? INTERRUPTED : 128 + SIGKILL);
        if (access(out_path, F_OK) != 0)
            ck_assert_int_eq(access(resume_path, F_OK), 0);
        ck_assert_int_eq(finish(start(TO_THE_END, 0)), 0);
        expect_same(whole, n);
    }
    expect_same(whole, n); /* the last report cannot stop it, or there is none with this number */
    ck_assert_uint_gt(at, N_WINDOWS + 3 * 4); /* windows; three layers in each of the stages */
    free(whole);
}
END_TEST

/* Every run is killed one report later than the one before, each going on where that one died. */
START_TEST(killed_again_and_again)
{
    size_t n;
    char *whole;
    uint32_t at = 1;

    kind = _i;
    whole = whole_file(&n);
    while (finish(start(KILL, at)) != 0)
        at++;
    expect_same(whole, n);
    free(whole);
}
END_TEST

static void sleep_s(double seconds)
{
    struct timespec time = {.tv_sec = (time_t)seconds,
                            .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};

    nanosleep(&time, NULL);
}

START_TEST(killed_at_random_moments)
{
    size_t n;
    double seconds = pv_now_s();
    char *whole;
    struct pv_rng rng;
    int n_killed = 0;

    kind = _i;
    whole = whole_file(&n);
    seconds = pv_now_s() - seconds;
    pv_rng_seed(&rng, 8);
    for (int i = 0; i < RANDOM_KILLS; i++) {
        const double moment = pv_rng_double(&rng) * seconds * 1.1;
        pid_t pid = start(TO_THE_END, 0);

        sleep_s(moment);
        kill(pid, SIGKILL);
        if (finish(pid) != 0) {
            n_killed++;
            ck_assert_int_eq(finish(start(TO_THE_END, 0)), 0);
        }
        expect_same(whole, n);
    }
    ck_assert_int_gt(n_killed, 0);
    free(whole);
}
END_TEST

START_TEST(names_every_stage)
{
    struct stopper stopper = {.how = TO_THE_END};
    struct pv_fit_result result;
    size_t n;

    kind = _i;
    free(whole_file(&n));
    ck_assert_int_eq(fit(&stopper, &result), PV_OK);
    ck_assert_int_eq(stopper.stages, kind == SEARCH ? 8 : 7);
    pv_fit_result_free(&result);
    ck_assert_str_eq(stopper.last, "writing");
    ck_assert_double_ge(result.seconds_writing, 0.0);
    free(take(&n));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kill");
    TCase *tests = tcase_create("fit");

    tcase_add_loop_test(tests, same_seed_same_file, 0, N_KINDS);
    tcase_add_loop_test(tests, stopped_at_every_report, 0, 2 * N_KINDS);
    tcase_add_loop_test(tests, killed_again_and_again, 0, N_KINDS);
    tcase_add_loop_test(tests, killed_at_random_moments, 0, N_KINDS);
    tcase_add_loop_test(tests, names_every_stage, 0, N_KINDS);
    suite_add_tcase(suite, tests);
    return pv_test_main(suite);
}
