/* The default model in the common mixtures of types, against logits and greedy tokens that another program
 * computed from the dequantised weights. Needs the folder of larger test data. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "rig.h"

static json_t *golden;

static double relative_error(const float *got, const float *expected, size_t n)
{
    return sqrt(rig_nmse(got, expected, n));
}

struct mixture {
    uint32_t tokens[256], n_tokens, greedy[64], n_greedy;
    uint32_t positions[8], n_positions, n_vocab;
    char model[PV_TEST_PATH_ROOM], logits[PV_TEST_PATH_ROOM];
};

static uint32_t numbers(const json_t *row, const char *key, uint32_t *out, size_t room)
{
    const json_t *array = json_object_get(row, key);
    const size_t n = json_array_size(array);
    ck_assert(n > 0 && n <= room);
    for (size_t i = 0; i < n; i++)
        out[i] = (uint32_t)json_integer_value(json_array_get(array, i));
    return (uint32_t)n;
}

static struct mixture mixture_of(const json_t *row)
{
    struct mixture m = {0};
    char name[128];
    m.n_tokens = numbers(row, "tokens", m.tokens, sizeof m.tokens / sizeof *m.tokens);
    m.n_greedy = numbers(row, "greedy", m.greedy, sizeof m.greedy / sizeof *m.greedy);
    m.n_positions = numbers(row, "positions", m.positions, sizeof m.positions / sizeof *m.positions);
    m.n_vocab = (uint32_t)json_integer_value(json_object_get(row, "n_vocab"));
    snprintf(name, sizeof name, "golden/quants/%s", json_string_value(json_object_get(row, "file")));
    ck_assert(pv_test_shared(name, m.model));
    snprintf(name, sizeof name, "golden/quants/%s", json_string_value(json_object_get(row, "logits")));
    ck_assert(pv_test_shared(name, m.logits));
    return m;
}

static void check_mixture(const char *name, const json_t *row)
{
    const struct mixture m = mixture_of(row);
    struct rig rig;
    struct pv_map map;
    rig_open_model(&rig, m.model, NULL);
    const struct pv_log log = pv_test_log(&rig.log);
    ck_assert_int_eq(pv_map_open(&map, m.logits, &log), PV_OK);
    ck_assert_uint_eq(map.size_bytes, (size_t)m.n_positions * m.n_vocab * sizeof(float));
    float *expected = malloc(map.size_bytes), *nll = calloc(m.n_tokens, sizeof *nll);
    float *rows = calloc((size_t)m.n_tokens * m.n_vocab, sizeof *rows);
    ck_assert(expected && nll && rows);
    memcpy(expected, map.data, map.size_bytes);
    ck_assert_int_eq(pv_session_score(rig.session, m.tokens, m.tokens, m.n_tokens, nll, rows), PV_OK);
    for (uint32_t i = 0; i < m.n_positions; i++) {
        const double error = relative_error(rows + (size_t)m.positions[i] * m.n_vocab,
                                            expected + (size_t)i * m.n_vocab, m.n_vocab);
        ck_assert_msg(error <= 2e-3, "%s: position %u: relative error %g", name, m.positions[i], error);
    }
    pv_session_reset(rig.session);
    ck_assert_int_eq(pv_session_prefill(rig.session, m.tokens, m.n_tokens), PV_OK);
    for (uint32_t i = 0; i < m.n_greedy; i++) {
        const uint32_t token = pv_session_argmax(rig.session);
        ck_assert_msg(token == m.greedy[i], "%s: greedy token %u is %u, expected %u", name, i, token,
                      m.greedy[i]);
        ck_assert_int_eq(pv_session_decode(rig.session, token), PV_OK);
    }
    pv_map_close(&map);
    free(expected);
    free(nll);
    free(rows);
    rig_close(&rig);
}

START_TEST(mixtures_agree_with_another_program)
{
    const char *name;
    json_t *row;
    json_object_foreach(golden, name, row) check_mixture(name, row);
}
END_TEST

int main(void)
{
    char path[PV_TEST_PATH_ROOM];
    json_error_t error;
    if (!pv_test_shared("golden/quants/quants.json", path))
        return pv_test_skip("no folder of larger test data");
    if (!rig_start_plan("ffn_down_type=f32"))
        return pv_test_skip("no usable Vulkan device");
    golden = json_load_file(path, 0, &error);
    if (!golden) { /* no assertion outside a test */
        fprintf(stderr, "%s: %s\n", path, error.text);
        return 1;
    }
    Suite *suite = suite_create("infer/quants");
    TCase *tcase = tcase_create("quants");
    tcase_add_test(tcase, mixtures_agree_with_another_program);
    tcase_add_unchecked_fixture(tcase, NULL, rig_stop);
    suite_add_tcase(suite, tcase);
    const int result = pv_test_main(suite);
    json_decref(golden);
    return result;
}
