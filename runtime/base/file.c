/* Reading is by map or whole. Writing goes to a temporary beside the target, which takes the target's name only
 * when every byte is on the disk. Messages name the path, the system's reason and what the user can do.
 *
 * A temporary carries its own inode number in its name, so that a later run can tell what Parvin made from a
 * foreign file of a similar name. Until the rename only its owner may read it. */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif
#include "base/file.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
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
        return ": free space or choose another folder";
    case EACCES:
    case EPERM:
        return ": check the permissions of the file and its folder";
    case EROFS:
        return ": choose a folder that can be written";
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

/* The open maps, for pv_map_path_at. A signal handler reads the table, so it is fixed and its entries are atomic:
 * the path is set last and cleared first. Maps beyond its size are not listed. */
enum { MAX_LISTED_MAPS = 256 };
static struct {
    atomic_bool taken;
    _Atomic(const uint8_t *) data;
    atomic_size_t size_bytes;
    _Atomic(const char *) path;
} listed_maps[MAX_LISTED_MAPS];

static void list_map(struct pv_map *map)
{
    map->listed = -1;
    for (int i = 0; i < MAX_LISTED_MAPS && map->listed < 0; i++) {
        bool expected = false;

        if (!atomic_compare_exchange_strong(&listed_maps[i].taken, &expected, true))
            continue;
        atomic_store(&listed_maps[i].data, map->data);
        atomic_store(&listed_maps[i].size_bytes, map->size_bytes);
        atomic_store(&listed_maps[i].path, map->path);
        map->listed = i;
    }
}

static void unlist_map(const struct pv_map *map)
{
    if (map->listed < 0)
        return;
    atomic_store(&listed_maps[map->listed].path, NULL);
    atomic_store(&listed_maps[map->listed].taken, false);
}

const char *pv_map_path_at(const void *address)
{
    for (int i = 0; i < MAX_LISTED_MAPS; i++) {
        const char *path = atomic_load(&listed_maps[i].path);
        const uint8_t *data = atomic_load(&listed_maps[i].data);

        if (path && (uintptr_t)address >= (uintptr_t)data &&
            (uintptr_t)address - (uintptr_t)data < atomic_load(&listed_maps[i].size_bytes))
            return path;
    }
    return NULL;
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
            *map = (struct pv_map){.data = data, .size_bytes = (size_t)info.st_size, .listed = -1};
    }
    close(fd);
    if (status == PV_OK) {
        map->path = pv_strndup(path, strlen(path));
        if (map->path)
            list_map(map);
        else
            pv_map_close(map);
        if (!map->path)
            return pv_fail(log, PV_ERR_NOMEM, "%s: no memory to read it", path);
    }
    return status;
}

