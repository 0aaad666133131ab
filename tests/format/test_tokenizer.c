/* The tokenizers against naive references, on bytes of every kind, and on malformed vocabularies. */
#include "format/tokenizer/tokenizer.h"

#include <stdlib.h>
#include <string.h>
#include "base/rng.h"
#include "harness.h"
#include "tiny_model.h"

/* The tokenizer of a tiny model, with the file it points into. */
struct fixture {
    struct pv_gguf g;
    struct pv_tokenizer *t;
    struct pv_test_log captured;
};

static void open_tiny(struct fixture *f, const struct pv_tiny_params *params)
{
    char path[PV_TEST_PATH_ROOM];
    struct pv_log log = pv_test_log(&f->captured);

    pv_test_temp("tokenizer.gguf", path);
    ck_assert_int_eq(pv_tiny_model_write(path, params), PV_OK);
    ck_assert_int_eq(pv_gguf_open(&f->g, path, NULL), PV_OK);
    remove(path);
    ck_assert_int_eq(pv_tokenizer_create(&f->g, NULL, &log, &f->t), PV_OK);
}

static void close_tiny(struct fixture *f)
{
    pv_tokenizer_destroy(f->t);
    pv_gguf_close(&f->g);
}

static uint32_t id_of(const struct fixture *f, const char *text)
{
    const struct pv_gguf_kv *kv = pv_gguf_find(&f->g, "tokenizer.ggml.tokens");

    for (uint32_t i = 0; i < kv->n_items; i++)
        if (kv->strings[i].size_bytes == strlen(text) && memcmp(kv->strings[i].data, text, strlen(text)) == 0)
            return i;
    return UINT32_MAX;
}

/* SentencePiece has U+2581 for a space; returns the length of the text with spaces instead. */
static size_t plain_spaces(const char *text, size_t n_bytes, char *out)
{
    size_t n = 0;

    for (size_t i = 0; i < n_bytes; i++) {
        const bool mark = n_bytes - i >= 3 && memcmp(text + i, "\xe2\x96\x81", 3) == 0;

        out[n++] = text[i];
        if (mark) {
            out[n - 1] = ' ';
            i += 2;
        }
    }
    return n;
}

static void check_round_trip(const struct fixture *f, const char *text, size_t n_bytes)
{
    const struct pv_str kind = pv_gguf_find(&f->g, "tokenizer.ggml.model")->strings[0];
    size_t n, n_decoded, n_expected = n_bytes;
    char *expected = malloc(n_bytes + 1);
    uint32_t *ids;
    char *decoded;

    ck_assert_int_eq(pv_tokenizer_encode(f->t, text, n_bytes, false, false, &ids, &n), PV_OK);
    ck_assert_int_eq(pv_tokenizer_decode(f->t, ids, n, &decoded, &n_decoded), PV_OK);
    memcpy(expected, text, n_bytes);
    if (kind.data[0] == 'l')
        n_expected = plain_spaces(text, n_bytes, expected);
    ck_assert_uint_eq(n_decoded, n_expected);
    ck_assert_mem_eq(decoded, expected, n_expected);
    free(expected);
    free(decoded);
    free(ids);
}

/* `expected`: token texts as in the file, separated by spaces. */
static void check_tokens(const struct fixture *f, const char *text, bool parse_special, const char *expected)
{
    char got[512] = "";
    uint32_t *ids;
    size_t n, used = 0;

    ck_assert_int_eq(pv_tokenizer_encode(f->t, text, strlen(text), false, parse_special, &ids, &n), PV_OK);
    for (size_t i = 0; i < n; i++) {
        const struct pv_str s = pv_gguf_find(&f->g, "tokenizer.ggml.tokens")->strings[ids[i]];

        used += (size_t)snprintf(got + used, sizeof got - used, "%s%.*s", i > 0 ? " " : "", (int)s.size_bytes,
                                 s.data);
        ck_assert_uint_lt(used, sizeof got);
    }
    ck_assert_str_eq(got, expected);
    free(ids);
}

