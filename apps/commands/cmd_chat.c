/* parvin chat: a conversation. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chat/form.h"
#include "chat/input.h"
#include "chat/talk.h"
#include "cli/text_print.h"
#include "commands/commands.h"
#include "watch.h"

struct chat_options {
    struct common_options common;
    struct device_options device;
    struct model_options model;
    struct sampling_options sampling;
    struct view_options view; /* its looks; /view asks for it */
    const char *template, *system, *think;
    uint32_t n_predict;
    bool dense, no_history;
};

#define AT(field) offsetof(struct chat_options, field)
static const struct option chat_rows[] = {
    {0, "system", OPTION_TEXT, AT(system), "TEXT", NULL, 0, 0, "system prompt: who answers, and how"},
    {0, "chat-template", OPTION_TEXT, AT(template), "NAME|FILE.json", "the model's own", 0, 0,
     "texts around each turn: chatml, llama-3, ...; a JSON file; none: plain lines"},
    {0, "think", OPTION_TEXT, AT(think), "WHAT", "dim", 0, 0,
     "what a thinking model writes before it answers: dim, show or hide"},
    {'n', "n-predict", OPTION_UNTIL, AT(n_predict), "N", "-1", 0, OPTION_U32_MAX,
     "tokens of an answer at most; -1: until it ends or the context is full"},
    {0, "dense", OPTION_FLAG, AT(dense), NULL, NULL, 0, 0,
     "compute every neuron, even if MODEL.clusters.gguf is beside the model"},
    {0, "no-history", OPTION_FLAG, AT(no_history), NULL, NULL, 0, 0,
     "do not keep what is typed for the next time"},
};
#undef AT

static const struct option_group chat_groups[] = {
    OPTION_OWN(chat_rows),
    OPTION_GROUP(sampling_rows, struct chat_options, sampling),
    OPTION_GROUP(half_life_rows, struct chat_options, view),
    OPTION_GROUP(style_rows, struct chat_options, view),
    OPTION_GROUP(clusters_rows, struct chat_options, model),
    OPTION_GROUP(best_rows, struct chat_options, model),
    OPTION_GROUP(ctx_rows, struct chat_options, model),
    OPTION_GROUP(ffn_act_rows, struct chat_options, model),
    OPTION_GROUP(pre_rows, struct chat_options, model),
    OPTION_GROUP(device_rows, struct chat_options, device),
    OPTION_GROUP(split_rows, struct chat_options, device),
    OPTION_GROUP(driver_rows, struct chat_options, device),
    OPTION_GROUP(force_rows, struct chat_options, common),
    OPTION_GROUP(common_rows, struct chat_options, common),
};

struct chat {
    struct app *app;
    struct chat_options options; /* a copy, that /set changes */
    struct setup setup;
    struct setup_choice choice;
    struct pv_chat_template *form;
    struct chat_input *input;
    struct talk talk;
};

/* --- the start ------------------------------------------------------------------------------------------------------ */

static enum pv_status choose_thoughts(struct chat *chat)
{
    const char *word = chat->options.think;
    const bool can_dim = isatty(STDOUT_FILENO) && chat->app->console.terminal;
    chat->talk.thoughts = can_dim ? THOUGHTS_DIM : THOUGHTS_SHOW;
    if (word && !strcmp(word, "show"))
        chat->talk.thoughts = THOUGHTS_SHOW;
    else if (word && !strcmp(word, "hide"))
        chat->talk.thoughts = THOUGHTS_HIDE;
    else if (word && strcmp(word, "dim") != 0) {
        console_error(&chat->app->console, "--think takes dim, show or hide, not '%s'", word);
        return PV_ERR_ARG;
    }
    return PV_OK;
}

/* --- commands ------------------------------------------------------------------------------------------------------ */

static void note(struct chat *chat, const char *text)
{
    console_note(&chat->app->console, "%s", text);
}

static enum pv_status do_help(struct chat *chat, const char *argument);

static enum pv_status do_clear(struct chat *chat, const char *argument)
{
    (void)argument;
    talk_clear(&chat->talk);
    pv_session_reset(chat->talk.session);
    note(chat, talk_system(&chat->talk) ? "the conversation begins anew; the system prompt stays"
                                        : "the conversation begins anew");
    return PV_OK;
}