void pv_map_close(struct pv_map *map)
{
    union {
        const void *in;
        void *out;
    } address = {.in = map->data}; /* munmap takes no const */

    if (map->data) {
        unlist_map(map);
        munmap(address.out, map->size_bytes);
    }
    free(map->path);
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

/* Creates a temporary that nobody else has, PATH.<pid>-<n>.tmp, and gives it the name PATH.<inode>.tmp before anything
 * is written: by a link, which replaces nothing, or by renaming where the file system has no links. */
static int open_temp(const char *path, char *temp_path, size_t room)
{
    char *own_name = pv_calloc(room, 1);
    struct stat info;
    int fd = -1;

    for (int n = 0; n < 100 && fd < 0 && own_name; n++) {
        snprintf(temp_path, room, "%s.%ld-%d.tmp", path, (long)getpid(), n);
        fd = open_retry(temp_path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
        if (fd < 0 && errno != EEXIST)
            break;
    }
    if (fd >= 0 && fstat(fd, &info) == 0) {
        snprintf(own_name, room, "%s.%ju.tmp", path, (uintmax_t)info.st_ino);
        if (link(temp_path, own_name) == 0)
            unlink(temp_path);
        else if (access(own_name, F_OK) == 0 || rename(temp_path, own_name) != 0)
            snprintf(own_name, room, "%s", temp_path);
        snprintf(temp_path, room, "%s", own_name);
    }
    free(own_name);
    return fd;
}

mode_t pv_file_final_mode(const char *path)
{
    struct stat info;
    mode_t mask;

    if (stat(path, &info) == 0)
        return info.st_mode & 0777;
    mask = umask(077);
    umask(mask);
    return 0666 & ~mask;
}

/* malloc'ed: `path`, or what it links to, so that a symbolic link stays one. */
static enum pv_status resolve_target(const char *path, const struct pv_log *log, char **out)
{
    struct stat info;

    *out = NULL;
    if (lstat(path, &info) == 0 && S_ISLNK(info.st_mode)) {
        *out = realpath(path, NULL);
        if (!*out)
            return pv_fail(log, PV_ERR_IO, "%s: is a symbolic link that leads nowhere: choose another name",
                           path);
    } else {
        *out = pv_strndup(path, strlen(path));
    }
    if (!*out)
        return pv_fail(log, PV_ERR_NOMEM, "%s: no memory to write it", path);
    if (stat(*out, &info) == 0 && !S_ISREG(info.st_mode)) {
        free(*out);
        *out = NULL;
        return pv_fail(log, PV_ERR_IO, "%s: exists and is not a regular file: choose another name", path);
    }
    return PV_OK;
}

enum pv_status pv_writer_open(struct pv_writer *w, const char *path, const struct pv_log *log)
{
    size_t room;
    int fd;

    *w = (struct pv_writer){0};
    if (log)
        w->log = *log;
    PV_TRY(resolve_target(path, log, &w->path));
    room = strlen(w->path) + 48;
    w->temp_path = pv_calloc(room, 1);
    if (!w->temp_path) {
        pv_writer_abort(w);
        return pv_fail(log, PV_ERR_NOMEM, "%s: no memory to write it", path);
    }
    errno = ENOMEM;
    fd = open_temp(w->path, w->temp_path, room);
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

    if (error == 0 && (fflush(w->file) != 0 || fsync(fileno(w->file)) != 0 ||
                       fchmod(fileno(w->file), pv_file_final_mode(w->path)) != 0))
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
    if (w->file && w->temp_path) {
        fclose(w->file);
        unlink(w->temp_path);
    }
    free(w->path);
    free(w->temp_path);
    *w = (struct pv_writer){0};
}

/* Is `ending` ".<pid>-<n>.tmp", and has no process this pid now? */
static bool is_first_name_of_dead(const char *ending)
{
    const char *c = ending;
    long pid = 0;

    if (*c++ != '.')
        return false;
    for (; isdigit((unsigned char)*c) && pid < 100000000; c++)
        pid = 10 * pid + (*c - '0');
    if (pid == 0 || *c++ != '-' || !isdigit((unsigned char)*c))
        return false;
    c += strspn(c, "0123456789");
    return strcmp(c, ".tmp") == 0 && kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

/* Is `name` in this folder a temporary of `stem` that this user's Parvin made and left: a regular file called `stem` +
 * ".<its own inode>.tmp", or one that died so early that it is empty and has its first name (see open_temp)? */
static bool is_temp_of(int folder, const char *name, const char *stem)
{
    const size_t n = strlen(stem);
    struct stat info;
    char ending[32];

    if (strncmp(name, stem, n) != 0 || fstatat(folder, name, &info, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(info.st_mode) || info.st_uid != geteuid())
        return false;
    snprintf(ending, sizeof ending, ".%ju.tmp", (uintmax_t)info.st_ino);
    return strcmp(name + n, ending) == 0 ||
           (info.st_size == 0 && (info.st_mode & 077) == 0 && is_first_name_of_dead(name + n));
}

void pv_writer_clean(const char *path)
{
    const char *slash = strrchr(path, '/'), *stem = !slash ? path : slash + 1;
    char *folder = !slash ? pv_strndup(".", 1) : pv_strndup(path, (size_t)(slash - path) + 1);
    DIR *dir = folder ? opendir(folder) : NULL;
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        if (is_temp_of(dirfd(dir), entry->d_name, stem))
            unlinkat(dirfd(dir), entry->d_name, 0);
    }
    if (dir)
        closedir(dir);
    free(folder);
}
