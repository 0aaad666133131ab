/* Two names are the same file if device and inode are, or, where there is no file yet, if the folder and the last part
 * of the name are. That Parvin wrote a file is seen by how its formats begin. */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif
#include "cli/outputs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_PATH = 4096, MOST_PARTS = 99999, HEAD_BYTES = 512 };

/* How the files begin that Parvin writes, and what stands in their first HEAD_BYTES. */
static const struct {
    const char *begin;
    size_t n_begin;
    const char *holds;
    size_t n_holds;
} formats[] = {
#define BYTES(text) text, sizeof(text) - 1
    {BYTES("GGUF"), BYTES("parvin-clusters")},
    {BYTES("PVRESUM1"), BYTES("")}, /* a capture file */
    {BYTES("{\n  \"format\": \"parvin-chat\""), BYTES("")},
    {BYTES("{\"format\":\"parvin-trace\""), BYTES("")},
    {BYTES("[{\"ph\":\"M\",\"pid\":1,\"tid\":0,\"name\":\"process_name\""), BYTES("")},
    {BYTES("\x89PNG"), BYTES("Software\0Parvin")},
    {BYTES("<?xml"), BYTES("<!-- Parvin -->")},
    {BYTES("<?xml"), BYTES("<testsuites name=\"parvin conform\">")},
    {BYTES("<!DOCTYPE html>"), BYTES("<meta name=\"generator\" content=\"Parvin\">")},
    {BYTES("# parvin conform ("), BYTES("")},
    {BYTES("<!-- parvin-lab -->"), BYTES("")},
    {BYTES("<svg "), BYTES("<!-- Parvin -->")}, /* a chart of parvin-lab */
    {BYTES("model,device,method,label,"), BYTES("")},
#undef BYTES
};

/* What a name stands for. */
struct place {
    const char *path;
    bool there;
    dev_t device; /* of the file, or of its folder where there is no file */
    ino_t inode;
    mode_t mode;
    const char *last; /* part of the name, where there is no file */
};

static void folder_of(const char *path, char *out, size_t size)
{
    const char *slash = strrchr(path, '/');
    const int length = !slash ? 1 : slash == path ? 1 : (int)(slash - path);
    snprintf(out, size, "%.*s", length, slash ? path : ".");
}

/* False, with errno, where not even its folder is there. */
static bool find_place(const char *path, struct place *out)
{
    char folder[MOST_PATH];
    struct stat info;
    const char *slash = strrchr(path, '/');
    *out = (struct place){.path = path, .last = slash ? slash + 1 : path};
    out->there = stat(path, &info) == 0;
    if (!out->there) {
        if (errno != ENOENT)
            return false;
        folder_of(path, folder, sizeof folder);
        if (stat(folder, &info) != 0)
            return false;
    }
    out->device = info.st_dev;
    out->inode = info.st_ino;
    out->mode = info.st_mode;
    return true;
}

static bool is_same(const struct place *a, const struct place *b)
{
    return a->there == b->there && a->device == b->device && a->inode == b->inode &&
           (a->there || !strcmp(a->last, b->last));
}

static bool is_open_as(const struct place *place, int fd)
{
    struct stat info;
    return place->there && S_ISREG(place->mode) && fstat(fd, &info) == 0 && info.st_dev == place->device &&
           info.st_ino == place->inode;
}

static bool is_file(const struct place *place, const char *path)
{
    struct place other;
    if (!strcmp(path, "-"))
        return is_open_as(place, STDIN_FILENO);
    return find_place(path, &other) && is_same(place, &other);
}

/* NAME-00001-of-00003.gguf is three files. */
static bool is_part_of(const struct place *place, const char *path)
{
    static const char end[] = "-00001-of-00001.gguf";
    char part[MOST_PATH];
    const size_t n = strlen(path), n_end = sizeof end - 1;
    const char *tail = n > n_end ? path + n - n_end : "";
    if (tail[0] != '-' || strncmp(tail + 6, "-of-", 4) != 0 || strcmp(tail + 15, ".gguf") != 0)
        return false;
    const long n_parts = strtol(tail + 10, NULL, 10);
    for (long i = 1; i <= n_parts && i <= MOST_PARTS; i++) {
        const int length = snprintf(part, sizeof part, "%.*s-%05ld%s", (int)(n - n_end), path, i, tail + 6);
        if (length > 0 && (size_t)length < sizeof part && is_file(place, part))
            return true;
    }
    return false;
}

static bool is_output(const struct option *option)
{
    return option->type == OPTION_OUTPUT || option->type == OPTION_STREAM;
}

/* The value of an option that names a file, or NULL. Walks like options_next. */
static const char *next_file(const struct app *app, uint32_t *group, uint32_t *row,
                             const struct option **option)
{
    while ((*option = options_next(app->command, group, row))) {
        if ((*option)->type != OPTION_INPUT && !is_output(*option))
            continue;
        const char *base = app->options;
        const char *path = *(const char *const *)(const void *)(base + app->command->groups[*group].offset +
                                                                (*option)->offset);
        if (path)
            return path;
    }
    return NULL;
}

