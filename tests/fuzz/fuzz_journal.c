/* A resume file whose records have sound checksums, which no fuzzer would find by itself, and say anything. The first
 * byte names a fit; then come changes of that fit's own records:
 *   {uint8 record, int16 bytes longer, uint16 offset, uint8 n, n bytes to put there}
 * The fit refuses the record or goes on. A first byte past the fits: the rest is the file, behind a sound magic. */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../learn/fake_fit.h"
#include "base/file.h"
#include "format/clusters/cluster_file.h"
#include "fuzz.h"

enum { MAGIC_BYTES = 8, HEADER_BYTES = 16, CHANGE_BYTES = 6, MOST_CHANGES = 8 };

static char out_path[64], resume_path[80];

/* A fit that was stopped before it wrote its file: its resume file, and the records there. Made once. */
struct stopped {
    char *data;
    size_t size_bytes;
    struct pv_journal_record *records;
    size_t n_records;
};

static uint64_t key_of(const char *data)
{
    uint64_t key;

    memcpy(&key, data + MAGIC_BYTES, sizeof key);
    return key;
}

static const struct stopped *stopped_fit(int which)
{
    static struct stopped all[FAKE_N_FITS];
    struct stopped *s = &all[which];
    struct pv_journal j;

    if (s->data)
        return s;
    if (fake_fit(which, out_path, false, NULL) != PV_ERR_INTERRUPTED ||
        pv_file_read(resume_path, NULL, &s->data, &s->size_bytes) != PV_OK ||
        pv_journal_open(&j, resume_path, key_of(s->data), NULL) != PV_OK)
        abort();
    s->n_records = j.n_records;
    s->records = calloc(j.n_records, sizeof *s->records);
    if (!s->records)
        abort();
    memcpy(s->records, j.records, j.n_records * sizeof *s->records);
    pv_journal_close(&j, true);
    return s;
}

/* A resume file of this user's making with these bytes behind the magic. */
static void write_resume(const void *bytes, size_t n)
{
    struct pv_journal j;
    FILE *f;

    if (pv_journal_open(&j, resume_path, 0, NULL) != PV_OK)
        abort();
    pv_journal_close(&j, false);
    f = truncate(resume_path, MAGIC_BYTES) == 0 ? fopen(resume_path, "ab") : NULL;
    if (!f || fwrite(bytes, 1, n, f) != n || fclose(f) != 0)
        abort();
}

/* Puts one changed record behind the others: the newest of a name counts. Returns the bytes it took; 0 at the end. */
static size_t change(struct pv_journal *j, const struct stopped *s, const uint8_t *data, size_t size_bytes)
{
    const struct pv_journal_record *r;
    int16_t longer;
    uint16_t offset;
    size_t n, n_old;
    char *bytes;

    if (size_bytes < CHANGE_BYTES)
        return 0;
    r = &s->records[data[0] % s->n_records];
    memcpy(&longer, data + 1, sizeof longer);
    memcpy(&offset, data + 3, sizeof offset);
    n_old = (size_t)r->size_bytes;
    n = longer < 0 && (size_t)-longer > n_old ? 0 : n_old + (size_t)longer;
    bytes = calloc(n + 1, 1);
    if (!bytes)
        abort();
    memcpy(bytes, s->data + r->offset, n < n_old ? n : n_old);
    for (size_t i = 0; i < data[5] && CHANGE_BYTES + i < size_bytes && n != 0; i++)
        bytes[(offset + i) % n] = (char)data[CHANGE_BYTES + i];
    pv_journal_begin(j, r->kind, r->index, r->key);
    pv_journal_put(j, bytes, n);
    if (pv_journal_commit(j) != PV_OK)
        abort();
    free(bytes);
    return CHANGE_BYTES + data[5];
}

static void try_fit(int which, const uint8_t *data, size_t size_bytes)
{
    const struct stopped *s = stopped_fit(which);
    struct pv_journal j;
    enum pv_status status;

    write_resume(s->data + MAGIC_BYTES, s->size_bytes - MAGIC_BYTES);
    if (pv_journal_open(&j, resume_path, key_of(s->data), NULL) != PV_OK || j.n_records != s->n_records)
        abort();
    for (int i = 0; i < MOST_CHANGES; i++) {
        const size_t taken = change(&j, s, data, size_bytes);

        if (taken == 0 || taken >= size_bytes)
            break;
        data += taken;
        size_bytes -= taken;
    }
    pv_journal_close(&j, false);
    status = fake_fit(which, out_path, true, NULL);
    if (status == PV_OK) {
        struct pv_clusters *clusters;

        if (pv_clusters_open(out_path, NULL, &clusters) != PV_OK)
            abort();
        pv_clusters_close(clusters);
        remove(out_path);
    } else if (status != PV_ERR_FORMAT) {
        abort();
    }
}

/* Whatever records are taken over can be found and read, to their end and no further. */
static void try_file(const uint8_t *data, size_t size_bytes)
{
    struct pv_journal j;
    uint64_t key = 0;

    if (size_bytes >= HEADER_BYTES - MAGIC_BYTES)
        memcpy(&key, data, sizeof key);
    write_resume(data, size_bytes);
    if (pv_journal_open(&j, resume_path, key, NULL) != PV_OK)
        abort();
    for (size_t i = 0; i < j.n_records; i++) {
        const struct pv_journal_record *r = &j.records[i];
        char *bytes = calloc((size_t)r->size_bytes + 1, 1);

        if (!bytes || !pv_journal_find(&j, r->kind, r->index, r->key) ||
            pv_journal_read(&j, r, 0, bytes, (size_t)r->size_bytes) != PV_OK ||
            pv_journal_read(&j, r, 0, bytes, (size_t)r->size_bytes + 1) != PV_ERR_FORMAT)
            abort();
        free(bytes);
    }
    pv_journal_close(&j, false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    uint8_t *copy = pv_fuzz_copy(data, size_bytes);

    snprintf(out_path, sizeof out_path, "fuzz-journal-%ld", (long)getpid());
    snprintf(resume_path, sizeof resume_path, "%s.resume", out_path);
    remove(resume_path);
    if (size_bytes > 0 && copy[0] < FAKE_N_FITS)
        try_fit(copy[0], copy + 1, size_bytes - 1);
    else if (size_bytes > 0)
        try_file(copy + 1, size_bytes - 1);
    remove(resume_path);
    free(copy);
    return 0;
}