/* Takes the last answer and its question away; `only_answer`: the answer alone. False where there is none. */
static bool take_back(struct chat *chat, bool only_answer)
{
    if (!talk_drop(&chat->talk)) {
        note(chat, "there is no answer yet");
        return false;
    }
    return only_answer || talk_drop(&chat->talk);
}

static enum pv_status do_undo(struct chat *chat, const char *argument)
{
    (void)argument;
    if (take_back(chat, false))
        console_note(&chat->app->console, "the last question and its answer are gone; %zu messages stay",
                     chat->talk.n_messages - (talk_system(&chat->talk) ? 1 : 0));
    return PV_OK;
}

static enum pv_status answer(struct chat *chat)
{
    const enum pv_status status = talk_answer(&chat->talk, &chat->options.sampling, chat->options.n_predict);
    chat->talk.view = (struct view_options){.view = NULL};
    return status;
}

static enum pv_status do_retry(struct chat *chat, const char *argument)
{
    (void)argument;
    return take_back(chat, true) ? answer(chat) : PV_OK;
}

static enum pv_status do_system(struct chat *chat, const char *argument)
{
    if (*argument) {
        const enum pv_status status =
            talk_set_system(&chat->talk, strcmp(argument, "-") != 0 ? argument : "");
        note(chat, talk_system(&chat->talk) ? "the system prompt is set" : "there is no system prompt now");
        return status;
    }
    const char *system = talk_system(&chat->talk);
    if (system) {
        text_print(stdout, system, strlen(system));
        putchar('\n');
    } else {
        note(chat, "there is no system prompt");
    }
    return PV_OK;
}

/* Errors of files are said and the conversation goes on; only memory ends it. */
static enum pv_status go_on(enum pv_status status)
{
    return status == PV_ERR_NOMEM ? status : PV_OK;
}

static enum pv_status do_save(struct chat *chat, const char *argument)
{
    const enum pv_status status = talk_save(&chat->talk, argument);
    if (!status)
        console_note(&chat->app->console, "saved %zu messages in %s", chat->talk.n_messages, argument);
    return go_on(status);
}

static enum pv_status do_load(struct chat *chat, const char *argument)
{
    const enum pv_status status = talk_load(&chat->talk, argument);
    if (!status)
        console_note(&chat->app->console, "loaded %zu messages from %s", chat->talk.n_messages, argument);
    return go_on(status);
}

static enum pv_status do_set(struct chat *chat, const char *argument)
{
    static const char *const names[] = {"temp",           "top-k",       "top-p", "min-p",
                                        "repeat-penalty", "repeat-last", "seed",  "n-predict"};
    char name[32] = "", value[64] = "", room[128];
    bool known = false;
    const int n = sscanf(argument, "%31s %63s", name, value);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        known = known || !strcmp(names[i], name);
    if (n < 2 || !known) {
        note(
            chat,
            "/set takes one of temp, top-k, top-p, min-p, repeat-penalty, repeat-last, seed and n-predict, and a "
            "number: /set temp 0.7");
        return PV_OK;
    }
    const char *wrong = options_set(chat->app->command, &chat->options, name, value, room);
    if (wrong)
        console_note(&chat->app->console, "%s takes %s, not '%s'", name, wrong, value);
    else
        console_note(&chat->app->console, "%s is %s from now on", name, value);
    return PV_OK;
}

static enum pv_status set_dense(struct chat *chat, bool dense)
{
    if (!chat->setup.clusters) {
        note(chat, "there are no clusters: every neuron is computed; start with -c FILE");
        return PV_OK;
    }
    chat->talk.dense = dense;
    note(chat, dense ? "every neuron is computed from now on"
                     : "only the clusters' neurons are computed from now on");
    return pv_session_set_ffn(chat->talk.session, dense ? PV_FFN_DENSE : PV_FFN_ROUTED);
}

static enum pv_status do_dense(struct chat *chat, const char *argument)
{
    (void)argument;
    return set_dense(chat, true);
}

static enum pv_status do_masked(struct chat *chat, const char *argument)
{
    (void)argument;
    return set_dense(chat, false);
}

