/* libedit edits one line and knows no bracketed paste (xterm's mode 2004), so its characters come through read_char
 * here: a short paste is typed, one that is long or has lines becomes a mark in the line, which the message gets the
 * paste for. */
#include "chat/input.h"

#include <errno.h>
#include <fcntl.h>
#include <histedit.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

#include "cli/setup.h"

enum { MOST_PASTES = 32, PASTE_SHORT = 200, PASTE_MOST = 1 << 22, HISTORY_LINES = 1000, ESCAPE_MS = 50 };

struct paste {
    char mark[64];
    struct text text;
};

struct chat_input {
    struct console *console;
    EditLine *edit; /* NULL: plain lines */
    History *history;
    char history_path[4096]; /* "": none */
    char *line;              /* of plain lines */
    size_t line_room;
    struct text typed; /* bytes that libedit has still to be given, from `at` on */
    size_t at;
    struct paste pastes[MOST_PASTES]; /* of this message */
    uint32_t n_pastes;
    const char *prompt;
    struct termios before; /* of the terminal; libedit does not give all of it back */
};

static volatile sig_atomic_t resized;

static void on_resize(int number)
{
    (void)number;
    resized = 1;
}

/* 1: a byte; 0: the end; -1: Ctrl-C or an error. */
static int read_byte(EditLine *edit, char *out)
{
    for (;;) {
        const ssize_t n = read(STDIN_FILENO, out, 1);
        if (n >= 0)
            return (int)n;
        if (errno != EINTR || console_interrupted())
            return -1;
        if (resized)
            el_resize(edit);
        resized = 0;
        fputs("\r\033[J", stdout); /* what was drawn for the old size */
        fflush(stdout);
        el_set(edit, EL_REFRESH);
    }
}

/* The same within a paste or an escape sequence, which come at once: 0 after a pause. */
static int read_soon(EditLine *edit, char *out, int ms)
{
    struct pollfd wait = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&wait, 1, ms) == 1 ? read_byte(edit, out) : 0;
}

/* What libedit is given next. */
static bool type(struct chat_input *in, const char *bytes, size_t n)
{
    if (in->at == in->typed.n)
        in->typed.n = in->at = 0;
    return text_append(&in->typed, bytes, n);
}

/* The paste up to its closing sequence; line ends are line feeds. */
static bool read_paste(struct chat_input *in, struct text *out)
{
    static const char closing[] = "\033[201~";
    const size_t n_closing = sizeof closing - 1;
    char c;
    while (out->n < PASTE_MOST && read_soon(in->edit, &c, 2000) == 1) {
        const bool line_end = c == '\r';
        if (!text_append(out, line_end ? "\n" : &c, 1))
            return false;
        if (out->n >= n_closing && !memcmp(out->bytes + out->n - n_closing, closing, n_closing)) {
            out->n -= n_closing;
            out->bytes[out->n] = 0;
            return true;
        }
    }
    return !console_interrupted();
}

static bool is_plain(const struct text *text)
{
    for (size_t i = 0; i < text->n; i++)
        if ((unsigned char)text->bytes[i] < ' ' || text->bytes[i] == 0x7f)
            return false;
    return text->n <= PASTE_SHORT;
}

static size_t count_characters(const struct text *text)
{
    size_t n = 0;
    for (size_t i = 0; i < text->n; i++)
        n += ((unsigned char)text->bytes[i] & 0xc0) != 0x80;
    return n;
}

static bool take_paste(struct chat_input *in)
{
    struct text text = {0};
    bool good = text_append(&text, "", 0) && read_paste(in, &text);
    if (good && (is_plain(&text) || in->n_pastes == MOST_PASTES)) {
        good = type(in, text.bytes, text.n);
        text_free(&text);
    } else if (good) {
        struct paste *paste = &in->pastes[in->n_pastes++];
        const int n = snprintf(paste->mark, sizeof paste->mark, "[paste %u: %zu characters]", in->n_pastes,
                               count_characters(&text));
        paste->text = text;
        good = type(in, paste->mark, (size_t)n);
    } else {
        text_free(&text);
    }
    return good;
}

