/* The rules of the tokenizers, one by one, on vocabularies made here: how pre-tokenizers cut, what special tokens do,
 * how long it takes. Expected cuts follow from the patterns in the models' tokenizer.json files, by hand. */
#include "format/tokenizer/tokenizer.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/mem.h"
#include "format/tokenizer/pretoken.h"
#include "harness.h"

struct words {
    char text[1024]; /* words, each followed by a bar */
    size_t n;
};

static enum pv_status add_word(void *user, const char *text, size_t n_bytes)
{
    struct words *w = user;

    ck_assert_uint_lt(w->n + n_bytes + 2, sizeof w->text);
    memcpy(w->text + w->n, text, n_bytes);
    w->n += n_bytes;
    w->text[w->n++] = '|';
    w->text[w->n] = '\0';
    return PV_OK;
}

/* `names`: separated by spaces; all cut `text` into `expected`. */
static void check_cut(const char *names, const char *text, const char *expected)
{
    while (*names) {
        const size_t n = strcspn(names, " ");
        const struct pv_pre_rule *rule = pv_pre_find(names, n);
        struct words words = {0};
        struct pv_pre *pre;

        ck_assert_msg(rule != NULL, "%s", names);
        ck_assert_int_eq(pv_pre_create(rule, NULL, &pre), PV_OK);
        ck_assert_int_eq(pv_pre_split(pre, text, strlen(text), add_word, &words), PV_OK);
        ck_assert_msg(strcmp(words.text, expected) == 0, "%.*s: \"%s\" not \"%s\"", (int)n, names, words.text,
                      expected);
        pv_pre_destroy(pre);
        names += n + strspn(names + n, " ");
    }
}

static const char every_name[] =
    "default gpt-2 phi-2 mpt olmo jais trillion llama-bpe llama3 llama-v3 falcon3 pixtral dbrx smaug-bpe chatglm-bpe qwen2 "
    "deepseek-r1-qwen stablelm2 qwen35 gpt-4o llama4 tekken starcoder refact command-r smollm codeshell exaone falcon "
    "deepseek-llm deepseek-coder deepseek-v3 chameleon jais-2 bloom viking bailingmoe seed-coder";

START_TEST(every_pre_tokenizer_keeps_the_text)
{
    const char *names = every_name;

    while (*names) {
        const size_t n = strcspn(names, " ");
        const struct pv_pre_rule *rule = pv_pre_find(names, n);
        static const char text[] = "It's 12345 o'clock:  a\n\n \t b\u00e9\u4e2d\u6587\u3000x!? \u0301\r\n ";
        struct words words = {0};
        struct pv_pre *pre;
        size_t at = 0;

        ck_assert_msg(rule != NULL, "%s", names);
        ck_assert_int_eq(pv_pre_create(rule, NULL, &pre), PV_OK);
        ck_assert_int_eq(pv_pre_split(pre, text, sizeof text - 1, add_word, &words), PV_OK);
        for (size_t i = 0; i < words.n; i++)
            if (words.text[i] != '|')
                ck_assert_int_eq(words.text[i], text[at++]);
        ck_assert_uint_eq(at, sizeof text - 1);
        ck_assert_int_eq(pv_pre_split(pre, "", 0, add_word, &words), PV_OK);
        pv_pre_destroy(pre);
        names += n + strspn(names + n, " ");
    }
    ck_assert_ptr_null(pv_pre_find("gpt-3", 5));
}
END_TEST

