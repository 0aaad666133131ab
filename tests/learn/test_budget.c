/* label: unit
 * The search for a density, against a source whose loss is planted: the rise it reports is recomputed from
 * the file that it wrote, nothing cheaper was within the bound, and the text it measured on taught nothing.
 */
#include "learn/fit/density_search.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/bits.h"
#include "base/file.h"
#include "base/half.h"
#include "fake_source.h"
#include "format/clusters/cluster_file.h"
#include "harness.h"

enum { N_TOKENS = 2000, K = 9 };

static char out_path[PV_TEST_PATH_ROOM], resume_path[PV_TEST_PATH_ROOM + 16];
static struct pv_test_log captured;

static void set_paths(void)
{
    pv_test_temp("budget.gguf", out_path);
    snprintf(resume_path, sizeof resume_path, "%s.resume", out_path);
    remove(out_path);
    remove(resume_path);
}

static enum pv_status fit(struct fake *fake, const uint32_t *text, double rise, struct pv_fit_result *result)
{
    struct pv_source source = fake_source(fake);
    struct pv_fit_params params = {.n_clusters = K, .n_epochs = 4, .max_ppl_rise = rise};
    struct pv_log log = pv_test_log(&captured);

    set_paths();
    return pv_learn(&source, &(struct pv_learn_job){text, N_TOKENS, out_path, &params, NULL, &log}, result);
}

static uint32_t route(const struct pv_cluster_layer *layer, const float *z)
{
    double best = -1e30;
    uint32_t cluster = 0;

    for (uint32_t k = 0; k < K; k++) {
        double score = (double)layer->router_bias[k];

        for (uint32_t i = 0; i < FAKE_D; i++)
            score += (double)z[i] * (double)pv_half_to_float(layer->router[k * FAKE_D + i]);
        if (score > best) {
            best = score;
            cluster = k;
        }
    }
    return cluster;
}

static double lost(const struct fake *fake, const struct pv_clusters *clusters, uint32_t token, uint32_t pos)
{
    double sum = 0.0;

    for (uint32_t l = 0; l < FAKE_LAYERS; l++) {
        const struct pv_cluster_layer *layer = &clusters->layers[l];
        uint32_t bits[FAKE_F / 32 + 1] = {0};
        float z[FAKE_D], c[FAKE_F];
        uint32_t k;

        fake_row(fake, l, token, pos, z, c);
        k = route(layer, z);
        for (uint32_t i = layer->offset[k]; i < layer->offset[k + 1]; i++)
            pv_bit_set(bits, layer->neurons[i]);
        sum += fake_lost(c, bits);
    }
    return sum;
}

/* What the file that was written costs on the windows that were kept out. */
static double rise_of_file(const struct fake *fake, const uint32_t *text, uint64_t *n)
{
    struct pv_windows windows = pv_windows_plan(text, N_TOKENS, 0, FAKE_CTX);
    struct pv_clusters *clusters;
    double sum = 0.0;

    *n = 0;
    ck_assert_int_eq(pv_clusters_open(out_path, NULL, &clusters), PV_OK);
    for (uint32_t w = 0; w < windows.n_windows; w++) {
        uint32_t n_here;
        const size_t at = pv_windows_at(&windows, w, &n_here);

        for (uint32_t i = 0; i < n_here && pv_density_keeps_out(&windows, w) && at + i + 1 < N_TOKENS; i++) {
            sum += FAKE_LOSS * lost(fake, clusters, text[at + i], i);
            ++*n;
        }
    }
    pv_clusters_close(clusters);
    return exp(sum / (double)*n) - 1.0;
}

/* Every probe that was logged: the cheapest within the bound is the answer, and what is 5 % cheaper is not.
 */
static void check_probes(double bound, double *answer)
{
    double best = 1.0, worst = 0.0;

    for (const char *at = captured.text; (at = strstr(at, "density ")); at++) {
        double density, rise, error;

        if (sscanf(at, "density %lf: perplexity rises by %lf %% +- %lf", &density, &rise, &error) != 3)
            continue;
        if (rise + error <= 100.0 * bound)
            best = density < best ? density : best;
        else
            worst = density > worst ? density : worst;
    }
    ck_assert_double_gt(best, worst);
    ck_assert_double_lt(best, worst * 1.05);
    *answer = best;
}

