/* The pre-tokenizers that GGUF files name. The patterns are those of the models' own tokenizer.json files (OpenAI's
 * encoder.py for gpt-2), with three changes that alter no result: whitespace is spelled out, since PCRE2's \s has
 * U+180E too, which Unicode no longer calls a space; quantifiers that nothing follows are possessive; and a run is
 * never tried from its middle. Names that share a row cut text alike. */
#include "format/tokenizer/pretoken.h"

#include <string.h>

/* For use within [...]: Unicode's White_Space, letters and numbers. */
#define WS "\\t-\\r\\x{85}\\p{Z}"
#define LN "\\p{L}\\p{N}"
/* Of a run of spaces before a word, all but the last; what a longer pattern leaves; */
#define SPACES "[" WS "]+(?![^" WS "])|[" WS "]++"
/* spaces up to the last line break (after a space that is no line break the run has been tried, and has none); */
#define LINES "(?<![\\t\\x{b}\\x{c}\\x{85}\\p{Z}])[" WS "]*[\\r\\n]++"
/* English contractions, which GPT-2 knows in lower case only; */
#define CONTRACTION "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
/* punctuation with the line breaks that follow it. */
#define SIGNS " ?[^" WS LN "]++[\\r\\n]*+"

#define GPT2    "'(?:[stmd]|re|ve|ll)| ?\\p{L}++| ?\\p{N}++| ?[^" WS LN "]++|" SPACES
#define LETTERS "[^\\r\\n" LN "]?\\p{L}++"
#define LLAMA3  CONTRACTION "|" LETTERS "|\\p{N}{1,3}+|" SIGNS "|" LINES "|" SPACES
#define QWEN2   CONTRACTION "|" LETTERS "|\\p{N}|" SIGNS "|" LINES "|" SPACES
/* Words end where capitals begin anew; letters without case, and marks, go with both. */
#define UPPER       "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER       "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CASED(end)  "[^\\r\\n" LN "]?" UPPER "*" LOWER "++" end "|[^\\r\\n" LN "]?" UPPER "++" LOWER "*+" end
#define SIGNS_SLASH " ?[^" WS LN "]++[\\r\\n/]*+"
#define GPT4O       CASED(CONTRACTION "?") "|\\p{N}{1,3}+|" SIGNS_SLASH "|" LINES "|" SPACES
#define TEKKEN      CASED("") "|\\p{N}|" SIGNS_SLASH "|" LINES "|" SPACES

#define DIGIT      "\\p{N}"
#define BREAK      "[\\r\\n]"
#define HAN_HANGUL "[\\x{4e00}-\\x{9fa5}\\x{800}-\\x{4e00}\\x{ac00}-\\x{d7ff}]++"
#define HAN_KANA   "[\\x{4e00}-\\x{9fa5}\\x{3040}-\\x{309f}\\x{30a0}-\\x{30ff}]++"

static const char *const gpt2[] = {GPT2, NULL};
static const char *const llama3[] = {LLAMA3, NULL};
static const char *const qwen2[] = {QWEN2, NULL};
static const char *const gpt4o[] = {GPT4O, NULL};
static const char *const tekken[] = {TEKKEN, NULL};
static const char *const digits_gpt2[] = {DIGIT, GPT2, NULL};
static const char *const qwen35[] = {CONTRACTION "|[^\\r\\n" LN "]?[\\p{L}\\p{M}]++|\\p{N}| ?[^" WS LN
                                                 "\\p{M}]++[\\r\\n]*+|" LINES "|" SPACES,
                                     NULL};
static const char *const falcon[] = {"[\\p{P}$+<=>^~|`]++", GPT2, "[0-9][0-9][0-9]", NULL};
static const char *const fallback[] = {"[\\p{P}$+<=>^~|]++", GPT2, "\\p{N}++", "[0-9][0-9][0-9]", NULL};