START_TEST(pre_tokenizers_cut_by_their_patterns)
{
    check_cut("gpt-2 mpt olmo", "I'll  go'S 12345!", "I|'ll| | go|'|S| 12345|!|");
    check_cut("gpt-2 mpt olmo", "a\n\n b", "a|\n\n| b|");
    check_cut("llama-bpe dbrx falcon3", "I'LL 12345's", "I|'LL| |123|45|'s|");
    check_cut("llama-bpe qwen2", "x(y)  \n \n  z", "x|(y|)|  \n \n| | z|");
    check_cut("qwen2 deepseek-r1-qwen stablelm2", "I'LL 123!\n\n", "I|'LL| |1|2|3|!\n\n|");
    check_cut("qwen2", "e\u0301a", "e|\u0301a|"); /* a mark is no letter */
    check_cut("qwen35", "e\u0301a", "e\u0301a|");
    check_cut("gpt-4o llama4", "HelloWorld's ABc 1234//\n", "Hello|World's| ABc| |123|4|//\n|");
    check_cut("tekken", "HelloWorld's 12", "Hello|World|'s| |1|2|");
    check_cut("starcoder refact command-r smollm exaone", "x12 y 3", "x|1|2| y| |3|");
    check_cut("falcon", "a.b 1234 $5", "a|.|b| |123|4| |$|5|");
    check_cut("default", "a.b 1234", "a|.|b| |123|4|");
    check_cut("deepseek-llm", "ab 12\nc! \u4e2d\u6587d  ", "ab| |12|\n|c|!| |\u4e2d\u6587|d|  |");
    check_cut("deepseek-coder", "ab 12\nc!", "ab| |1|2|\n|c|!|");
    check_cut("deepseek-v3", "ab 1234 -x\u4e2d\u6587", "ab| |123|4| -|x|\u4e2d\u6587|");
    check_cut("deepseek-v3", "(ab)", "(ab|)|");
    check_cut("chameleon", "a  b!1\t", "a|  |b|!|1|\t|");
    check_cut("jais-2", "a       b", "a|    |  | b|"); /* powers of two */
    check_cut("bloom", "a, b 12", "a|,| b| 12|");
    check_cut("viking", "a, b 12", "a|,| b| |1|2|");
    check_cut("seed-coder", "a!\n", "a|!|\n|");
    check_cut("bailingmoe", " \n\n a", " \n\n| a|");
    check_cut("gpt-2 qwen2", "a\u180e b", "a|\u180e| b|"); /* no white space since Unicode 6.3 */
}
END_TEST

/* A vocabulary that is made here, and what a test needs of it. */
struct made {
    struct pv_gguf g;
    struct pv_tokenizer *t;
    struct pv_test_log captured;
    enum pv_status status;
};
/* `tokens` end with NULL, `types` has a digit a token. SentencePiece where `scores`, else BPE by `merges` (to NULL). */
struct recipe {
    const char *const *tokens;
    const char *types;
    const char *const *merges;
    const float *scores;
    const char *pre_key, *pre; /* in the file; asked for */
    const char *arch;
    int bos, eos; /* 0: none */
};

static uint64_t count(const char *const *items)
{
    uint64_t n = 0;

    while (items[n])
        n++;
    return n;
}

static void make(struct made *m, const struct recipe *r)
{
    const uint64_t n = count(r->tokens);
    const struct pv_log log = pv_test_log(&m->captured);
    int32_t *types = malloc(n * sizeof types[0]);
    char path[PV_TEST_PATH_ROOM];
    struct pv_gguf_writer *w;

    pv_test_temp("made.gguf", path);
    ck_assert_int_eq(pv_gguf_writer_create(&w), PV_OK);
    pv_gguf_add_str(w, "general.architecture", r->arch ? r->arch : "llama");
    pv_gguf_add_str(w, "tokenizer.ggml.model", r->scores ? "llama" : "gpt2");
    if (r->pre_key)
        pv_gguf_add_str(w, "tokenizer.ggml.pre", r->pre_key);
    pv_gguf_add_str_array(w, "tokenizer.ggml.tokens", r->tokens, n);
    for (uint64_t i = 0; i < n; i++)
        types[i] = r->types[i] - '0';
    pv_gguf_add_array(w, "tokenizer.ggml.token_type", PV_GGUF_I32, types, n);
    if (r->scores)
        pv_gguf_add_array(w, "tokenizer.ggml.scores", PV_GGUF_F32, r->scores, n);
    else
        pv_gguf_add_str_array(w, "tokenizer.ggml.merges", r->merges, count(r->merges));
    if (r->bos != 0)
        pv_gguf_add_u32(w, "tokenizer.ggml.bos_token_id", (uint32_t)r->bos);
    if (r->eos != 0)
        pv_gguf_add_u32(w, "tokenizer.ggml.eos_token_id", (uint32_t)r->eos);
    ck_assert_int_eq(pv_gguf_write(w, path, NULL), PV_OK);
    pv_gguf_writer_destroy(w);
    free(types);
    ck_assert_int_eq(pv_gguf_open(&m->g, path, NULL), PV_OK);
    remove(path);
    m->status = pv_tokenizer_create(&m->g, r->pre, &log, &m->t);
}

static void unmake(struct made *m)
{
    pv_tokenizer_destroy(m->t);
    pv_gguf_close(&m->g);
}

