/* label: unit */
#include "learn/capture/capture.h"

#include <string.h>
#include <stdio.h>
#include "base/half.h"
#include "fake_source.h"
#include "harness.h"

static char path[PV_TEST_PATH_ROOM];
static struct pv_test_log captured;

struct rig {
    struct fake fake;
    struct pv_source source;
    uint32_t *text;
    struct pv_windows windows;
    struct pv_capture_params params;
    struct pv_journal j;
    float tau[FAKE_LAYERS];
    bool resumed;
};

static void rig_open(struct rig *r, size_t n_text, size_t n_tokens, bool dense)
{
    *r = (struct rig){.fake = {.n_batch = FAKE_CTX, .dense = dense}};
    r->source = fake_source(&r->fake);
    r->text = fake_text(n_text, 1);
    r->windows = pv_windows_plan(r->text, n_text, n_tokens, FAKE_CTX);
    r->params = (struct pv_capture_params){.active_share = 0.3, .log = pv_test_log(&captured)};
    pv_test_temp("capture", path);
    remove(path);
    ck_assert_int_eq(pv_journal_open(&r->j, path, 1, &r->params.log), PV_OK);
}

static enum pv_status rig_capture(struct rig *r, const struct pv_steps *steps)
{
    struct pv_capture_state state = {.tau = r->tau};
    const enum pv_status status = pv_capture_text(&r->source, &r->windows, &r->params, &r->j, steps, &state);

    r->resumed = state.resumed;
    return status;
}

static void rig_close(struct rig *r)
{
    pv_journal_close(&r->j, true);
    free(r->text);
}

START_TEST(windows_cover_the_text)
{
    uint32_t text[1] = {0}, n;
    struct pv_windows w = pv_windows_plan(text, 70, 0, 32);

    ck_assert_uint_eq(w.n_windows, 3);
    ck_assert_uint_eq(w.n_tokens, 70);
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(pv_windows_at(&w, i, &n), i * 32);
        ck_assert_uint_eq(n, i < 2 ? 32 : 6);
    }
    w = pv_windows_plan(text, 5, 100, 32);
    ck_assert_uint_eq(w.n_tokens, 5);
    ck_assert_uint_eq(w.n_windows, 1);
}
END_TEST

/* Fewer tokens than the text has: windows in order, apart, over all of it. */
START_TEST(windows_spread_over_the_text)
{
    size_t sizes[][2] = {{1000, 320}, {1000, 999}, {1001, 33}, {100000, 70}, {64, 1}};
    uint32_t text[1] = {0}, n;

    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        struct pv_windows w = pv_windows_plan(text, sizes[s][0], sizes[s][1], 32);
        size_t end = 0, sum = 0, gap = 0;

        for (uint32_t i = 0; i < w.n_windows; i++) {
            const size_t at = pv_windows_at(&w, i, &n);

            ck_assert_uint_ge(at, end);
            gap = at - end > gap ? at - end : gap;
            end = at + n;
            sum += n;
        }
        ck_assert_uint_le(end, sizes[s][0]);
        ck_assert_uint_eq(sum, sizes[s][1]);
        ck_assert_uint_le(gap, (sizes[s][0] - sizes[s][1]) / w.n_windows + 1);
    }
}
END_TEST

static void check_layer(const struct rig *r, uint32_t layer)
{
    struct pv_layer_data data;
    size_t row = 0;

    ck_assert_int_eq(
        pv_capture_load(&(struct pv_captured){&r->j, pv_capture_key(&r->source, &r->windows, &r->params),
                                              &r->source, &r->windows},
                        layer, true, &data),
        PV_OK);
    ck_assert_uint_eq(data.x.n_rows, r->windows.n_tokens);
    for (uint32_t w = 0; w < r->windows.n_windows; w++) {
        uint32_t n;
        const size_t at = pv_windows_at(&r->windows, w, &n);

        for (uint32_t i = 0; i < n; i++, row++) {
            float z[FAKE_D], c[FAKE_F];
            uint64_t p = data.x.offset[row];

            fake_row(&r->fake, layer, r->text[at + i], i, z, c);
            bool same = true;

            for (uint32_t j = 0; j < FAKE_D; j++)
                same = same && data.z[row * FAKE_D + j] == pv_float_to_half(z[j]);
            for (uint32_t j = 0; j < FAKE_F; j++) {
                if (c[j] > r->tau[layer]) {
                    same = same && data.x.col[p] == j && data.x.root[p] == pv_float_to_half(sqrtf(c[j]));
                    p++;
                }
            }
            ck_assert(same);
            ck_assert_uint_eq(p, data.x.offset[row + 1]);
        }
    }
    pv_layer_data_free(&data);
    pv_layer_data_free(&data);
}

