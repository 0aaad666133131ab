/* Raw mode, the alternate screen, signals. Handlers only set flags, except that a crash and a stop restore
 * the terminal at once, with calls that are safe in a handler. */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "viz/term/term_tty.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include "viz/say.h"

static const char enter[] = "\x1b[?1049h\x1b[?25l\x1b[?7l";
static const char leave[] = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l";
static const int watched[] = {SIGINT,  SIGTERM, SIGHUP,  SIGWINCH, SIGTSTP,
                              SIGCONT, SIGSEGV, SIGABRT, SIGBUS,   SIGFPE};
enum { N_WATCHED = sizeof watched / sizeof watched[0] };

/* The one terminal that is shown on; handlers need it. */
static struct {
    struct termios before;
    struct sigaction actions[N_WATCHED];
    int fd_in, fd_out;
    bool raw; /* fd_in is a terminal whose mode was changed */
    volatile sig_atomic_t shown, ended, resized, stopped;
} tty;

static void send(const char *data, size_t n)
{
    while (n > 0) {
        const ssize_t done = write(tty.fd_out, data, n);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0 && errno == EAGAIN) {
            poll(&(struct pollfd){.fd = tty.fd_out, .events = POLLOUT}, 1, 100);
            continue;
        }
        if (done <= 0)
            return;
        data += done;
        n -= (size_t)done;
    }
}

/* Safe in a signal handler. */
static void restore(void)
{
    if (!tty.shown)
        return;
    tty.shown = 0;
    send(leave, sizeof leave - 1);
    if (tty.raw)
        tcsetattr(tty.fd_in, TCSADRAIN, &tty.before);
}

static void on_signal(int number)
{
    const int saved = errno;

    switch (number) {
    case SIGWINCH:
    case SIGCONT:
        tty.resized = 1;
        break;
    case SIGTSTP:
        tty.stopped = 1;
        break;
    case SIGINT:
    case SIGTERM:
    case SIGHUP:
        tty.ended = 1;
        break;
    default: /* a crash: hand the terminal back, then let it take its course */
        restore();
        signal(number, SIG_DFL);
        raise(number);
        break;
    }
    errno = saved;
}

static void watch_signals(void)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < N_WATCHED; i++)
        sigaction(watched[i], &action, &tty.actions[i]);
}

static void unwatch_signals(void)
{
    for (int i = 0; i < N_WATCHED; i++)
        sigaction(watched[i], &tty.actions[i], NULL);
}

static void show(void)
{
    struct termios raw;

    tty.raw = isatty(tty.fd_in) && tcgetattr(tty.fd_in, &tty.before) == 0;
    tty.shown = 1;
    if (tty.raw) {
        raw = tty.before;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO); /* ISIG stays: Ctrl-C is a signal, Ctrl-Z stops */
        raw.c_iflag &= ~(tcflag_t)(IXON | ICRNL);
        raw.c_cc[VMIN] = 0;
        raw.c_cc[VTIME] = 0;
        tcsetattr(tty.fd_in, TCSADRAIN, &raw);
    }
    send(enter, sizeof enter - 1);
}

static void stop_and_resume(void)
{
    tty.stopped = 0;
    restore();
    raise(SIGSTOP);
    show();
    tty.resized = 1;
}

static enum pv_status fit_size(struct pv_term *term)
{
    struct winsize size;

    tty.resized = 0;
    if (ioctl(tty.fd_out, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0)
        return pv_term_resize(term, 80, 24);
    return pv_term_resize(term, size.ws_col, size.ws_row);
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

struct input {
    char bytes[256];
    size_t n;
    bool closed;
};

/* Waits up to 33 ms for keys and acts on them. */
static enum pv_status keys(struct pv_player *player, struct input *in, bool *changed)
{
    struct pollfd fd = {.fd = in->closed ? -1 : tty.fd_in, .events = POLLIN};
    enum pv_status status = PV_OK;
    size_t used = 0, taken;
    ssize_t n;

    if (poll(&fd, 1, 33) <= 0)
        return PV_OK;
    n = read(tty.fd_in, in->bytes + in->n, sizeof in->bytes - in->n);
    if (n <= 0) {
        in->closed = n == 0 || (errno != EINTR && errno != EAGAIN);
        return PV_OK;
    }
    in->n += (size_t)n;
    while (status == PV_OK && used < in->n) {
        enum pv_key key;

        taken = pv_term_key(in->bytes + used, in->n - used, &key);
        if (taken == 0)
            break;
        used += taken;
        if (key == PV_KEY_SAVE) {
            pv_player_note(player, "parvin heatmap TRACE -o FILE.png makes pictures");
            key = PV_KEY_NONE;
        }
        status = pv_player_key(player, key);
        *changed = true;
    }
    memmove(in->bytes, in->bytes + used, in->n - used);
    in->n -= used;
    return status;
}

static bool leaving(const struct pv_player *player, const struct pv_tty_params *params)
{
    return tty.ended || player->quit || (params->stop && params->stop(params->stop_user)) ||
           (params->quit_at_end && player->ended);
}

static enum pv_status loop(struct pv_player *player, const struct pv_tty_params *params, struct pv_term *term)
{
    struct input in = {.n = 0};
    double last = now();
    bool changed = true;
    enum pv_status status = fit_size(term);

    while (status == PV_OK && !leaving(player, params)) {
        const char *bytes;
        size_t n;
        const double time = now();

        status = pv_player_advance(player, time - last, &changed);
        last = time;
        if (status != PV_OK)
            break;
        if (tty.stopped)
            stop_and_resume();
        if (tty.resized) {
            status = fit_size(term);
            changed = true;
        }
        if (status == PV_OK && changed) {
            status = pv_term_frame(term, player, &bytes, &n);
            if (status == PV_OK)
                send(bytes, n);
            player->n_frames++;
            changed = false;
        }
        if (status == PV_OK)
            status = keys(player, &in, &changed);
    }
    return status == PV_OK && tty.ended ? PV_ERR_INTERRUPTED : status;
}

enum pv_status pv_tty_run(struct pv_player *player, const struct pv_tty_params *params,
                          const struct pv_log *log)
{
    struct pv_term *term;
    enum pv_status status;

    if (!isatty(params->fd_out))
        return pv_say_fail(
            log, PV_ERR_UNSUPPORTED,
            "the terminal view needs a terminal, and the output is none: run it in one, or draw a "
            "picture with 'parvin heatmap TRACE -o FILE.png'");
    if (pv_term_create(&params->caps, &term) != PV_OK)
        return pv_say_fail(log, PV_ERR_NOMEM, "no memory for the terminal view");
    memset(&tty, 0, sizeof tty);
    tty.fd_in = params->fd_in;
    tty.fd_out = params->fd_out;
    watch_signals();
    show();
    status = loop(player, params, term);
    restore();
    unwatch_signals();
    pv_term_destroy(term);
    return status;
}