/* `expected`: ids, separated by spaces; `decoded`: their text, NULL: not asked. */
static void check_ids(const struct made *m, const char *text, bool bos, bool special, const char *expected,
                      const char *decoded)
{
    char got[256] = "", *back;
    size_t n, used = 0;
    uint32_t *ids;

    ck_assert_int_eq(pv_tokenizer_encode(m->t, text, strlen(text), bos, special, &ids, &n), PV_OK);
    for (size_t i = 0; i < n; i++)
        used += (size_t)snprintf(got + used, sizeof got - used, "%s%u", i > 0 ? " " : "", ids[i]);
    ck_assert_msg(strcmp(got, expected) == 0, "\"%s\": %s, not %s", text, got, expected);
    if (decoded) {
        ck_assert_int_eq(pv_tokenizer_decode(m->t, ids, n, &back, NULL), PV_OK);
        ck_assert_str_eq(back, decoded);
        free(back);
    }
    free(ids);
}

static const char *const small_bpe[] = {"<|end|>", "a", "b", "ab", "\u0120", "!", NULL};
static const char *const small_merges[] = {"a b", NULL};

START_TEST(an_unknown_pre_tokenizer_is_refused)
{
    struct made m;

    make(&m, &(struct recipe){
                 .tokens = small_bpe, .types = "311111", .merges = small_merges, .pre_key = "no-such"});
    ck_assert_int_eq(m.status, PV_ERR_UNSUPPORTED);
    ck_assert(pv_test_logged(&m.captured, "error: the file's pre-tokenizer \"no-such\" is not known"));
    unmake(&m);
    make(&m, &(struct recipe){.tokens = small_bpe,
                              .types = "311111",
                              .merges = small_merges,
                              .pre_key = "no-such",
                              .pre = "gpt-2"});
    ck_assert_int_eq(m.status, PV_OK);
    ck_assert_uint_eq(m.captured.n_messages, 0);
    check_ids(&m, "ab!", false, false, "3 5", "ab!");
    unmake(&m);
    make(&m,
         &(struct recipe){.tokens = small_bpe, .types = "311111", .merges = small_merges, .pre = "no-such"});
    ck_assert_int_eq(m.status, PV_ERR_ARG);
    unmake(&m);
    make(&m, &(struct recipe){.tokens = small_bpe, .types = "311111", .merges = small_merges});
    ck_assert_int_eq(m.status, PV_OK);
    ck_assert(pv_test_logged(&m.captured, "warning: the file does not name its pre-tokenizer"));
    unmake(&m);
}
END_TEST

static const char *const small_spm[] = {"<unk>",   "<s>",     "</s>",     "<0x41>", "\u2581",       "a", "b",
                                        "\u2581a", "\u2581b", "<|user|>", "<u>",    "\u2581\u2581", NULL};
static const float small_scores[] = {0, 0, 0, 0, -1, -2, -3, -4, -5, 0, 0, -9};

START_TEST(spaces_go_before_text_and_after_special_tokens)
{
    struct made m;

    make(&m, &(struct recipe){
                 .tokens = small_spm, .types = "233611111341", .scores = small_scores, .bos = 1, .eos = 2});
    ck_assert_int_eq(m.status, PV_OK);
    check_ids(&m, "a", false, false, "7", "a");
    check_ids(&m, " a", false, false, "4 7", " a");
    check_ids(&m, "a<|user|>b", false, true, "7 9 8", "ab");
    check_ids(&m, "<|user|> b<|user|>", false, true, "9 4 8 9", " b");
    check_ids(&m, "a<u>b", false, false, "7 10 8", "a<u>b"); /* user-defined: text, yet a token */
    check_ids(&m, "a<u> b", false, false, "7 10 4 8", "a<u> b");
    check_ids(&m, "\u2581a", false, false, "4 7", " a"); /* U+2581 is a space */
    check_ids(&m, "Aa", false, false, "4 3 5", "Aa");    /* A by its byte */
    check_ids(&m, "ac", false, false, "7 0", NULL);      /* c has no token: unknown */
    check_ids(&m, "c a", false, false, "4 0 7", "\ufffd a");
    unmake(&m);
}
END_TEST