static enum pv_status fail_input(struct app *app, const char *output, const char *input)
{
    console_error(&app->console, "'%s' would be written over '%s', which is read: choose another name",
                  output, input);
    return PV_ERR_ARG;
}

/* The place against everything that is read, and against the other outputs (`self`: the option it comes from). */
static enum pv_status check_others(struct app *app, const struct place *place, const struct option *self)
{
    const struct common_options *c = app->common;
    const struct option *option;
    uint32_t group = 0, row = 0;
    for (uint32_t i = 0; i < c->n_arguments; i++)
        if (is_file(place, c->arguments[i]) || is_part_of(place, c->arguments[i]))
            return fail_input(app, place->path, c->arguments[i]);
    for (const char *path; (path = next_file(app, &group, &row, &option));) {
        if (option == self || !is_file(place, path))
            continue;
        if (!is_output(option))
            return fail_input(app, place->path, path);
        console_error(&app->console,
                      "'%s' and '%s' are one file, and both would be written: choose two names", place->path,
                      path);
        return PV_ERR_ARG;
    }
    if (is_open_as(place, STDOUT_FILENO)) {
        console_error(&app->console, "'%s' is standard output too: choose another name", place->path);
        return PV_ERR_ARG;
    }
    return PV_OK;
}

static bool holds(const char *head, size_t n, const char *what, size_t n_what)
{
    for (size_t at = 0; at + n_what <= n; at++)
        if (!memcmp(head + at, what, n_what))
            return true;
    return false;
}

/* Whether the file is empty or in one of Parvin's formats. One that cannot be read is not known to be. */
static bool is_own(const char *path)
{
    char head[HEAD_BYTES];
    FILE *file = fopen(path, "rb");
    if (!file)
        return false;
    const size_t n = fread(head, 1, sizeof head, file);
    const bool empty = n == 0 && !ferror(file);
    bool own = false;
    fclose(file);
    for (size_t i = 0; !own && i < sizeof formats / sizeof formats[0]; i++)
        own = n >= formats[i].n_begin && !memcmp(head, formats[i].begin, formats[i].n_begin) &&
              holds(head, n, formats[i].holds, formats[i].n_holds);
    return empty || own;
}

static enum pv_status fail_write(struct app *app, const char *path, int error)
{
    console_error(&app->console, "cannot write '%s': %s", path, strerror(error));
    return PV_ERR_IO;
}

/* What is there already, and the folder. A stream is written in place, all else beside it and then renamed. */
static enum pv_status check_target(struct app *app, const struct place *place, bool stream)
{
    char folder[MOST_PATH];
    if (place->there && (S_ISDIR(place->mode) || (!stream && !S_ISREG(place->mode)))) {
        console_error(&app->console, "cannot write '%s': it exists and is not a regular file", place->path);
        return PV_ERR_IO;
    }
    if (place->there && S_ISREG(place->mode) && !app->common->force && !is_own(place->path)) {
        console_error(&app->console,
                      "'%s' exists and Parvin did not write it: choose another name, or give --force to "
                      "overwrite it",
                      place->path);
        return PV_ERR_ARG;
    }
    folder_of(place->path, folder, sizeof folder);
    const bool in_place = stream && place->there;
    if (access(in_place ? place->path : folder, in_place ? W_OK : W_OK | X_OK) != 0)
        return fail_write(app, place->path, errno);
    return PV_OK;
}

static enum pv_status check_output(struct app *app, const char *path, const struct option *self)
{
    struct place place;
    if (!path[0]) {
        console_error(&app->console, "the name of the file to write is empty");
        return PV_ERR_ARG;
    }
    if (strlen(path) >= MOST_PATH)
        return fail_write(app, path, ENAMETOOLONG);
    if (!find_place(path, &place))
        return fail_write(app, path, errno);
    const enum pv_status status = check_others(app, &place, self);
    return status ? status : check_target(app, &place, self && self->type == OPTION_STREAM);
}

enum pv_status outputs_check(struct app *app)
{
    const struct option *option;
    uint32_t group = 0, row = 0;
    enum pv_status status = PV_OK;
    for (const char *path; !status && (path = next_file(app, &group, &row, &option));)
        if (is_output(option))
            status = check_output(app, path, option);
    return status;
}

enum pv_status outputs_check_path(struct app *app, const char *path)
{
    return check_output(app, path, NULL);
}

enum pv_status outputs_check_input(struct app *app, const char *path)
{
    const struct option *option;
    uint32_t group = 0, row = 0;
    struct place place;
    if (!find_place(path, &place))
        return PV_OK;
    for (const char *output; (output = next_file(app, &group, &row, &option));)
        if (is_output(option) && is_file(&place, output))
            return fail_input(app, output, path);
    return PV_OK;
}