static enum pv_status do_stats(struct chat *chat, const char *argument)
{
    const struct talk *t = &chat->talk;
    const bool masked = chat->setup.clusters && !t->dense;
    (void)argument;
    printf("context   %u of %u tokens\n", pv_session_n_past(t->session), pv_engine_n_ctx(chat->setup.engine));
    printf("answers   %llu, %llu tokens", (unsigned long long)t->n_answers, (unsigned long long)t->n_tokens);
    if (t->decode_s > 0)
        printf(", %.1f tok/s", (double)t->n_decoded / t->decode_s);
    printf("\nprompt    %u tokens fed for the last answer, %u reused\n", t->n_new, t->n_reused);
    printf("neurons   %s", masked ? "the clusters'" : "all");
    if (t->n_decoded)
        printf("; mean density so far %.3f", t->density_sum / (double)t->n_decoded);
    printf("\ntemplate  %s\ndevice    %s\n", pv_chat_template_name(chat->form), chat->setup.device_names);
    fflush(stdout);
    return PV_OK;
}

static enum pv_status do_view(struct chat *chat, const char *argument)
{
    struct view_options view = chat->options.view;
    view.view = !strcmp(argument, "window") ? "window" : *argument ? argument : "term";
    if (watch_check(chat->app, &view, NULL) != PV_OK)
        return PV_OK;
    chat->talk.view = view;
    note(chat, "the next answer is shown as the heatmap of its clusters; q leaves it");
    return PV_OK;
}

static const struct {
    const char *name, *argument; /* NULL: none; in [] it may be left out */
    const char *help;
    enum pv_status (*run)(struct chat *chat, const char *argument);
} chat_commands[] = {
    {"help", NULL, "this list", do_help},
    {"clear", NULL, "begin anew; the system prompt stays", do_clear},
    {"undo", NULL, "take the last question and its answer back", do_undo},
    {"retry", NULL, "answer the last question again", do_retry},
    {"system", "[TEXT|-]", "set the system prompt, show it, or take it away", do_system},
    {"save", "FILE", "write the conversation as JSON", do_save},
    {"load", "FILE", "go on with a conversation", do_load},
    {"set", "NAME NUMBER", "temp, top-k, top-p, min-p, repeat-penalty, repeat-last, seed, n-predict", do_set},
    {"dense", NULL, "compute every neuron", do_dense},
    {"masked", NULL, "compute the clusters' neurons only", do_masked},
    {"stats", NULL, "context used, speed, density", do_stats},
    {"view", "[term|window]", "show the next answer as the heatmap of its clusters", do_view},
};
enum { N_CHAT_COMMANDS = sizeof chat_commands / sizeof chat_commands[0] };

static enum pv_status do_help(struct chat *chat, const char *argument)
{
    (void)chat;
    (void)argument;
    for (size_t i = 0; i < N_CHAT_COMMANDS; i++) {
        const char *value = chat_commands[i].argument ? chat_commands[i].argument : "";
        printf("/%-7s %-14s %s\n", chat_commands[i].name, value, chat_commands[i].help);
    }
    puts(
        "A line that ends in a backslash goes on; \"\"\" begins and ends a text of several lines; // begins a message\n"
        "with a slash. Ctrl-C stops an answer, Ctrl-D ends.");
    fflush(stdout);
    return PV_OK;
}

static enum pv_status do_command(struct chat *chat, const char *line)
{
    const size_t n = strcspn(line, " \t\n");
    const char *argument = line + n + strspn(line + n, " \t\n");
    const char *names[N_CHAT_COMMANDS];
    char word[32];
    for (size_t i = 0; i < N_CHAT_COMMANDS; i++) {
        names[i] = chat_commands[i].name;
        if (strlen(names[i]) != n || strncmp(names[i], line, n) != 0)
            continue;
        const char *value = chat_commands[i].argument;
        const bool missing = !*argument && value && *value != '[', extra = *argument && !value;
        if (missing || extra) {
            console_note(&chat->app->console, "/%s takes %s", names[i], value ? value : "nothing");
            return PV_OK;
        }
        return chat_commands[i].run(chat, argument);
    }
    snprintf(word, sizeof word, "%.*s", n < 31 ? (int)n : 31, line);
    const char *near = options_nearest(word, names, N_CHAT_COMMANDS);
    console_note(&chat->app->console, "there is no command /%s%s%s; /help lists them", word,
                 near ? "; did you mean /" : "", near ? near : "");
    return PV_OK;
}

/* --- the conversation ---------------------------------------------------------------------------------------------- */