START_TEST(end_of_text_in_a_text_is_text)
{
    static const char *const tokens[] = {"<unk>", "<s>", "</s>", "\u2581", "<", "/", "s", ">", NULL};
    static const float scores[] = {0, 0, 0, -1, -2, -3, -4, -5};
    struct made m;

    /* the file calls </s> user-defined, as Phi-3's does; it ends a turn, so it is no text */
    make(&m, &(struct recipe){.tokens = tokens, .types = "23411111", .scores = scores, .bos = 1, .eos = 2});
    check_ids(&m, "</s>", false, false, "3 4 5 6 7", "</s>");
    check_ids(&m, "</s>", false, true, "2", "");
    check_ids(&m, "<s>", true, false, "1 3 4 6 7", "<s>");
    unmake(&m);
}
END_TEST

START_TEST(the_first_token_is_never_doubled)
{
    struct made m;

    make(&m,
         &(struct recipe){.tokens = small_spm, .types = "233611111341", .scores = small_scores, .bos = 1});
    check_ids(&m, "a", true, true, "1 7", NULL);
    check_ids(&m, "<s>a", true, true, "1 7", NULL);
    check_ids(&m, "<s>a", false, true, "1 7", NULL);
    check_ids(&m, "<s><s>a", true, true, "1 1 7", NULL);
    check_ids(&m, "a<s>a", true, true, "1 7 1 7", NULL);
    check_ids(&m, "", true, true, "1", NULL);
    unmake(&m);
}
END_TEST

START_TEST(phi3_strips_spaces_after_its_tokens)
{
    struct made m;
    const struct recipe phi = {.tokens = small_spm,
                               .types = "233611111341",
                               .scores = small_scores,
                               .arch = "phi3",
                               .bos = 1,
                               .eos = 2};

    make(&m, &phi);
    check_ids(&m, "<|user|>\n a", false, true, "9 7", NULL);
    check_ids(&m, "</s>\u3000\t a", false, true, "2 7", NULL);
    check_ids(&m, "<s> a", false, true, "1 4 7", NULL); /* <s> takes none */
    check_ids(&m, "<|user|>  ", false, true, "9", NULL);
    unmake(&m);
}
END_TEST

START_TEST(the_longest_special_token_wins_from_the_left)
{
    static const char *const tokens[] = {"<|a|>", "<|a|><|b|>", "<|b|>", "|><", "ab", "abc", "bcd", "a",
                                         "b",     "c",          "d",     "<",   "|",  ">",   NULL};
    static const char *const merges[] = {"a b", NULL};
    struct made m;

    make(&m,
         &(struct recipe){.tokens = tokens, .types = "33344441111111", .merges = merges, .pre_key = "gpt-2"});
    check_ids(&m, "<|a|><|b|>", false, true, "1", NULL);
    check_ids(&m, "<|b|><|a|>", false, true, "2 0", NULL);
    check_ids(&m, "<|a|>|><|b|>", false, true, "0 3 12 8 12 13", NULL);
    check_ids(&m, "<|a|><|b|>", false, false, "11 12 7 3 12 8 12 13", NULL);
    check_ids(&m, "abcd", false, false, "5 10", "abcd"); /* not ab, and bcd begins too late */
    check_ids(&m, "bcdab", false, false, "6 4", "bcdab");
    check_ids(&m, "|><|", false, false, "3 12", "|><|");
    unmake(&m);
}
END_TEST

/* Work on a text of `n_bytes`, for taking its time. */
typedef void work(const void *subject, const char *text, size_t n_bytes);

static void encode_it(const void *subject, const char *text, size_t n_bytes)
{
    uint32_t *ids;
    size_t n;

    ck_assert_int_eq(pv_tokenizer_encode(subject, text, n_bytes, false, true, &ids, &n), PV_OK);
    free(ids);
}

static enum pv_status ignore_word(void *user, const char *text, size_t n_bytes)
{
    (void)user;
    (void)text;
    (void)n_bytes;
    return PV_OK;
}

static void split_it(const void *subject, const char *text, size_t n_bytes)
{
    ck_assert_int_eq(pv_pre_split(subject, text, n_bytes, ignore_word, NULL), PV_OK);
}

/* Processor time, the least of three tries. */
static double seconds(work *todo, const void *subject, const char *text, size_t n_bytes)
{
    double least = 1e9;

    for (int i = 0; i < 3; i++) {
        const clock_t start = clock();
        double passed;

        todo(subject, text, n_bytes);
        passed = (double)(clock() - start) / CLOCKS_PER_SEC;
        if (passed < least)
            least = passed;
    }
    return least;
}

