/* A conversation is laid out once, as spans: the template's texts, in which special tokens count, what people and
 * models wrote, in which they do not, and answers that are tokens already. */
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "format/chat/form.h"
#include "format/model/model.h"

struct part {
    struct pv_text_span span;
    const struct pv_chat_message *tokens; /* an answer's, in place of a text; or NULL */
};

struct layout {
    const struct pv_chat_form *form;
    const struct pv_model *model;
    char *text;
    size_t n_bytes;
    struct part *parts;
    size_t n_parts;
    bool with_tokens, no_memory;
};

static void add_part(struct layout *l, const char *text, size_t n_bytes, bool special,
                     const struct pv_chat_message *tokens)
{
    void *bytes = l->text, *parts = l->parts;

    if (l->no_memory || (n_bytes == 0 && !tokens))
        return;
    if (!pv_grow(&bytes, l->n_bytes + n_bytes + 1, 1)) {
        l->no_memory = true;
        return;
    }
    l->text = bytes;
    if (!pv_grow(&parts, l->n_parts + 1, sizeof l->parts[0])) {
        l->no_memory = true;
        return;
    }
    l->parts = parts;
    if (n_bytes > 0)
        memcpy(l->text + l->n_bytes, text, n_bytes);
    l->n_bytes += n_bytes;
    l->text[l->n_bytes] = '\0';
    l->parts[l->n_parts++] = (struct part){.span = {n_bytes, special}, .tokens = tokens};
}

static void add_token_name(struct layout *l, uint32_t token)
{
    const char *name = "";
    const size_t n = token == UINT32_MAX ? 0 : pv_token_bytes(l->model, token, true, &name);

    add_part(l, name, n, true, NULL);
}

/* A text of the template, {bos} and {eos} replaced. */
static void add_markup(struct layout *l, const char *text)
{
    const char *at = text;

    for (const char *brace; (brace = strchr(at, '{'));) {
        const bool bos = strncmp(brace, "{bos}", 5) == 0, eos = strncmp(brace, "{eos}", 5) == 0;
        const size_t n = (size_t)(brace - at) + (bos || eos ? 0 : 1);

        add_part(l, at, n, true, NULL);
        if (bos || eos)
            add_token_name(l, bos ? pv_token_bos(l->model) : pv_token_eos(l->model));
        at = brace + (bos || eos ? 5 : 1);
    }
    add_part(l, at, strlen(at), true, NULL);
}

/* What somebody wrote, without the white space at its ends if the family drops it. */
static void add_content(struct layout *l, const struct pv_chat_message *m)
{
    const bool trim = l->form->trim == CHAT_TRIM_ALL ||
                      (l->form->trim == CHAT_TRIM_ASSISTANT && m->role == PV_CHAT_ASSISTANT);
    size_t begin = m->n_bytes, end = 0, length;
    uint32_t code = 0;

    if (!trim) {
        add_part(l, m->text, m->n_bytes, false, NULL);
        return;
    }
    for (size_t i = 0; i < m->n_bytes; i += length) {
        const size_t n = pv_utf8_char(m->text + i, m->n_bytes - i, &code);

        length = n > 0 ? n : 1;
        if (n > 0 && pv_utf8_is_space(code))
            continue;
        begin = begin < i ? begin : i;
        end = i + length;
    }
    if (end > 0)
        add_part(l, m->text + begin, end - begin, false, NULL);
}

static void add_system(struct layout *l, const struct pv_chat_message *system)
{
    add_markup(l, l->form->around[PV_CHAT_SYSTEM][0]);
    add_content(l, system);
    add_markup(l, l->form->around[PV_CHAT_SYSTEM][1]);
}

/* `system`: the prompt that stands in this turn, or NULL. */
static void add_turn(struct layout *l, const struct pv_chat_message *m, const struct pv_chat_message *system)
{
    const char *const *around = l->form->around[m->role];

    if (m->role == PV_CHAT_ASSISTANT && m->tokens && l->with_tokens) {
        add_markup(l, l->form->generation);
        add_part(l, "", 0, false, m);
    } else {
        add_markup(l, around[0]);
        if (system)
            add_system(l, system);
        add_content(l, m);
    }
    add_markup(l, around[1]);
}

static enum pv_status check(const struct pv_log *log, const struct pv_chat_message *messages, size_t n)
{
    const size_t first = n > 0 && messages[0].role == PV_CHAT_SYSTEM ? 1 : 0;

    for (size_t i = first; i < n; i++)
        if (messages[i].role != ((i - first) % 2 ? PV_CHAT_ASSISTANT : PV_CHAT_USER))
            return pv_fail(
                log, PV_ERR_ARG,
                "message %zu of the conversation is out of turn: a system message first or none, then "
                "users and answers by turns",
                i + 1);
    if ((n - first) % 2 == 0)
        return pv_fail(log, PV_ERR_ARG, "the conversation's last message must be a user's");
    return PV_OK;
}