/* Texts that have broken tokenizers: invalid and overlong UTF-8, surrogates, cut characters, names of tokens.
 */
static const char *const awkward[] = {
    "",
    "a",
    " ",
    "  ",
    "\n\n\n",
    " the  and\tthe \r\n",
    "\xff",
    "a\377b",
    "\xc3",
    "\xc3\xa9",
    "\xc0\x80",
    "\xed\xa0\x80",
    "\xf4\x90\x80\x80",
    "\xf0\x9f\x98\x80",
    "\xe2\x96\x81",
    " \xe2\x96\x81the\xe2\x96\x81",
    "<|endoftext|>",
    "<s>",
    "</s><unk>",
    "<0x0A>",
    "a<|user|>b",
    "<|user|>",
    "<|user|> the",
    "\u0120the",
    "it's 'S don't",
    "\u00a0\u2003 x",
    "\xe2\x96",
    "\x80\x80\x80",
    "123 1234 12345",
};
enum { N_AWKWARD = sizeof awkward / sizeof awkward[0] };

static void check_all_round_trips(const struct fixture *f)
{
    struct pv_rng rng;
    char text[200];

    pv_rng_seed(&rng, 1);
    for (size_t i = 0; i < N_AWKWARD; i++)
        check_round_trip(f, awkward[i], strlen(awkward[i]));
    for (int i = 0; i < 2000; i++) {
        const size_t n = pv_rng_below(&rng, sizeof text + 1);

        for (size_t j = 0; j < n; j++) /* all bytes, or letters and spaces, or pieces of UTF-8 */
            text[j] =
                (char)(i % 3 == 0   ? pv_rng_below(&rng, 256)
                       : i % 3 == 1 ? (uint32_t) " theand"[pv_rng_below(&rng, 7)]
                                    : (uint32_t)(uint8_t) "\xe2\x96\x81\xc3\xa9 \n"[pv_rng_below(&rng, 7)]);
        check_round_trip(f, text, n);
    }
}

START_TEST(bpe_round_trips_every_text)
{
    static const char *const pres[] = {"gpt-2", "llama-bpe", "qwen2"};
    struct fixture f;

    for (int i = 0; i < 3; i++) {
        open_tiny(&f, &(struct pv_tiny_params){.pre = pres[i]});
        check_all_round_trips(&f);
        close_tiny(&f);
    }
}
END_TEST

START_TEST(spm_round_trips_every_text)
{
    struct fixture f;

    open_tiny(&f, &(struct pv_tiny_params){.tokenizer = "spm"});
    ck_assert(pv_tokenizer_space_prefix(f.t));
    check_all_round_trips(&f);
    close_tiny(&f);
}
END_TEST

static void add_no_space_prefix(struct pv_gguf_writer *w)
{
    pv_gguf_add_bool(w, "tokenizer.ggml.add_space_prefix", false);
}

START_TEST(spm_without_prefix_round_trips_too)
{
    struct fixture f;

    open_tiny(&f, &(struct pv_tiny_params){.tokenizer = "spm", .extend = add_no_space_prefix});
    ck_assert(!pv_tokenizer_space_prefix(f.t));
    check_all_round_trips(&f);
    check_tokens(&f, "the", false, "t he");
    close_tiny(&f);
}
END_TEST

START_TEST(special_tokens_need_asking_for)
{
    struct fixture f;
    const char *bytes;

    open_tiny(&f, &(struct pv_tiny_params){0});
    check_tokens(&f, "the<|endoftext|> the", true, "t he <|endoftext|> \u0120the");
    check_tokens(&f, "a<|user|>a", false, "a <|user|> a"); /* user-defined tokens are text */
    check_tokens(&f, "<|en", true, "< | e n");
    ck_assert_uint_eq(pv_tokenizer_bytes(f.t, 0, false, &bytes), 0);
    ck_assert_uint_eq(pv_tokenizer_bytes(f.t, 0, true, &bytes), 13);
    ck_assert_mem_eq(bytes, "<|endoftext|>", 13);
    ck_assert_uint_eq(pv_tokenizer_bytes(f.t, UINT32_MAX, true, &bytes), 0);
    ck_assert_uint_eq(pv_tokenizer_bytes(f.t, id_of(&f, "\u0120the"), false, &bytes), 4);
    ck_assert_mem_eq(bytes, " the", 4);
    close_tiny(&f);
}
END_TEST

