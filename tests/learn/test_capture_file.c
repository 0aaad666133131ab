/* label: unit
 * Capture files: parts merge into the file that one go gives, byte for byte; learning from it gives the file
 * that learning from the text gives; parts that do not belong together and hostile files are refused. */
#include "learn/capture/capture_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/file.h"
#include "fake_source.h"
#include "harness.h"
#include "learn/fit/learn.h"

enum { N_TEXT = 1000, MOST_PARTS = 4 };

static struct pv_test_log captured;
static char paths[MOST_PARTS + 3][PV_TEST_PATH_ROOM]; /* parts, whole, merged, cluster file */
enum { WHOLE = MOST_PARTS, MERGED, CLUSTERS };

static void name_files(void)
{
    for (int i = 0; i < MOST_PARTS + 3; i++) {
        char name[32];

        snprintf(name, sizeof name, "capture-%d", i);
        pv_test_temp(name, paths[i]);
    }
}

static void remove_files(void)
{
    for (int i = 0; i < MOST_PARTS + 3; i++)
        remove(paths[i]);
}

static enum pv_status capture(const char *path, bool dense, struct pv_capture_options options, uint64_t seed,
                              struct pv_capture_result *result)
{
    struct fake fake = {.n_batch = 8, .dense = dense};
    struct pv_source source = fake_source(&fake);
    uint32_t *text = fake_text(N_TEXT, seed);
    struct pv_log log = pv_test_log(&captured);
    const enum pv_status status =
        pv_capture_to_file(&source, (struct pv_text){text, N_TEXT}, path, &options, &log, result);

    free(text);
    return status;
}

static void capture_ok(const char *path, bool dense, struct pv_capture_options options)
{
    struct pv_capture_result result;

    ck_assert_msg(capture(path, dense, options, 1, &result) == PV_OK, "%s", captured.text);
}

static enum pv_status merge(const int *parts, uint32_t n)
{
    const char *names[8];
    struct pv_log log = pv_test_log(&captured);

    for (uint32_t i = 0; i < n; i++)
        names[i] = paths[parts[i]];
    return pv_capture_merge(names, n, paths[MERGED], &log);
}

static char *slurp(const char *path, size_t *n)
{
    char *bytes = NULL;

    ck_assert_msg(pv_file_read(path, NULL, &bytes, n) == PV_OK, "%s", path);
    return bytes;
}

static void expect_same_files(const char *a, const char *b)
{
    size_t n_a, n_b;
    char *bytes_a = slurp(a, &n_a), *bytes_b = slurp(b, &n_b);

    ck_assert_uint_eq(n_a, n_b);
    ck_assert_int_eq(memcmp(bytes_a, bytes_b, n_a), 0);
    free(bytes_a);
    free(bytes_b);
}

START_TEST(parts_make_the_whole)
{
    static const int orders[][MOST_PARTS] = {{0, 1, 2, 3}, {2, 0, 3, 1}};
    struct pv_capture_options options = {.n_tokens = 700, .thin = _i & 2 ? 3 : 1};
    const bool dense = _i & 1;

    if (_i & 2)
        options.n_tokens = 200;
    capture_ok(paths[WHOLE], dense, options);
    for (uint32_t n = 1; n <= MOST_PARTS; n++) {
        options.n_shards = n;
        for (uint32_t i = 0; i < n; i++) {
            options.shard = i;
            capture_ok(paths[i], dense, options);
        }
        if (n == 1 || n == MOST_PARTS) {
            for (int o = 0; o < (n == 1 ? 1 : 2); o++) {
                ck_assert_msg(merge(orders[o], n) == PV_OK, "%s", captured.text);
                expect_same_files(paths[WHOLE], paths[MERGED]);
            }
        }
    }
    remove_files();
}
END_TEST

static void learn(const char *capture_path, bool dense, uint32_t thin, const char *out)
{
    struct fake fake = {.n_batch = 8, .dense = dense};
    struct pv_source source = fake_source(&fake);
    struct pv_fit_params params = {.n_clusters = 9,
                                   .density = 0.3,
                                   .n_epochs = 3,
                                   .n_tokens = capture_path ? 0 : 300,
                                   .thin = capture_path ? 0 : thin,
                                   .capture_path = capture_path};
    struct pv_fit_result result;
    uint32_t *text = capture_path ? NULL : fake_text(N_TEXT, 1);
    struct pv_log log = pv_test_log(&captured);

    ck_assert_msg(pv_learn(&source,
                           &(struct pv_learn_job){.tokens = text,
                                                  .n_tokens = text ? N_TEXT : 0,
                                                  .out_path = out,
                                                  .params = &params,
                                                  .log = &log},
                           &result) == PV_OK,
                  "%s", captured.text);
    ck_assert_uint_eq(result.n_tokens, 300);
    if (capture_path)
        ck_assert_uint_eq(fake.n_runs, 0);
    pv_fit_result_free(&result);
    free(text);
}

