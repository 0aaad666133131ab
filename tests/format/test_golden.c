/* Token ids from implementations that share no code with ours: Hugging Face tokenizers (fables) and
 * llama.cpp. The files are in the optional data folder; a test whose files are missing is not registered. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "harness.h"
#include "parvin/model.h"

static struct pv_model *open_model(const char *name)
{
    char path[PV_TEST_PATH_ROOM];
    struct pv_model *model = NULL;

    ck_assert(pv_test_shared(name, path));
    ck_assert_int_eq(pv_model_open(path, NULL, &model), PV_OK);
    return model;
}

static json_t *open_golden(const char *name)
{
    char path[PV_TEST_PATH_ROOM];
    json_t *golden;

    ck_assert(pv_test_shared(name, path));
    golden = json_load_file(path, 0, NULL);
    ck_assert_ptr_nonnull(golden);
    return golden;
}

/* Encodes and compares with the first `n_expected` ids (all of them where `exact`), then decodes back. */
static void check_encoding(const struct pv_model *model, const char *text, size_t n_bytes, bool add_bos,
                           const json_t *expected, bool exact)
{
    struct pv_encode_params params = {.add_bos = add_bos};
    size_t n, n_decoded, n_expected = json_array_size(expected);
    uint32_t *ids;
    char *decoded;

    ck_assert_int_eq(pv_encode(model, text, n_bytes, &params, &ids, &n), PV_OK);
    ck_assert_uint_ge(n, n_expected);
    if (exact)
        ck_assert_uint_eq(n, n_expected);
    for (size_t i = 0; i < n_expected; i++)
        ck_assert_msg(json_integer_value(json_array_get(expected, i)) == (json_int_t)ids[i],
                      "token %zu of \"%.40s\" is %u", i, text, ids[i]);
    ck_assert_int_eq(pv_decode(model, ids, n, &decoded, &n_decoded), PV_OK);
    ck_assert_uint_eq(n_decoded, n_bytes);
    ck_assert_mem_eq(decoded, text, n_bytes);
    free(decoded);
    free(ids);
}

static void check_prompt(const char *model_name, const char *golden_name)
{
    struct pv_model *model = open_model(model_name);
    json_t *golden = open_golden(golden_name);
    const char *prompt = json_string_value(json_object_get(golden, "prompt"));
    const char *text = json_string_value(json_object_get(golden, "eval_text"));

    ck_assert(pv_model_wants_bos(model));
    check_encoding(model, prompt, strlen(prompt), true, json_object_get(golden, "prompt_tokens"), true);
    check_encoding(model, text, strlen(text), false, json_object_get(golden, "eval_tokens"), true);
    json_decref(golden);
    pv_model_close(model);
}

START_TEST(stories260k_encodes_as_llama_cpp_does)
{
    check_prompt("models/stories260k-f32.gguf", "golden/stories260k.json");
}
END_TEST

START_TEST(babyllama105_encodes_as_llama_cpp_does)
{
    check_prompt("models/babyllama105-f32.gguf", "golden/babyllama105.json");
    check_prompt("models/babyllama105-q8_0.gguf", "golden/babyllama105.json");
}
END_TEST

START_TEST(greedy_tokens_decode_to_the_reference_text)
{
    struct pv_model *model = open_model("models/stories260k-f32.gguf");
    json_t *golden = open_golden("golden/stories260k.json"),
           *tokens = json_object_get(golden, "greedy_tokens");
    const char *expected = json_string_value(json_object_get(golden, "text"));
    char text[1024];
    size_t used = 0;

    for (size_t i = 0; i < json_array_size(tokens); i++) {
        const char *bytes;
        const size_t n =
            pv_token_bytes(model, (uint32_t)json_integer_value(json_array_get(tokens, i)), false, &bytes);

        ck_assert_uint_lt(used + n, sizeof text);
        memcpy(text + used, bytes, n);
        used += n;
    }
    ck_assert_uint_ge(used, strlen(expected));
    ck_assert_mem_eq(text, expected, strlen(expected));
    json_decref(golden);
    pv_model_close(model);
}
END_TEST

START_TEST(fables_encodes_as_its_trainer_did)
{
    struct pv_model *model = open_model("models/fables/fables-5m-f16.gguf");
    json_t *golden = open_golden("golden/fables.json"), *pairs = json_object_get(golden, "encode");
    json_t *greedy = json_object_get(golden, "greedy"), *item;
    const char *prompt = json_string_value(json_object_get(greedy, "prompt"));
    size_t i;

    json_array_foreach(pairs, i, item)
    {
        const char *text = json_string_value(json_array_get(item, 0));

        check_encoding(model, text, json_string_length(json_array_get(item, 0)), false,
                       json_array_get(item, 1), true);
    }
    check_encoding(model, prompt, strlen(prompt), true, json_object_get(greedy, "prompt_tokens"), true);
    json_decref(golden);
    pv_model_close(model);
}
END_TEST

START_TEST(fables_encodes_a_whole_book)
{
    struct pv_model *model = open_model("models/fables/fables-5m-f16.gguf");
    json_t *golden = open_golden("golden/fables.json");
    char path[PV_TEST_PATH_ROOM], *text;
    size_t n_bytes, n;
    uint32_t *ids;

    ck_assert(pv_test_shared("text/fables-test.txt", path));
    ck_assert_int_eq(pv_file_read(path, NULL, &text, &n_bytes), PV_OK);
    check_encoding(model, text, n_bytes, false, json_object_get(golden, "tokens"), false);
    ck_assert_int_eq(pv_encode(model, text, n_bytes, NULL, &ids, &n), PV_OK);
    ck_assert_int_eq((json_int_t)n, json_integer_value(json_object_get(golden, "n_tokens_of_text")));
    free(ids);
    free(text);
    json_decref(golden);
    pv_model_close(model);
}
END_TEST

static bool have(const char *name)
{
    char path[PV_TEST_PATH_ROOM];

    return pv_test_shared(name, path);
}

int main(void)
{
    const bool fables = have("models/fables/fables-5m-f16.gguf") && have("golden/fables.json");
    const bool stories = have("models/stories260k-f32.gguf") && have("golden/stories260k.json");
    const bool babyllama = have("models/babyllama105-f32.gguf") && have("models/babyllama105-q8_0.gguf") &&
                           have("golden/babyllama105.json");
    TCase *tcase;
    Suite *suite;

    if (!stories && !babyllama && !fables)
        return PV_TEST_SKIPPED;
    suite = suite_create("format/golden");
    tcase = tcase_create("golden");
    if (stories) {
        tcase_add_test(tcase, stories260k_encodes_as_llama_cpp_does);
        tcase_add_test(tcase, greedy_tokens_decode_to_the_reference_text);
    }
    if (babyllama)
        tcase_add_test(tcase, babyllama105_encodes_as_llama_cpp_does);
    if (fables)
        tcase_add_test(tcase, fables_encodes_as_its_trainer_did);
    if (fables && have("text/fables-test.txt"))
        tcase_add_test(tcase, fables_encodes_a_whole_book);
    suite_add_tcase(suite, tcase);
    return pv_test_main(suite);
}
