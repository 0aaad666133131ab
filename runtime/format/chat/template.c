/* Finding a template: by what a file's own one holds, by name, or from JSON. A file's template is a program in a
 * language of its own (Jinja); it is searched for the texts that its family writes, and not run. */
#include "format/chat/form.h"

#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "format/model/model.h"

/* The same template is written with either quote, and with line feeds as such or as \n. Returns the new length. */
static size_t simplify(char *text, size_t n_bytes)
{
    size_t n = 0;

    for (size_t i = 0; i < n_bytes; i++) {
        const bool line_feed = text[i] == '\\' && i + 1 < n_bytes && text[i + 1] == 'n';

        text[n++] = line_feed ? '\n' : text[i] == '"' ? '\'' : text[i] ? text[i] : ' ';
        i += line_feed ? 1 : 0;
    }
    text[n] = '\0';
    return n;
}

static bool is_of_row(const char *text, const struct pv_chat_row *row)
{
    if (!row->markers[0] || (row->without && strstr(text, row->without)))
        return false;
    for (size_t i = 0; i < CHAT_MOST_MARKERS && row->markers[i]; i++)
        if (!strstr(text, row->markers[i]))
            return false;
    return true;
}

const struct pv_chat_row *pv_chat_recognise(const char *text, size_t n_bytes)
{
    const struct pv_chat_row *found = NULL;
    char *copy = pv_strndup(text, n_bytes);

    if (!copy)
        return NULL;
    simplify(copy, n_bytes);
    for (uint32_t i = 0; i < pv_chat_n_rows && !found; i++)
        if (is_of_row(copy, &pv_chat_rows[i]))
            found = &pv_chat_rows[i];
    free(copy);
    return found;
}

static enum pv_status create(const struct pv_chat_form *form, const struct pv_log *log,
                             struct pv_chat_template **out)
{
    struct pv_chat_template *chat = pv_calloc(1, sizeof *chat);

    *out = chat;
    if (!chat)
        return pv_fail(log, PV_ERR_NOMEM, "no memory for a chat template");
    if (form)
        chat->form = *form;
    return PV_OK;
}

bool pv_model_has_chat_template(const struct pv_model *model)
{
    struct pv_str text;

    return pv_gguf_str(&model->gguf, "tokenizer.chat_template", &text);
}

enum pv_status pv_chat_template_of(const struct pv_model *model, struct pv_chat_template **out)
{
    static const char bos[] = "bos_token";
    const struct pv_chat_row *row;
    struct pv_str text;
    char begin[81];

    *out = NULL;
    if (!pv_gguf_str(&model->gguf, "tokenizer.chat_template", &text))
        return pv_fail(&model->log, PV_ERR_UNSUPPORTED,
                       "%s has no chat template (tokenizer.chat_template): name one, or none for plain lines",
                       model->gguf.path);
    row = pv_chat_recognise(text.data, text.size_bytes);
    if (!row) {
        const size_t n = text.size_bytes < sizeof begin ? text.size_bytes : sizeof begin - 1;

        memcpy(begin, text.data, n);
        begin[n] = '\0';
        pv_utf8_clean(begin);
        return pv_fail(
            &model->log, PV_ERR_UNSUPPORTED,
            "the chat template of %s is of no family that is known (it begins \"%s\"): name one that "
            "is written alike, or give its texts in a file",
            model->gguf.path, begin);
    }
    PV_TRY(create(&row->form, &model->log, out));
    for (size_t i = 0; i + sizeof bos - 1 <= text.size_bytes && !(*out)->form.bos; i++)
        (*out)->form.bos = memcmp(text.data + i, bos, sizeof bos - 1) == 0;
    return PV_OK;
}

enum pv_status pv_chat_template_named(const char *name, const struct pv_log *log,
                                      struct pv_chat_template **out)
{
    *out = NULL;
    for (uint32_t i = 0; i < pv_chat_n_rows; i++)
        if (strcmp(pv_chat_rows[i].form.name, name) == 0)
            return create(&pv_chat_rows[i].form, log, out);
    return pv_fail(log, PV_ERR_ARG, "there is no chat template \"%.64s\"", name);
}

/* The word at `key` as its place in `words`. */
static enum pv_status read_word(const json_t *json, const char *key, const char *const words[3],
                                const struct pv_log *log, int *out)
{
    const json_t *value = json_object_get(json, key);
    const char *word = json_string_value(value);

    for (int i = 0; word && i < 3; i++)
        if (strcmp(word, words[i]) == 0) {
            *out = i;
            return PV_OK;
        }
    return value ? pv_fail(log, PV_ERR_FORMAT, "chat template: \"%s\" is \"%s\", \"%s\" or \"%s\"", key,
                           words[0], words[1], words[2])
                 : PV_OK;
}

static enum pv_status read_around(const json_t *json, const char *key, const struct pv_log *log,
                                  const char *out[2])
{
    const json_t *pair = json_object_get(json, key);

    for (size_t i = 0; i < 2; i++) {
        out[i] = json_string_value(json_array_get(pair, i));
        if (!out[i] || json_array_size(pair) != 2)
            return pv_fail(log, PV_ERR_FORMAT,
                           "chat template: \"%s\" must be two texts, before and after: [\"...\", \"...\"]",
                           key);
    }
    return PV_OK;
}