START_TEST(finds_the_lowest_density_within_the_rise)
{
    static const double bounds[] = {0.05, 0.1, 0.3};
    struct fake fake = {.n_batch = 8, .dense = _i == 1};
    uint32_t *text = fake_text(N_TOKENS, 3);
    double before = 1.1, answer;

    for (size_t b = 0; b < sizeof bounds / sizeof bounds[0]; b++) {
        struct pv_fit_result r;
        uint64_t n;

        ck_assert_msg(fit(&fake, text, bounds[b], &r) == PV_OK, "%s", captured.text);
        check_probes(bounds[b], &answer);
        ck_assert_double_eq_tol(r.ppl_rise, rise_of_file(&fake, text, &n), 1e-4);
        ck_assert_uint_eq(r.n_ppl_tokens, n);
        ck_assert_double_gt(r.ppl_rise, 0.0);
        ck_assert_double_gt(r.ppl_rise_error, 0.0);
        ck_assert_double_le(r.ppl_rise + r.ppl_rise_error, bounds[b]);
        ck_assert_double_eq_tol(r.ppl_dense, exp(FAKE_NLL), 1e-4);
        ck_assert_double_eq_tol(r.ppl_routed, r.ppl_dense * (1.0 + r.ppl_rise), 1e-6);
        ck_assert_double_eq_tol(r.density, answer, 0.1);
        ck_assert_double_lt(answer, before); /* more may be lost, fewer neurons are computed */
        before = answer;
        pv_fit_result_free(&r);
    }
    free(text);
    remove(out_path);
}
END_TEST

START_TEST(budgets_are_told_layer_by_layer)
{
    struct fake fake = {.n_batch = 8};
    uint32_t *text = fake_text(N_TOKENS, 3);
    struct pv_fit_result r;
    double density = 0.0, kept = 0.0, accuracy = 0.0;

    ck_assert_int_eq(fit(&fake, text, 0.1, &r), PV_OK);
    ck_assert_uint_eq(r.n_layers, FAKE_LAYERS);
    for (uint32_t l = 0; l < r.n_layers; l++) {
        density += r.layers[l].density / FAKE_LAYERS;
        kept += r.layers[l].energy_kept / FAKE_LAYERS;
        accuracy += r.layers[l].router_accuracy / FAKE_LAYERS;
        ck_assert_double_gt(r.layers[l].active, 0.1);
        ck_assert_double_lt(r.layers[l].active, 0.2); /* 0.9 of a ninth and 0.05 of the rest */
    }
    ck_assert_double_eq_tol(density, r.density, 1e-9);
    ck_assert_double_eq_tol(kept, r.energy_kept, 1e-9);
    ck_assert_double_eq_tol(accuracy, r.router_accuracy, 1e-9);
    pv_fit_result_free(&r);
    pv_fit_result_free(&r);
    free(text);
    remove(out_path);
}
END_TEST

/* No loss at all allows no neuron to go, not even those that were never seen active. */
START_TEST(falls_back_to_every_neuron)
{
    struct fake fake = {.n_batch = 8};
    uint32_t *text = fake_text(N_TOKENS, 3);
    struct pv_clusters *clusters;
    struct pv_fit_result r;

    ck_assert_int_eq(fit(&fake, text, 1e-9, &r), PV_OK);
    ck_assert_double_eq_tol(r.density, 1.0, 1e-12);
    ck_assert_double_eq_tol(r.ppl_rise, 0.0, 1e-12);
    ck_assert_int_eq(pv_clusters_open(out_path, NULL, &clusters), PV_OK);
    for (uint32_t l = 0; l < FAKE_LAYERS; l++)
        ck_assert_uint_eq(clusters->layers[l].offset[K], K * FAKE_F);
    pv_clusters_close(clusters);
    pv_fit_result_free(&r);
    free(text);
    remove(out_path);
}
END_TEST

static char *file_of(const uint32_t *text, size_t *n)
{
    struct fake fake = {.n_batch = 8};
    struct pv_fit_result r;
    char *bytes;

    ck_assert_int_eq(fit(&fake, text, 50.0, &r), PV_OK); /* anything goes: the lowest density */
    pv_fit_result_free(&r);
    ck_assert_int_eq(pv_file_read(out_path, NULL, &bytes, n), PV_OK);
    remove(out_path);
    return bytes;
}

START_TEST(nothing_is_learned_from_what_is_kept_out)
{
    uint32_t *text = fake_text(N_TOKENS, 3), *changed = fake_text(N_TOKENS, 3);
    struct pv_windows windows = pv_windows_plan(text, N_TOKENS, 0, FAKE_CTX);
    size_t n, n_changed, at;
    char *bytes = file_of(text, &n), *other;
    uint32_t n_here;

    for (uint32_t w = 0; w < windows.n_windows; w++) {
        at = pv_windows_at(&windows, w, &n_here);
        for (uint32_t i = 0; i < n_here && pv_density_keeps_out(&windows, w); i++)
            changed[at + i] = 7 * changed[at + i] % 500;
    }
    ck_assert_int_ne(memcmp(text, changed, N_TOKENS * sizeof *text), 0);
    other = file_of(changed, &n_changed);
    ck_assert_uint_eq(n, n_changed);
    ck_assert_int_eq(memcmp(bytes, other, n), 0);
    free(other);
    changed[0] = (changed[0] + 1) % 500;
    other = file_of(changed, &n_changed);
    ck_assert(n != n_changed || memcmp(bytes, other, n) != 0);
    free(other);
    free(bytes);
    free(text);
    free(changed);
}
END_TEST

