#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "harness.h"

static void write_text(const char *path, const char *text)
{
    struct pv_writer w;

    ck_assert_int_eq(pv_writer_open(&w, path, NULL), PV_OK);
    pv_writer_put(&w, text, strlen(text));
    ck_assert_int_eq(pv_writer_commit(&w), PV_OK);
}

static void check_text(const char *path, const char *text)
{
    size_t size_bytes;
    char *data;

    ck_assert_int_eq(pv_file_read(path, NULL, &data, &size_bytes), PV_OK);
    ck_assert_uint_eq(size_bytes, strlen(text));
    ck_assert_str_eq(data, text);
    free(data);
}

START_TEST(written_files_read_back_both_ways)
{
    char path[PV_TEST_PATH_ROOM];
    struct pv_map map;

    pv_test_temp("file", path);
    write_text(path, "hello");
    check_text(path, "hello");
    ck_assert_int_eq(pv_map_open(&map, path, NULL), PV_OK);
    ck_assert_uint_eq(map.size_bytes, 5);
    ck_assert_mem_eq(map.data, "hello", 5);
    pv_map_close(&map);
    pv_map_close(&map);
    write_text(path, "");
    check_text(path, "");
    remove(path);
}
END_TEST

START_TEST(reading_grows_past_its_buffer)
{
    char path[PV_TEST_PATH_ROOM], *data;
    size_t size_bytes;
    struct pv_writer w;

    pv_test_temp("large", path);
    ck_assert_int_eq(pv_writer_open(&w, path, NULL), PV_OK);
    for (uint32_t i = 0; i < 50000; i++)
        pv_writer_put(&w, &i, sizeof i);
    ck_assert_int_eq(pv_writer_commit(&w), PV_OK);
    ck_assert_int_eq(pv_file_read(path, NULL, &data, &size_bytes), PV_OK);
    ck_assert_uint_eq(size_bytes, 200000);
    for (uint32_t i = 0; i < 50000; i++)
        ck_assert_mem_eq(data + 4 * i, &i, 4);
    free(data);
    remove(path);
}
END_TEST

START_TEST(abort_leaves_the_old_file)
{
    char path[PV_TEST_PATH_ROOM], temp[PV_TEST_PATH_ROOM];
    struct pv_writer w;

    pv_test_temp("old", path);
    write_text(path, "old");
    ck_assert_int_eq(pv_writer_open(&w, path, NULL), PV_OK);
    pv_writer_put(&w, "new", 3);
    snprintf(temp, sizeof temp, "%s", w.temp_path);
    ck_assert_int_eq(access(temp, F_OK), 0);
    pv_writer_abort(&w);
    pv_writer_abort(&w);
    ck_assert_int_ne(access(temp, F_OK), 0);
    check_text(path, "old");
    remove(path);
}
END_TEST

START_TEST(two_writers_of_one_path_do_not_meet)
{
    char path[PV_TEST_PATH_ROOM];
    struct pv_writer a, b;

    pv_test_temp("both", path);
    ck_assert_int_eq(pv_writer_open(&a, path, NULL), PV_OK);
    ck_assert_int_eq(pv_writer_open(&b, path, NULL), PV_OK);
    pv_writer_put(&a, "first", 5);
    pv_writer_put(&b, "second", 6);
    ck_assert_int_eq(pv_writer_commit(&a), PV_OK);
    check_text(path, "first");
    ck_assert_int_eq(pv_writer_commit(&b), PV_OK);
    check_text(path, "second");
    remove(path);
}
END_TEST

START_TEST(padding_fills_up_to_a_multiple)
{
    char path[PV_TEST_PATH_ROOM];
    struct pv_writer w;
    struct stat info;

    pv_test_temp("pad", path);
    ck_assert_int_eq(pv_writer_open(&w, path, NULL), PV_OK);
    pv_writer_pad(&w, 32);
    ck_assert_uint_eq(w.size_bytes, 0);
    pv_writer_put(&w, "x", 1);
    pv_writer_pad(&w, 4096);
    ck_assert_uint_eq(w.size_bytes, 4096);
    pv_writer_pad(&w, 32);
    ck_assert_int_eq(pv_writer_commit(&w), PV_OK);
    ck_assert_int_eq(stat(path, &info), 0);
    ck_assert_int_eq(info.st_size, 4096);
    remove(path);
}
END_TEST

/* A limit on the size of files stands in for a full disk. */
START_TEST(a_full_disk_is_reported_with_advice)
{
    char path[PV_TEST_PATH_ROOM], temp[PV_TEST_PATH_ROOM];
    static const char zeros[65536];
    struct pv_test_log captured;
    struct pv_log log = pv_test_log(&captured);
    struct rlimit limit, small;
    struct pv_writer w;

    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    small = limit;
    small.rlim_cur = 100000;
    pv_test_temp("full", path);
    write_text(path, "old");
    ck_assert_int_eq(pv_writer_open(&w, path, &log), PV_OK);
    snprintf(temp, sizeof temp, "%s", w.temp_path);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    for (int i = 0; i < 4; i++)
        pv_writer_put(&w, zeros, sizeof zeros);
    ck_assert_int_eq(pv_writer_commit(&w), PV_ERR_IO);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ck_assert_uint_eq(captured.n_messages, 1);
    ck_assert(pv_test_logged(&captured, path));
    ck_assert(pv_test_logged(&captured, "free space or choose another folder"));
    ck_assert_int_ne(access(temp, F_OK), 0);
    check_text(path, "old");
    remove(path);
}
END_TEST

