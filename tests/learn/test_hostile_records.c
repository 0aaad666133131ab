/* label: unit
 * A resume file whose checksums are right and whose records are not what a fit put there: of every kind, of every
 * size and with wrong numbers. The fit refuses the record by name, or it was harmless and the file is a sound one. */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/file.h"
#include "base/rng.h"
#include "fake_fit.h"
#include "format/clusters/cluster_file.h"
#include "harness.h"

enum { RANDOM_RECORDS = 6, MAGIC_BYTES = 8 };

static char out_path[PV_TEST_PATH_ROOM], resume_path[PV_TEST_PATH_ROOM + 16];
static struct pv_test_log captured;

static enum pv_status fit(int which, bool to_the_end)
{
    struct pv_log log = pv_test_log(&captured);

    return fake_fit(which, out_path, to_the_end, &log);
}

static uint64_t key_of(const char *data)
{
    uint64_t key;

    memcpy(&key, data + MAGIC_BYTES, sizeof key);
    return key;
}

/* The resume file as it was, but for the magic, which says whose file it is. */
static void put_back(const char *data, size_t size_bytes)
{
    struct pv_log log = pv_test_log(&captured);
    struct pv_journal j;
    FILE *f;

    ck_assert_int_eq(pv_journal_open(&j, resume_path, key_of(data), &log), PV_OK);
    pv_journal_close(&j, false);
    ck_assert_int_eq(truncate(resume_path, MAGIC_BYTES), 0);
    f = fopen(resume_path, "ab");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(data + MAGIC_BYTES, 1, size_bytes - MAGIC_BYTES, f), size_bytes - MAGIC_BYTES);
    fclose(f);
}

/* Puts a record of the same name behind the others: the newest is the one that counts. */
static void forge(uint64_t key, const struct pv_journal_record *as, const unsigned char *bytes, size_t n)
{
    struct pv_log log = pv_test_log(&captured);
    struct pv_journal j;

    ck_assert_int_eq(pv_journal_open(&j, resume_path, key, &log), PV_OK);
    pv_journal_begin(&j, as->kind, as->index, as->key);
    pv_journal_put(&j, bytes, n);
    ck_assert_int_eq(pv_journal_commit(&j), PV_OK);
    pv_journal_close(&j, false);
}

static void expect_refused(int which, const struct pv_journal_record *r, const char *how)
{
    captured = (struct pv_test_log){0};
    ck_assert_msg(fit(which, false) == PV_ERR_FORMAT, "fit %d, record %u %u %s: %s", which, r->kind, r->index,
                  how, captured.text);
    ck_assert_msg(captured.n_messages > 0, "record %u %u %s: refused without a word", r->kind, r->index, how);
}

/* Refused, or of no consequence: then the file that comes out is sound. */
static void expect_no_harm(int which, const struct pv_journal_record *r)
{
    const enum pv_status status = fit(which, true);
    struct pv_log log = pv_test_log(&captured);

    ck_assert_msg(status == PV_OK || status == PV_ERR_FORMAT, "fit %d, record %u %u: %s", which, r->kind,
                  r->index, captured.text);
    if (status == PV_OK) {
        struct pv_clusters *clusters = NULL;

        ck_assert_msg(pv_clusters_open(out_path, &log, &clusters) == PV_OK, "%s", captured.text);
        pv_clusters_close(clusters);
    }
    remove(out_path);
}

/* What a fit that was stopped before it wrote its file leaves, and the records in it. */
static char *make_resume(int which, size_t *size_bytes, struct pv_journal *j)
{
    struct pv_log log = pv_test_log(&captured);
    char *data;

    pv_test_temp("hostile.gguf", out_path);
    snprintf(resume_path, sizeof resume_path, "%s.resume", out_path);
    remove(out_path);
    remove(resume_path);
    ck_assert_msg(fit(which, false) == PV_ERR_INTERRUPTED, "%s", captured.text);
    ck_assert_int_eq(pv_file_read(resume_path, NULL, &data, size_bytes), PV_OK);
    ck_assert_int_eq(pv_journal_open(j, resume_path, key_of(data), &log), PV_OK);
    return data;
}