START_TEST(keeps_out_a_tenth_in_stretches)
{
    static const uint32_t sizes[] = {1, 2, 3, 9, 10, 11, 19, 40, 41, 99, 400, 12345};
    uint32_t text[1] = {0};

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint32_t n = sizes[i], n_out = 0, n_stretches = 0, last = 0;
        struct pv_windows windows = pv_windows_plan(text, (size_t)n * 32, 0, 32);

        for (uint32_t w = 0; w < n; w++) {
            const uint32_t out = pv_density_keeps_out(&windows, w);

            n_out += out;
            n_stretches += out && !last;
            last = out;
        }
        ck_assert_uint_eq(n_out, pv_density_n_windows(&windows));
        ck_assert_uint_eq(n_out, n == 1 ? 0 : n < 20 ? 1 : n > 10240 ? 1024 : n / 10);
        ck_assert_uint_eq(n_stretches, n_out < 4 ? n_out : 4);
    }
}
END_TEST

START_TEST(refuses_what_cannot_be_searched)
{
    struct fake fake = {.n_batch = 8};
    struct pv_source source = fake_source(&fake);
    struct pv_fit_params params = {.n_clusters = K, .max_ppl_rise = 0.1, .density = 0.2};
    struct pv_log log = pv_test_log(&captured);
    uint32_t *text = fake_text(N_TOKENS, 3);
    struct pv_fit_result r;

    set_paths();
    ck_assert_int_eq(
        pv_learn(&source, &(struct pv_learn_job){text, N_TOKENS, out_path, &params, NULL, &log}, &r),
        PV_ERR_ARG);
    ck_assert(pv_test_logged(&captured, "give a density, or a rise"));
    params.density = 0.0;
    params.max_ppl_rise = -0.1;
    ck_assert_int_eq(
        pv_learn(&source, &(struct pv_learn_job){text, N_TOKENS, out_path, &params, NULL, &log}, &r),
        PV_ERR_ARG);
    params.max_ppl_rise = (double)NAN;
    ck_assert_int_eq(
        pv_learn(&source, &(struct pv_learn_job){text, N_TOKENS, out_path, &params, NULL, &log}, &r),
        PV_ERR_ARG);
    params.max_ppl_rise = 0.1;
    ck_assert_int_eq(pv_learn(&source, &(struct pv_learn_job){text, 32, out_path, &params, NULL, &log}, &r),
                     PV_ERR_ARG);
    source.n_ctx = 64;
    ck_assert_int_eq(pv_learn(&source, &(struct pv_learn_job){text, 64, out_path, &params, NULL, &log}, &r),
                     PV_ERR_ARG);
    ck_assert(pv_test_logged(&captured, "another that was not learned from"));
    source.n_ctx = FAKE_CTX;
    source.score = NULL;
    ck_assert_int_eq(
        pv_learn(&source, &(struct pv_learn_job){text, N_TOKENS, out_path, &params, NULL, &log}, &r),
        PV_ERR_ARG);
    ck_assert(pv_test_logged(&captured, "cannot be scored"));
    free(text);
}
END_TEST

/* With a capture file the text is needed too, and must be the captured one. */
START_TEST(searches_with_a_capture_file_and_its_text)
{
    struct fake fake = {.n_batch = 8};
    struct pv_source source = fake_source(&fake);
    struct pv_capture_options capture = {.n_tokens = 0};
    struct pv_fit_params params = {.n_clusters = K, .n_epochs = 4, .max_ppl_rise = 0.1};
    struct pv_log log = pv_test_log(&captured);
    char path[PV_TEST_PATH_ROOM], *direct, *bytes;
    uint32_t *text = fake_text(N_TOKENS, 3);
    struct pv_capture_result captured_result;
    struct pv_fit_result r;
    size_t n_direct, n;

    ck_assert_int_eq(fit(&fake, text, 0.1, &r), PV_OK);
    pv_fit_result_free(&r);
    ck_assert_int_eq(pv_file_read(out_path, NULL, &direct, &n_direct), PV_OK);
    pv_test_temp("budget.capture", path);
    ck_assert_int_eq(
        pv_capture_to_file(&source, (struct pv_text){text, N_TOKENS}, path, &capture, &log, &captured_result),
        PV_OK);
    params.capture_path = path;
    ck_assert_int_eq(
        pv_learn(&source,
                 &(struct pv_learn_job){
                     .tokens = NULL, .n_tokens = 0, .out_path = out_path, .params = &params, .log = &log},
                 &r),
        PV_ERR_ARG);
    ck_assert(pv_test_logged(&captured, "give the text"));
    text[5]++;
    ck_assert_int_eq(
        pv_learn(&source, &(struct pv_learn_job){text, N_TOKENS, out_path, &params, NULL, &log}, &r),
        PV_ERR_MISMATCH);
    text[5]--;
    ck_assert_int_eq(
        pv_learn(&source, &(struct pv_learn_job){text, N_TOKENS, out_path, &params, NULL, &log}, &r), PV_OK);
    pv_fit_result_free(&r);
    ck_assert_int_eq(pv_file_read(out_path, NULL, &bytes, &n), PV_OK);
    ck_assert_uint_eq(n, n_direct);
    ck_assert_int_eq(memcmp(bytes, direct, n), 0);
    free(bytes);
    free(direct);
    free(text);
    remove(path);
    remove(out_path);
}
END_TEST

