/* Files: whole-file reads, read-only maps, and atomic writes (temporary beside the target, fsync, rename). */
#ifndef PV_BASE_FILE_H
#define PV_BASE_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include "parvin/status.h"

struct pv_map {
    const uint8_t *data;
    size_t size_bytes;
    char *path;
    int listed; /* place in the table of open maps; -1: none */
};
/* Maps a regular file read-only. An empty file is PV_ERR_FORMAT; a folder or missing file PV_ERR_IO. */
PV_MUST_USE enum pv_status pv_map_open(struct pv_map *map, const char *path, const struct pv_log *log);
void pv_map_close(struct pv_map *map);
/* The path of the open map that holds `address`, or NULL. Async-signal-safe: a handler of SIGBUS, which is what
 * reading a map of a file that was cut short raises, can name the file. Valid until that map is closed. */
const char *pv_map_path_at(const void *address);

/* Reads a whole file (also a pipe); malloc'ed, NUL added after the end; the caller frees. */
PV_MUST_USE enum pv_status pv_file_read(const char *path, const struct pv_log *log, char **data,
                                        size_t *size_bytes);

/* A file that appears whole or not at all. Between open and commit write with pv_writer_put; errors are
 * sticky and reported (logged once) by commit. abort or a crash leaves the old file as it was. The new file has
 * the permissions of the one it replaces. A symbolic link stays: what it leads to is replaced. */
struct pv_writer {
    FILE *file;
    char *path; /* the target, links followed */
    char *temp_path;
    uint64_t size_bytes;
    int error; /* errno of the first failure */
    struct pv_log log;
};
PV_MUST_USE enum pv_status pv_writer_open(struct pv_writer *w, const char *path, const struct pv_log *log);
void pv_writer_put(struct pv_writer *w, const void *data, size_t size_bytes);
void pv_writer_pad(struct pv_writer *w, size_t alignment); /* zeros up to a multiple */
PV_MUST_USE enum pv_status pv_writer_commit(struct pv_writer *w);
void pv_writer_abort(struct pv_writer *w); /* safe after commit and on a zeroed struct */
/* The permissions that a finished file gets: those of the file it replaces, else what the user's umask leaves. Looks
 * at the umask by setting it for a moment. */
mode_t pv_file_final_mode(const char *path);
/* Removes the temporaries that killed writers of `path` have left, and no other file: a temporary's name holds
 * its own inode, or a dead process's number while it is empty. For a caller who knows (by a lock) that nobody else is writing it. */
void pv_writer_clean(const char *path);

#endif
