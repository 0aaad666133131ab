/* The resume file: an append-only journal of checksummed records, so that a long fit that is stopped, even
 * killed, goes on from its last complete record. Opening checks every record and cuts the file at the first
 * that is incomplete or damaged; a file for another key is started over. Both are logged as warnings, never
 * errors. A file that this user did not make under this name here is refused and left as it is; so is a symbolic
 * link.
 *
 * Layout, little-endian: header {magic, key} (the magic names the file's inode and owner until
 * pv_journal_finish), then records {magic, kind, index, reserved, key, size,
 * checksum} each followed by its bytes. Capture files have the same layout: docs/capture-file.md. Not
 * thread-safe. */
#ifndef PV_LEARN_CAPTURE_JOURNAL_H
#define PV_LEARN_CAPTURE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "parvin/status.h"

/* What a record is of; the index is a window, a layer, a number of clusters or a group of samples. */
enum pv_record_kind {
    PV_RECORD_TAU = 1,      /* thresholds of all layers */
    PV_RECORD_WINDOW = 2,   /* one window, captured */
    PV_RECORD_HEAD = 3,     /* what was captured */
    PV_RECORD_CLUSTER = 16, /* a layer's centroids and its tokens' own clusters */
    PV_RECORD_ROUTER = 17,  /* a layer's router, of one round */
    PV_RECORD_SCORE = 18,   /* a window's loss at one density */
    PV_RECORD_TRY = 19,     /* the outcome of one number of clusters */
    PV_RECORD_DOWN = 20,    /* a layer's down-projection */
    PV_RECORD_SAMPLES = 32, /* texts that the model wrote */
};
struct pv_journal_record {
    uint32_t kind, index;
    uint64_t key; /* hash of what the record was made from; a lookup must give the same */
    uint64_t size_bytes;
    uint64_t checksum;
    uint64_t offset; /* of its bytes in the file */
};
struct pv_journal {
    int fd; /* -1: closed */
    char *path;
    uint64_t key;
    bool read_only;
    struct pv_log log;
    struct pv_journal_record *records;
    size_t n_records;
    uint32_t *slots; /* [n_slots] hash table: 1 + the newest record of its kind, index and key; 0: none */
    size_t n_slots;
    uint64_t secret[2]; /* of the table, so that a file cannot choose records that collide */
    uint64_t end;       /* of the last complete record */
    /* the record under way */
    struct pv_journal_record open;
    unsigned char *block;
    size_t n_block;
    int error; /* errno of its first failed write */
};

/* Opens or creates, for its owner alone. PV_ERR_IO if that fails, another process has it open, or the file there is
 * not this user's own journal. The records' bytes are whatever was put: readers check them. */
PV_MUST_USE enum pv_status pv_journal_open(struct pv_journal *j, const char *path, uint64_t key,
                                           const struct pv_log *log);
/* Opens a finished one to read, whatever its key. Here anything unsound is an error: PV_ERR_FORMAT. */
PV_MUST_USE enum pv_status pv_journal_open_read(struct pv_journal *j, const char *path,
                                                const struct pv_log *log);
/* Makes the file durable under its final name, replacing what is there, and closes. */
PV_MUST_USE enum pv_status pv_journal_finish(struct pv_journal *j, const char *final_path);
/* NULL if there is none. Valid until the next append. */
const struct pv_journal_record *pv_journal_find(const struct pv_journal *j, uint32_t kind, uint32_t index,
                                                uint64_t key);
/* A record's checksum is sound, its bytes are not what was put: logged with the record's name; PV_ERR_FORMAT. */
PV_MUST_USE enum pv_status pv_journal_refuse(const struct pv_journal *j,
                                             const struct pv_journal_record *record);
/* Whether the record has exactly n_bytes; refused if not. */
PV_MUST_USE enum pv_status pv_journal_expect(const struct pv_journal *j,
                                             const struct pv_journal_record *record, uint64_t n_bytes);
/* n_bytes from `offset` of a record's bytes; PV_ERR_FORMAT if they are not there. What they say is checked by the
 * caller. */
PV_MUST_USE enum pv_status pv_journal_read(const struct pv_journal *j, const struct pv_journal_record *record,
                                           uint64_t offset, void *data, size_t n_bytes);
/* Appends one record: begin, put any number of times, commit, which alone reports failures. A record that is
 * begun again before its commit is forgotten. */
void pv_journal_begin(struct pv_journal *j, uint32_t kind, uint32_t index, uint64_t key);
void pv_journal_put(struct pv_journal *j, const void *data, size_t n_bytes);
PV_MUST_USE enum pv_status pv_journal_commit(struct pv_journal *j);
/* Closes; the file stays unless `remove_file`, and also then if another now has its name. Safe on a closed one. */
void pv_journal_close(struct pv_journal *j, bool remove_file);

#endif