START_TEST(bos_is_put_where_wanted)
{
    struct fixture f;
    uint32_t *ids;
    char *text;
    size_t n;

    open_tiny(&f, &(struct pv_tiny_params){.tokenizer = "spm"});
    ck_assert(pv_tokenizer_wants_bos(f.t));
    ck_assert_uint_eq(pv_tokenizer_bos(f.t), 1);
    ck_assert_uint_eq(pv_tokenizer_eos(f.t), 2);
    ck_assert_int_eq(pv_tokenizer_encode(f.t, "", 0, true, false, &ids, &n), PV_OK);
    ck_assert(n == 1 && ids[0] == 1);
    free(ids);
    ck_assert_int_eq(pv_tokenizer_encode(f.t, "the", 3, true, false, &ids, &n), PV_OK);
    ck_assert(n == 2 && ids[0] == 1 && ids[1] == id_of(&f, "\u2581the"));
    ck_assert_int_eq(pv_tokenizer_decode(f.t, ids, n, &text, NULL), PV_OK);
    ck_assert_str_eq(text, "the");
    free(text);
    ids[0] = 100000;
    ck_assert_int_eq(pv_tokenizer_decode(f.t, ids, n, &text, NULL), PV_ERR_ARG);
    free(ids);
    close_tiny(&f);
}
END_TEST

START_TEST(invalid_bytes_are_tokens_of_their_own)
{
    struct fixture f;
    uint32_t *ids;
    size_t n;

    open_tiny(&f, &(struct pv_tiny_params){0});
    /* é is one token by a merge, but not when its bytes are part of something invalid */
    check_tokens(&f, "\u00e9", false, "\u00c3\u00a9");
    ck_assert_int_eq(pv_tokenizer_encode(f.t, "\xc3\xc3\xa9\xa9", 4, false, false, &ids, &n), PV_OK);
    ck_assert_uint_eq(n, 3);
    ck_assert_uint_eq(ids[0], id_of(&f, "\u00c3"));
    ck_assert_uint_eq(ids[1], id_of(&f, "\u00c3\u00a9"));
    ck_assert_uint_eq(ids[2], id_of(&f, "\u00a9"));
    free(ids);
    close_tiny(&f);
}
END_TEST

START_TEST(pre_tokenizers_cut_as_their_models_do)
{
    struct fixture f;

    open_tiny(&f, &(struct pv_tiny_params){.pre = "gpt-2"});
    check_tokens(&f, "1234'S's  the", false, "123 4 ' S 's \u0120 \u0120the");
    check_tokens(&f, "a\n\n b", false, "a \u010a \u010a \u0120 b");
    close_tiny(&f);
    open_tiny(&f, &(struct pv_tiny_params){.pre = "llama-bpe"});
    check_tokens(&f, "4123's", false, "4 12 3 's"); /* three digits at most: 412 and 3 */
    close_tiny(&f);
    open_tiny(&f, &(struct pv_tiny_params){.pre = "qwen2"});
    check_tokens(&f, "123 the", false, "1 2 3 \u0120the"); /* digits one by one */
    close_tiny(&f);
}
END_TEST