/* Four times the text may take eight times as long; what grows with the square takes sixteen times. */
static void check_linear(work *todo, const void *subject, const char *what, const char *unit)
{
    const size_t n = (size_t)1 << 16, length = strlen(unit);
    char *text = malloc(4 * n + 1);
    double one, four;

    for (size_t i = 0; i < 4 * n; i++)
        text[i] = unit[i % length];
    text[4 * n] = '\0';
    one = seconds(todo, subject, text, n / length * length);
    four = seconds(todo, subject, text, 4 * n / length * length);
    ck_assert_msg(four < 8 * one + 0.01, "%s of \"%s\": %g s for %zu bytes, %g s for four times as many",
                  what, unit, one, n, four);
    free(text);
}

static const char *const units[] = {"a",  "A",   "1",   "!",        " ",           "\n",
                                    "aA", " \n", "ab ", "\xcc\x81", "\xe4\xb8\xad"};
enum { N_UNITS = sizeof units / sizeof units[0] };

START_TEST(cutting_long_runs_takes_linear_time)
{
    const char *names = every_name;

    while (*names) {
        const size_t n = strcspn(names, " ");
        struct pv_pre *pre;
        char name[32];

        snprintf(name, sizeof name, "%.*s", (int)n, names);
        ck_assert_int_eq(pv_pre_create(pv_pre_find(name, n), NULL, &pre), PV_OK);
        for (size_t i = 0; i < N_UNITS; i++)
            check_linear(split_it, pre, name, units[i]);
        pv_pre_destroy(pre);
        names += n + strspn(names + n, " ");
    }
}
END_TEST

static const char *const alphabet[] = {"<|x|>", "a", "b", "\u0120", "ab", "aa", "aaaa", "\u0120\u0120", NULL};
static const char *const alphabet_merges[] = {"a b", "a a", "aa aa", "\u0120 \u0120", NULL};

START_TEST(merging_long_runs_takes_linear_time)
{
    struct made m;

    make(&m, &(struct recipe){
                 .tokens = alphabet, .types = "31111111", .merges = alphabet_merges, .pre = "gpt-2"});
    for (size_t i = 0; i < N_UNITS; i++)
        check_linear(encode_it, m.t, "bpe", units[i]);
    unmake(&m);
    make(&m, &(struct recipe){
                 .tokens = small_spm, .types = "233611111341", .scores = small_scores, .bos = 1, .eos = 2});
    for (size_t i = 0; i < N_UNITS; i++)
        check_linear(encode_it, m.t, "spm", units[i]);
    unmake(&m);
}
END_TEST

/* Tokens a...ab of every length up to 1500, and text that begins each of them everywhere and ends none. */
START_TEST(special_tokens_of_many_lengths_take_linear_time)
{
    enum { N = 1500 };
    static const char *tokens[N + 2];
    static char types[N + 2], texts[N][N + 2];
    struct made m;

    for (size_t i = 0; i < N; i++) {
        memset(texts[i], 'a', i + 1);
        texts[i][i + 1] = 'b';
        tokens[i] = texts[i];
        types[i] = '3';
    }
    tokens[N] = "a";
    types[N] = '1';
    make(&m, &(struct recipe){.tokens = tokens, .types = types, .merges = small_merges, .pre_key = "gpt-2"});
    check_linear(encode_it, m.t, "special tokens", "a");
    check_ids(&m, "aab", false, true, "1", NULL);
    unmake(&m);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("format/tokenizer_rules");
    TCase *tcase = tcase_create("rules");

    tcase_add_test(tcase, every_pre_tokenizer_keeps_the_text);
    tcase_add_test(tcase, pre_tokenizers_cut_by_their_patterns);
    tcase_add_test(tcase, an_unknown_pre_tokenizer_is_refused);
    tcase_add_test(tcase, spaces_go_before_text_and_after_special_tokens);
    tcase_add_test(tcase, end_of_text_in_a_text_is_text);
    tcase_add_test(tcase, the_first_token_is_never_doubled);
    tcase_add_test(tcase, phi3_strips_spaces_after_its_tokens);
    tcase_add_test(tcase, the_longest_special_token_wins_from_the_left);
    tcase_add_test(tcase, cutting_long_runs_takes_linear_time);
    tcase_add_test(tcase, merging_long_runs_takes_linear_time);
    tcase_add_test(tcase, special_tokens_of_many_lengths_take_linear_time);
    suite_add_tcase(suite, tcase);
    return pv_test_main(suite);
}
