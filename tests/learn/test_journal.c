/* label: unit */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif
#include "learn/capture/journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/file.h"
#include "harness.h"

static char path[PV_TEST_PATH_ROOM];
static struct pv_test_log captured;

static void open_journal(struct pv_journal *j, uint64_t key)
{
    struct pv_log log = pv_test_log(&captured);

    ck_assert_msg(pv_journal_open(j, path, key, &log) == PV_OK, "%s", captured.text);
}

/* Record `index` is that many bytes plus one, put in two pieces. */
static void append(struct pv_journal *j, uint32_t index)
{
    unsigned char bytes[300];

    for (uint32_t i = 0; i <= index; i++)
        bytes[i] = (unsigned char)(index * 7 + i);
    pv_journal_begin(j, 1, index, 5);
    pv_journal_put(j, bytes, index / 2);
    pv_journal_put(j, bytes + index / 2, index + 1 - index / 2);
    ck_assert_int_eq(pv_journal_commit(j), PV_OK);
}

static void check_record(const struct pv_journal *j, uint32_t index)
{
    const struct pv_journal_record *r = pv_journal_find(j, 1, index, 5);
    unsigned char bytes[300];

    ck_assert_ptr_nonnull(r);
    ck_assert_uint_eq(r->size_bytes, index + 1);
    ck_assert_int_eq(pv_journal_read(j, r, 0, bytes, index + 1), PV_OK);
    for (uint32_t i = 0; i <= index; i++)
        ck_assert_uint_eq(bytes[i], (unsigned char)(index * 7 + i));
    ck_assert_int_eq(pv_journal_read(j, r, 1, bytes, index + 1), PV_ERR_FORMAT);
    ck_assert_int_eq(pv_journal_read(j, r, UINT64_MAX, bytes, 1), PV_ERR_FORMAT);
}

/* A file of records 0, 1, 2 with its bytes. */
static char *make_file(size_t *size_bytes)
{
    struct pv_journal j;
    char *data;

    pv_test_temp("journal", path);
    remove(path);
    open_journal(&j, 9);
    for (uint32_t i = 0; i < 3; i++)
        append(&j, i);
    pv_journal_close(&j, false);
    ck_assert_int_eq(pv_file_read(path, NULL, &data, size_bytes), PV_OK);
    return data;
}

static void write_bytes(const char *data, size_t size_bytes)
{
    FILE *f = fopen(path, "wb");

    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(data, 1, size_bytes, f), size_bytes);
    fclose(f);
}

