/* A record is written behind the end of the last one, its header last, so that a cut-off write leaves no
 * valid header; the checksum covers header fields and bytes, taken block by block so that no record need fit
 * in memory. */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "learn/capture/journal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"

enum { BLOCK_BYTES = 1 << 20 };

struct file_header {
    unsigned char magic[8];
    uint64_t key;
};
struct record_header {
    uint32_t magic, kind, index, reserved;
    uint64_t key, size_bytes, checksum;
};
static const struct file_header EMPTY = {.magic = "PVRESUM1"};
static const uint32_t RECORD_MAGIC = 0x44524356u; /* "VCRD" */

static const char *reason(int error, char room[static 128])
{
    if (strerror_r(error, room, 128) != 0)
        return "unknown error";
    return room;
}

static bool read_at(int fd, uint64_t at, void *data, size_t n_bytes)
{
    unsigned char *next = data;

    while (n_bytes > 0) {
        const ssize_t n = pread(fd, next, n_bytes, (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            errno = EIO; /* the file became shorter */
        if (n <= 0)
            return false;
        next += n;
        at += (uint64_t)n;
        n_bytes -= (size_t)n;
    }
    return true;
}

static bool write_at(int fd, uint64_t at, const void *data, size_t n_bytes)
{
    const unsigned char *next = data;

    while (n_bytes > 0) {
        const ssize_t n = pwrite(fd, next, n_bytes, (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        next += n;
        at += (uint64_t)n;
        n_bytes -= (size_t)n;
    }
    return true;
}

static uint64_t header_checksum(const struct pv_journal_record *r)
{
    uint64_t fields[4] = {r->kind, r->index, r->key, r->size_bytes};

    return pv_hash64(fields, sizeof fields, RECORD_MAGIC);
}

/* Reads the record at j->end; false if there is no sound one. */
static bool scan_record(struct pv_journal *j, uint64_t file_bytes, struct pv_journal_record *r)
{
    struct record_header header;
    uint64_t checksum = 0, left = file_bytes - j->end;

    if (left < sizeof header || !read_at(j->fd, j->end, &header, sizeof header) ||
        header.magic != RECORD_MAGIC || header.reserved != 0 || header.size_bytes > left - sizeof header)
        return false;
    *r = (struct pv_journal_record){.kind = header.kind,
                                    .index = header.index,
                                    .key = header.key,
                                    .size_bytes = header.size_bytes,
                                    .checksum = header.checksum,
                                    .offset = j->end + sizeof header};
    for (uint64_t at = 0; at < r->size_bytes; at += BLOCK_BYTES) {
        const size_t n = r->size_bytes - at < BLOCK_BYTES ? (size_t)(r->size_bytes - at) : BLOCK_BYTES;

        if (!read_at(j->fd, r->offset + at, j->block, n))
            return false;
        checksum = pv_hash64(j->block, n, checksum);
    }
    return (checksum ^ header_checksum(r)) == r->checksum;
}

static enum pv_status remember(struct pv_journal *j, const struct pv_journal_record *r)
{
    void *records = j->records;

    if (!pv_grow(&records, j->n_records + 1, sizeof *j->records))
        return pv_fail(&j->log, PV_ERR_NOMEM, "%s: no memory for its index", j->path);
    j->records = records;
    j->records[j->n_records++] = *r;
    j->end = r->offset + r->size_bytes;
    return PV_OK;
}

static enum pv_status fail_io(const struct pv_journal *j, const char *action, int error)
{
    char room[128];

    return pv_fail(&j->log, PV_ERR_IO, "%s: cannot %s the resume file: %s", j->path, action,
                   reason(error, room));
}

/* Takes over the sound records of an existing file, or starts it. */
static enum pv_status take_over(struct pv_journal *j, uint64_t key)
{
    struct file_header header = EMPTY, found;
    struct pv_journal_record record;
    struct stat info;
    uint64_t file_bytes;

    if (fstat(j->fd, &info) != 0)
        return fail_io(j, "read the size of", errno);
    if (!S_ISREG(info.st_mode))
        return pv_fail(&j->log, PV_ERR_IO, "%s: is no regular file: choose another resume file", j->path);
    file_bytes = (uint64_t)info.st_size;
    j->end = sizeof header;
    j->key = header.key = key;
    if (file_bytes >= sizeof found && read_at(j->fd, 0, &found, sizeof found) &&
        memcmp(&found, &header, sizeof header) == 0) {
        while (scan_record(j, file_bytes, &record))
            PV_TRY(remember(j, &record));
        if (j->end < file_bytes)
            pv_warn(&j->log,
                    "%s: its last %llu bytes are incomplete or damaged; going on from the record before",
                    j->path, (unsigned long long)(file_bytes - j->end));
    } else {
        if (file_bytes > 0)
            pv_warn(&j->log, "%s: not the resume file of this model, text and arguments; starting over",
                    j->path);
        if (ftruncate(j->fd, 0) != 0 || !write_at(j->fd, 0, &header, sizeof header))
            return fail_io(j, "start", errno);
    }
    if (ftruncate(j->fd, (off_t)j->end) != 0)
        return fail_io(j, "shorten", errno);
    return PV_OK;
}

static enum pv_status prepare(struct pv_journal *j, const char *path, const struct pv_log *log)
{
    *j = (struct pv_journal){.fd = -1};
    if (log)
        j->log = *log;
    j->path = pv_strndup(path, strlen(path));
    j->block = pv_calloc(BLOCK_BYTES, 1);
    if (j->path && j->block)
        return PV_OK;
    pv_journal_close(j, false);
    return pv_fail(log, PV_ERR_NOMEM, "%s: no memory to open it", path);
}

enum pv_status pv_journal_open(struct pv_journal *j, const char *path, uint64_t key, const struct pv_log *log)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    enum pv_status status;

    PV_TRY(prepare(j, path, log));
    do
        j->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0666);
    while (j->fd < 0 && errno == EINTR);
    if (j->fd < 0) {
        status = fail_io(j, "open", errno);
    } else if (fcntl(j->fd, F_SETLK, &lock) != 0 && (errno == EACCES || errno == EAGAIN)) {
        status = pv_fail(log, PV_ERR_IO,
                         "%s: another process is fitting with it: wait, or choose another name", path);
    } else {
        status = take_over(j, key);
    }
    if (status != PV_OK)
        pv_journal_close(j, false);
    return status;
}

static enum pv_status read_all(struct pv_journal *j)
{
    struct file_header header;
    struct pv_journal_record record;
    struct stat info;
    uint64_t file_bytes;

    if (fstat(j->fd, &info) != 0)
        return fail_io(j, "read the size of", errno);
    file_bytes = S_ISREG(info.st_mode) ? (uint64_t)info.st_size : 0;
    if (file_bytes < sizeof header || !read_at(j->fd, 0, &header, sizeof header) ||
        memcmp(header.magic, EMPTY.magic, sizeof header.magic) != 0)
        return pv_fail(&j->log, PV_ERR_FORMAT, "%s: is no capture file: parvin capture makes one", j->path);
    j->key = header.key;
    j->end = sizeof header;
    while (scan_record(j, file_bytes, &record))
        PV_TRY(remember(j, &record));
    if (j->end < file_bytes)
        return pv_fail(&j->log, PV_ERR_FORMAT,
                       "%s: damaged or incomplete from byte %llu on: copy or capture it again", j->path,
                       (unsigned long long)j->end);
    return PV_OK;
}

enum pv_status pv_journal_open_read(struct pv_journal *j, const char *path, const struct pv_log *log)
{
    enum pv_status status;

    PV_TRY(prepare(j, path, log));
    j->read_only = true;
    do
        j->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    while (j->fd < 0 && errno == EINTR);
    status =
        j->fd < 0 ? pv_fail(log, PV_ERR_IO, "%s: cannot open it: %s", path, strerror(errno)) : read_all(j);
    if (status != PV_OK)
        pv_journal_close(j, false);
    return status;
}

enum pv_status pv_journal_finish(struct pv_journal *j, const char *final_path)
{
    enum pv_status status = PV_OK;

    if (fsync(j->fd) != 0 || rename(j->path, final_path) != 0)
        status = fail_io(j, "finish", errno);
    pv_journal_close(j, false);
    return status;
}

const struct pv_journal_record *pv_journal_find(const struct pv_journal *j, uint32_t kind, uint32_t index,
                                                uint64_t key)
{
    for (size_t i = j->n_records; i > 0; i--) {
        const struct pv_journal_record *r = &j->records[i - 1];

        if (r->kind == kind && r->index == index && r->key == key)
            return r;
    }
    return NULL;
}

enum pv_status pv_journal_read(const struct pv_journal *j, const struct pv_journal_record *record,
                               uint64_t offset, void *data, size_t n_bytes)
{
    if (offset > record->size_bytes || n_bytes > record->size_bytes - offset)
        return pv_fail(&j->log, PV_ERR_FORMAT, "%s: a record is too short; remove the file and start over",
                       j->path);
    if (!read_at(j->fd, record->offset + offset, data, n_bytes))
        return fail_io(j, "read", errno);
    return PV_OK;
}

void pv_journal_begin(struct pv_journal *j, uint32_t kind, uint32_t index, uint64_t key)
{
    j->open = (struct pv_journal_record){
        .kind = kind, .index = index, .key = key, .offset = j->end + sizeof(struct record_header)};
    j->n_block = 0;
    j->error = 0;
}

static void flush_block(struct pv_journal *j)
{
    struct pv_journal_record *r = &j->open;

    if (j->n_block == 0 || j->error != 0)
        return;
    r->checksum = pv_hash64(j->block, j->n_block, r->checksum);
    if (!write_at(j->fd, r->offset + r->size_bytes, j->block, j->n_block))
        j->error = errno != 0 ? errno : EIO;
    r->size_bytes += j->n_block;
    j->n_block = 0;
}

void pv_journal_put(struct pv_journal *j, const void *data, size_t n_bytes)
{
    const unsigned char *next = data;

    while (n_bytes > 0 && j->error == 0) {
        const size_t room = BLOCK_BYTES - j->n_block, n = n_bytes < room ? n_bytes : room;

        memcpy(j->block + j->n_block, next, n);
        j->n_block += n;
        next += n;
        n_bytes -= n;
        if (j->n_block == BLOCK_BYTES)
            flush_block(j);
    }
}

enum pv_status pv_journal_commit(struct pv_journal *j)
{
    struct pv_journal_record *r = &j->open;
    struct record_header header;

    flush_block(j);
    r->checksum ^= header_checksum(r);
    header = (struct record_header){.magic = RECORD_MAGIC,
                                    .kind = r->kind,
                                    .index = r->index,
                                    .key = r->key,
                                    .size_bytes = r->size_bytes,
                                    .checksum = r->checksum};
    if (j->error == 0 && !write_at(j->fd, r->offset - sizeof header, &header, sizeof header))
        j->error = errno != 0 ? errno : EIO;
    if (j->error != 0)
        return fail_io(j, "write", j->error);
    return remember(j, r);
}

void pv_journal_close(struct pv_journal *j, bool remove_file)
{
    if (!j->path)
        return;
    assert(!(remove_file && j->read_only));
    if (remove_file && j->fd >= 0)
        unlink(j->path);
    if (j->fd >= 0)
        close(j->fd);
    free(j->path);
    free(j->records);
    free(j->block);
    *j = (struct pv_journal){.fd = -1};
}