START_TEST(characters_without_tokens_become_unknown)
{
    struct fixture f;
    uint32_t *ids;
    char *text;
    size_t n;

    open_tiny(&f, &(struct pv_tiny_params){.tokenizer = "spm", .small_vocab = true});
    check_tokens(&f, "the \u00e9\u00fc!", false, "\u2581the \u2581 \u00e9 <unk> <unk>"); /* one a character */
    ck_assert_int_eq(pv_tokenizer_encode(f.t, "a!", 2, false, false, &ids, &n), PV_OK);
    ck_assert_int_eq(pv_tokenizer_decode(f.t, ids, n, &text, NULL), PV_OK);
    ck_assert_str_eq(text, "a\ufffd");
    free(text);
    free(ids);
    close_tiny(&f);
    open_tiny(&f, &(struct pv_tiny_params){.small_vocab = true});
    check_tokens(&f, "a!b", false, "a b"); /* no unknown token either */
    close_tiny(&f);
}
END_TEST

/* Index of a merge "left right" in the file, or -1. */
static int merge_rank(const struct pv_gguf *g, const char *left, const char *right)
{
    const struct pv_gguf_kv *kv = pv_gguf_find(g, "tokenizer.ggml.merges");
    char pair[64];

    snprintf(pair, sizeof pair, "%s %s", left, right);
    for (uint64_t i = 0; i < kv->n_items; i++)
        if (kv->strings[i].size_bytes == strlen(pair) && memcmp(kv->strings[i].data, pair, strlen(pair)) == 0)
            return (int)i;
    return -1;
}

/* Lower is better: the merge's rank, or minus the score of the piece; false if the two do not join. */
static bool pair_cost(const struct fixture *f, bool spm, const char *left, const char *right, double *cost)
{
    char both[64];
    uint32_t id;

    if (!spm) {
        const int rank = merge_rank(&f->g, left, right);

        *cost = rank;
        return rank >= 0;
    }
    snprintf(both, sizeof both, "%s%s", left, right);
    id = id_of(f, both);
    if (id == UINT32_MAX)
        return false;
    *cost = -pv_gguf_item_f64(pv_gguf_find(&f->g, "tokenizer.ggml.scores"), id);
    return true;
}

/* Joins the best pair again and again, by definition and slowly. Parts are as the file spells them. */
static size_t naive(const struct fixture *f, bool spm, char parts[][64], size_t n)
{
    for (;;) {
        double best = 0, cost;
        size_t at = n;

        for (size_t i = 0; i + 1 < n; i++)
            if (pair_cost(f, spm, parts[i], parts[i + 1], &cost) && (at == n || cost < best)) {
                best = cost;
                at = i;
            }
        if (at == n)
            return n;
        strncat(parts[at], parts[at + 1], 30);
        for (size_t i = at + 1; i + 1 < n; i++)
            memcpy(parts[i], parts[i + 1], 64);
        n--;
    }
}

static void compare_with_naive(bool spm, uint64_t seed)
{
    static char parts[64][64];
    struct fixture f;
    struct pv_rng rng;

    open_tiny(&f, &(struct pv_tiny_params){.tokenizer = spm ? "spm" : "bpe"});
    pv_rng_seed(&rng, seed);
    for (int round = 0; round < 500; round++) {
        size_t n_letters = 1 + pv_rng_below(&rng, 40), n = 0, n_parts, n_ids;
        char text[64] = " ";
        uint32_t *ids;

        snprintf(parts[n++], 64, "%s", spm ? "\u2581" : "\u0120");
        for (size_t i = 0; i < n_letters; i++) {
            const char c = "theandigrolws"[pv_rng_below(&rng, 13)];

            snprintf(parts[n++], 64, "%c", c);
            text[i + 1] = c;
            text[i + 2] = '\0';
        }
        n_parts = naive(&f, spm, parts, n);
        /* SentencePiece puts the space in front itself */
        ck_assert_int_eq(pv_tokenizer_encode(f.t, spm ? text + 1 : text, n_letters + (spm ? 0 : 1), false,
                                             false, &ids, &n_ids),
                         PV_OK);
        ck_assert_uint_eq(n_ids, n_parts);
        for (size_t i = 0; i < n_parts; i++)
            ck_assert_uint_eq(ids[i], id_of(&f, parts[i]));
        free(ids);
    }
    close_tiny(&f);
}

START_TEST(bpe_merges_as_the_definition_says)
{
    compare_with_naive(false, 5);
}
END_TEST