START_TEST(learning_from_a_file_is_learning_from_the_text)
{
    const bool dense = _i & 1;
    const uint32_t thin = _i & 2 ? 3 : 1;
    char other[PV_TEST_PATH_ROOM];

    pv_test_temp("capture-other", other);
    capture_ok(paths[WHOLE], dense, (struct pv_capture_options){.n_tokens = 300, .thin = thin});
    learn(NULL, dense, thin, paths[CLUSTERS]);
    learn(paths[WHOLE], dense, thin, other);
    expect_same_files(paths[CLUSTERS], other);
    remove(other);
    ck_assert_int_eq(access(paths[WHOLE], F_OK), 0); /* learning does not use it up */
    remove_files();
}
END_TEST

static bool stop_at(void *user, const char *stage, double done, double total)
{
    (void)stage;
    (void)total;
    return done < *(double *)user;
}

START_TEST(stopped_and_resumed_is_the_same)
{
    struct pv_capture_options options = {0};
    struct pv_capture_result result;
    char resume[PV_TEST_PATH_ROOM + 16];

    capture_ok(paths[WHOLE], false, options);
    snprintf(resume, sizeof resume, "%s.resume", paths[0]);
    for (double at = 0.0; at < 32.0; at += 5.0) {
        options.progress = (struct pv_progress){stop_at, &at};
        ck_assert_int_eq(capture(paths[0], false, options, 1, &result), PV_ERR_INTERRUPTED);
        ck_assert_int_ne(access(paths[0], F_OK), 0);
        ck_assert_int_eq(access(resume, F_OK), 0);
        options.progress = (struct pv_progress){0};
        ck_assert_int_eq(capture(paths[0], false, options, 1, &result), PV_OK);
        ck_assert(result.resumed == (at > 0.0));
        expect_same_files(paths[0], paths[WHOLE]);
        ck_assert_int_ne(access(resume, F_OK), 0);
        remove(paths[0]);
    }
    remove_files();
}
END_TEST

START_TEST(thinning_keeps_one_in_so_many)
{
    for (uint32_t thin = 1; thin <= 40; thin += 3) {
        for (size_t n_tokens = 1; n_tokens < 200; n_tokens += 23) {
            struct pv_windows w = pv_windows_plan_thin(NULL, 5000, n_tokens, 32, thin);
            size_t kept = 0, end = 0, counted = 0;

            for (uint32_t i = 0; i < w.n_windows; i++) {
                uint32_t n;
                const size_t at = pv_windows_at(&w, i, &n);

                ck_assert_uint_ge(at, end);
                end = at + n;
                kept += pv_windows_kept(&w, i);
                for (uint32_t pos = 0; pos < n; pos++)
                    counted += pv_windows_keeps(&w, i, pos, n);
            }
            ck_assert_uint_le(end, 5000);
            ck_assert_uint_eq(kept, w.n_tokens);
            ck_assert_uint_eq(counted, kept);
            ck_assert_uint_le(kept, n_tokens);
            if (n_tokens * thin + 32 < 5000 && thin <= 32)
                ck_assert_uint_eq(kept, n_tokens);
        }
    }
}
END_TEST

START_TEST(parts_that_do_not_belong_together)
{
    struct pv_capture_options half = {.n_shards = 2}, other = {.shard = 1, .n_shards = 2, .n_tokens = 500};
    struct pv_capture_result result;

    capture_ok(paths[0], false, half);
    half.shard = 1;
    capture_ok(paths[1], false, half);
    capture_ok(paths[2], false, other);
    ck_assert_int_eq(capture(paths[3], false, half, 2, &result), PV_OK); /* another text */
    ck_assert_int_eq(merge((int[]){0, 2}, 2), PV_ERR_MISMATCH);
    ck_assert(pv_test_logged(&captured, "not parts of one capture"));
    ck_assert_int_eq(merge((int[]){0, 3}, 2), PV_ERR_MISMATCH);
    ck_assert_int_eq(merge((int[]){0}, 1), PV_ERR_ARG);
    ck_assert(pv_test_logged(&captured, "part 2/2 is missing"));
    ck_assert_int_eq(merge((int[]){0, 1, 0}, 3), PV_ERR_ARG);
    ck_assert(pv_test_logged(&captured, "give each part once"));
    ck_assert_int_ne(access(paths[MERGED], F_OK), 0);
    ck_assert_int_eq(merge((int[]){0, 1}, 2), PV_OK);
    remove_files();
}
END_TEST