static enum pv_status fit_at(struct fake *fake, double density, bool scored, struct pv_fit_result *r)
{
    struct pv_source source = fake_source(fake);
    struct pv_fit_params params = {.n_clusters = K, .n_epochs = 4, .density = density};
    struct pv_log log = pv_test_log(&captured);
    uint32_t *text = fake_text(N_TOKENS, 3);
    enum pv_status status;

    if (!scored)
        source.score = NULL;
    set_paths();
    status = pv_learn(&source, &(struct pv_learn_job){text, N_TOKENS, out_path, &params, NULL, &log}, r);
    free(text);
    return status;
}

/* Without a search the loss is measured on held-out tokens; a large one comes with densities that lose less. What is
 * tried for it leaves no trace in the file. */
START_TEST(every_fit_says_what_it_costs)
{
    struct fake fake = {.n_batch = 8};
    struct pv_fit_result few, many, unknown;
    char *with = NULL, *without = NULL;
    size_t n_with, n_without;

    ck_assert_int_eq(fit_at(&fake, 0.02, true, &few), PV_OK);
    ck_assert_int_eq(pv_file_read(out_path, NULL, &with, &n_with), PV_OK);
    ck_assert_uint_gt(few.n_ppl_tokens, 50);
    ck_assert_double_eq_tol(few.ppl_dense, exp(FAKE_NLL), 1e-4);
    ck_assert_double_gt(few.ppl_rise, 0.1);
    ck_assert_double_lt(few.ppl_rise, exp(FAKE_LAYERS * FAKE_LOSS) - 1.0);
    ck_assert_double_eq_tol(few.ppl_routed, few.ppl_dense * (1.0 + few.ppl_rise), 1e-6);
    ck_assert_uint_eq(few.n_within, PV_FIT_N_WITHIN);
    for (uint32_t i = 0; i < few.n_within; i++) {
        ck_assert_double_le(few.within[i].rise, few.within[i].max_rise);
        ck_assert_double_gt(few.within[i].density, 0.02);
        if (i > 0)
            ck_assert_double_le(few.within[i].density, few.within[i - 1].density);
    }
    pv_fit_result_free(&few);

    ck_assert_int_eq(fit_at(&fake, 0.02, false, &unknown), PV_OK);
    ck_assert_int_eq(pv_file_read(out_path, NULL, &without, &n_without), PV_OK);
    ck_assert_uint_eq(unknown.n_ppl_tokens, 0);
    ck_assert_uint_eq(n_with, n_without);
    ck_assert_int_eq(memcmp(with, without, n_with), 0);
    pv_fit_result_free(&unknown);
    free(with);
    free(without);

    ck_assert_int_eq(fit_at(&fake, 0.9, true, &many), PV_OK);
    ck_assert_double_lt(many.ppl_rise, 0.1);
    ck_assert_uint_eq(many.n_within, 0);
    pv_fit_result_free(&many);
    remove(out_path);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("budget");
    TCase *tests = tcase_create("search");

    tcase_add_loop_test(tests, finds_the_lowest_density_within_the_rise, 0, 2);
    tcase_add_test(tests, every_fit_says_what_it_costs);
    tcase_add_test(tests, budgets_are_told_layer_by_layer);
    tcase_add_test(tests, falls_back_to_every_neuron);
    tcase_add_test(tests, nothing_is_learned_from_what_is_kept_out);
    tcase_add_test(tests, keeps_out_a_tenth_in_stretches);
    tcase_add_test(tests, refuses_what_cannot_be_searched);
    tcase_add_test(tests, searches_with_a_capture_file_and_its_text);
    suite_add_tcase(suite, tests);
    return pv_test_main(suite);
}
