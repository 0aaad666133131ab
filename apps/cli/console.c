/* Messages and the bar share stderr, so the bar is wiped before a message and drawn again by the next
 * progress. */
#include "cli/console.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "cli/hints.h"
#include "cli/text_print.h"

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

static void watch_interrupt(int flags)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_interrupt;
    action.sa_flags = flags;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
}

void console_watch_interrupt(void)
{
    watch_interrupt((int)SA_RESETHAND); /* the second one ends the program */
}

void console_take_interrupts(void)
{
    watch_interrupt(0);
    interrupted = 0;
}

bool console_interrupted(void)
{
    return interrupted != 0;
}

double console_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

void console_init(struct console *console)
{
    memset(console, 0, sizeof *console);
    const char *term = getenv("TERM");
    console->terminal = isatty(STDERR_FILENO) != 0 && term && term[0] && strcmp(term, "dumb") != 0;
    console->level = PV_LOG_WARN;
}

void console_set_level(struct console *console, uint32_t verbose, bool quiet)
{
    console->quiet = quiet;
    console->level = quiet          ? PV_LOG_ERROR
                     : verbose == 0 ? PV_LOG_WARN
                     : verbose == 1 ? PV_LOG_INFO
                                    : PV_LOG_DEBUG;
}

void console_end_bar(struct console *console)
{
    if (console->bar_shown)
        fputs("\r\033[K", stderr);
    console->bar_shown = false;
    console->stage[0] = 0;
}

/* Messages may quote a hostile file's strings: no control character of theirs reaches the terminal. */
static void print_line(struct console *console, const char *prefix, const char *text)
{
    console_end_bar(console);
    fprintf(stderr, "parvin: %s", prefix);
    text_print(stderr, text, strlen(text));
    fputc('\n', stderr);
}

/* The library says what is wrong, the command what to type. */
static void print_hints(struct console *console, const char *message)
{
    char hint[512];
    for (size_t at = 0; hints_next(console->command, message, &at, hint, sizeof hint);)
        print_line(console, "hint: ", hint);
}

static void on_log(void *user, enum pv_log_level level, const char *message)
{
    static const char *const prefixes[] = {"error: ", "warning: ", "", "debug: "};
    struct console *console = user;
    if (level == PV_LOG_ERROR)
        console->n_errors++;
    if (level > console->level)
        return;
    print_line(console, prefixes[level <= PV_LOG_DEBUG ? level : PV_LOG_DEBUG], message);
    if (level <= PV_LOG_WARN)
        print_hints(console, message);
}

struct pv_log console_log(struct console *console)
{
    return (struct pv_log){.fn = on_log, .user = console, .max_level = console->level};
}

void console_error(struct console *console, const char *format, ...)
{
    char text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    console->n_errors++;
    print_line(console, "error: ", text);
}

void console_note(struct console *console, const char *format, ...)
{
    char text[2048];
    va_list args;
    if (console->quiet)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    print_line(console, "", text);
}

static uint32_t terminal_width(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

static void draw_bar(struct console *console, double share, double now)
{
    const uint32_t width = terminal_width(), cells = width > 90 ? 40 : width > 50 ? width - 50 : 0;
    const uint32_t full = (uint32_t)(share * cells);
    const double elapsed = now - console->stage_started;
    fprintf(stderr, "\r\033[K%-20.20s ", console->stage);
    if (cells) {
        fputc('[', stderr);
        for (uint32_t i = 0; i < cells; i++)
            fputc(i < full ? '#' : '.', stderr);
        fputc(']', stderr);
    }
    fprintf(stderr, " %3.0f %%", share * 100);
    if (share > console->stage_share && elapsed > 1) {
        const double left = elapsed * (1 - share) / (share - console->stage_share);
        const unsigned long seconds = left < 0 ? 0 : (unsigned long)left;
        fprintf(stderr, "  %lu:%02lu left", seconds / 60, seconds % 60);
    }
    fflush(stderr);
    console->bar_shown = true;
    console->bar_drawn = now;
}

static bool on_progress(void *user, const char *stage, double done, double total)
{
    struct console *console = user;
    const double now = console_seconds(), share = total > 0 ? done / total : 0;
    if (console->quiet)
        return !interrupted;
    const bool changed = strncmp(console->stage, stage, sizeof console->stage - 1) != 0;
    if (changed) {
        console_end_bar(console);
        snprintf(console->stage, sizeof console->stage, "%s", stage);
        console->stage_started = now;
        console->stage_share = share;
        if (!console->terminal)
            fprintf(stderr, "parvin: %s\n", stage);
    }
    if (console->terminal && (changed || now - console->bar_drawn > 0.1))
        draw_bar(console, share < 0 ? 0 : share > 1 ? 1 : share, now);
    return !interrupted;
}

struct pv_progress console_progress(struct console *console)
{
    return (struct pv_progress){.fn = on_progress, .user = console};
}
