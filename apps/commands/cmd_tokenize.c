/* parvin tokenize: the tokens of a text, ids and pieces, without a device and without reading weights. */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/app.h"
#include "cli/output.h"
#include "commands/commands.h"
#include "viz/picture/text.h"

struct tokenize_options {
    struct common_options common;
    struct model_options model;
    const char *text;
    bool special, bos;
};

#define OWN(field) offsetof(struct tokenize_options, field)
static const struct option own_rows[] = {
    {0, "text", OPTION_INPUT, OWN(text), "FILE", NULL, 0, 0, "text to encode ('-': standard input)"},
    {0, "special", OPTION_FLAG, OWN(special), NULL, NULL, 0, 0,
     "names of special tokens in the text, such as <|im_end|>, stand for the tokens"},
    {0, "bos", OPTION_FLAG, OWN(bos), NULL, NULL, 0, 0, "begin with BOS, if the model wants it"},
};
static const struct option_group tokenize_groups[] = {
    OPTION_OWN(own_rows),
    OPTION_GROUP(pre_rows, struct tokenize_options, model),
    OPTION_GROUP(json_rows, struct tokenize_options, common),
    OPTION_GROUP(common_rows, struct tokenize_options, common),
};

/* The words after the model, with a space between; else --text's file; else what a pipe holds. */
static enum pv_status read_input(struct app *app, struct text *text)
{
    const struct tokenize_options *o = app->options;
    const struct common_options *c = &o->common;
    const bool words = c->n_arguments > 1;
    bool good = text_append(text, "", 0);
    if (words && o->text) {
        console_error(&app->console, "give a text or --text FILE, not both");
        return PV_ERR_ARG;
    }
    if (!words && !o->text && isatty(STDIN_FILENO)) {
        console_error(&app->console, "give a text, --text FILE, or a pipe");
        return PV_ERR_ARG;
    }
    if (!words)
        return text_read(&app->console, o->text ? o->text : "-", text);
    for (uint32_t i = 1; good && i < c->n_arguments; i++)
        good = (i == 1 || text_append(text, " ", 1)) &&
               text_append(text, c->arguments[i], strlen(c->arguments[i]));
    return good ? PV_OK : PV_ERR_NOMEM;
}

static bool is_plain(uint32_t code)
{
    return code >= 0x20 && code != 0x7f && code != '"' && code != '\\' && !(code >= 0x80 && code < 0xa0) &&
           !(code >= 0x200b && code <= 0x200f) && !(code >= 0x2028 && code <= 0x202e) &&
           !(code >= 0x2060 && code <= 0x206f) && code != 0xfeff;
}

/* A piece as C would write it: nothing in it reaches a terminal but printable characters. */
static void print_piece(const char *bytes, size_t n)
{
    putchar('"');
    for (size_t i = 0, length; i < n; i += length) {
        uint32_t code = 0;
        length = pv_text_char(bytes + i, n - i, &code);
        if (length != 0 && is_plain(code)) {
            fwrite(bytes + i, 1, length, stdout);
        } else if (length != 0 && code >= 0x80) {
            printf("\\u%04x", code);
        } else if (length != 0 && strchr("\"\\", bytes[i]) && code != 0) {
            printf("\\%c", bytes[i]);
        } else if (length != 0 && (code == '\n' || code == '\t' || code == '\r')) {
            fputs(code == '\n' ? "\\n" : code == '\t' ? "\\t" : "\\r", stdout);
        } else {
            printf("\\x%02x", (unsigned)(unsigned char)bytes[i]);
            length = 1;
        }
    }
    putchar('"');
}

static void print_tokens(const struct pv_model *model, const uint32_t *tokens, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *bytes;
        const size_t n_bytes = pv_token_bytes(model, tokens[i], true, &bytes);
        printf("%8u  ", tokens[i]);
        print_piece(bytes, n_bytes);
        putchar('\n');
    }
}

static bool is_utf8(const char *bytes, size_t n)
{
    size_t i = 0, length;
    uint32_t code;
    while (i < n && (length = pv_text_char(bytes + i, n - i, &code)) != 0)
        i += length;
    return i == n;
}

/* Pieces that are no UTF-8 (bytes of a character) come with their bytes in hexadecimal too. */
static json_t *token_json(const struct pv_model *model, uint32_t token)
{
    json_t *object = json_object();
    const char *bytes;
    const size_t n = pv_token_bytes(model, token, true, &bytes);
    json_put_count(object, "id", token);
    json_put_text(object, "piece", bytes, n);
    if (!is_utf8(bytes, n)) {
        char *hex = malloc(2 * n + 1);
        for (size_t i = 0; hex && i < n; i++)
            snprintf(hex + 2 * i, 3, "%02x", (unsigned)(unsigned char)bytes[i]);
        json_put(object, "hex", hex ? json_string(hex) : NULL);
        free(hex);
    }
    return object;
}

static int tokens_json(struct app *app, const struct pv_model *model, const uint32_t *tokens, size_t n)
{
    json_t *object = json_object(), *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, token_json(model, tokens[i]));
    json_put_string(object, "model", app->common->argument);
    json_put_count(object, "n_vocab", pv_model_hparams(model)->n_vocab);
    json_put_count(object, "n_tokens", n);
    json_put(object, "tokens", list);
    return json_finish(&app->console, object);
}

static int cmd_tokenize(struct app *app)
{
    const struct tokenize_options *o = app->options;
    const struct pv_model_params model_params = {
        .log = console_log(&app->console), .pre = o->model.pre, .vocab_only = true};
    struct pv_encode_params params = {.parse_special = o->special};
    struct pv_model *model = NULL;
    struct text text = {0};
    uint32_t *tokens = NULL;
    int code = EXIT_GOOD;
    size_t n = 0;
    enum pv_status status = read_input(app, &text);
    if (!status)
        status = pv_model_open(app->common->argument, &model_params, &model);
    if (!status) {
        params.add_bos = o->bos && pv_model_wants_bos(model);
        status = pv_encode(model, text.bytes ? text.bytes : "", text.n, &params, &tokens, &n);
    }
    if (!status && app->common->json)
        code = tokens_json(app, model, tokens, n);
    else if (!status)
        print_tokens(model, tokens, n);
    free(tokens);
    text_free(&text);
    pv_model_close(model);
    return status ? app_fail(app, status) : code;
}

const struct command command_tokenize = {
    .name = "tokenize",
    .argument = "MODEL.gguf [TEXT...]",
    .summary = "Show the tokens of a text: ids and pieces",
    .about =
        "Needs no device, and reads no weights: files with a vocabulary alone will do. Pieces are written as in C. "
        "Special\n"
        "tokens in the text are text unless --special is given.",
    .examples = "  parvin tokenize model.gguf 'Once upon a time'\n"
                "  parvin tokenize model.gguf --text book.txt --json\n"
                "  parvin tokenize model.gguf --special '<|im_start|>user'\n",
    .groups = tokenize_groups,
    .n_groups = sizeof tokenize_groups / sizeof tokenize_groups[0],
    .options_bytes = sizeof(struct tokenize_options),
    .run = cmd_tokenize,
};