static enum pv_status read_stops(const json_t *json, const struct pv_log *log, struct pv_chat_form *form)
{
    const json_t *stops = json_object_get(json, "stop");
    const size_t n = json_array_size(stops);

    for (size_t i = 0; i < n && i < CHAT_MOST_STOPS; i++) {
        form->stops[i] = json_string_value(json_array_get(stops, i));
        if (!form->stops[i] || !form->stops[i][0])
            return pv_fail(log, PV_ERR_FORMAT, "chat template: \"stop\" has something that is no text");
    }
    if (n > CHAT_MOST_STOPS || (stops && !json_is_array(stops)))
        return pv_fail(log, PV_ERR_FORMAT, "chat template: \"stop\" must be a list of at most %d texts",
                       CHAT_MOST_STOPS);
    return PV_OK;
}

static enum pv_status check_keys(json_t *json, const struct pv_log *log)
{
    static const char *const keys[] = {"name",       "bos",  "system", "user",      "assistant",
                                       "generation", "stop", "trim",   "no_system", "place"};
    const char *key;
    json_t *value;

    json_object_foreach(json, key, value)
    {
        bool known = false;

        for (size_t i = 0; i < sizeof keys / sizeof keys[0] && !known; i++)
            known = strcmp(key, keys[i]) == 0;
        if (!known)
            return pv_fail(
                log, PV_ERR_FORMAT,
                "chat template: there is no field \"%.64s\": take it out, or choose among system, user, "
                "assistant, generation, place, no_system, trim, bos, stop and name",
                key);
    }
    return PV_OK;
}

/* A text that may be missing. */
static enum pv_status read_text(const json_t *json, const char *key, const struct pv_log *log,
                                const char **out)
{
    const json_t *value = json_object_get(json, key);

    *out = json_string_value(value);
    return value && !*out ? pv_fail(log, PV_ERR_FORMAT, "chat template: \"%s\" must be a text", key) : PV_OK;
}

static enum pv_status read_bos(const json_t *json, const struct pv_log *log, struct pv_chat_form *form)
{
    const json_t *value = json_object_get(json, "bos");

    form->bos = json_is_true(value);
    return value && !json_is_boolean(value)
               ? pv_fail(log, PV_ERR_FORMAT, "chat template: \"bos\" must be true or false")
               : PV_OK;
}

static enum pv_status read_form(json_t *json, const struct pv_log *log, struct pv_chat_form *form)
{
    static const char *const places[3] = {"turn", "first user", "last user"};
    static const char *const trims[3] = {"none", "all", "assistant"};
    static const char *const roles[3] = {"system", "user", "assistant"};
    int place = CHAT_OWN_TURN, trim = CHAT_TRIM_NONE;

    PV_TRY(check_keys(json, log));
    for (size_t i = 0; i < 3; i++)
        PV_TRY(read_around(json, roles[i], log, form->around[i]));
    PV_TRY(read_word(json, "place", places, log, &place));
    PV_TRY(read_word(json, "trim", trims, log, &trim));
    PV_TRY(read_stops(json, log, form));
    form->place = (enum pv_chat_place)place;
    form->trim = (enum pv_chat_trim)trim;
    PV_TRY(read_bos(json, log, form));
    PV_TRY(read_text(json, "no_system", log, &form->no_system));
    PV_TRY(read_text(json, "name", log, &form->name));
    form->generation = json_string_value(json_object_get(json, "generation"));
    if (!form->generation)
        return pv_fail(log, PV_ERR_FORMAT,
                       "chat template: \"generation\", the text before an answer, is missing");
    if (!form->name)
        form->name = "file";
    return PV_OK;
}

enum pv_status pv_chat_template_parse(const char *json, size_t n_bytes, const struct pv_log *log,
                                      struct pv_chat_template **out)
{
    struct pv_chat_template *chat;
    enum pv_status status;
    json_error_t error;

    *out = NULL;
    PV_TRY(create(NULL, log, &chat));
    chat->json = json_loadb(json, n_bytes, JSON_REJECT_DUPLICATES, &error);
    if (json_is_object(chat->json))
        status = read_form(chat->json, log, &chat->form);
    else
        status = pv_fail(log, PV_ERR_FORMAT, "chat template: line %d: %s", chat->json ? 1 : error.line,
                         chat->json ? "a JSON object is expected" : error.text);
    if (status != PV_OK) {
        pv_chat_template_free(chat);
        return status;
    }
    *out = chat;
    return PV_OK;
}

void pv_chat_template_free(struct pv_chat_template *chat)
{
    if (!chat)
        return;
    json_decref(chat->json);
    free(chat);
}

const char *pv_chat_template_row(uint32_t index)
{
    return index < pv_chat_n_rows ? pv_chat_rows[index].form.name : NULL;
}

const char *pv_chat_template_name(const struct pv_chat_template *chat)
{
    return chat->form.name;
}

const char *pv_chat_template_stop(const struct pv_chat_template *chat, uint32_t index)
{
    return index < CHAT_MOST_STOPS ? chat->form.stops[index] : NULL;
}

bool pv_chat_template_thinks(const struct pv_chat_template *chat)
{
    const char *opened = strstr(chat->form.generation, "<think>");

    return opened && !strstr(opened, "</think>");
}
