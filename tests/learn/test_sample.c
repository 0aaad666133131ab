/* label: unit
 * The model's own text, from a stand-in whose next token hangs on the one before: frequencies are the planted
 * ones, every sample is of its seed and number alone, and a writer that is stopped or killed goes on with the
 * same text. */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "learn/capture/sample.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "harness.h"

enum { V = 5, START = 0, END = 4, N_SEQS = 6, N_CTX = 20 };

/* Row: the probabilities after that token. Nothing leads to START, END leads anywhere but is never asked. */
static const double planted[V][V] = {{0.0, 0.5, 0.3, 0.1, 0.1},
                                     {0.0, 0.1, 0.6, 0.2, 0.1},
                                     {0.0, 0.25, 0.25, 0.5, 0.0},
                                     {0.0, 0.7, 0.1, 0.0, 0.2},
                                     {0.0, 0.25, 0.25, 0.25, 0.25}};

static char path[PV_TEST_PATH_ROOM];
static struct pv_test_log captured;

struct writer {
    uint32_t n_steps, n_firsts, n_seqs;
    uint32_t stop_at, n_reports; /* report that stops it; 0: none */
    bool kill, broken;
};

static enum pv_status step(void *user, bool first, const uint32_t *tokens, float *logits)
{
    struct writer *w = user;

    w->n_steps++;
    w->n_firsts += first;
    for (uint32_t i = 0; i < w->n_seqs; i++) {
        for (uint32_t k = 0; k < V; k++)
            logits[i * V + k] = (float)log(planted[tokens[i]][k]) + 3.0f; /* any constant is as good */
    }
    if (w->broken)
        logits[V] = NAN;
    return PV_OK;
}

static bool on_progress(void *user, const char *stage, double done, double total)
{
    struct writer *w = user;

    ck_assert_str_eq(stage, "sampling");
    ck_assert_double_le(done, total);
    if (++w->n_reports != w->stop_at)
        return true;
    if (w->kill)
        raise(SIGKILL);
    return false;
}

static struct pv_sample_source source_of(struct writer *w)
{
    return (struct pv_sample_source){.n_vocab = V,
                                     .n_seqs = w->n_seqs,
                                     .n_ctx = N_CTX,
                                     .start = START,
                                     .end = END,
                                     .fingerprint = 1,
                                     .step = step,
                                     .user = w};
}

static enum pv_status write_text(struct writer *w, uint64_t n, uint64_t seed, struct pv_sample *out)
{
    struct pv_sample_source source;
    struct pv_sample_params params = {
        .n_tokens = n, .seed = seed, .progress = {on_progress, w}, .log = pv_test_log(&captured)};

    w->n_seqs = w->n_seqs != 0 ? w->n_seqs : N_SEQS;
    source = source_of(w);
    return pv_sample_text(&source, &params, path, out);
}

static void fresh(void)
{
    pv_test_temp("sample.text", path);
    remove(path);
}