/* Letters with case, as of some version of Unicode and without some blocks. */
#define DEEPSEEK_LETTERS                                                                                             \
    "A-Za-z\\x{b5}\\x{c0}-\\x{d6}\\x{d8}-\\x{f6}\\x{f8}-\\x{1ba}\\x{1bc}-\\x{1bf}\\x{1c4}-\\x{293}\\x{295}-\\x{2af}" \
    "\\x{370}-\\x{373}\\x{376}\\x{377}\\x{37b}-\\x{37d}\\x{37f}\\x{386}\\x{388}-\\x{38a}\\x{38c}\\x{38e}-\\x{3a1}"   \
    "\\x{3a3}-\\x{3f5}\\x{3f7}-\\x{481}\\x{48a}-\\x{52f}\\x{531}-\\x{556}\\x{10a0}-\\x{10c5}\\x{13a0}-\\x{13f5}"     \
    "\\x{13f8}-\\x{13fd}\\x{1c90}-\\x{1cba}\\x{1cbd}-\\x{1cbf}\\x{1d00}-\\x{1d2b}\\x{1d6b}-\\x{1d77}\\x{1d79}-"      \
    "\\x{1d9a}\\x{1e00}-\\x{1f15}\\x{1f18}-\\x{1f1d}\\x{1f20}-\\x{1f45}\\x{1f48}-\\x{1f4d}\\x{1f50}-\\x{1f57}"       \
    "\\x{1f59}\\x{1f5b}\\x{1f5d}\\x{1f5f}-\\x{1f7d}\\x{1f80}-\\x{1fb4}\\x{1fb6}-\\x{1fbc}\\x{1fbe}\\x{1fc2}-"        \
    "\\x{1fc4}\\x{1fc6}-\\x{1fcc}\\x{1fd0}-\\x{1fd3}\\x{1fd6}-\\x{1fdb}\\x{1fe0}-\\x{1fec}\\x{1ff2}-\\x{1ff4}"       \
    "\\x{1ff6}-\\x{1ffc}\\x{2102}\\x{2107}\\x{210a}-\\x{2113}\\x{2115}\\x{2119}-\\x{211d}\\x{2124}\\x{2126}"         \
    "\\x{2128}\\x{212a}-\\x{212d}\\x{212f}-\\x{2134}\\x{2139}\\x{213c}-\\x{213f}\\x{2145}-\\x{2149}\\x{214e}"        \
    "\\x{2183}\\x{2184}\\x{2c00}-\\x{2c7b}\\x{2c7e}-\\x{2ce4}\\x{2ceb}-\\x{2cee}\\x{2cf2}\\x{2cf3}\\x{a640}-"        \
    "\\x{a66d}\\x{a680}-\\x{a69b}\\x{a722}-\\x{a76f}\\x{a771}-\\x{a787}\\x{a78b}-\\x{a78e}\\x{ab70}-\\x{abbf}"       \
    "\\x{fb00}-\\x{fb06}\\x{fb13}-\\x{fb17}\\x{ff21}-\\x{ff3a}\\x{ff41}-\\x{ff5a}\\x{10400}-\\x{1044f}\\x{104b0}-"   \
    "\\x{104d3}\\x{104d8}-\\x{104fb}\\x{10c80}-\\x{10cb2}\\x{10cc0}-\\x{10cf2}\\x{118a0}-\\x{118df}\\x{1e900}-"      \
    "\\x{1e943}"
/* U+3000 is written among the signs, but goes with the spaces before it: so the reference ids have it. */
static const char *const deepseek_llm[] = {
    BREAK,
    "[" WS "]?[" DEEPSEEK_LETTERS "]++",
    "[" WS "]?[!-/:-~\\x{ff01}-\\x{ff0f}\\x{ff1a}-\\x{ff5e}\\x{2018}-\\x{201f}\\x{3001}\\x{3002}]++",
    "(?<![" WS "])[" WS "]++\\z",
    HAN_HANGUL,
    "\\p{N}++",
    NULL};
static const char *const deepseek_coder[] = {
    BREAK, "[" WS "]?\\p{L}++", "[" WS "]?\\p{P}++", HAN_HANGUL, DIGIT, NULL};
static const char *const deepseek_v3[] = {
    "\\p{N}{1,3}+", HAN_KANA,
    "[!-/:-@[-`{-~][A-Za-z]++|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]++|"
    " ?[\\p{P}\\p{S}]++[\\r\\n]*+|" LINES "|" SPACES,
    NULL};
static const char *const chameleon[] = {
    "<sentinel:[0-9]++>", "IMGIMG[A-I]{1,4}Z", "[\\t\\n]|    |  ", DIGIT, "[\\p{P}!-/:-@[-`{-~]", GPT2, NULL};
/* Runs of spaces are cut into powers of two. */
static const char *const jais2[] = {
    CONTRACTION "|" LETTERS "|\\p{N}{1,3}+|" SIGNS "|" LINES "|[" WS "]{512}(?![^" WS "])|[" WS
                "]{256}(?![^" WS "])|[" WS "]{128}(?![^" WS "])|[" WS "]{64}(?![^" WS "])|[" WS
                "]{32}(?![^" WS "])|[" WS "]{16}(?![^" WS "])|[" WS "]{8}(?![^" WS "])|[" WS "]{4}(?![^" WS
                "])|[" WS "]{1,2}(?![^" WS "])|[" WS "]",
    NULL};
