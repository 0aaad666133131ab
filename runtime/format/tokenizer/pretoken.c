/* Cutting by regular expressions, with PCRE2. The patterns are written so that no input makes them look at a byte
 * more than a few times. PCRE2's own limits are off: a text is cut as its model means it to be, however long its
 * words are, or memory runs out and the caller hears of it. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "format/tokenizer/pretoken.h"

#include <pcre2.h>
#include <stdlib.h>
#include "base/log.h"

struct pv_pre {
    size_t n_patterns;
    pcre2_code *patterns[PV_PRE_MAX_PATTERNS];
    pcre2_match_context *context;
};

static enum pv_status compile(struct pv_pre *pre, const struct pv_pre_rule *rule, const struct pv_log *log)
{
    pre->context = pcre2_match_context_create(NULL);
    if (!pre->context)
        return pv_fail(log, PV_ERR_NOMEM, "no memory for the tokenizer");
    pcre2_set_match_limit(pre->context, UINT32_MAX);
    pcre2_set_depth_limit(pre->context, UINT32_MAX);
    pcre2_set_heap_limit(pre->context, UINT32_MAX);
    for (; rule->patterns[pre->n_patterns]; pre->n_patterns++) {
        PCRE2_SIZE at;
        int error;
        pcre2_code *code = pcre2_compile((PCRE2_SPTR)rule->patterns[pre->n_patterns], PCRE2_ZERO_TERMINATED,
                                         PCRE2_UTF | PCRE2_UCP, &error, &at, NULL);

        if (!code)
            return pv_fail(
                log, PV_ERR_UNSUPPORTED,
                "tokenizer: PCRE2 refuses pattern %zu of \"%s\" (error %d): it was built without Unicode",
                pre->n_patterns, rule->name, error);
        (void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE); /* only faster: failure is fine */
        pre->patterns[pre->n_patterns] = code;
    }
    return PV_OK;
}

enum pv_status pv_pre_create(const struct pv_pre_rule *rule, const struct pv_log *log, struct pv_pre **out)
{
    struct pv_pre *pre = pv_calloc(1, sizeof *pre);
    enum pv_status status;

    *out = NULL;
    if (!pre)
        return pv_fail(log, PV_ERR_NOMEM, "no memory for the tokenizer");
    status = compile(pre, rule, log);
    if (status != PV_OK) {
        pv_pre_destroy(pre);
        return status;
    }
    *out = pre;
    return PV_OK;
}

void pv_pre_destroy(struct pv_pre *pre)
{
    if (!pre)
        return;
    for (size_t i = 0; i < pre->n_patterns; i++)
        pcre2_code_free(pre->patterns[i]);
    pcre2_match_context_free(pre->context);
    free(pre);
}

/* One splitting: where words go, and the memory of a match. */
struct splitting {
    const struct pv_pre *pre;
    pcre2_match_data *match;
    pv_pre_word *word;
    void *user;
};

/* The next match at or after `pos` that is not empty; false: none. */
static bool find_match(const struct splitting *s, size_t pattern, const char *text, size_t n_bytes,
                       size_t pos, size_t *start, size_t *end, enum pv_status *status)
{
    const PCRE2_SIZE *range = pcre2_get_ovector_pointer(s->match);
    const pcre2_code *code = s->pre->patterns[pattern];
    const uint32_t options = PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY;
    int n = pcre2_match(code, (PCRE2_SPTR)text, n_bytes, pos, options, s->match, s->pre->context);

    if (n < 0 && n != PCRE2_ERROR_NOMATCH) /* the compiled code's stack is small: once more without it */
        n = pcre2_match(code, (PCRE2_SPTR)text, n_bytes, pos, options | PCRE2_NO_JIT, s->match,
                        s->pre->context);
    if (n < 0 && n != PCRE2_ERROR_NOMATCH)
        *status = PV_ERR_NOMEM;
    if (n < 0)
        return false;
    *start = range[0];
    *end = range[1];
    return true;
}

/* Depth: the number of patterns. */
static enum pv_status split(const struct splitting *s, size_t pattern, const char *text, size_t n_bytes)
{
    enum pv_status status = PV_OK;
    size_t pos = 0, start, end;

    if (pattern == s->pre->n_patterns)
        return s->word(s->user, text, n_bytes);
    while (pos < n_bytes && find_match(s, pattern, text, n_bytes, pos, &start, &end, &status)) {
        if (start > pos)
            PV_TRY(split(s, pattern + 1, text + pos, start - pos));
        PV_TRY(split(s, pattern + 1, text + start, end - start));
        pos = end;
    }
    if (status == PV_OK && pos < n_bytes)
        status = split(s, pattern + 1, text + pos, n_bytes - pos);
    return status;
}

enum pv_status pv_pre_split(const struct pv_pre *pre, const char *text, size_t n_bytes, pv_pre_word *word,
                            void *user)
{
    struct splitting s = {.pre = pre, .match = pcre2_match_data_create(1, NULL), .word = word, .user = user};
    enum pv_status status;

    if (!s.match)
        return PV_ERR_NOMEM;
    status = n_bytes != 0 ? split(&s, 0, text, n_bytes) : PV_OK;
    pcre2_match_data_free(s.match);
    return status;
}