START_TEST(spm_merges_as_the_definition_says)
{
    compare_with_naive(true, 6);
}
END_TEST

/* Minutes or hours if merging were quadratic; Check's time limit would end it. */
START_TEST(a_word_of_a_million_letters_is_no_trap)
{
    const size_t n = 1000000;
    char *text = malloc(n);
    struct fixture f;

    for (size_t i = 0; i < n; i++)
        text[i] = "thean"[i % 5];
    open_tiny(&f, &(struct pv_tiny_params){0});
    check_round_trip(&f, text, n);
    close_tiny(&f);
    open_tiny(&f, &(struct pv_tiny_params){.tokenizer = "spm"});
    check_round_trip(&f, text, n);
    memset(text, ' ', n);
    check_round_trip(&f, text, n);
    memset(text, 0xe2, n);
    check_round_trip(&f, text, n);
    close_tiny(&f);
    free(text);
}
END_TEST

/* A vocabulary of three tokens with one thing wrong. */
struct broken {
    const char *kind;
    uint64_t n_types, n_scores;
    const char *merge;
    float score;
    enum pv_status expected;
    const char *part;
};

static void check_broken(const struct broken *b)
{
    static const char *const tokens[] = {"a", "b", "ab"};
    static const int32_t types[] = {1, 1, 1};
    float scores[] = {0.0f, b->score, 1.0f};
    struct pv_test_log captured;
    struct pv_log log = pv_test_log(&captured);
    char path[PV_TEST_PATH_ROOM];
    struct pv_tokenizer *t = NULL;
    struct pv_gguf_writer *w;
    struct pv_gguf g;

    pv_test_temp("broken.gguf", path);
    ck_assert_int_eq(pv_gguf_writer_create(&w), PV_OK);
    if (b->kind)
        pv_gguf_add_str(w, "tokenizer.ggml.model", b->kind);
    pv_gguf_add_str_array(w, "tokenizer.ggml.tokens", tokens, b->n_types != 9 ? 3 : 0);
    if (b->n_types != 9)
        pv_gguf_add_array(w, "tokenizer.ggml.token_type", PV_GGUF_I32, types, b->n_types);
    if (b->n_scores != 0)
        pv_gguf_add_array(w, "tokenizer.ggml.scores", PV_GGUF_F32, scores, b->n_scores);
    if (b->merge)
        pv_gguf_add_str_array(w, "tokenizer.ggml.merges", &b->merge, 1);
    pv_gguf_add_u32(w, "tokenizer.ggml.bos_token_id", 77);
    ck_assert_int_eq(pv_gguf_write(w, path, NULL), PV_OK);
    pv_gguf_writer_destroy(w);
    ck_assert_int_eq(pv_gguf_open(&g, path, NULL), PV_OK);
    remove(path);
    ck_assert_int_eq(pv_tokenizer_create(&g, NULL, &log, &t), b->expected);
    ck_assert_msg(pv_test_logged(&captured, b->part), "\"%s\" is not in \"%s\"", b->part, captured.text);
    if (t)
        ck_assert_uint_eq(pv_tokenizer_bos(t), UINT32_MAX);
    pv_tokenizer_destroy(t);
    pv_gguf_close(&g);
}

