/* Real vocabularies against ids that other programs computed: Hugging Face's tokenizers for the files' own texts and
 * for gpt4o, llama.cpp for the rest. They are in the folder of larger test data; without it there is nothing to run. */
#include "format/tokenizer/tokenizer.h"

#include <stdlib.h>
#include <string.h>
#include "harness.h"

static const struct golden {
    const char *vocab, *texts, *ids;
} goldens[] = {
    {"ggml-vocab-deepseek-llm.gguf", "ggml-vocab-deepseek-llm.gguf.inp", "ggml-vocab-deepseek-llm.gguf.out"},
    {"ggml-vocab-falcon.gguf", "ggml-vocab-falcon.gguf.inp", "ggml-vocab-falcon.gguf.out"},
    {"ggml-vocab-gpt-2.gguf", "ggml-vocab-gpt-2.gguf.inp", "ggml-vocab-gpt-2.gguf.out"},
    {"ggml-vocab-llama-spm.gguf", "ggml-vocab-llama-spm.gguf.inp", "ggml-vocab-llama-spm.gguf.out"},
    {"ggml-vocab-mpt.gguf", "ggml-vocab-mpt.gguf.inp", "ggml-vocab-mpt.gguf.out"},
    {"ggml-vocab-phi-3.gguf", "ggml-vocab-phi-3.gguf.inp", "ggml-vocab-phi-3.gguf.out"},
    {"ggml-vocab-starcoder.gguf", "ggml-vocab-starcoder.gguf.inp", "ggml-vocab-starcoder.gguf.out"},
    {"ggml-vocab-baichuan.gguf", "stress.inp", "stress-baichuan.out"},
    {"ggml-vocab-deepseek-llm.gguf", "stress.inp", "stress-deepseek-llm.out"},
    {"ggml-vocab-falcon.gguf", "stress.inp", "stress-falcon.out"},
    {"ggml-vocab-gpt-2.gguf", "stress.inp", "stress-gpt-2.out"},
    {"ggml-vocab-llama-spm.gguf", "stress.inp", "stress-llama-spm.out"},
    {"ggml-vocab-mpt.gguf", "stress.inp", "stress-mpt.out"},
    {"ggml-vocab-phi-3.gguf", "stress.inp", "stress-phi-3.out"},
    {"ggml-vocab-starcoder.gguf", "stress.inp", "stress-starcoder.out"},
    {"gpt4o.gguf", "stress.inp", "stress-gpt4o.hf.out"},
};
enum { N_GOLDENS = sizeof goldens / sizeof goldens[0] };

static bool golden_path(const char *name, char path[PV_TEST_PATH_ROOM])
{
    char relative[128];

    snprintf(relative, sizeof relative, "golden/vocab/%s", name);
    return pv_test_shared(relative, path);
}

/* A file as a string. */
static char *slurp(const char *name, size_t *n)
{
    char path[PV_TEST_PATH_ROOM];
    char *text;
    FILE *f;

    ck_assert_msg(golden_path(name, path), "%s is missing", name);
    f = fopen(path, "rb");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fseek(f, 0, SEEK_END), 0);
    *n = (size_t)ftell(f);
    rewind(f);
    text = malloc(*n + 1);
    ck_assert_uint_eq(fread(text, 1, *n, f), *n);
    text[*n] = '\0';
    fclose(f);
    return text;
}

static void open_vocab(const char *name, struct pv_gguf *g, struct pv_tokenizer **t,
                       struct pv_test_log *captured)
{
    char path[PV_TEST_PATH_ROOM];
    const struct pv_log log = pv_test_log(captured);

    ck_assert_msg(golden_path(name, path), "%s is missing", name);
    ck_assert_int_eq(pv_gguf_open(g, path, NULL), PV_OK);
    ck_assert_int_eq(pv_tokenizer_create(g, NULL, &log, t), PV_OK);
}

/* One line of ids, at `*line`, which moves on. */
static bool same_ids(const struct pv_tokenizer *t, const char *text, size_t n_bytes, char **line)
{
    bool same = true;
    uint32_t *ids;
    size_t n, i = 0;

    ck_assert_int_eq(pv_tokenizer_encode(t, text, n_bytes, false, false, &ids, &n), PV_OK);
    for (;;) {
        unsigned long id;

        while (**line == ' ')
            ++*line;
        if (**line == '\n' || **line == '\0')
            break;
        id = strtoul(*line, line, 10);
        same = same && i < n && ids[i] == id;
        i++;
    }
    *line += **line == '\n';
    free(ids);
    return same && i == n;
}

START_TEST(every_text_has_its_ids)
{
    static const char separator[] = "\n__ggml_vocab_test__\n";
    const struct golden *golden = &goldens[_i];
    struct pv_test_log captured;
    struct pv_tokenizer *t;
    struct pv_gguf g;
    size_t n_texts, n_ids, n_cases = 0, n_wrong = 0;
    char *texts = slurp(golden->texts, &n_texts), *ids = slurp(golden->ids, &n_ids), *line = ids;
    const char *text = texts, *end;

    open_vocab(golden->vocab, &g, &t, &captured);
    ck_assert_uint_eq(captured.n_messages, 0);
    while (*text) {
        end = strstr(text, separator);
        if (!end)
            end = texts + n_texts;
        if (!same_ids(t, text, (size_t)(end - text), &line)) {
            n_wrong++;
            if (n_wrong <= 5)
                fprintf(stderr, "%s, case %zu: \"%.*s\"\n", golden->ids, n_cases, (int)(end - text), text);
        }
        n_cases++;
        if (end == texts + n_texts)
            break;
        text = end + sizeof separator - 1;
    }
    ck_assert_msg(n_wrong == 0, "%s: %zu of %zu texts have other ids", golden->ids, n_wrong, n_cases);
    ck_assert_uint_ge(n_cases, 40);
    pv_tokenizer_destroy(t);
    pv_gguf_close(&g);
    free(ids);
    free(texts);
}
END_TEST

START_TEST(a_file_without_a_pre_tokenizer_loads_and_says_so)
{
    struct pv_test_log captured;
    struct pv_tokenizer *t;
    struct pv_gguf g;

    open_vocab("ggml-vocab-gpt-neox.gguf", &g, &t, &captured);
    ck_assert(pv_test_logged(&captured, "warning: the file does not name its pre-tokenizer"));
    ck_assert_uint_eq(pv_tokenizer_n_vocab(t), 50432);
    pv_tokenizer_destroy(t);
    pv_gguf_close(&g);
}
END_TEST

int main(void)
{
    char path[PV_TEST_PATH_ROOM];
    TCase *tcase;
    Suite *suite;

    if (!golden_path(goldens[0].vocab, path)) { /* not pv_test_skip: that fails where a device is demanded */
        puts("skipped: no golden/vocab in the folder of larger test data");
        return PV_TEST_SKIPPED;
    }
    suite = suite_create("format/vocab_golden");
    tcase = tcase_create("golden");
    tcase_add_loop_test(tcase, every_text_has_its_ids, 0, N_GOLDENS);
    tcase_add_test(tcase, a_file_without_a_pre_tokenizer_loads_and_says_so);
    suite_add_tcase(suite, tcase);
    return pv_test_main(suite);
}
