/* A record is written behind the end of the last one, its header last, so that a cut-off write leaves no
 * valid header; the checksum covers header fields and bytes, taken block by block so that no record need fit
 * in memory.
 *
 * The checksum has no secret, so it does not say who made a file. While a journal is under way its magic therefore
 * holds a hash of the file's own inode and owner: a file that somebody sends along with a model has another inode
 * here. Such a file is neither used nor touched. */
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
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"

enum { BLOCK_BYTES = 1 << 20, FIRST_SLOTS = 64 };

struct file_header {
    unsigned char magic[8];
    uint64_t key;
};
struct record_header {
    uint32_t magic, kind, index, reserved;
    uint64_t key, size_bytes, checksum;
};
static const unsigned char FINISHED_MAGIC[8] = "PVRESUM1", OPEN_MAGIC[4] = "PVR2";
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

/* Where the table has the newest record of these, or where it would be put. */
static size_t find_slot(const struct pv_journal *j, uint32_t kind, uint32_t index, uint64_t key)
{
    const uint64_t name[2] = {(uint64_t)kind << 32 | index, key};
    size_t slot = (size_t)pv_hash_keyed(name, sizeof name, j->secret) & (j->n_slots - 1);

    for (; j->slots[slot] != 0; slot = (slot + 1) & (j->n_slots - 1)) {
        const struct pv_journal_record *r = &j->records[j->slots[slot] - 1];

        if (r->kind == kind && r->index == index && r->key == key)
            break;
    }
    return slot;
}

static void put_slot(struct pv_journal *j, size_t i)
{
    const struct pv_journal_record *r = &j->records[i];

    j->slots[find_slot(j, r->kind, r->index, r->key)] = (uint32_t)i + 1;
}

/* Room for one record more, in the list and in the table, which is at most half full. */
static bool make_room(struct pv_journal *j)
{
    const size_t n_slots = j->n_slots != 0 ? 2 * j->n_slots : FIRST_SLOTS;
    void *records = j->records;
    uint32_t *slots;

    if (2 * (j->n_records + 1) <= j->n_slots)
        return true;
    if (n_slots / 2 > UINT32_MAX || !pv_grow(&records, n_slots / 2, sizeof *j->records))
        return false;
    j->records = records;
    slots = pv_calloc(n_slots, sizeof *slots);
    if (!slots)
        return false;
    free(j->slots);
    j->slots = slots;
    j->n_slots = n_slots;
    for (size_t i = 0; i < j->n_records; i++)
        put_slot(j, i);
    return true;
}

static enum pv_status remember(struct pv_journal *j, const struct pv_journal_record *r)
{
    if (!make_room(j))
        return pv_fail(&j->log, PV_ERR_NOMEM, "%s: no memory for its index", j->path);
    j->records[j->n_records++] = *r;
    put_slot(j, j->n_records - 1);
    j->end = r->offset + r->size_bytes;
    return PV_OK;
}

static enum pv_status fail_io(const struct pv_journal *j, const char *action, int error)
{
    char room[128];

    return pv_fail(&j->log, PV_ERR_IO, "%s: cannot %s the resume file: %s", j->path, action,
                   reason(error, room));
}

/* The magic of a journal under way: OPEN_MAGIC, then what ties it to this file and user. */
static void own_magic(const struct stat *info, unsigned char magic[8])
{
    const uint64_t made_by[2] = {(uint64_t)info->st_ino, (uint64_t)info->st_uid};
    const uint64_t hash = pv_hash64(made_by, sizeof made_by, 2);

    memcpy(magic, OPEN_MAGIC, 4);
    for (size_t i = 0; i < 4; i++)
        magic[4 + i] = (unsigned char)(hash >> (8 * i));
}

static enum pv_status start_over(struct pv_journal *j, const struct file_header *header)
{
    if (ftruncate(j->fd, 0) != 0 || !write_at(j->fd, 0, header, sizeof *header))
        return fail_io(j, "start", errno);
    return PV_OK;
}

/* Takes over the sound records of an existing file, or starts it. A file that this user did not make here is left
 * as it is. */
static enum pv_status take_over(struct pv_journal *j, uint64_t key)
{
    struct file_header header, found;
    struct pv_journal_record record;
    struct stat info;
    uint64_t file_bytes;
    size_t n_magic;

    if (fstat(j->fd, &info) != 0)
        return fail_io(j, "read the size of", errno);
    if (!S_ISREG(info.st_mode))
        return pv_fail(&j->log, PV_ERR_IO, "%s: is not a regular file: choose another resume file", j->path);
    file_bytes = (uint64_t)info.st_size;
    j->end = sizeof header;
    own_magic(&info, header.magic);
    j->key = header.key = key;
    n_magic = file_bytes < sizeof header.magic ? (size_t)file_bytes : sizeof header.magic;
    if (info.st_uid != geteuid() || !read_at(j->fd, 0, &found, n_magic) ||
        memcmp(found.magic, header.magic, n_magic) != 0)
        return pv_fail(
            &j->log, PV_ERR_IO,
            "%s: was not made here by you, so it is neither used nor changed: move it away to start over, "
            "or choose another resume file",
            j->path);
    if (file_bytes == 0)
        return start_over(j, &header);
    if (file_bytes < sizeof found || !read_at(j->fd, 0, &found, sizeof found) || found.key != key) {
        pv_warn(&j->log, "%s: not the resume file of this model, text and arguments; starting over", j->path);
        return start_over(j, &header);
    }
    while (scan_record(j, file_bytes, &record))
        PV_TRY(remember(j, &record));
    if (j->end < file_bytes)
        pv_warn(&j->log, "%s: its last %llu bytes are incomplete or damaged; going on from the record before",
                j->path, (unsigned long long)(file_bytes - j->end));
    if (ftruncate(j->fd, (off_t)j->end) != 0)
        return fail_io(j, "shorten", errno);
    return PV_OK;
}