static void forge_all_ways(int which, const struct pv_journal_record *r, const unsigned char *sound,
                           uint64_t key, struct pv_rng *rng, const char *data, size_t size_bytes)
{
    const size_t n = (size_t)r->size_bytes;
    unsigned char *bytes = malloc(n + 8);

    ck_assert_ptr_nonnull(bytes);
    memset(bytes, 0xff, n + 8);
    forge(key, r, bytes, n);
    expect_refused(which, r, "of ones");
    forge(key, r, sound, n - 1);
    expect_refused(which, r, "one byte short");
    forge(key, r, sound, 0);
    expect_refused(which, r, "empty");
    memcpy(bytes, sound, n);
    forge(key, r, bytes, n + 8);
    expect_refused(which, r, "too long");
    put_back(data, size_bytes);
    for (int i = 0; i < RANDOM_RECORDS; i++) {
        memcpy(bytes, sound, n);
        if (i % 2 == 0) /* one wrong number */
            memset(bytes + pv_rng_below(rng, (uint32_t)(n / 2)) * 2, (int)pv_rng_below(rng, 256), 2);
        for (size_t k = 0; i % 2 != 0 && k < n; k++)
            bytes[k] = (unsigned char)pv_rng_below(rng, 256);
        forge(key, r, bytes, n);
        expect_no_harm(which, r);
        put_back(data, size_bytes);
    }
    free(bytes);
}

START_TEST(every_kind_of_record)
{
    uint64_t kinds = 0;
    struct pv_journal j;
    size_t size_bytes;
    char *data = make_resume(_i, &size_bytes, &j);
    const size_t n_records = j.n_records;
    struct pv_journal_record *records = calloc(n_records, sizeof *records);
    struct pv_rng rng;

    ck_assert_ptr_nonnull(records);
    memcpy(records, j.records, n_records * sizeof *records);
    pv_journal_close(&j, false);
    pv_rng_seed(&rng, 11 + (uint64_t)_i);
    for (size_t i = 0; i < n_records; i++) {
        const struct pv_journal_record *r = &records[i];
        const uint64_t kind = (uint64_t)1 << (r->kind & 63);

        ck_assert_uint_lt(r->kind, 64);
        if (r->index > 0 && (kinds & kind) != 0)
            continue; /* one of a kind */
        kinds |= kind;
        forge_all_ways(_i, r, (const unsigned char *)data + r->offset, key_of(data), &rng, data, size_bytes);
    }
    ck_assert_uint_ne(kinds >> PV_RECORD_HEAD & kinds >> PV_RECORD_TAU & kinds >> PV_RECORD_WINDOW & 1, 0);
    ck_assert_uint_ne(kinds >> PV_RECORD_CLUSTER & kinds >> PV_RECORD_ROUTER & kinds >> PV_RECORD_SCORE & 1,
                      0);
    ck_assert_uint_eq(kinds >> PV_RECORD_TRY & 1, _i == FAKE_FIT_AUTO_K);
    ck_assert_uint_eq(kinds >> PV_RECORD_DOWN & 1, _i == FAKE_FIT_LOW_RANK);
    ck_assert_int_eq(fit(_i, true), PV_OK); /* the sound one still is */
    free(records);
    free(data);
    remove(out_path);
}
END_TEST

/* One number, in the place where it would become an index. */
START_TEST(a_cluster_that_is_not_there)
{
    struct pv_journal j;
    size_t size_bytes;
    char *data = make_resume(FAKE_FIT_PLAIN, &size_bytes, &j);
    const uint16_t five = 5;

    for (size_t i = 0; i < j.n_records; i++) {
        struct pv_journal_record r = j.records[i];
        unsigned char *bytes;

        if (r.kind != PV_RECORD_CLUSTER)
            continue;
        bytes = malloc(r.size_bytes);
        ck_assert_ptr_nonnull(bytes);
        memcpy(bytes, data + r.offset, r.size_bytes);
        memcpy(bytes + r.size_bytes - sizeof five, &five, sizeof five);
        pv_journal_begin(&j, r.kind, r.index, r.key);
        pv_journal_put(&j, bytes, r.size_bytes);
        ck_assert_int_eq(pv_journal_commit(&j), PV_OK);
        free(bytes);
        break;
    }
    pv_journal_close(&j, false);
    ck_assert_int_eq(fit(FAKE_FIT_PLAIN, true), PV_ERR_FORMAT);
    ck_assert(pv_test_logged(&captured, "malformed record (clusters of layer 0)"));
    free(data);
    remove(resume_path);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hostile_records");
    TCase *tc = tcase_create("records");

    tcase_set_timeout(tc, 300);
    tcase_add_loop_test(tc, every_kind_of_record, 0, FAKE_N_FITS);
    tcase_add_test(tc, a_cluster_that_is_not_there);
    suite_add_tcase(suite, tc);
    return pv_test_main(suite);
}
