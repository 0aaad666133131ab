/* Values computed by other programs: greedy text, logits and perplexity of real models. Needs the folder of
 * larger test data; the default model's own text is also held to numbers copied here. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "rig.h"

static json_t *golden(const char *name)
{
    char path[PV_TEST_PATH_ROOM];
    json_error_t error;
    ck_assert(pv_test_shared(name, path));
    json_t *root = json_load_file(path, 0, &error);
    ck_assert_msg(root != NULL, "%s: %s", path, error.text);
    return root;
}

static void check_greedy(const char *model, const char *text, uint32_t n)
{
    struct rig rig;
    uint32_t *prompt = NULL, *tokens = calloc(n, sizeof *tokens);
    size_t n_prompt = 0;
    char *decoded = NULL;
    const char *start = "Once upon a time";
    rig_open_model(&rig, model, NULL);
    ck_assert_int_eq(pv_encode(rig.model, start, strlen(start), &(struct pv_encode_params){.add_bos = true},
                               &prompt, &n_prompt),
                     PV_OK);
    ck_assert_int_eq(pv_session_prefill(rig.session, prompt, (uint32_t)n_prompt), PV_OK);
    for (uint32_t i = 0; i < n; i++) {
        tokens[i] = pv_session_argmax(rig.session);
        ck_assert_int_eq(pv_session_decode(rig.session, tokens[i]), PV_OK);
    }
    size_t n_bytes = 0;
    ck_assert_int_eq(pv_decode(rig.model, tokens, n, &decoded, &n_bytes), PV_OK);
    /* the golden texts are continuations: a leading space that decoding strips is theirs to keep */
    while (*text == ' ' && decoded[0] != ' ')
        text++;
    ck_assert_str_eq(decoded, text);
    free(decoded);
    free(prompt);
    free(tokens);
    rig_close(&rig);
}

START_TEST(default_model_continues_as_written_down)
{
    char path[PV_TEST_PATH_ROOM];
    ck_assert(pv_test_source("models/fables-5m-f16.gguf", path));
    check_greedy(path, ", and the two eldest brother, who had a daughter, and had three daughters.", 17);
}
END_TEST

START_TEST(greedy_text_is_the_golden_text)
{
    static const char *const names[][2] = {{"models/stories260k-f32.gguf", "golden/stories260k.json"},
                                           {"models/babyllama105-f32.gguf", "golden/babyllama105.json"}};
    char model[PV_TEST_PATH_ROOM];
    json_t *root = golden(names[_i][1]);
    ck_assert(pv_test_shared(names[_i][0], model));
    check_greedy(model, json_string_value(json_object_get(root, "text")), 64);
    json_decref(root);
}
END_TEST

static void read_tokens(const json_t *array, uint32_t **out, size_t *n)
{
    *n = json_array_size(array);
    *out = calloc(*n, sizeof **out);
    for (size_t i = 0; i < *n; i++)
        (*out)[i] = (uint32_t)json_integer_value(json_array_get(array, i));
}

/* Largest absolute difference of the logits that the file lists for some positions of a text. */
static void check_logits(const char *model_name, const char *file, const char *tokens_key, uint32_t n_ctx)
{
    char model[PV_TEST_PATH_ROOM];
    json_t *root = golden(file);
    struct rig rig;
    uint32_t *tokens = NULL;
    size_t n_tokens = 0;
    ck_assert(pv_test_shared(model_name, model));
    rig_open_model(&rig, model, NULL);
    read_tokens(json_object_get(root, tokens_key), &tokens, &n_tokens);
    ck_assert_uint_gt(n_tokens, n_ctx);
    const size_t n_vocab = pv_model_hparams(rig.model)->n_vocab;
    float *nll = calloc(n_ctx, sizeof *nll), *rows = calloc(n_ctx * n_vocab, sizeof *rows);
    ck_assert(nll && rows);
    ck_assert_int_eq(pv_session_score(rig.session, tokens, tokens + 1, n_ctx, nll, rows), PV_OK);
    const char *position;
    json_t *expected;
    size_t n_positions = 0;
    json_object_foreach(json_object_get(root, "logits"), position, expected)
    {
        const float *row = rows + (size_t)atoi(position) * n_vocab;
        for (size_t i = 0; i < n_vocab; i++)
            ck_assert_msg(fabs((double)row[i] - json_number_value(json_array_get(expected, i))) < 2e-3,
                          "position %s, token %zu: %g, expected %g", position, i, (double)row[i],
                          json_number_value(json_array_get(expected, i)));
        n_positions++;
    }
    ck_assert_uint_gt(n_positions, 0);
    free(nll);
    free(rows);
    free(tokens);
    json_decref(root);
    rig_close(&rig);
}

START_TEST(fables_logits_are_the_golden_logits)
{
    check_logits("models/fables/fables-5m-f16.gguf", "golden/fables.json", "tokens", 256);
}
END_TEST

START_TEST(stories_logits_are_the_golden_logits)
{
    check_logits("models/stories260k-f32.gguf", "golden/stories260k.json", "eval_tokens", 64);
}
END_TEST

static void check_perplexity(const char *model_name, const char *file, const uint32_t *tokens,
                             size_t n_tokens)
{
    char model[PV_TEST_PATH_ROOM];
    const enum pv_ffn_mode mode = PV_FFN_DENSE;
    json_t *root = golden(file);
    struct pv_eval_result result;
    struct rig rig;
    const double expected = json_number_value(json_object_get(root, "ppl"));
    const struct pv_eval_params params = {.n_ctx = (uint32_t)json_integer_value(json_object_get(root, "ctx")),
                                          .n_windows =
                                              (uint32_t)json_integer_value(json_object_get(root, "windows")),
                                          .modes = &mode,
                                          .n_modes = 1};
    ck_assert(pv_test_shared(model_name, model));
    rig_open_model(&rig, model, NULL);
    ck_assert_int_eq(pv_eval(rig.engine, tokens, n_tokens, &params, &result), PV_OK);
    ck_assert_msg(fabs(result.modes[0].ppl / expected - 1.0) < 1e-3, "perplexity %g, expected %g",
                  result.modes[0].ppl, expected);
    pv_eval_result_free(&result);
    json_decref(root);
    rig_close(&rig);
}

START_TEST(stories_perplexity_is_the_golden_one)
{
    json_t *root = golden("golden/stories260k.json");
    uint32_t *tokens = NULL;
    size_t n = 0;
    read_tokens(json_object_get(root, "eval_tokens"), &tokens, &n);
    check_perplexity("models/stories260k-f32.gguf", "golden/stories260k.json", tokens, n);
    free(tokens);
    json_decref(root);
}
END_TEST

int main(void)
{
    char path[PV_TEST_PATH_ROOM];
    if (!rig_start())
        return pv_test_skip("no usable Vulkan device");
    Suite *suite = suite_create("infer/golden");
    TCase *tcase = tcase_create("golden");
    tcase_add_test(tcase, default_model_continues_as_written_down);
    if (pv_test_shared("golden/fables.json", path)) {
        tcase_add_loop_test(tcase, greedy_text_is_the_golden_text, 0, 2);
        tcase_add_test(tcase, fables_logits_are_the_golden_logits);
        tcase_add_test(tcase, stories_logits_are_the_golden_logits);
        tcase_add_test(tcase, stories_perplexity_is_the_golden_one);
    }
    tcase_add_unchecked_fixture(tcase, NULL, rig_stop);
    suite_add_tcase(suite, tcase);
    return pv_test_main(suite);
}