START_TEST(records_come_back)
{
    size_t size_bytes;
    struct pv_journal j;

    free(make_file(&size_bytes));
    open_journal(&j, 9);
    ck_assert_uint_eq(captured.n_messages, 0);
    ck_assert_uint_eq(j.n_records, 3);
    for (uint32_t i = 0; i < 3; i++)
        check_record(&j, i);
    ck_assert_ptr_null(pv_journal_find(&j, 1, 3, 5));
    ck_assert_ptr_null(pv_journal_find(&j, 2, 1, 5));
    ck_assert_ptr_null(pv_journal_find(&j, 1, 1, 6));
    append(&j, 3);
    check_record(&j, 3);
    pv_journal_begin(&j, 1, 7, 5); /* never committed */
    pv_journal_put(&j, "abc", 3);
    pv_journal_close(&j, false);
    pv_journal_close(&j, false);
    open_journal(&j, 9);
    ck_assert_uint_eq(j.n_records, 4);
    ck_assert_ptr_null(pv_journal_find(&j, 1, 7, 5));
    pv_journal_close(&j, true);
    ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

START_TEST(large_and_empty_records)
{
    const size_t size = (3u << 20) + 17;
    unsigned char *data = malloc(size), *back = malloc(size);
    struct pv_journal j;

    for (size_t i = 0; i < size; i++)
        data[i] = (unsigned char)(i * i >> 7);
    pv_test_temp("journal", path);
    remove(path);
    open_journal(&j, 9);
    pv_journal_begin(&j, 1, 0, 5);
    ck_assert_int_eq(pv_journal_commit(&j), PV_OK);
    pv_journal_begin(&j, 1, 1, 5);
    pv_journal_put(&j, data, 1000);
    pv_journal_put(&j, data + 1000, size - 1000);
    ck_assert_int_eq(pv_journal_commit(&j), PV_OK);
    pv_journal_close(&j, false);
    open_journal(&j, 9);
    ck_assert_uint_eq(j.n_records, 2);
    ck_assert_uint_eq(pv_journal_find(&j, 1, 0, 5)->size_bytes, 0);
    ck_assert_int_eq(pv_journal_read(&j, pv_journal_find(&j, 1, 1, 5), 0, back, size), PV_OK);
    ck_assert_mem_eq(data, back, size);
    pv_journal_close(&j, true);
    free(data);
    free(back);
}
END_TEST

/* Refused, and the bytes stay what they were. */
static void check_left_alone(void)
{
    struct pv_log log = pv_test_log(&captured);
    struct pv_journal j;
    char *before, *after;
    size_t n_before, n_after;

    ck_assert_int_eq(pv_file_read(path, NULL, &before, &n_before), PV_OK);
    ck_assert_int_eq(pv_journal_open(&j, path, 9, &log), PV_ERR_IO);
    ck_assert(pv_test_logged(&captured, "was not made here by you, so it is neither used nor changed"));
    pv_journal_close(&j, true);
    ck_assert_int_eq(pv_file_read(path, NULL, &after, &n_after), PV_OK);
    ck_assert_uint_eq(n_before, n_after);
    ck_assert_mem_eq(before, after, n_before);
    free(before);
    free(after);
}

/* However short the file was cut: the records before the cut are there, appending works, and the cut is
 * mentioned. */
START_TEST(cut_anywhere)
{
    size_t size_bytes;
    char *data = make_file(&size_bytes);

    for (size_t n = 0; n < size_bytes; n++) {
        struct pv_journal j;
        size_t n_records;

        write_bytes(data, n);
        open_journal(&j, 9);
        n_records = j.n_records;
        ck_assert_uint_le(n_records, 2);
        ck_assert(n == 0 || j.end == n || pv_test_logged(&captured, "warning: "));
        for (uint32_t i = 0; i < 3; i++) {
            if (i < n_records)
                check_record(&j, i);
            else
                append(&j, i);
        }
        pv_journal_close(&j, false);
        open_journal(&j, 9);
        ck_assert_uint_eq(j.n_records, 3);
        for (uint32_t i = 0; i < 3; i++)
            check_record(&j, i);
        pv_journal_close(&j, false);
    }
    remove(path);
    free(data);
}
END_TEST

/* Whatever byte is damaged: no record with wrong content is ever given out. */
START_TEST(damaged_anywhere)
{
    size_t size_bytes;
    char *data = make_file(&size_bytes);

    for (size_t at = 0; at < size_bytes; at++) {
        struct pv_journal j;

        data[at] = (char)(data[at] ^ 0x40);
        write_bytes(data, size_bytes);
        data[at] = (char)(data[at] ^ 0x40);
        if (at < 8) { /* no longer a journal that was made here: not used, and not touched */
            check_left_alone();
            continue;
        }
        open_journal(&j, 9);
        for (uint32_t i = 0; i < j.n_records; i++) {
            ck_assert_uint_eq(j.records[i].index, i);
            check_record(&j, i);
        }
        ck_assert(j.n_records == 3 || pv_test_logged(&captured, "warning: "));
        pv_journal_close(&j, false);
    }
    remove(path);
    free(data);
}
END_TEST

START_TEST(another_key_starts_over)
{
    size_t size_bytes;
    struct pv_journal j;

    free(make_file(&size_bytes));
    open_journal(&j, 10);
    ck_assert(pv_test_logged(&captured, "starting over"));
    ck_assert_uint_eq(j.n_records, 0);
    append(&j, 1);
    pv_journal_close(&j, false);
    open_journal(&j, 10);
    ck_assert_uint_eq(j.n_records, 1);
    check_record(&j, 1);
    pv_journal_close(&j, true);
}
END_TEST

START_TEST(what_is_no_file_is_refused)
{
    struct pv_log log = pv_test_log(&captured);
    struct pv_journal j;

    pv_test_temp("journal", path);
    remove(path);
    ck_assert_int_eq(mkdir(path, 0777), 0);
    ck_assert_int_eq(pv_journal_open(&j, path, 1, &log), PV_ERR_IO);
    rmdir(path);
    ck_assert_int_eq(mkfifo(path, 0666), 0);
    ck_assert_int_eq(pv_journal_open(&j, path, 1, &log), PV_ERR_IO);
    remove(path);
    ck_assert_int_eq(pv_journal_open(&j, "no-such-folder/x", 1, &log), PV_ERR_IO);
    ck_assert_uint_eq(captured.n_messages, 3);
    pv_journal_close(&j, true);
}
END_TEST

/* A copy is another file: sent along with a model it is not used, whatever its checksums say. */
START_TEST(a_foreign_journal_is_left_alone)
{
    struct pv_log log = pv_test_log(&captured);
    char link_name[PV_TEST_PATH_ROOM + 8];
    struct pv_journal j;
    struct stat info;
    size_t size_bytes;
    char *data = make_file(&size_bytes);

    ck_assert_int_eq(stat(path, &info), 0);
    ck_assert_uint_eq(info.st_mode & 0777, 0600);
    snprintf(link_name, sizeof link_name, "%s.old", path);
    ck_assert_int_eq(rename(path, link_name), 0); /* keeps the inode in use */
    write_bytes(data, size_bytes);
    check_left_alone();
    write_bytes("my diary", 8);
    check_left_alone();
    remove(path);
    ck_assert_int_eq(symlink(link_name, path), 0);
    ck_assert_int_eq(pv_journal_open(&j, path, 9, &log), PV_ERR_IO);
    ck_assert(pv_test_logged(&captured, "is a symbolic link"));
    remove(path);
    ck_assert_int_eq(rename(link_name, path), 0);
    open_journal(&j, 9); /* moved, it is still the same file */
    ck_assert_uint_eq(j.n_records, 3);
    remove(path);
    write_bytes("new", 3); /* somebody else's by now */
    pv_journal_close(&j, true);
    ck_assert_int_eq(access(path, F_OK), 0);
    remove(path);
    free(data);
}
END_TEST

START_TEST(two_processes_do_not_share_it)
{
    struct pv_journal j;
    size_t size_bytes;
    int status;
    pid_t child;

    free(make_file(&size_bytes));
    open_journal(&j, 9);
    child = fork();
    if (child == 0) {
        struct pv_journal other;

        _exit(pv_journal_open(&other, path, 9, NULL) == PV_ERR_IO ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    pv_journal_close(&j, true);
}
END_TEST

START_TEST(a_full_disk_is_reported)
{
    struct pv_log log = pv_test_log(&captured);
    struct pv_journal j;

    if (access("/dev/full", W_OK) != 0)
        return;
    pv_test_temp("journal", path);
    remove(path);
    ck_assert_int_eq(pv_journal_open(&j, path, 1, &log), PV_OK);
    ck_assert_int_ge(dup2(fileno(fopen("/dev/full", "wb")), j.fd), 0);
    pv_journal_begin(&j, 1, 0, 5);
    pv_journal_put(&j, "abc", 3);
    ck_assert_int_eq(pv_journal_commit(&j), PV_ERR_IO);
    ck_assert(pv_test_logged(&captured, "cannot write"));
    pv_journal_close(&j, true);
}
END_TEST

/* Each of many is found without a look at the others. */
START_TEST(many_records_are_found_at_once)
{
    enum { N = 200000 };
    struct pv_journal j;

    pv_test_temp("journal", path);
    remove(path);
    open_journal(&j, 9);
    for (uint32_t i = 0; i < N; i++) {
        pv_journal_begin(&j, 2, i, 5 + i % 3);
        ck_assert_int_eq(pv_journal_commit(&j), PV_OK);
    }
    pv_journal_close(&j, false);
    open_journal(&j, 9);
    ck_assert_uint_eq(j.n_records, N);
    for (uint32_t i = 0; i < N; i++) {
        const struct pv_journal_record *r = pv_journal_find(&j, 2, i, 5 + i % 3);

        ck_assert(r == &j.records[i]);
        ck_assert_ptr_null(pv_journal_find(&j, 2, i, 9));
    }
    pv_journal_close(&j, true);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("journal");
    TCase *tcase = tcase_create("journal");

    tcase_add_test(tcase, records_come_back);
    tcase_add_test(tcase, large_and_empty_records);
    tcase_add_test(tcase, cut_anywhere);
    tcase_add_test(tcase, damaged_anywhere);
    tcase_add_test(tcase, another_key_starts_over);
    tcase_add_test(tcase, what_is_no_file_is_refused);
    tcase_add_test(tcase, a_foreign_journal_is_left_alone);
    tcase_add_test(tcase, two_processes_do_not_share_it);
    tcase_add_test(tcase, a_full_disk_is_reported);
    tcase_add_test(tcase, many_records_are_found_at_once);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    return pv_test_main(suite);
}