START_TEST(what_was_captured_is_loaded)
{
    uint32_t batches[] = {1, 7, 32};

    for (size_t b = 0; b < 3; b++) {
        struct rig r;

        rig_open(&r, 300, 110, false);
        r.fake.n_batch = batches[b];
        ck_assert_int_eq(rig_capture(&r, NULL), PV_OK);
        ck_assert(!r.resumed);
        for (uint32_t l = 0; l < FAKE_LAYERS; l++) {
            ck_assert_double_eq((double)r.tau[l], 0.0);
            check_layer(&r, l);
        }
        rig_close(&r);
    }
}
END_TEST

START_TEST(tau_keeps_the_share_asked_for)
{
    double shares[] = {0.01, 0.3, 0.5, 0.9, 1.0};

    for (size_t s = 0; s < sizeof shares / sizeof shares[0]; s++) {
        struct pv_layer_data data;
        struct rig r;

        rig_open(&r, 1024, 0, true);
        r.params.active_share = shares[s];
        ck_assert_int_eq(rig_capture(&r, NULL), PV_OK);
        for (uint32_t l = 0; l < FAKE_LAYERS; l++) {
            double n;

            if (s == 1)
                check_layer(&r, l);
            ck_assert_int_eq(
                pv_capture_load(&(struct pv_captured){&r.j, pv_capture_key(&r.source, &r.windows, &r.params),
                                                      &r.source, &r.windows},
                                l, false, &data),
                PV_OK);
            ck_assert_ptr_null(data.z);
            n = (double)data.x.offset[data.x.n_rows];
            ck_assert_double_eq_tol(n / (1024.0 * FAKE_F), shares[s], 0.003);
            pv_layer_data_free(&data);
        }
        rig_close(&r);
    }
}
END_TEST

/* The whole float range fits: roots are never lost to zero nor become infinite. */
static enum pv_status extremes(void *user, const uint32_t *tokens, uint32_t n, pv_capture_fn fn,
                               void *fn_user)
{
    float z[FAKE_D] = {0}, c[FAKE_F] = {1e-40f, 3e38f, 0.0f, 1e-15f, 1e9f};
    struct pv_capture capture = {.n_tokens = 1, .z = z, .contribution = c};

    (void)user;
    (void)tokens;
    for (uint32_t i = 0; i < n; i++) {
        for (capture.layer = 0; capture.layer < FAKE_LAYERS; capture.layer++) {
            enum pv_status status;

            capture.first_pos = i;
            status = fn(fn_user, &capture);
            if (status != PV_OK)
                return status;
        }
    }
    return PV_OK;
}

START_TEST(extreme_contributions_stay_finite)
{
    struct pv_layer_data data;
    struct rig r;

    rig_open(&r, 2, 0, false);
    r.source.run = extremes;
    ck_assert_int_eq(rig_capture(&r, NULL), PV_OK);
    ck_assert_int_eq(
        pv_capture_load(&(struct pv_captured){&r.j, pv_capture_key(&r.source, &r.windows, &r.params),
                                              &r.source, &r.windows},
                        2, false, &data),
        PV_OK);
    ck_assert_uint_eq(data.x.offset[1], 4);
    ck_assert_uint_eq(data.x.root[0], 1);
    ck_assert_uint_eq(data.x.root[1], 0x7bff);
    ck_assert_double_eq_tol((double)pv_root_to_float(data.x.root[3]), sqrt(1e9), 20.0);
    ck_assert_double_eq_tol((double)pv_root_to_float(data.x.root[2]), sqrt(1e-15), 3e-8);
    pv_layer_data_free(&data);
    rig_close(&r);
}
END_TEST

START_TEST(what_makes_no_sense_is_refused)
{
    const char *said[] = {"out of order", "out of order", "values that are not finite",
                          "values that are not finite", "layer 1 gave 0 of 32"};

    for (int fault = 1; fault <= 5; fault++) {
        for (int dense = 0; dense < 2; dense++) {
            struct rig r;

            rig_open(&r, 100, 0, dense);
            r.fake.fault = fault;
            ck_assert_int_eq(rig_capture(&r, NULL), PV_ERR_CHECK);
            ck_assert_msg(pv_test_logged(&captured, said[fault - 1]), "fault %d: %s", fault, captured.text);
            ck_assert_uint_eq(captured.n_messages, 1);
            rig_close(&r);
        }
    }
}
END_TEST