static const char *const bloom[] = {
    " ?[^(|.,!?\\x{2026}\\x{3002}\\x{ff0c}\\x{3001}\\x{964}\\x{6d4}\\x{60c})" WS "]++", NULL};
static const char *const viking[] = {
    " ?[^(|.,!?\\x{2026}\\x{3002}\\x{ff0c}\\x{3001}\\x{964}\\x{6d4}\\x{60c})" WS "]++", DIGIT, NULL};
static const char *const bailingmoe[] = {"'(?i:[sdmt]|ll|ve|re)|[^\\r\\n" LN "]?\\p{L}++|\\p{N}| ?[^" WS LN
                                         "]++[\\r\\n]*+|[" WS "]*[\\r\\n]|" SPACES,
                                         NULL};
static const char *const seed_coder[] = {
    CONTRACTION "|" LETTERS "|\\p{N}| ?[^" WS LN "\\r\\n]++|" LINES "|" SPACES, NULL};

static const struct pv_pre_rule rules[] = {
    {"default", fallback, false, false},
    {"gpt-2", gpt2, false, false},
    {"phi-2", gpt2, false, false},
    {"mpt", gpt2, false, false},
    {"olmo", gpt2, false, false},
    {"jais", gpt2, false, false},
    {"trillion", gpt2, false, false},
    {"exaone4", gpt2, false, false},
    {"gigachat", gpt2, false, false},
    {"mellum", gpt2, false, false},
    {"a.x-4.0", gpt2, false, false},
    {"granite-docling", gpt2, false, false},
    {"llama-bpe", llama3, true, true},
    {"llama3", llama3, true, true},
    {"llama-v3", llama3, true, true},
    {"falcon3", llama3, true, true},
    {"falcon-h1", llama3, true, true},
    {"pixtral", llama3, true, true},
    {"midm-2.0", llama3, true, true},
    {"lfm2", llama3, true, true},
    {"dbrx", llama3, false, false},
    {"smaug-bpe", llama3, false, false},
    {"chatglm-bpe", llama3, false, false},
    {"glm4", llama3, false, false},
    {"qwen2", qwen2, false, false},
    {"deepseek-r1-qwen", qwen2, false, false},
    {"stablelm2", qwen2, false, false},
    {"megrez", qwen2, false, false},
    {"hunyuan", qwen2, false, false},
    {"kormo", qwen2, false, false},
    {"solar-open", qwen2, false, false},
    {"grok-2", qwen2, false, false},
    {"qwen35", qwen35, false, false},
    {"gpt-4o", gpt4o, false, false},
    {"llama4", gpt4o, false, false},
    {"kanana2", gpt4o, false, false},
    {"minimax-m2", gpt4o, false, false},
    {"tekken", tekken, true, true},
    {"starcoder", digits_gpt2, false, false},
    {"refact", digits_gpt2, false, false},
    {"command-r", digits_gpt2, false, false},
    {"smollm", digits_gpt2, false, false},
    {"codeshell", digits_gpt2, false, false},
    {"exaone", digits_gpt2, false, false},
    {"minerva-7b", digits_gpt2, false, false},
    {"mellum2", digits_gpt2, false, false},
    {"falcon", falcon, false, false},
    {"deepseek-llm", deepseek_llm, false, false},
    {"deepseek-coder", deepseek_coder, false, false},
    {"deepseek-v3", deepseek_v3, false, false},
    {"hunyuan-dense", deepseek_v3, false, false},
    {"joyai-llm", deepseek_v3, false, false},
    {"chameleon", chameleon, false, true},
    {"jais-2", jais2, false, false},
    {"bloom", bloom, false, false},
    {"gpt3-finnish", bloom, false, false},
    {"poro-chat", bloom, false, false},
    {"viking", viking, false, false},
    {"bailingmoe", bailingmoe, false, false},
    {"bailingmoe2", bailingmoe, false, false},
    {"llada-moe", bailingmoe, false, false},
    {"seed-coder", seed_coder, false, false},
};

const struct pv_pre_rule *pv_pre_find(const char *name, size_t n_bytes)
{
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        if (strlen(rules[i].name) == n_bytes && memcmp(rules[i].name, name, n_bytes) == 0)
            return &rules[i];
    return NULL;
}