static enum pv_status learn_status(const char *path, bool dense)
{
    struct fake fake = {.n_batch = 8, .dense = dense};
    struct pv_source source = fake_source(&fake);
    struct pv_fit_params params = {.n_clusters = 9, .n_epochs = 1, .n_iters = 2, .capture_path = path};
    struct pv_fit_result result;
    struct pv_log log = pv_test_log(&captured);
    const enum pv_status status = pv_learn(
        &source,
        &(struct pv_learn_job){
            .tokens = NULL, .n_tokens = 0, .out_path = paths[CLUSTERS], .params = &params, .log = &log},
        &result);
    char resume[PV_TEST_PATH_ROOM + 16];

    if (status == PV_OK)
        pv_fit_result_free(&result);
    snprintf(resume, sizeof resume, "%s.resume", paths[CLUSTERS]);
    remove(resume);
    return status;
}

START_TEST(fit_refuses_what_does_not_fit)
{
    struct pv_capture_info info;

    capture_ok(paths[0], false, (struct pv_capture_options){.n_shards = 2});
    ck_assert_int_eq(pv_capture_read_info(paths[0], NULL, &info), PV_OK);
    ck_assert_uint_eq(info.n_windows, 32);
    ck_assert_uint_eq(info.n_captured, 16);
    ck_assert_uint_eq(info.n_captured_tokens, 16 * 32);
    ck_assert_uint_eq(info.n_tokens, N_TEXT);
    ck_assert(info.n_active > 16 * 32 * FAKE_LAYERS &&
              info.n_active < (uint64_t)16 * 32 * FAKE_LAYERS * FAKE_F);
    ck_assert_int_eq(learn_status(paths[0], false), PV_ERR_ARG);
    ck_assert(pv_test_logged(&captured, "one part of several"));
    capture_ok(paths[WHOLE], false, (struct pv_capture_options){0});
    ck_assert_int_eq(learn_status(paths[WHOLE], true), PV_ERR_MISMATCH);
    ck_assert(pv_test_logged(&captured, "another model"));
    ck_assert_int_eq(learn_status("no-such-file", false), PV_ERR_IO);
    ck_assert_int_eq(learn_status(".", false), PV_ERR_FORMAT);
    remove_files();
}
END_TEST

/* Every byte that is changed is noticed, every shortening too. */
START_TEST(damage_is_told)
{
    size_t n;
    char *bytes;

    capture_ok(paths[WHOLE], false, (struct pv_capture_options){.n_tokens = 40});
    bytes = slurp(paths[WHOLE], &n);
    for (size_t at = 0; at < n; at += at < 400 ? 1 : 97) {
        for (int shorten = 0; shorten < 2; shorten++) {
            struct pv_log log = pv_test_log(&captured);
            struct pv_capture_file file;
            struct pv_writer w;

            if (!shorten)
                bytes[at] ^= 16;
            ck_assert_int_eq(pv_writer_open(&w, paths[0], NULL), PV_OK);
            pv_writer_put(&w, bytes, shorten ? at : n);
            ck_assert_int_eq(pv_writer_commit(&w), PV_OK);
            if (!shorten)
                bytes[at] ^= 16;
            if (pv_capture_file_open(&file, paths[0], &log) == PV_OK) { /* shortened between two records */
                struct fake fake = {0};
                struct pv_source source = fake_source(&fake);

                ck_assert(shorten);
                ck_assert_int_eq(pv_capture_file_check(&file, &source), PV_ERR_ARG);
                pv_capture_file_close(&file);
            }
            ck_assert_uint_ge(captured.n_messages, 1);
        }
    }
    free(bytes);
    remove_files();
}
END_TEST

/* A file with a head of the attacker's choice and sound checksums. */
static void forge_head(struct pv_journal *j, struct pv_capture_head head, uint64_t key)
{
    remove(paths[0]);
    ck_assert_int_eq(pv_journal_open(j, paths[0], key, NULL), PV_OK);
    pv_journal_begin(j, PV_RECORD_HEAD, 0, key);
    pv_journal_put(j, &head, sizeof head);
    ck_assert_int_eq(pv_journal_commit(j), PV_OK);
}

static void forge(struct pv_capture_head head, uint64_t key)
{
    struct pv_journal j;

    forge_head(&j, head, key);
    ck_assert_int_eq(pv_journal_finish(&j, paths[0]), PV_OK);
}

