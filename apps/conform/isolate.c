/* The parent opens nothing of Vulkan, so a fork of it is a fresh process. The child runs the table and tells of each
 * row before and after it is made, through a pipe. When the pipe ends without a last word, the row at hand has killed
 * the child: the parent says so of it, and the next child begins behind it. */
#include "conform/run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum kind { DEVICE, STARTING, ROW, DEVICE_END, END };
/* Smaller than PIPE_BUF, so that it is written and read whole. */
struct message {
    enum kind kind;
    enum pv_status status; /* END */
    uint32_t device, number;
    uint64_t seed;
    double until;
    union {
        struct pv_device_info info;
        struct pv_conform_row row;
    } is;
};

/* ---- the child ---- */

struct child {
    int pipe;
    const struct conform_place *from;
    uint32_t device, number; /* rows of the device under the seed so far */
    uint64_t seed;
};

static void put(const struct child *child, struct message *m)
{
    m->device = child->device;
    m->seed = child->seed;
    m->number = child->number;
    for (size_t done = 0; done < sizeof *m;) {
        const ssize_t n = write(child->pipe, (const char *)m + done, sizeof *m - done);
        if (n < 0 && errno != EINTR)
            _exit(EXIT_FAILED); /* the parent has gone */
        done += n > 0 ? (size_t)n : 0;
    }
}

static void put_device(void *user, uint32_t index, const struct pv_device_info *info, double until)
{
    struct child *child = user;
    child->device = index;
    child->seed = 0;
    struct message m = {.kind = DEVICE, .until = until, .is.info = *info};
    put(child, &m);
}

static bool put_starting(void *user, uint64_t seed, const struct pv_conform_row *row)
{
    struct child *child = user;
    if (seed != child->seed)
        child->number = 0;
    child->seed = seed;
    const bool made_before =
        child->from->device == child->device && child->from->seed == seed && child->number < child->from->row;
    if (!made_before) {
        struct message m = {.kind = STARTING, .is.row = *row};
        put(child, &m);
    }
    child->number++;
    return !made_before;
}

static void put_row(void *user, uint64_t seed, const struct pv_conform_row *row)
{
    struct message m = {.kind = ROW, .is.row = *row};
    (void)seed;
    put(user, &m);
}

static void put_device_end(void *user)
{
    struct message m = {.kind = DEVICE_END};
    put(user, &m);
}

static void be_child(struct app *app, int pipe, const struct conform_place *from)
{
    struct child child = {.pipe = pipe, .from = from};
    const struct conform_events events = {&child, put_device, put_starting, put_row, put_device_end};
    struct message m = {.kind = END};
    m.status = conform_run(app, from, &events);
    put(&child, &m);
    _exit(EXIT_GOOD);
}

/* ---- the parent ---- */

struct parent {
    const struct conform_events *events;
    struct conform_place place; /* behind the last row that was begun */
    bool has_device;            /* one has begun and not ended */
    bool at_row;                /* `row` has begun and not ended */
    uint32_t n_begun;           /* rows by the child at hand */
    bool ended;                 /* the child at hand has said its last word: */
    enum pv_status status;
    struct pv_conform_row row;
};

static void end_device(struct parent *p)
{
    p->events->device_end(p->events->user);
    p->has_device = false;
    p->place = (struct conform_place){.device = p->place.device + 1};
}

static void take(struct parent *p, const struct message *m)
{
    switch (m->kind) {
    case DEVICE:
        if (!p->has_device) {
            p->place = (struct conform_place){.device = m->device, .until = m->until};
            p->events->device(p->events->user, m->device, &m->is.info, m->until);
        }
        p->has_device = true;
        return;
    case STARTING:
        p->place.seed = m->seed;
        p->place.row = m->number + 1;
        p->row = m->is.row;
        p->at_row = true;
        p->n_begun++;
        return;
    case ROW:
        p->at_row = false;
        p->events->row(p->events->user, m->seed, &m->is.row);
        return;
    case DEVICE_END:
        end_device(p);
        return;
    case END:
        p->ended = true;
        p->status = m->status;
        return;
    }
}

/* False: the pipe has ended. */
static bool get(int pipe, struct message *m)
{
    for (size_t done = 0; done < sizeof *m;) {
        const ssize_t n = read(pipe, (char *)m + done, sizeof *m - done);
        if (n == 0 || (n < 0 && errno != EINTR))
            return false;
        done += n > 0 ? (size_t)n : 0;
    }
    return true;
}

/* The row that the child died in has failed. One that died between rows is followed by another; but if that has made
 * no row either, the device is given up. */
static void take_death(struct parent *p, int how)
{
    const int number = WIFSIGNALED(how) ? WTERMSIG(how) : 0;
    struct pv_conform_row row = p->row;
    if (!p->at_row && p->n_begun > 0)
        return;
    if (!p->at_row)
        row = (struct pv_conform_row){.kernel = "device", .name = "open or close"};
    if (number)
        snprintf(row.detail, sizeof row.detail, "the driver killed the process: signal %d (%s)", number,
                 strsignal(number));
    else
        snprintf(row.detail, sizeof row.detail, "the driver ended the process with exit code %d",
                 WEXITSTATUS(how));
    row.fault = PV_FAULT_CRASH;
    row.passed = row.skipped = false;
    p->events->row(p->events->user, p->place.seed, &row);
    if (!p->at_row)
        end_device(p);
}

/* Does another child go on? `status` is what the run ends with if not. */
static bool goes_on(struct parent *p, struct app *app, int how, enum pv_status *status)
{
    if (!p->ended && !p->has_device && p->n_begun == 0 && !p->at_row) {
        console_error(&app->console, "a driver killed the process while the devices were opened; "
                                     "VK_DRIVER_FILES picks the drivers that are loaded");
        *status = PV_ERR_DEVICE;
        return false;
    }
    if (!p->ended) {
        take_death(p, how);
        return true;
    }
    if (p->n_begun > 0 && p->has_device &&
        (p->status == PV_ERR_DEVICE_LOST || p->status == PV_ERR_DEVICE_MEMORY))
        return true;
    if (p->has_device)
        end_device(p);
    if (p->status)
        app->console.n_errors++; /* the child has said why */
    *status = p->status;
    return false;
}

enum pv_status conform_isolated(struct app *app, const struct conform_events *events)
{
    struct parent p = {.events = events};
    enum pv_status status = PV_OK;
    int how = 0;
    do {
        int ends[2];
        struct message m;
        p.at_row = p.ended = false;
        p.n_begun = 0;
        fflush(NULL);
        const pid_t pid = pipe(ends) == 0 ? fork() : -1;
        if (pid < 0) {
            console_error(&app->console, "no process for the cases: %s", strerror(errno));
            return PV_ERR_NOMEM;
        }
        if (pid == 0) {
            close(ends[0]);
            be_child(app, ends[1], &p.place);
        }
        close(ends[1]);
        while (get(ends[0], &m))
            take(&p, &m);
        close(ends[0]);
        while (waitpid(pid, &how, 0) < 0 && errno == EINTR)
            ;
        if (WIFSIGNALED(how) && WTERMSIG(how) == SIGINT)
            return PV_ERR_INTERRUPTED;
    } while (goes_on(&p, app, how, &status));
    return status;
}
