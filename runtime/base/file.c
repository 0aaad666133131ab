/* Reading is by map or whole; writing goes to a temporary beside the target that takes the target's name only
 * when every byte is on the disk. Messages name the path, the system's reason and what the user can do about
 * it. */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/log.h"
#include "base/mem.h"

/* What the user can do about an errno; "" where the reason says it all. */
static const char *advice(int error)
{
    switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return ": free space or choose another folder with -o";
    case EACCES:
    case EPERM:
        return ": check the permissions of the file and its folder";
    case EROFS:
        return ": choose a folder that can be written with -o";
    case ENOENT:
    case ENOTDIR:
        return ": check the path";
    case EMFILE:
    case ENFILE:
        return ": raise the limit on open files (ulimit -n)";
    default:
        return "";
    }
}

static enum pv_status fail_io(const struct pv_log *log, const char *path, const char *action, int error)
{
    char reason[128] = "unknown error";

    if (strerror_r(error, reason, sizeof reason) != 0)
        snprintf(reason, sizeof reason, "error %d", error);
    return pv_fail(log, PV_ERR_IO, "%s: cannot %s: %s%s", path, action, reason, advice(error));
}

static int open_retry(const char *path, int flags, mode_t mode)
{
    int fd;

    do
        fd = open(path, flags | O_CLOEXEC, mode);
    while (fd < 0 && errno == EINTR);
    return fd;
}

enum pv_status pv_map_open(struct pv_map *map, const char *path, const struct pv_log *log)
{
    enum pv_status status = PV_OK;
    struct stat info;
    void *data;
    int fd;

    *map = (struct pv_map){0};
    fd = open_retry(path, O_RDONLY | O_NONBLOCK, 0); /* a pipe without a writer must not hang */
    if (fd < 0)
        return fail_io(log, path, "open", errno);
    if (fstat(fd, &info) != 0) {
        status = fail_io(log, path, "read its size", errno);
    } else if (!S_ISREG(info.st_mode)) {
        status = pv_fail(log, PV_ERR_IO, "%s: not a regular file", path);
    } else if (info.st_size <= 0) {
        status = pv_fail(log, PV_ERR_FORMAT, "%s: the file is empty", path);
    } else if ((uintmax_t)info.st_size > SIZE_MAX) {
        status = pv_fail(log, PV_ERR_IO, "%s: the file is too large for this machine's address space", path);
    } else {
        data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED)
            status = fail_io(log, path, "map", errno);
        else
            *map = (struct pv_map){.data = data, .size_bytes = (size_t)info.st_size};
    }
    close(fd);
    return status;
}

void pv_map_close(struct pv_map *map)
{
    union {
        const void *in;
        void *out;
    } address = {.in = map->data}; /* munmap takes no const */

    if (map->data)
        munmap(address.out, map->size_bytes);
    *map = (struct pv_map){0};
}

enum pv_status pv_file_read(const char *path, const struct pv_log *log, char **data, size_t *size_bytes)
{
    enum pv_status status;
    size_t used = 0, room = 0;
    void *buffer = NULL;
    const int fd = open_retry(path, O_RDONLY, 0);

    if (fd < 0)
        return fail_io(log, path, "open", errno);
    for (;;) {
        ssize_t n;

        if (room - used < 2) { /* one for the NUL */
            room = room == 0 ? 65536 : room > SIZE_MAX / 2 ? SIZE_MAX : room * 2;
            if (!pv_grow(&buffer, room, 1)) {
                status = pv_fail(log, PV_ERR_NOMEM, "%s: no memory for a file of over %zu bytes", path, used);
                goto fail;
            }
        }
        n = read(fd, (char *)buffer + used, room - used - 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            status = fail_io(log, path, "read", errno);
            goto fail;
        }
        if (n == 0)
            break;
        used += (size_t)n;
    }
    close(fd);
    ((char *)buffer)[used] = '\0';
    *data = buffer;
    *size_bytes = used;
    return PV_OK;
fail:
    close(fd);
    free(buffer);
    return status;
}

/* Opens PATH.<pid>-<n>.tmp; plain open rather than mkstemp, so that the file gets the user's usual
 * permissions. */