START_TEST(tokens_come_as_often_as_planted)
{
    enum { N = 60000 };
    struct writer w = {0};
    struct pv_sample s;
    double n[V][V] = {{0}}, row[V] = {0};

    fresh();
    ck_assert_int_eq(write_text(&w, N, 1, &s), PV_OK);
    ck_assert_uint_eq(s.n_tokens, N);
    ck_assert(!s.resumed);
    for (size_t i = 0; i < N; i++) {
        const uint32_t now = s.tokens[i];

        if (i % N_CTX == 0) {
            ck_assert_uint_eq(now, START);
        } else if (s.tokens[i - 1] == END) {
            ck_assert_uint_eq(now, START); /* the next text of the same window */
        } else {
            n[s.tokens[i - 1]][now]++;
            row[s.tokens[i - 1]]++;
        }
    }
    for (int i = 0; i < END; i++) {
        for (int k = 0; k < V; k++) {
            const double p = planted[i][k], error = sqrt(p * (1.0 - p) / row[i]);

            ck_assert_double_gt(row[i], 1000.0);
            ck_assert_msg(fabs(n[i][k] / row[i] - p) <= 4.5 * error, "%d to %d: %g of %g", i, k,
                          n[i][k] / row[i], p);
        }
    }
    ck_assert_uint_eq(w.n_firsts, N / (N_SEQS * N_CTX));
    ck_assert_uint_eq(w.n_steps, w.n_firsts * (N_CTX - 1));
    pv_sample_close(&s, true);
    ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

/* Whatever the size of a group, and a longer text begins with the shorter one. */
START_TEST(samples_hang_on_seed_and_number_alone)
{
    struct writer w = {0}, one = {.n_seqs = 1}, other = {0};
    struct pv_sample a, b, c;

    fresh();
    ck_assert_int_eq(write_text(&w, 500, 1, &a), PV_OK);
    pv_journal_close(&a.journal, true);
    ck_assert_int_eq(write_text(&one, 333, 1, &b), PV_OK);
    ck_assert_int_eq(memcmp(a.tokens, b.tokens, 333 * sizeof *a.tokens), 0);
    pv_journal_close(&b.journal, true);
    ck_assert_int_eq(write_text(&other, 500, 2, &c), PV_OK);
    ck_assert_int_ne(memcmp(a.tokens, c.tokens, 500 * sizeof *a.tokens), 0);
    ck_assert_int_ne(memcmp(a.tokens, a.tokens + N_CTX, N_CTX * sizeof *a.tokens), 0);
    pv_sample_close(&a, false);
    pv_sample_close(&b, false);
    pv_sample_close(&c, true);
}
END_TEST

START_TEST(without_a_start_token_any_token_begins)
{
    struct writer w = {.n_seqs = N_SEQS};
    struct pv_sample_source source = source_of(&w);
    struct pv_sample_params params = {.n_tokens = 5000 * N_CTX, .seed = 1};
    double n[V] = {0};
    struct pv_sample s;

    fresh();
    source.start = UINT32_MAX;
    ck_assert_int_eq(pv_sample_text(&source, &params, path, &s), PV_OK);
    for (size_t i = 0; i < 5000; i++)
        n[s.tokens[i * N_CTX]]++;
    for (int k = 0; k < V; k++)
        ck_assert_double_eq_tol(n[k] / 5000.0, 0.2, 4.5 * sqrt(0.2 * 0.8 / 5000.0));
    pv_sample_close(&s, true);
}
END_TEST

static uint32_t *whole_text(size_t n)
{
    struct writer w = {0};
    struct pv_sample s;
    uint32_t *tokens = calloc(n, sizeof *tokens);

    fresh();
    ck_assert_int_eq(write_text(&w, n, 1, &s), PV_OK);
    memcpy(tokens, s.tokens, n * sizeof *tokens);
    pv_sample_close(&s, true);
    return tokens;
}

START_TEST(goes_on_after_every_stop)
{
    enum { N = 3 * N_SEQS * N_CTX - 7 };
    uint32_t *whole = whole_text(N);
    bool done = false;

    for (uint32_t at = 1; !done; at++) {
        struct writer again = {0};
        struct pv_sample s;
        int how = 0;
        pid_t pid;

        fflush(NULL);
        pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
            struct writer w = {.stop_at = at, .kill = _i == 1};

            _exit(write_text(&w, N, 1, &s) == PV_OK ? 0 : 3);
        }
        while (waitpid(pid, &how, 0) < 0)
            ck_assert_int_eq(errno, EINTR);
        done = WIFEXITED(how) && WEXITSTATUS(how) == 0;
        ck_assert_int_eq(access(path, F_OK), 0);
        ck_assert_int_eq(write_text(&again, N, 1, &s), PV_OK);
        ck_assert_int_eq(memcmp(s.tokens, whole, N * sizeof *whole), 0);
        ck_assert_uint_le(again.n_firsts,
                          3 - (at - 1 > 3 * N_CTX ? 3 : (at - 1) / N_CTX)); /* whole groups are kept */
        ck_assert(s.resumed == (again.n_firsts < 3));
        pv_sample_close(&s, true);
    }
    free(whole);
}
END_TEST

START_TEST(refuses_nonsense)
{
    struct writer w = {.broken = true}, good = {0};
    struct pv_sample s;

    fresh();
    ck_assert_int_eq(write_text(&w, 100, 1, &s), PV_ERR_CHECK);
    ck_assert(pv_test_logged(&captured, "values that are not finite"));
    remove(path);
    ck_assert_int_eq(write_text(&good, 100, 1, &s), PV_OK);
    s.tokens[3] = V; /* a record that is sound and holds nonsense */
    {
        uint32_t tokens[N_SEQS * N_CTX] = {[3] = V};
        const uint64_t key = s.journal.key;

        pv_journal_begin(&s.journal, s.journal.records[0].kind, 0, key);
        pv_journal_put(&s.journal, tokens, sizeof tokens);
        ck_assert_int_eq(pv_journal_commit(&s.journal), PV_OK);
    }
    pv_sample_close(&s, false);
    ck_assert_int_eq(write_text(&good, 100, 1, &s), PV_ERR_FORMAT);
    ck_assert(pv_test_logged(&captured, "malformed record (texts of group 0)"));
    remove(path);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sample");
    TCase *tests = tcase_create("sample");

    tcase_add_test(tests, tokens_come_as_often_as_planted);
    tcase_add_test(tests, samples_hang_on_seed_and_number_alone);
    tcase_add_test(tests, without_a_start_token_any_token_begins);
    tcase_add_loop_test(tests, goes_on_after_every_stop, 0, 2);
    tcase_add_test(tests, refuses_nonsense);
    suite_add_tcase(suite, tests);
    return pv_test_main(suite);
}
