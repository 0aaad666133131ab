/* A conversation as {"format": "parvin-chat", "messages": [{"role": ..., "content": ...}, ...]}; other programs' files with
 * such messages load too. */
#include <string.h>

#include "chat/talk.h"
#include "cli/outputs.h"

static const char *const roles[] = {"system", "user", "assistant"};

enum pv_status talk_save(struct talk *t, const char *path)
{
    struct console *console = &t->app->console;
    struct output_file out;
    enum pv_status status = outputs_check_path(t->app, path);
    if (!status)
        status = output_open(console, path, &out);
    if (status)
        return status;
    json_t *object = json_object(), *messages = json_array();
    json_put_string(object, "format", "parvin-chat");
    for (size_t i = 0; i < t->n_messages; i++) {
        const struct talk_message *m = &t->messages[i];
        json_t *message = json_object();
        json_put_string(message, "role", roles[m->role]);
        json_put_text(message, "content", m->text.bytes, m->text.n);
        json_array_append_new(messages, message);
    }
    json_put(object, "messages", messages);
    const bool good = json_print(object, out.file);
    json_decref(object);
    return output_close(console, &out, good);
}

/* The role of message `i` of a conversation, or false where it has none or is out of turn. */
static bool role_of(const json_t *messages, size_t i, enum pv_chat_role *out)
{
    const char *role = json_string_value(json_object_get(json_array_get(messages, i), "role"));
    const char *first = json_string_value(json_object_get(json_array_get(messages, 0), "role"));
    const size_t begin = first && !strcmp(first, roles[PV_CHAT_SYSTEM]) ? 1 : 0;
    *out = i < begin ? PV_CHAT_SYSTEM : (i - begin) % 2 ? PV_CHAT_ASSISTANT : PV_CHAT_USER;
    return role && !strcmp(role, roles[*out]);
}

static bool is_conversation(const json_t *messages)
{
    enum pv_chat_role role = PV_CHAT_SYSTEM;
    const size_t n = json_array_size(messages);
    for (size_t i = 0; i < n; i++)
        if (!role_of(messages, i, &role) ||
            !json_is_string(json_object_get(json_array_get(messages, i), "content")))
            return false;
    return json_is_array(messages) && role != PV_CHAT_USER;
}

enum pv_status talk_load(struct talk *t, const char *path)
{
    struct console *console = &t->app->console;
    struct text text = {0};
    json_error_t error;
    if (!strcmp(path, "-")) {
        console_error(console, "/load takes a file: what is typed here is the conversation");
        return PV_ERR_ARG;
    }
    enum pv_status status = text_read(console, path, &text);
    if (status)
        return status;
    json_t *object = json_loadb(text.bytes, text.n, JSON_REJECT_DUPLICATES, &error);
    const json_t *messages = json_object_get(object, "messages");
    text_free(&text);
    if (!object)
        console_error(console, "'%s' is no JSON that /save has written: line %d: %s", path, error.line,
                      error.text);
    else if (!is_conversation(messages))
        console_error(
            console,
            "'%s' holds no conversation: \"messages\" must be a list of {\"role\", \"content\"}, a system message "
            "first or none, then user and assistant by turns, an assistant's last",
            path);
    if (!object || !is_conversation(messages)) {
        json_decref(object);
        return PV_ERR_FORMAT;
    }
    talk_clear(t);
    status = talk_set_system(t, "");
    for (size_t i = 0; !status && i < json_array_size(messages); i++) {
        const json_t *content = json_object_get(json_array_get(messages, i), "content");
        enum pv_chat_role role;
        role_of(messages, i, &role);
        status = talk_add(t, role, json_string_value(content), json_string_length(content));
    }
    json_decref(object);
    return status;
}
