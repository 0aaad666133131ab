/* Which tokens end a turn: by the file's keys and by name, on vocabularies made here. */
#include "format/tokenizer/tokenizer.h"

#include <stdlib.h>
#include <string.h>
#include "harness.h"

enum { N = 8 };
/* A byte-level vocabulary of eight tokens. */
struct vocab {
    const char *tokens[N];
    int32_t types[N]; /* all zero: the file has none */
    int eos, eot;     /* keys; -1: none */
    const char *ends; /* expected: '1' where a token ends a turn */
};

static void check(const struct vocab *v)
{
    static const char *const merges[] = {"a b"};
    char path[PV_TEST_PATH_ROOM], got[N + 1] = "";
    struct pv_tokenizer *t;
    struct pv_gguf_writer *w;
    struct pv_gguf g;

    pv_test_temp("ends.gguf", path);
    ck_assert_int_eq(pv_gguf_writer_create(&w), PV_OK);
    pv_gguf_add_str(w, "tokenizer.ggml.model", "gpt2");
    pv_gguf_add_str(w, "tokenizer.ggml.pre", "gpt-2");
    pv_gguf_add_str_array(w, "tokenizer.ggml.tokens", v->tokens, N);
    pv_gguf_add_str_array(w, "tokenizer.ggml.merges", merges, 1);
    if (v->types[0] != 0)
        pv_gguf_add_array(w, "tokenizer.ggml.token_type", PV_GGUF_I32, v->types, N);
    if (v->eos >= 0)
        pv_gguf_add_u32(w, "tokenizer.ggml.eos_token_id", (uint32_t)v->eos);
    if (v->eot >= 0)
        pv_gguf_add_u32(w, "tokenizer.ggml.eot_token_id", (uint32_t)v->eot);
    ck_assert_int_eq(pv_gguf_write(w, path, NULL), PV_OK);
    pv_gguf_writer_destroy(w);
    ck_assert_int_eq(pv_gguf_open(&g, path, NULL), PV_OK);
    remove(path);
    ck_assert_int_eq(pv_tokenizer_create(&g, NULL, NULL, &t), PV_OK);
    for (uint32_t i = 0; i < N; i++)
        got[i] = pv_tokenizer_is_end(t, i) ? '1' : '0';
    ck_assert_str_eq(got, v->ends);
    ck_assert(!pv_tokenizer_is_end(t, UINT32_MAX));
    pv_tokenizer_destroy(t);
    pv_gguf_close(&g);
}

START_TEST(keys_and_names_end_a_turn)
{
    static const struct vocab cases[] = {
        /* keys alone, whatever the names */
        {{"a", "b", "ab", "c", "d", "e", "x", "y"}, {1, 1, 1, 1, 1, 1, 3, 3}, 6, 7, "00000011"},
        {{"a", "b", "ab", "c", "d", "e", "x", "y"}, {1, 1, 1, 1, 1, 1, 3, 3}, -1, -1, "00000000"},
        /* names that the keys forget; a token that only looks like one */
        {{"a", "b", "ab", "<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|end|>x"},
         {1, 1, 1, 3, 3, 4, 3, 3},
         3,
         -1,
         "00011110"},
        /* </s> called normal is text, as in pages of HTML; <|...|> is not */
        {{"a", "b", "ab", "</s>", "<|eot_id|>", "<EOT>", "[EOS]", "</s>"},
         {1, 1, 1, 1, 1, 1, 1, 4},
         -1,
         -1,
         "00001001"},
        /* no types at all: names must do */
        {{"a", "b", "ab", "</s>", "<|eot_id|>", "<EOT>", "[EOS]", "</p>"}, {0}, 3, -1, "00011110"},
        /* gpt-oss: <|end|> ends a channel of the answer, not the turn */
        {{"a", "b", "ab", "<|end|>", "<|return|>", "<|call|>", "<|endoftext|>", "<|start|>"},
         {1, 1, 1, 3, 3, 3, 3, 3},
         4,
         -1,
         "00001110"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check(&cases[i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("format/token_ends");
    TCase *tcase = tcase_create("ends");

    tcase_add_test(tcase, keys_and_names_end_a_turn);
    suite_add_tcase(suite, tcase);
    return pv_test_main(suite);
}