static enum pv_status prepare(struct pv_journal *j, const char *path, const struct pv_log *log)
{
    *j = (struct pv_journal){.fd = -1, .secret = {pv_random_secret(), pv_random_secret()}};
    if (log)
        j->log = *log;
    j->path = pv_strndup(path, strlen(path));
    j->block = pv_calloc(BLOCK_BYTES, 1);
    if (j->path && j->block)
        return PV_OK;
    pv_journal_close(j, false);
    return pv_fail(log, PV_ERR_NOMEM, "%s: no memory to open it", path);
}

/* Is the open file still the one of that name? */
static bool is_still_there(int fd, const char *path)
{
    struct stat open_file, named;

    return fstat(fd, &open_file) == 0 && lstat(path, &named) == 0 && open_file.st_ino == named.st_ino &&
           open_file.st_dev == named.st_dev;
}

/* Opens `path`, or creates it for its owner alone. Never follows a link. */
static int open_own(const char *path)
{
    const int flags = O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW;
    int fd;

    do {
        fd = open(path, flags);
        if (fd < 0 && errno == ENOENT)
            fd = open(path, flags | O_CREAT | O_EXCL, 0600);
    } while (fd < 0 && (errno == EINTR || errno == EEXIST));
    return fd;
}

enum pv_status pv_journal_open(struct pv_journal *j, const char *path, uint64_t key, const struct pv_log *log)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    enum pv_status status = PV_OK;

    PV_TRY(prepare(j, path, log));
    for (;;) {
        j->fd = open_own(path);
        if (j->fd < 0) {
            status = errno == ELOOP
                         ? pv_fail(log, PV_ERR_IO,
                                   "%s: is a symbolic link, which a resume file must not be: remove it, or "
                                   "choose another resume file",
                                   path)
                         : fail_io(j, "open", errno);
            break;
        }
        if (fcntl(j->fd, F_SETLK, &lock) != 0 && (errno == EACCES || errno == EAGAIN)) {
            status =
                pv_fail(log, PV_ERR_IO,
                        "%s: another process is writing it: wait for that one, or choose another name", path);
            break;
        }
        if (is_still_there(j->fd, path)) {
            status = take_over(j, key);
            break;
        }
        close(j->fd); /* the process that had it locked has finished it in the meantime */
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
        memcmp(header.magic, FINISHED_MAGIC, sizeof header.magic) != 0)
        return pv_fail(&j->log, PV_ERR_FORMAT, "%s: is not a capture file", j->path);
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
    struct file_header header = {.key = j->key};
    enum pv_status status = PV_OK;

    memcpy(header.magic, FINISHED_MAGIC, sizeof header.magic);
    if (!write_at(j->fd, 0, &header, sizeof header) || fchmod(j->fd, pv_file_final_mode(final_path)) != 0 ||
        fsync(j->fd) != 0 || rename(j->path, final_path) != 0)
        status = fail_io(j, "finish", errno);
    pv_journal_close(j, false);
    return status;
}

const struct pv_journal_record *pv_journal_find(const struct pv_journal *j, uint32_t kind, uint32_t index,
                                                uint64_t key)
{
    const size_t slot = j->n_records > 0 ? find_slot(j, kind, index, key) : 0;

    return j->n_records > 0 && j->slots[slot] != 0 ? &j->records[j->slots[slot] - 1] : NULL;
}

/* What a record is of, in words. */
static const char *kind_name(uint32_t kind)
{
    switch (kind) {
    case PV_RECORD_TAU:
        return "thresholds";
    case PV_RECORD_WINDOW:
        return "window";
    case PV_RECORD_HEAD:
        return "head";
    case PV_RECORD_CLUSTER:
        return "clusters of layer";
    case PV_RECORD_ROUTER:
        return "router of layer";
    case PV_RECORD_SCORE:
        return "score of window";
    case PV_RECORD_TRY:
        return "number of clusters";
    case PV_RECORD_DOWN:
        return "down-projection of layer";
    case PV_RECORD_SAMPLES:
        return "texts of group";
    default:
        return "record of unknown kind";
    }
}

enum pv_status pv_journal_refuse(const struct pv_journal *j, const struct pv_journal_record *record)
{
    return pv_fail(&j->log, PV_ERR_FORMAT, "%s: malformed record (%s %u): remove the file and start over",
                   j->path, kind_name(record->kind), record->index);
}

enum pv_status pv_journal_expect(const struct pv_journal *j, const struct pv_journal_record *record,
                                 uint64_t n_bytes)
{
    return record->size_bytes == n_bytes ? PV_OK : pv_journal_refuse(j, record);
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
    if (remove_file && j->fd >= 0 && is_still_there(j->fd, j->path))
        unlink(j->path);
    if (j->fd >= 0)
        close(j->fd);
    free(j->path);
    free(j->records);
    free(j->slots);
    free(j->block);
    *j = (struct pv_journal){.fd = -1};
}
