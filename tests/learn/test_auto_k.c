/* label: unit
 * The choice of K where the right one is planted: tokens of G groups, each with neurons of its own, and a
 * budget that is one group's. Fewer clusters must share masks, more gain nothing. */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "learn/fit/auto_k.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/file.h"
#include "base/rng.h"
#include "harness.h"

enum { LAYERS = 3, D = 24, F = 256, OWN = 16, CTX = 32, N_TOKENS = 4096 };
static const double BUDGET = (OWN + 0.5) / F;

static char out_path[PV_TEST_PATH_ROOM];
static struct pv_test_log captured;

/* z [D] and c [F] of a group: OWN neurons of its own (two groups share few), and a place of its own. */
static void row(uint32_t group, uint32_t layer, uint32_t noise, float *z, float *c)
{
    struct pv_rng rng, own;

    pv_rng_seed(&own, group * 64 + layer);
    pv_rng_seed(&rng, noise);
    for (uint32_t i = 0; i < D; i++)
        z[i] = pv_rng_normal(&own) + 0.05f * pv_rng_normal(&rng);
    memset(c, 0, F * sizeof *c);
    for (uint32_t i = 0; i < OWN;) {
        const uint32_t j = pv_rng_below(&own, F);

        i += c[j] <= 0.0f;
        c[j] = 0.5f + pv_rng_float(&own);
    }
}

static enum pv_status run(void *user, const uint32_t *tokens, uint32_t n, pv_capture_fn fn, void *fn_user)
{
    const uint32_t n_groups = *(uint32_t *)user;
    float z[CTX * D], c[CTX * F];

    for (uint32_t l = 0; l < LAYERS; l++) {
        enum pv_status status;
        struct pv_capture batch = {.layer = l, .n_tokens = n, .z = z, .contribution = c};

        for (uint32_t i = 0; i < n; i++)
            row(tokens[i] % n_groups, l, tokens[i], z + i * D, c + i * F);
        status = fn(fn_user, &batch);
        if (status != PV_OK)
            return status;
    }
    return PV_OK;
}

struct stopper {
    uint32_t at, n; /* report that stops it; 0: none */
    bool kill;
};

static bool on_progress(void *user, const char *stage, double done, double total)
{
    struct stopper *s = user;

    (void)stage;
    ck_assert_double_le(done, total);
    if (++s->n != s->at)
        return true;
    if (s->kill)
        raise(SIGKILL);
    return false;
}

static enum pv_status fit(uint32_t n_groups, uint32_t n_clusters, double neuron_bytes,
                          struct stopper *stopper, struct pv_fit_result *result)
{
    struct pv_source source = {.n_layers = LAYERS,
                               .d_model = D,
                               .d_ffn = F,
                               .n_ctx = CTX,
                               .fingerprint = 1,
                               .exact_zeros = true,
                               .neuron_bytes = neuron_bytes,
                               .run = run,
                               .user = &n_groups};
    struct pv_fit_params params = {.n_clusters = n_clusters,
                                   .density = BUDGET,
                                   .n_epochs = 3,
                                   .n_threads = 1,
                                   .progress = {on_progress, stopper}};
    struct pv_log log = pv_test_log(&captured);
    uint32_t *text = calloc(N_TOKENS, sizeof *text);
    struct pv_rng rng;
    enum pv_status status;

    pv_rng_seed(&rng, 9);
    for (size_t i = 0; i < N_TOKENS; i++)
        text[i] = pv_rng_below(&rng, 1000000);
    status = pv_learn(
        &source,
        &(struct pv_learn_job){
            .tokens = text, .n_tokens = N_TOKENS, .out_path = out_path, .params = &params, .log = &log},
        result);
    free(text);
    return status;
}

static char *take(size_t *n)
{
    char *bytes = NULL, resume[PV_TEST_PATH_ROOM + 16];

    snprintf(resume, sizeof resume, "%s.resume", out_path);
    ck_assert_int_ne(access(resume, F_OK), 0);
    ck_assert_int_eq(pv_file_read(out_path, NULL, &bytes, n), PV_OK);
    remove(out_path);
    return bytes;
}

/* What every search must obey. */
static void check_tries(const struct pv_fit_result *r, double share_of_one)
{
    uint32_t best = 0;

    ck_assert_uint_ge(r->n_tries, 1);
    for (uint32_t i = 0; i < r->n_tries; i++) {
        const struct pv_fit_try *t = &r->tries[i];

        ck_assert_uint_eq(t->n_clusters, 16u << i);
        ck_assert_double_eq_tol(t->router_share, share_of_one * t->n_clusters, 1e-9);
        ck_assert_double_eq_tol(t->density + t->router_share, BUDGET, 1e-9); /* equal bytes */
        if (t->energy_kept > r->tries[best].energy_kept)
            best = i;
        ck_assert(i + 1 == r->n_tries || best == i); /* it ends at the first fall */
    }
    ck_assert_uint_eq(r->n_clusters, r->tries[best].n_clusters);
}