/* A journal whose records pass their checksums but hold nonsense, as only malice or a bug makes them. */
START_TEST(malformed_records_are_refused)
{
    struct pv_layer_data data;
    struct rig r;
    uint64_t key;
    size_t size;
    unsigned char *bytes;

    rig_open(&r, 20, 0, false);
    ck_assert_int_eq(rig_capture(&r, NULL), PV_OK);
    key = pv_capture_key(&r.source, &r.windows, &r.params);
    size = (size_t)pv_capture_find(&r.j, key, 0)->size_bytes;
    bytes = malloc(size);
    ck_assert_int_eq(pv_journal_read(&r.j, pv_capture_find(&r.j, key, 0), 0, bytes, size), PV_OK);
    for (size_t at = 0; at < size; at += at < 48 ? 1 : 5) {
        const struct pv_journal_record record = *pv_capture_find(&r.j, key, 0);

        if (at >= 40 && at < 40 + 20 * FAKE_D * 2)
            continue; /* z may be anything */
        bytes[at] ^= 0xff;
        pv_journal_begin(&r.j, record.kind, 0, key);
        pv_journal_put(&r.j, bytes, size);
        ck_assert_int_eq(pv_journal_commit(&r.j), PV_OK);
        bytes[at] ^= 0xff;
        for (uint32_t l = 0; l < FAKE_LAYERS; l++) {
            const enum pv_status status =
                pv_capture_load(&(struct pv_captured){&r.j, key, &r.source, &r.windows}, l, true, &data);

            bool sound = status == PV_OK || status == PV_ERR_FORMAT;

            for (uint64_t p = 0; status == PV_OK && p < data.x.offset[20]; p++)
                sound = sound && data.x.col[p] < FAKE_F && data.x.root[p] < 0x7c00;
            ck_assert(sound);
            pv_layer_data_free(&data);
        }
    }
    pv_journal_begin(&r.j, pv_capture_find(&r.j, key, 0)->kind, 0, key); /* cut short */
    pv_journal_put(&r.j, bytes, 50);
    ck_assert_int_eq(pv_journal_commit(&r.j), PV_OK);
    ck_assert_int_eq(pv_capture_load(&(struct pv_captured){&r.j, key, &r.source, &r.windows}, 1, true, &data),
                     PV_ERR_FORMAT);
    free(bytes);
    rig_close(&r);
}
END_TEST

START_TEST(keys_tell_what_matters_apart)
{
    struct rig r;
    uint64_t key;

    rig_open(&r, 100, 0, true);
    key = pv_capture_key(&r.source, &r.windows, &r.params);
    ck_assert_uint_eq(key, pv_capture_key(&r.source, &r.windows, &r.params));
    r.params.active_share = 0.4;
    ck_assert_uint_ne(key, pv_capture_key(&r.source, &r.windows, &r.params));
    r.params.active_share = 0.3;
    r.source.variant = 1;
    ck_assert_uint_ne(key, pv_capture_key(&r.source, &r.windows, &r.params));
    r.source.variant = 0;
    r.text[99] ^= 1;
    ck_assert_uint_ne(key, pv_capture_key(&r.source, &r.windows, &r.params));
    r.text[99] ^= 1;
    r.windows = pv_windows_plan(r.text, 100, 90, FAKE_CTX);
    ck_assert_uint_ne(key, pv_capture_key(&r.source, &r.windows, &r.params));
    rig_close(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("capture");
    TCase *tcase = tcase_create("capture");

    tcase_add_test(tcase, windows_cover_the_text);
    tcase_add_test(tcase, windows_spread_over_the_text);
    tcase_add_test(tcase, what_was_captured_is_loaded);
    tcase_add_test(tcase, tau_keeps_the_share_asked_for);
    tcase_add_test(tcase, extreme_contributions_stay_finite);
    tcase_add_test(tcase, what_makes_no_sense_is_refused);
    tcase_add_test(tcase, malformed_records_are_refused);
    tcase_add_test(tcase, keys_tell_what_matters_apart);
    suite_add_tcase(suite, tcase);
    return pv_test_main(suite);
}