static int open_temp(const char *path, char *temp_path, size_t room)
{
    int fd = -1;

    for (int n = 0; n < 100 && fd < 0; n++) {
        snprintf(temp_path, room, "%s.%ld-%d.tmp", path, (long)getpid(), n);
        fd = open_retry(temp_path, O_WRONLY | O_CREAT | O_EXCL, 0666);
        if (fd < 0 && errno != EEXIST)
            return -1;
    }
    return fd;
}

enum pv_status pv_writer_open(struct pv_writer *w, const char *path, const struct pv_log *log)
{
    const size_t room = strlen(path) + 48;
    struct stat info;
    int fd;

    *w = (struct pv_writer){0};
    if (log)
        w->log = *log;
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
        return pv_fail(log, PV_ERR_IO, "%s: is there already and is no regular file: choose another name",
                       path);
    w->path = pv_strndup(path, strlen(path));
    w->temp_path = pv_calloc(room, 1);
    if (!w->path || !w->temp_path) {
        pv_writer_abort(w);
        return pv_fail(log, PV_ERR_NOMEM, "%s: no memory to write it", path);
    }
    fd = open_temp(path, w->temp_path, room);
    if (fd >= 0)
        w->file = fdopen(fd, "wb");
    if (!w->file) {
        const int error = errno;

        if (fd >= 0) {
            close(fd);
            unlink(w->temp_path);
        }
        pv_writer_abort(w);
        return fail_io(log, path, "create", error);
    }
    return PV_OK;
}

void pv_writer_put(struct pv_writer *w, const void *data, size_t size_bytes)
{
    if (w->error != 0 || size_bytes == 0)
        return;
    errno = 0;
    if (fwrite(data, 1, size_bytes, w->file) != size_bytes)
        w->error = errno != 0 ? errno : EIO;
    w->size_bytes += size_bytes;
}

void pv_writer_pad(struct pv_writer *w, size_t alignment)
{
    static const char zeros[64];
    size_t n = (alignment - (size_t)(w->size_bytes % alignment)) % alignment;

    for (; n > sizeof zeros; n -= sizeof zeros)
        pv_writer_put(w, zeros, sizeof zeros);
    pv_writer_put(w, zeros, n);
}

/* Makes the rename itself durable. A file system that cannot sync a folder is not the user's problem. */
static void sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = !slash ? pv_strndup(".", 1) : pv_strndup(path, (size_t)(slash - path) + 1);
    const int fd = folder ? open_retry(folder, O_RDONLY, 0) : -1;

    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(folder);
}

enum pv_status pv_writer_commit(struct pv_writer *w)
{
    enum pv_status status = PV_OK;
    int error = w->error;

    if (error == 0 && (fflush(w->file) != 0 || fsync(fileno(w->file)) != 0))
        error = errno;
    if (fclose(w->file) != 0 && error == 0)
        error = errno;
    w->file = NULL;
    if (error == 0 && rename(w->temp_path, w->path) != 0)
        error = errno;
    if (error != 0) {
        unlink(w->temp_path);
        status = fail_io(&w->log, w->path, "write", error);
    } else {
        sync_folder(w->path);
    }
    pv_writer_abort(w);
    return status;
}

void pv_writer_abort(struct pv_writer *w)
{
    if (w->file) {
        fclose(w->file);
        unlink(w->temp_path);
    }
    free(w->path);
    free(w->temp_path);
    *w = (struct pv_writer){0};
}

/* Whether `name` is `stem` + ".<digits>-<digits>.tmp", as open_temp makes them. */
static bool is_temp_of(const char *name, const char *stem)
{
    size_t n = strlen(stem), digits;

    if (strncmp(name, stem, n) != 0 || name[n] != '.')
        return false;
    name += n + 1;
    digits = strspn(name, "0123456789");
    if (digits == 0 || name[digits] != '-')
        return false;
    name += digits + 1;
    digits = strspn(name, "0123456789");
    return digits > 0 && strcmp(name + digits, ".tmp") == 0;
}

void pv_writer_clean(const char *path)
{
    const char *slash = strrchr(path, '/'), *stem = !slash ? path : slash + 1;
    char *folder = !slash ? pv_strndup(".", 1) : pv_strndup(path, (size_t)(slash - path) + 1);
    DIR *dir = folder ? opendir(folder) : NULL;
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        if (is_temp_of(entry->d_name, stem))
            unlinkat(dirfd(dir), entry->d_name, 0);
    }
    if (dir)
        closedir(dir);
    free(folder);
}