/* An escape sequence: that of a paste is taken here, others go to libedit. */
static bool take_escape(struct chat_input *in)
{
    static const char opening[] = "\033[200~";
    char got[sizeof opening] = "\033";
    size_t n = 1;
    while (n < sizeof opening - 1 && got[n - 1] == opening[n - 1] &&
           read_soon(in->edit, &got[n], ESCAPE_MS) == 1)
        n++;
    return memcmp(got, opening, sizeof opening - 1) == 0 ? take_paste(in) : type(in, got, n);
}

static int next_byte(struct chat_input *in, char *out)
{
    while (in->at == in->typed.n) {
        const int n = read_byte(in->edit, out);
        if (n != 1 || *out != '\033')
            return n;
        if (!take_escape(in))
            return -1;
    }
    *out = in->typed.bytes[in->at++];
    return 1;
}

static int read_char(EditLine *edit, wchar_t *out)
{
    struct chat_input *in = NULL;
    mbstate_t state;
    el_get(edit, EL_CLIENTDATA, &in);
    memset(&state, 0, sizeof state);
    for (;;) {
        char c;
        const int n = next_byte(in, &c);
        if (n != 1)
            return n;
        const size_t length = mbrtowc(out, &c, 1, &state);
        if (length == (size_t)-1) {
            *out = L'?';
            return 1;
        }
        if (length != (size_t)-2)
            return 1;
    }
}

static char *show_prompt(EditLine *edit)
{
    struct chat_input *in = NULL;
    static char prompt[16];
    el_get(edit, EL_CLIENTDATA, &in);
    snprintf(prompt, sizeof prompt, "%s", in->prompt);
    return prompt;
}

static void open_history(struct chat_input *in)
{
    char folder[4000];
    HistEvent event;
    in->history = history_init();
    if (!in->history)
        return;
    history(in->history, &event, H_SETSIZE, HISTORY_LINES);
    history(in->history, &event, H_SETUNIQUE, 1);
    el_set(in->edit, EL_HIST, history, in->history);
    if (!setup_state_dir(folder, sizeof folder))
        return;
    snprintf(in->history_path, sizeof in->history_path, "%s/chat_history", folder);
    const int file = open(in->history_path, O_CREAT | O_RDONLY | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (file < 0)
        in->history_path[0] = 0;
    else
        close(file);
    if (file >= 0)
        history(in->history, &event, H_LOAD, in->history_path);
}

static enum pv_status open_editor(struct chat_input *in, bool keep)
{
    struct sigaction action = {.sa_handler = on_resize};
    tcgetattr(STDIN_FILENO, &in->before);
    setlocale(LC_CTYPE, "");
    if (MB_CUR_MAX == 1)
        setlocale(LC_CTYPE, "C.UTF-8");
    in->edit = el_init("parvin", stdin, stdout, stderr);
    if (!in->edit) {
        console_error(in->console, "cannot edit lines on this terminal");
        return PV_ERR_IO;
    }
    el_set(in->edit, EL_CLIENTDATA, in);
    el_set(in->edit, EL_PROMPT, show_prompt);
    el_set(in->edit, EL_EDITOR, "emacs");
    el_set(in->edit, EL_SIGNAL, 1);
    el_set(in->edit, EL_GETCFN, read_char);
    if (keep)
        open_history(in);
    el_source(in->edit, NULL); /* ~/.editrc */
    sigemptyset(&action.sa_mask);
    sigaction(SIGWINCH, &action, NULL);
    return PV_OK;
}

enum pv_status input_open(struct console *console, bool history, struct chat_input **out)
{
    struct chat_input *in = calloc(1, sizeof *in);
    *out = in;
    if (!in)
        return PV_ERR_NOMEM;
    in->console = console;
    if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && console->terminal)
        return open_editor(in, history);
    return PV_OK;
}

static void forget_pastes(struct chat_input *in)
{
    for (uint32_t i = 0; i < in->n_pastes; i++)
        text_free(&in->pastes[i].text);
    in->n_pastes = 0;
}