START_TEST(finds_as_many_as_there_are_groups)
{
    struct stopper none = {0};
    struct pv_fit_result r;
    char *bytes, *plain;
    size_t n, n_plain;

    pv_test_temp("auto.gguf", out_path);
    ck_assert_int_eq(fit(8, PV_FIT_CLUSTERS_AUTO, 1e9, &none, &r), PV_OK);
    check_tries(&r, (2.0 * D + 4.0) / (1e9 * F));
    ck_assert_uint_eq(r.n_clusters, 16);
    ck_assert_uint_eq(r.n_tries, 2);
    ck_assert_double_gt(r.tries[0].energy_kept, 0.99);
    pv_fit_result_free(&r);
    bytes = take(&n);
    ck_assert_int_eq(fit(8, 16, 1e9, &none, &r), PV_OK); /* the same as asked for by number */
    ck_assert_uint_eq(r.n_tries, 0);
    pv_fit_result_free(&r);
    plain = take(&n_plain);
    ck_assert_uint_eq(n, n_plain);
    ck_assert_int_eq(memcmp(bytes, plain, n), 0);
    free(bytes);
    free(plain);

    ck_assert_int_eq(fit(32, PV_FIT_CLUSTERS_AUTO, 1e9, &none, &r), PV_OK);
    check_tries(&r, (2.0 * D + 4.0) / (1e9 * F));
    ck_assert_uint_eq(r.n_clusters, 32);
    ck_assert_double_lt(r.tries[0].energy_kept, 0.8); /* 16 clusters: two groups in a mask of one */
    pv_fit_result_free(&r);
    remove(out_path);
}
END_TEST

/* The same groups where a router of 32 would take more than half of the budget, and where it would take a
 * part that its better masks do not make up for. */
START_TEST(the_router_is_paid_for)
{
    struct stopper none = {0};
    struct pv_fit_result r;
    const double row_bytes = 2.0 * D + 4.0, half = 32.0 * row_bytes / (0.5 * BUDGET * F);

    pv_test_temp("auto.gguf", out_path);
    ck_assert_int_eq(fit(32, PV_FIT_CLUSTERS_AUTO, 0.99 * half, &none, &r), PV_OK);
    check_tries(&r, row_bytes / (0.99 * half * F));
    ck_assert_uint_eq(r.n_tries, 1);
    ck_assert_uint_eq(r.n_clusters, 16);
    pv_fit_result_free(&r);
    ck_assert_int_eq(fit(8, PV_FIT_CLUSTERS_AUTO, 1.01 * half, &none, &r), PV_OK);
    check_tries(&r, row_bytes / (1.01 * half * F));
    ck_assert_uint_eq(r.n_tries, 2);
    ck_assert_double_lt(r.tries[1].energy_kept, 0.9 * r.tries[0].energy_kept); /* 8 neurons for 12 */
    ck_assert_uint_eq(r.n_clusters, 16);
    pv_fit_result_free(&r);
    remove(out_path);
}
END_TEST

START_TEST(goes_on_after_every_stop)
{
    struct stopper none = {0};
    struct pv_fit_result r;
    char *whole;
    size_t n_whole;
    bool done = false;

    pv_test_temp("auto.gguf", out_path);
    ck_assert_int_eq(fit(8, PV_FIT_CLUSTERS_AUTO, 1e9, &none, &r), PV_OK);
    pv_fit_result_free(&r);
    whole = take(&n_whole);
    for (uint32_t at = 1; !done; at += 11) {
        struct stopper again = {0};
        char *bytes;
        size_t n;
        int how = 0;
        pid_t pid;

        fflush(NULL);
        pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
            struct stopper stopper = {.at = at, .kill = _i == 1};

            _exit(fit(8, PV_FIT_CLUSTERS_AUTO, 1e9, &stopper, &r) == PV_OK ? 0 : 3);
        }
        while (waitpid(pid, &how, 0) < 0)
            ck_assert_int_eq(errno, EINTR);
        done = WIFEXITED(how) && WEXITSTATUS(how) == 0;
        ck_assert_int_eq(fit(8, PV_FIT_CLUSTERS_AUTO, 1e9, &again, &r), PV_OK);
        ck_assert_uint_eq(r.n_tries, 2);
        ck_assert_uint_eq(r.n_clusters, 16);
        pv_fit_result_free(&r);
        bytes = take(&n);
        ck_assert_uint_eq(n, n_whole);
        ck_assert_int_eq(memcmp(bytes, whole, n), 0);
        free(bytes);
    }
    free(whole);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("auto_k");
    TCase *tests = tcase_create("auto");

    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, finds_as_many_as_there_are_groups);
    tcase_add_test(tests, the_router_is_paid_for);
    tcase_add_loop_test(tests, goes_on_after_every_stop, 0, 2);
    suite_add_tcase(suite, tests);
    return pv_test_main(suite);
}