static enum pv_status lay_out(struct layout *l, const struct pv_chat_message *messages, size_t n)
{
    const struct pv_chat_message *system = n > 0 && messages[0].role == PV_CHAT_SYSTEM ? messages : NULL;
    const size_t first = system ? 1 : 0, place = l->form->place == CHAT_FIRST_USER ? first : n - 1;

    PV_TRY(check(&l->model->log, messages, n));
    if (l->form->bos && strncmp(l->form->around[PV_CHAT_USER][0], "{bos}", 5) != 0)
        add_markup(l, "{bos}");
    if (!system && l->form->no_system)
        add_markup(l, l->form->no_system);
    if (system && l->form->place == CHAT_OWN_TURN)
        add_system(l, system);
    for (size_t i = first; i < n; i++)
        add_turn(l, &messages[i], system && l->form->place != CHAT_OWN_TURN && i == place ? system : NULL);
    add_markup(l, l->form->generation);
    return l->no_memory ? pv_fail(&l->model->log, PV_ERR_NOMEM, "no memory for a conversation") : PV_OK;
}

static void layout_free(struct layout *l)
{
    free(l->text);
    free(l->parts);
}

enum pv_status pv_chat_text(const struct pv_chat_template *chat, const struct pv_model *model,
                            const struct pv_chat_message *messages, size_t n, char **out, size_t *n_out)
{
    struct layout l = {.form = &chat->form, .model = model};
    const enum pv_status status = lay_out(&l, messages, n);

    *out = NULL;
    free(l.parts);
    if (status == PV_OK && !l.text)
        l.text = pv_strndup("", 0);
    if (status != PV_OK || !l.text) {
        free(l.text);
        return status ? status : pv_fail(&model->log, PV_ERR_NOMEM, "no memory for a conversation");
    }
    *out = l.text;
    if (n_out)
        *n_out = l.n_bytes;
    return PV_OK;
}

/* Appends ids [n]. */
static enum pv_status append(const struct pv_model *model, const uint32_t *ids, size_t n, uint32_t **out,
                             size_t *n_out)
{
    void *grown = *out;

    if (!pv_grow(&grown, *n_out + n + 1, sizeof **out))
        return pv_fail(&model->log, PV_ERR_NOMEM, "no memory for a conversation");
    *out = grown;
    if (n > 0)
        memcpy(*out + *n_out, ids, n * sizeof *ids);
    *n_out += n;
    return PV_OK;
}

/* Encodes the texts between two answers of tokens, parts [n] from `text` on. */
static enum pv_status encode_run(const struct layout *l, const char *text, const struct part *parts, size_t n,
                                 bool begins, uint32_t **out, size_t *n_out)
{
    struct pv_text_span *spans = pv_calloc(n, sizeof *spans);
    uint32_t *ids = NULL;
    size_t n_ids = 0;
    enum pv_status status;

    if (!spans)
        return pv_fail(&l->model->log, PV_ERR_NOMEM, "no memory for a conversation");
    for (size_t i = 0; i < n; i++)
        spans[i] = parts[i].span;
    status = pv_tokenizer_encode_spans(l->model->tokenizer, text, spans, n, begins,
                                       begins && pv_model_wants_bos(l->model), &ids, &n_ids);
    if (status == PV_OK)
        status = append(l->model, ids, n_ids, out, n_out);
    free(ids);
    free(spans);
    return status;
}

enum pv_status pv_chat_encode(const struct pv_chat_template *chat, const struct pv_model *model,
                              const struct pv_chat_message *messages, size_t n, uint32_t **out, size_t *n_out)
{
    struct layout l = {.form = &chat->form, .model = model, .with_tokens = true};
    enum pv_status status;
    size_t at = 0;

    *out = NULL;
    *n_out = 0;
    PV_TRY_GOTO(lay_out(&l, messages, n));
    for (size_t i = 0, begin = 0, n_bytes = 0; i <= l.n_parts; i++) {
        const struct pv_chat_message *answer = i < l.n_parts ? l.parts[i].tokens : NULL;

        if (i < l.n_parts && !answer) {
            n_bytes += l.parts[i].span.n_bytes;
            continue;
        }
        PV_TRY_GOTO(encode_run(&l, l.text + at, l.parts + begin, i - begin, begin == 0, out, n_out));
        if (answer)
            PV_TRY_GOTO(append(model, answer->tokens, answer->n_tokens, out, n_out));
        at += n_bytes;
        n_bytes = 0;
        begin = i + 1;
    }
    layout_free(&l);
    return PV_OK;
fail:
    layout_free(&l);
    free(*out);
    *out = NULL;
    *n_out = 0;
    return status;
}