START_TEST(hostile_heads)
{
    const struct pv_capture_head good = {.version = 1,
                                         .n_layers = 3,
                                         .d_model = 24,
                                         .d_ffn = 90,
                                         .n_ctx = 32,
                                         .exact_zeros = 1,
                                         .thin = 1,
                                         .n_shards = 1,
                                         .n_text = 100,
                                         .n_run = 100};
    struct pv_capture_head bad[14];
    struct pv_capture_file file;

    for (int i = 0; i < 14; i++)
        bad[i] = good;
    bad[0].version = 2;
    bad[1].n_layers = 0;
    bad[2].n_layers = UINT32_MAX;
    bad[3].d_ffn = 65537;
    bad[4].d_model = 0;
    bad[5].n_ctx = 0;
    bad[6].thin = 0;
    bad[7].shard = 1;
    bad[8].n_shards = 0;
    bad[9].n_run = 0;
    bad[10].n_text = 99;
    bad[11].n_text = bad[11].n_run = UINT64_MAX;
    bad[12].active_share = 0.5;
    bad[13].thin = UINT32_MAX;
    for (int i = 0; i < 14; i++) {
        struct pv_log log = pv_test_log(&captured);

        forge(bad[i], 1);
        ck_assert_int_eq(pv_capture_file_open(&file, paths[0], &log),
                         i == 0 ? PV_ERR_UNSUPPORTED : PV_ERR_FORMAT);
        ck_assert_uint_eq(captured.n_messages, 1);
    }
    forge(good, 1); /* a sound head under another key */
    ck_assert_int_eq(pv_capture_file_open(&file, paths[0], NULL), PV_ERR_FORMAT);
    remove_files();
}
END_TEST

/* A sound head, and records whose content is not what a capture writes. */
START_TEST(hostile_records)
{
    struct pv_capture_file whole;
    struct pv_journal j;

    capture_ok(paths[WHOLE], false, (struct pv_capture_options){.n_tokens = 64});
    ck_assert_int_eq(pv_capture_file_open(&whole, paths[WHOLE], NULL), PV_OK);
    for (int what = 0; what < 5; what++) {
        float tau[FAKE_LAYERS] = {0};

        forge_head(&j, whole.head, whole.key);
        if (what == 1)
            tau[1] = -1.0f;
        if (what == 2)
            tau[2] = INFINITY;
        pv_journal_begin(&j, PV_RECORD_TAU, 0, whole.key);
        pv_journal_put(&j, tau, what == 0 ? 4 : sizeof tau);
        ck_assert_int_eq(pv_journal_commit(&j), PV_OK);
        for (uint32_t w = 0; w < 2; w++) {
            const struct pv_journal_record *r = pv_capture_find(&whole.journal, whole.key, w);
            unsigned char *bytes = malloc(r->size_bytes);

            ck_assert_int_eq(pv_journal_read(&whole.journal, r, 0, bytes, r->size_bytes), PV_OK);
            if (what == 3) /* z that is no number */
                memset(bytes + 8 + 8 * (FAKE_LAYERS + 1), 0xff, 2);
            pv_journal_begin(&j, PV_RECORD_WINDOW, w, whole.key);
            pv_journal_put(&j, bytes, what == 4 ? 11 : r->size_bytes);
            ck_assert_int_eq(pv_journal_commit(&j), PV_OK);
            free(bytes);
        }
        ck_assert_int_eq(pv_journal_finish(&j, paths[0]), PV_OK);
        ck_assert_int_eq(learn_status(paths[0], false), PV_ERR_FORMAT);
        ck_assert_uint_ge(captured.n_messages, 1);
    }
    pv_capture_file_close(&whole);
    remove_files();
}
END_TEST

START_TEST(options_that_make_no_sense)
{
    static const struct pv_capture_options bad[] = {
        {.n_ctx = FAKE_CTX + 1}, {.shard = 2, .n_shards = 2}, {.n_shards = 200}, {.active_share = 1.5}};
    struct pv_capture_result result;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_int_eq(capture(paths[0], true, bad[i], 1, &result), PV_ERR_ARG);
    ck_assert_int_ne(access(paths[0], F_OK), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("capture_file");
    TCase *tests = tcase_create("file");

    tcase_add_checked_fixture(tests, name_files, remove_files);
    tcase_add_loop_test(tests, parts_make_the_whole, 0, 4);
    tcase_add_loop_test(tests, learning_from_a_file_is_learning_from_the_text, 0, 4);
    tcase_add_test(tests, stopped_and_resumed_is_the_same);
    tcase_add_test(tests, thinning_keeps_one_in_so_many);
    tcase_add_test(tests, parts_that_do_not_belong_together);
    tcase_add_test(tests, fit_refuses_what_does_not_fit);
    tcase_add_test(tests, damage_is_told);
    tcase_add_test(tests, hostile_heads);
    tcase_add_test(tests, hostile_records);
    tcase_add_test(tests, options_that_make_no_sense);
    suite_add_tcase(suite, tests);
    return pv_test_main(suite);
}