START_TEST(what_is_no_file_is_refused)
{
    char path[PV_TEST_PATH_ROOM], inside[PV_TEST_PATH_ROOM + 8];
    struct pv_test_log captured;
    struct pv_log log = pv_test_log(&captured);
    struct pv_writer w;
    struct pv_map map;
    size_t size_bytes;
    char *data;

    pv_test_temp("missing", path);
    snprintf(inside, sizeof inside, "%s/x", path);
    ck_assert_int_eq(pv_map_open(&map, path, &log), PV_ERR_IO);
    ck_assert(pv_test_logged(&captured, "No such file or directory: check the path"));
    ck_assert_int_eq(pv_file_read(path, &log, &data, &size_bytes), PV_ERR_IO);
    ck_assert_int_eq(pv_writer_open(&w, inside, &log), PV_ERR_IO);
    ck_assert_int_eq(pv_map_open(&map, ".", &log), PV_ERR_IO);
    ck_assert_int_eq(pv_file_read(".", &log, &data, &size_bytes), PV_ERR_IO);
    ck_assert_int_eq(pv_writer_open(&w, ".", &log), PV_ERR_IO);
    ck_assert_int_eq(pv_writer_open(&w, "/dev/null", &log),
                     PV_ERR_IO); /* renaming would replace the device */
    ck_assert_int_eq(pv_map_open(&map, "/dev/null", &log), PV_ERR_IO);
    ck_assert_uint_eq(captured.n_messages, 8);
    write_text(path, "");
    ck_assert_int_eq(pv_map_open(&map, path, &log), PV_ERR_FORMAT);
    remove(path);
}
END_TEST

/* A killed writer: its temporary stays, nobody closes it. */
static void leave_temporary(const char *path, char temp[PV_TEST_PATH_ROOM])
{
    struct pv_writer w;

    ck_assert_int_eq(pv_writer_open(&w, path, NULL), PV_OK);
    snprintf(temp, PV_TEST_PATH_ROOM, "%s", w.temp_path);
    fclose(w.file);
    w.file = NULL;
    pv_writer_abort(&w);
    ck_assert_int_eq(access(temp, F_OK), 0);
}

/* The number of a process that has ended. */
static pid_t dead_pid(void)
{
    const pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    ck_assert_int_gt(pid, 0);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    return pid;
}

/* A file of this user alone, with `text`, as if process `pid` had made it for `path`. */
static void first_name(const char *path, pid_t pid, const char *text, char name[PV_TEST_PATH_ROOM + 48])
{
    int fd;

    snprintf(name, PV_TEST_PATH_ROOM + 48, "%s.%ld-0.tmp", path, (long)pid);
    fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

START_TEST(clean_removes_what_writers_killed_at_once_left)
{
    char path[PV_TEST_PATH_ROOM], empty[PV_TEST_PATH_ROOM + 48], full[PV_TEST_PATH_ROOM + 48],
        living[PV_TEST_PATH_ROOM + 48];

    pv_test_temp("at-once", path);
    first_name(path, dead_pid(), "", empty);
    first_name(path, dead_pid(), "x", full);
    first_name(path, getppid(), "", living);
    pv_writer_clean(path);
    ck_assert_int_ne(access(empty, F_OK), 0);
    ck_assert_int_eq(remove(full), 0);
    ck_assert_int_eq(remove(living), 0);
}
END_TEST

/* This program's own link(), so that a test can have a file system without links. */
static bool no_links;

int link(const char *from, const char *to)
{
    if (no_links) {
        errno = EPERM;
        return -1;
    }
    return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

START_TEST(without_links_a_temporary_is_known_by_its_name_too)
{
    char path[PV_TEST_PATH_ROOM], temp[PV_TEST_PATH_ROOM], ending[32];
    struct stat info;

    no_links = true;
    pv_test_temp("no-links", path);
    leave_temporary(path, temp);
    ck_assert_int_eq(stat(temp, &info), 0);
    snprintf(ending, sizeof ending, ".%ju.tmp", (uintmax_t)info.st_ino);
    ck_assert_str_eq(temp + strlen(path), ending);
    pv_writer_clean(path);
    ck_assert_int_ne(access(temp, F_OK), 0);
    no_links = false;
}
END_TEST

START_TEST(clean_removes_what_killed_writers_left_and_nothing_else)
{
    static const char *const foreign[] = {".12-0.tmp", ".7.tmp",     ".tmp", ".12.tmp",
                                          ".a-0.tmp",  ".12-0.tmpx", ""};
    char path[PV_TEST_PATH_ROOM], temp[PV_TEST_PATH_ROOM], name[PV_TEST_PATH_ROOM + 16];
    char link_name[PV_TEST_PATH_ROOM + 48];
    struct stat info;

    pv_test_temp("clean", path);
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        snprintf(name, sizeof name, "%s%s", path, foreign[i]);
        FILE *file = fopen(name, "w");
        ck_assert_ptr_nonnull(file);
        fclose(file);
    }
    /* a link with the inode of what it leads to */
    ck_assert_int_eq(stat(path, &info), 0);
    snprintf(link_name, sizeof link_name, "%s.%ju.tmp", path, (uintmax_t)info.st_ino);
    ck_assert_int_eq(symlink(path, link_name), 0);
    leave_temporary(path, temp);
    pv_writer_clean(path);
    ck_assert_int_ne(access(temp, F_OK), 0);
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        snprintf(name, sizeof name, "%s%s", path, foreign[i]);
        ck_assert_msg(remove(name) == 0, "%s", name);
    }
    ck_assert_int_eq(remove(link_name), 0);
    pv_writer_clean("no-such-folder/file"); /* nothing to do */
}
END_TEST

