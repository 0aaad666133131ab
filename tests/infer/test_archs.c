/* Every architecture against an independent runtime's logits and greedy tokens. Skipped where the folder of larger
 * test data is missing. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rig.h"

/* The golden runtime takes GELU from a table of float16, so what it makes of GELU networks is known to about
 * half a thousandth. */
static const double close = 1e-4, close_gelu = 1e-3;

static json_t *golden;
static const char *names[64];
static int n_names;

/* False: there is a file, but it cannot be read. */
static bool load_golden(void)
{
    char path[PV_TEST_PATH_ROOM];
    const char *name;
    json_t *value;
    if (!pv_test_shared("golden/archs/archs.json", path))
        return true;
    golden = json_load_file(path, 0, NULL);
    json_object_foreach(golden, name, value) if (n_names < 64) names[n_names++] = name;
    return n_names > 0;
}

static uint32_t *numbers(const json_t *entry, const char *key, uint32_t *n)
{
    const json_t *array = json_object_get(entry, key);
    *n = (uint32_t)json_array_size(array);
    uint32_t *out = calloc(*n + 1u, sizeof *out);
    ck_assert_ptr_nonnull(out);
    for (uint32_t i = 0; i < *n; i++)
        out[i] = (uint32_t)json_integer_value(json_array_get(array, i));
    return out;
}

static double tolerance(const struct rig *rig)
{
    return pv_model_hparams(rig->model)->act == PV_ACT_GELU ? close_gelu : close;
}

/* The largest difference, relative to the largest logit. */
static double relative_error(const float *got, const float *expected, size_t n)
{
    double error = 0.0, most = 0.0;
    for (size_t i = 0; i < n; i++) {
        error = fmax(error, fabs((double)got[i] - (double)expected[i]));
        most = fmax(most, fabs((double)expected[i]));
    }
    return error / most;
}

static void check_logits(struct rig *rig, const json_t *entry, const uint32_t *tokens, uint32_t n)
{
    char name[PV_TEST_PATH_ROOM], path[PV_TEST_PATH_ROOM], *data = NULL;
    const size_t n_vocab = pv_model_hparams(rig->model)->n_vocab;
    size_t n_bytes = 0;
    uint32_t n_positions;
    uint32_t *positions = numbers(entry, "positions", &n_positions);
    float *rows = calloc(n * n_vocab, sizeof *rows), *nll = calloc(n, sizeof *nll);
    snprintf(name, sizeof name, "golden/archs/%s", json_string_value(json_object_get(entry, "logits")));
    ck_assert(rows && nll && pv_test_shared(name, path));
    ck_assert_int_eq(pv_file_read(path, NULL, &data, &n_bytes), PV_OK);
    ck_assert_uint_eq(n_bytes, n_positions * n_vocab * sizeof *rows);
    ck_assert_int_eq(pv_session_score(rig->session, tokens, tokens, n, nll, rows), PV_OK);
    for (uint32_t i = 0; i < n_positions; i++) {
        const double error = relative_error(rows + positions[i] * n_vocab,
                                            (const float *)(const void *)data + i * n_vocab, n_vocab);
        ck_assert_msg(error < tolerance(rig), "%s, position %u: relative error %g", name, positions[i],
                      error);
    }
    free(positions);
    free(rows);
    free(nll);
    free(data);
}

START_TEST(logits_and_greedy_tokens_are_the_golden_ones)
{
    const json_t *entry = json_object_get(golden, names[_i]);
    char name[PV_TEST_PATH_ROOM], path[PV_TEST_PATH_ROOM];
    struct rig rig;
    uint32_t n, n_greedy;
    uint32_t *tokens = numbers(entry, "tokens", &n), *greedy = numbers(entry, "greedy", &n_greedy);
    snprintf(name, sizeof name, "golden/archs/%s.gguf", names[_i]);
    ck_assert(pv_test_shared(name, path));
    rig_open_model(&rig, path, NULL);
    check_logits(&rig, entry, tokens, n);
    pv_session_reset(rig.session);
    ck_assert_int_eq(pv_session_prefill(rig.session, tokens, n), PV_OK);
    for (uint32_t i = 0; i < n_greedy; i++) {
        const float *logits = pv_session_logits(rig.session);
        const uint32_t best = pv_session_argmax(rig.session);
        const bool tie = tolerance(&rig) > close && (double)(logits[best] - logits[greedy[i]]) <
                                                        2.0 * tolerance(&rig) * fabs((double)logits[best]);
        ck_assert_msg(best == greedy[i] || tie, "%s: greedy token %u is %u, expected %u", names[_i], i, best,
                      greedy[i]);
        ck_assert_int_eq(pv_session_decode(rig.session, greedy[i]), PV_OK);
    }
    free(tokens);
    free(greedy);
    rig_close(&rig);
}
END_TEST

int main(void)
{
    if (!rig_start())
        return pv_test_skip("no usable Vulkan device");
    if (!load_golden())
        return 1;
    if (n_names == 0) {
        puts("skipped: no golden models");
        return 77;
    }
    Suite *suite = suite_create("infer/archs");
    TCase *tcase = tcase_create("archs");
    tcase_add_loop_test(tcase, logits_and_greedy_tokens_are_the_golden_ones, 0, n_names);
    tcase_add_unchecked_fixture(tcase, NULL, rig_stop);
    suite_add_tcase(suite, tcase);
    const int result = pv_test_main(suite);
    json_decref(golden);
    return result;
}