static enum pv_status start(struct chat *chat)
{
    struct app *app = chat->app;
    const struct chat_options *o = &chat->options;
    enum pv_status status = choose_thoughts(chat);
    if (!status)
        status = watch_check(app, &o->view, NULL);
    if (!status)
        status = setup_model(app, app->common->argument, &chat->setup);
    if (!status)
        status = chat_form_choose(app, o->template, chat->setup.model, &chat->form);
    if (!status)
        status = setup_find_clusters(app, o->dense, &chat->choice);
    if (!status)
        status = setup_rest(app, &chat->setup);
    if (status)
        return status;
    chat->talk.form = chat->form;
    status = talk_open(&chat->talk);
    if (!status && o->system)
        status = talk_set_system(&chat->talk, o->system);
    if (!status)
        status = input_open(&app->console, !o->no_history, &chat->input);
    setup_name_devices(&chat->setup);
    if (!status && input_is_terminal(chat->input))
        console_note(&app->console, "%s, template %s, %s, on %s; /help, Ctrl-D ends", app->common->argument,
                     pv_chat_template_name(chat->form), chat->setup.clusters ? "clusters" : "dense",
                     chat->setup.device_names);
    return status;
}

static enum pv_status take_message(struct chat *chat, const struct text *text)
{
    const bool is_command = text->bytes[0] == '/' && text->bytes[1] != '/';
    const size_t skip = text->bytes[0] == '/' && text->bytes[1] == '/' ? 1 : 0;
    if (!text->bytes[strspn(text->bytes, " \t\n")])
        return PV_OK;
    if (is_command)
        return do_command(chat, text->bytes + 1);
    const enum pv_status status = talk_add(&chat->talk, PV_CHAT_USER, text->bytes + skip, text->n - skip);
    return status ? status : answer(chat);
}

static enum pv_status converse(struct chat *chat)
{
    struct text text = {0};
    enum pv_status status = PV_OK;
    console_take_interrupts();
    while (!status) {
        const enum input_result got = input_next(chat->input, &text);
        if (got == INPUT_MESSAGE)
            status = take_message(chat, &text);
        else if (got == INPUT_FAILED)
            status = PV_ERR_NOMEM;
        else if (got == INPUT_INTERRUPTED && input_is_terminal(chat->input))
            console_take_interrupts();
        else if (got == INPUT_INTERRUPTED)
            status = PV_ERR_INTERRUPTED;
        else
            break;
    }
    if (!status && input_is_terminal(chat->input))
        putchar('\n');
    text_free(&text);
    return status;
}

static int cmd_chat(struct app *app)
{
    struct chat *chat = calloc(1, sizeof *chat);
    if (!chat)
        return app_fail(app, PV_ERR_NOMEM);
    chat->app = app;
    chat->options = *(const struct chat_options *)app->options;
    chat->choice.model = chat->options.model;
    chat->setup.device_options = &chat->options.device;
    chat->setup.decodes = true;
    chat->setup.model_options = &chat->choice.model;
    chat->talk.app = app;
    chat->talk.setup = &chat->setup;
    enum pv_status status = start(chat);
    if (!status)
        status = converse(chat);
    int code = app_fail(app, status);
    input_close(chat->input);
    talk_close(&chat->talk);
    pv_chat_template_free(chat->form);
    status = setup_close(app, &chat->setup);
    free(chat);
    return code ? code : app_fail(app, status);
}

const struct command command_chat = {
    .name = "chat",
    .argument = "MODEL.gguf",
    .summary = "Talk with a model",
    .about =
        "Type a message, read the answer; /help lists commands. The model's own chat template is used; a model without one\n"
        "needs --chat-template, of which 'none' gives plain lines that the model goes on from. Where standard input is no\n"
        "terminal, every line of it is a message. Answers go to stdout, everything else to stderr.",
    .examples = "  parvin chat model.gguf\n"
                "  parvin chat model.gguf --system 'Answer in one sentence.' --temp 0.7\n"
                "  parvin chat story.gguf --chat-template none -n 60\n"
                "  echo 'What is a neuron?' | parvin chat model.gguf -c model.clusters.gguf\n",
    .groups = chat_groups,
    .n_groups = sizeof chat_groups / sizeof chat_groups[0],
    .options_bytes = sizeof(struct chat_options),
    .run = cmd_chat,
};