START_TEST(temporaries_are_private_and_the_file_gets_the_usual_permissions)
{
    char path[PV_TEST_PATH_ROOM];
    struct pv_writer w;
    struct stat info;
    const mode_t old = umask(027);

    pv_test_temp("mode", path);
    ck_assert_int_eq(pv_writer_open(&w, path, NULL), PV_OK);
    ck_assert_int_eq(stat(w.temp_path, &info), 0);
    ck_assert_uint_eq(info.st_mode & 0777, 0600);
    ck_assert_int_eq(pv_writer_commit(&w), PV_OK);
    ck_assert_int_eq(stat(path, &info), 0);
    ck_assert_uint_eq(info.st_mode & 0777, 0640);
    ck_assert_int_eq(chmod(path, 0604), 0);
    write_text(path, "again");
    ck_assert_int_eq(stat(path, &info), 0);
    ck_assert_uint_eq(info.st_mode & 0777, 0604);
    umask(old);
    remove(path);
}
END_TEST

START_TEST(a_symbolic_link_stays_one)
{
    char path[PV_TEST_PATH_ROOM], link_name[PV_TEST_PATH_ROOM + 8];
    struct pv_test_log captured;
    struct pv_log log = pv_test_log(&captured);
    struct pv_writer w;
    struct stat info;

    pv_test_temp("target", path);
    snprintf(link_name, sizeof link_name, "%s.link", path);
    ck_assert_int_eq(symlink(path, link_name), 0);
    ck_assert_int_eq(pv_writer_open(&w, link_name, &log), PV_ERR_IO);
    ck_assert(pv_test_logged(&captured, "leads nowhere: choose another name"));
    write_text(path, "old");
    write_text(link_name, "new");
    check_text(path, "new");
    ck_assert_int_eq(lstat(link_name, &info), 0);
    ck_assert(S_ISLNK(info.st_mode));
    remove(link_name);
    remove(path);
}
END_TEST

START_TEST(an_address_leads_to_its_file)
{
    char path[PV_TEST_PATH_ROOM];
    struct pv_map map;

    pv_test_temp("address", path);
    write_text(path, "hello");
    ck_assert_int_eq(pv_map_open(&map, path, NULL), PV_OK);
    ck_assert_str_eq(pv_map_path_at(map.data + 4), path);
    ck_assert_ptr_null(pv_map_path_at(map.data + 5));
    ck_assert_ptr_null(pv_map_path_at(&map));
    const uint8_t *data = map.data;
    pv_map_close(&map);
    ck_assert_ptr_null(pv_map_path_at(data));
    remove(path);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/file");
    TCase *tcase = tcase_create("file");

    tcase_add_test(tcase, written_files_read_back_both_ways);
    tcase_add_test(tcase, reading_grows_past_its_buffer);
    tcase_add_test(tcase, abort_leaves_the_old_file);
    tcase_add_test(tcase, two_writers_of_one_path_do_not_meet);
    tcase_add_test(tcase, padding_fills_up_to_a_multiple);
    tcase_add_test(tcase, a_full_disk_is_reported_with_advice);
    tcase_add_test(tcase, what_is_no_file_is_refused);
    tcase_add_test(tcase, clean_removes_what_killed_writers_left_and_nothing_else);
    tcase_add_test(tcase, clean_removes_what_writers_killed_at_once_left);
    tcase_add_test(tcase, without_links_a_temporary_is_known_by_its_name_too);
    tcase_add_test(tcase, temporaries_are_private_and_the_file_gets_the_usual_permissions);
    tcase_add_test(tcase, a_symbolic_link_stays_one);
    tcase_add_test(tcase, an_address_leads_to_its_file);
    suite_add_tcase(suite, tcase);
    return pv_test_main(suite);
}