void input_close(struct chat_input *in)
{
    if (!in)
        return;
    if (in->edit) {
        el_end(in->edit);
        tcsetattr(STDIN_FILENO, TCSADRAIN, &in->before);
    }
    if (in->history)
        history_end(in->history);
    forget_pastes(in);
    text_free(&in->typed);
    free(in->line);
    free(in);
}

bool input_is_terminal(const struct chat_input *in)
{
    return in->edit != NULL;
}

/* Kept at once: a program that is killed loses none. */
static void remember(struct chat_input *in, const char *line)
{
    HistEvent event;
    if (!in->history || !line[strspn(line, " \t\n")] || in->n_pastes > 0)
        return;
    history(in->history, &event, H_ENTER, line);
    if (in->history_path[0])
        history(in->history, &event, H_SAVE, in->history_path);
}

/* A line without its end, or NULL. */
static char *read_line(struct chat_input *in, const char *prompt, enum input_result *why)
{
    int n = 0;
    *why = INPUT_END;
    if (!in->edit) {
        const ssize_t length = getline(&in->line, &in->line_room, stdin);
        if (console_interrupted())
            *why = INPUT_INTERRUPTED;
        if (length < 0)
            return NULL;
        in->line[strcspn(in->line, "\n")] = 0;
        return in->line;
    }
    in->prompt = prompt;
    fputs("\033[?2004h", stdout);
    fflush(stdout);
    const char *line = el_gets(in->edit, &n);
    fputs("\033[?2004l", stdout);
    fflush(stdout);
    if (console_interrupted()) {
        fputs("^C\n", stdout);
        el_reset(in->edit);
        in->typed.n = in->at = 0;
        *why = INPUT_INTERRUPTED;
        return NULL;
    }
    if (!line || n <= 0)
        return NULL;
    free(in->line);
    in->line = strdup(line);
    in->line_room = 0;
    if (!in->line) {
        *why = INPUT_FAILED;
        return NULL;
    }
    in->line[strcspn(in->line, "\n")] = 0;
    remember(in, in->line);
    return in->line;
}

/* Appends the line, its marks replaced by what was pasted. */
static bool append_line(struct chat_input *in, struct text *text, const char *line)
{
    while (*line) {
        const char *nearest = NULL;
        const struct paste *found = NULL;
        for (uint32_t i = 0; i < in->n_pastes; i++) {
            const char *mark = strstr(line, in->pastes[i].mark);
            if (mark && (!nearest || mark < nearest)) {
                nearest = mark;
                found = &in->pastes[i];
            }
        }
        if (!text_append(text, line, nearest ? (size_t)(nearest - line) : strlen(line)))
            return false;
        if (!nearest)
            return true;
        if (!text_append(text, found->text.bytes, found->text.n))
            return false;
        line = nearest + strlen(found->mark);
    }
    return true;
}

/* Cuts `end` off the line; false if it does not end so. */
static bool cut_end(char *line, const char *end)
{
    const size_t n = strlen(line), n_end = strlen(end);
    if (n < n_end || strcmp(line + n - n_end, end) != 0)
        return false;
    line[n - n_end] = 0;
    return true;
}

enum input_result input_next(struct chat_input *in, struct text *text)
{
    static const char quotes[] = "\"\"\"";
    enum input_result why = INPUT_END;
    bool block = false, more = true;
    text->n = 0;
    forget_pastes(in);
    if (!text_append(text, "", 0))
        return INPUT_FAILED;
    for (bool first = true; more; first = false) {
        char *line = read_line(in, first ? "> " : ". ", &why);
        if (!line)
            return why == INPUT_END && !first && text->n ? INPUT_MESSAGE : why;
        if (first && !strncmp(line, quotes, 3)) {
            block = true;
            line += 3;
        }
        more = block ? !cut_end(line, quotes) : cut_end(line, "\\");
        const bool empty_start = block && first && !*line && more;
        if (!append_line(in, text, line) || (more && !empty_start && !text_append(text, "\n", 1))) {
            console_error(in->console, "no memory for what was typed");
            return INPUT_FAILED;
        }
    }
    if (block && text->n && text->bytes[text->n - 1] == '\n')
        text->bytes[--text->n] = 0;
    return INPUT_MESSAGE;
}