START_TEST(malformed_vocabularies_are_refused)
{
    static const struct broken cases[] = {
        {"gpt2", 3, 0, "a b", 0, PV_OK, "there is no token 77"},
        {NULL, 3, 3, "a b", 0, PV_ERR_FORMAT, "tokenizer.ggml.model is missing"},
        {"bert", 3, 3, "a b", 0, PV_ERR_UNSUPPORTED, "\"bert\" is not supported"},
        {"gpt2", 9, 0, "a b", 0, PV_ERR_FORMAT, "tokenizer.ggml.tokens"},
        {"gpt2", 2, 0, "a b", 0, PV_ERR_FORMAT, "tokenizer.ggml.token_type"},
        {"gpt2", 3, 0, NULL, 0, PV_ERR_FORMAT, "tokenizer.ggml.merges is missing"},
        {"gpt2", 3, 0, "ab", 0, PV_ERR_FORMAT, "item 0 is not a pair"},
        {"gpt2", 3, 0, " a", 0, PV_ERR_FORMAT, "item 0 is not a pair"},
        {"gpt2", 3, 0, "a ", 0, PV_ERR_FORMAT, "item 0 is not a pair"},
        {"gpt2", 3, 0, "a c", 0, PV_OK, "1 of 1 merges name tokens that the vocabulary lacks"},
        {"llama", 3, 0, NULL, 0, PV_ERR_FORMAT, "tokenizer.ggml.scores is missing"},
        {"llama", 3, 2, NULL, 0, PV_ERR_FORMAT, "tokenizer.ggml.scores"},
        {"llama", 3, 3, NULL, 3e38f, PV_ERR_FORMAT, "the score of token 1 is not finite"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_broken(&cases[i]);
}
END_TEST

/* Copied from values that Hugging Face tokenizers computed for the model in models/. */
START_TEST(the_bundled_model_encodes_as_its_trainer_did)
{
    static const struct {
        const char *text;
        size_t n;
        uint32_t ids[13];
    } cases[] = {
        {"Once upon a time", 4, {3481, 648, 259, 538}},
        {"The king said, \"Come here!\"", 8, {350, 758, 359, 12, 392, 2489, 725, 609}},
        {"I'll go; don't wait.", 8, {41, 789, 419, 27, 776, 459, 1053, 14}},
        {"  two  spaces\n\nand lines\t tab",
         13,
         {221, 651, 221, 437, 2264, 199, 199, 403, 287, 2837, 198, 257, 642}},
        {"", 0, {0}},
        {"a", 1, {65}},
        {"1234 golden rings", 7, {17, 18, 19, 20, 1537, 342, 953}},
        {"The end.", 3, {350, 942, 14}},
    };
    char path[PV_TEST_PATH_ROOM];
    struct fixture f;
    uint32_t *ids;
    size_t n;

    ck_assert(pv_test_source("models/fables-5m-f16.gguf", path));
    ck_assert_int_eq(pv_gguf_open(&f.g, path, NULL), PV_OK);
    ck_assert_int_eq(pv_tokenizer_create(&f.g, NULL, NULL, &f.t), PV_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ck_assert_int_eq(
            pv_tokenizer_encode(f.t, cases[i].text, strlen(cases[i].text), false, false, &ids, &n), PV_OK);
        ck_assert_uint_eq(n, cases[i].n);
        ck_assert_mem_eq(ids, cases[i].ids, n * sizeof ids[0]);
        free(ids);
    }
    check_all_round_trips(&f);
    close_tiny(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("format/tokenizer");
    TCase *tcase = tcase_create("tokenizer");
    char path[PV_TEST_PATH_ROOM];

    tcase_add_test(tcase, bpe_round_trips_every_text);
    tcase_add_test(tcase, spm_round_trips_every_text);
    tcase_add_test(tcase, spm_without_prefix_round_trips_too);
    tcase_add_test(tcase, special_tokens_need_asking_for);
    tcase_add_test(tcase, bos_is_put_where_wanted);
    tcase_add_test(tcase, invalid_bytes_are_tokens_of_their_own);
    tcase_add_test(tcase, pre_tokenizers_cut_as_their_models_do);
    tcase_add_test(tcase, characters_without_tokens_become_unknown);
    tcase_add_test(tcase, bpe_merges_as_the_definition_says);
    tcase_add_test(tcase, spm_merges_as_the_definition_says);
    tcase_add_test(tcase, a_word_of_a_million_letters_is_no_trap);
    tcase_add_test(tcase, malformed_vocabularies_are_refused);
    if (pv_test_source("models/fables-5m-f16.gguf", path))
        tcase_add_test(tcase, the_bundled_model_encodes_as_its_trainer_did);
    suite_add_tcase(suite, tcase);
    return pv_test_main(suite);
}
