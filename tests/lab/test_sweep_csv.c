/* label: unit
 * A sweep's table: what is written is read back, and a file that says anything else is refused with its line. */
#include "lab/sweep/sweep_csv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "harness.h"

enum { N_LAYERS = 2, MOST_TEXT = 1 << 14 };

static const struct pv_sweep_info INFO = {.ppl_dense = 57.5,
                                          .dense_bytes = 4096,
                                          .active = 0.25,
                                          .n_fit_tokens = 7000000000,
                                          .n_test_tokens = 99,
                                          .n_ctx = 32,
                                          .n_layers = N_LAYERS,
                                          .d_model = 31,
                                          .d_ffn = 33};
static const double ENERGY[N_LAYERS] = {0.5, 1}, DENSITY[N_LAYERS] = {0.125, 0};

static struct pv_sweep_row run_row(void)
{
    const double nothing = (double)NAN;

    return (struct pv_sweep_row){.method = "oracle",
                                 .label = "a label, with a comma",
                                 .knows_truth = true,
                                 .density_target = 0.05,
                                 .ppl = 60,
                                 .rise = 0.0434782609,
                                 .density = 0.0625,
                                 .predictor_bytes = 0,
                                 .bytes = 256,
                                 .precision = 1,
                                 .recall = 0.5,
                                 .weighted_recall = 0.75,
                                 .router_accuracy = nothing,
                                 .own_density = nothing,
                                 .own_precision = nothing,
                                 .own_recall = nothing,
                                 .own_weighted_recall = nothing,
                                 .layer_energy = ENERGY,
                                 .layer_density = DENSITY,
                                 .seconds = 1.5};
}

static struct pv_sweep_row judged_row(void)
{
    const double nothing = (double)NAN;

    return (struct pv_sweep_row){.method = "parvin",
                                 .label = "Parvin",
                                 .clustered = true,
                                 .n_clusters = 16,
                                 .density_target = 0.25,
                                 .own_masks = PV_SWEEP_OWN_BUDGET,
                                 .ppl = nothing,
                                 .rise = nothing,
                                 .density = nothing,
                                 .predictor_bytes = nothing,
                                 .bytes = nothing,
                                 .precision = nothing,
                                 .recall = nothing,
                                 .weighted_recall = nothing,
                                 .router_accuracy = 0.5,
                                 .own_density = 0.25,
                                 .own_precision = 0.4,
                                 .own_recall = 0.4,
                                 .own_weighted_recall = 0.6,
                                 .seconds = 2};
}

static void write_table(const char *path, const char *model)
{
    const struct pv_sweep_row rows[2] = {run_row(), judged_row()};
    FILE *file = fopen(path, "wb");

    ck_assert_ptr_nonnull(file);
    sweep_write_head(file, N_LAYERS);
    for (int i = 0; i < 2; i++)
        sweep_write_row(file, model, "a device", &INFO, &rows[i]);
    ck_assert_int_eq(fclose(file), 0);
}

static void check_numbers(double a, double b)
{
    ck_assert(isnan(a) ? isnan(b) : a == b);
}

START_TEST(what_is_written_is_read)
{
    const struct pv_sweep_row rows[2] = {run_row(), judged_row()};
    struct sweep_table table;
    char path[PV_TEST_PATH_ROOM];

    pv_test_temp("sweep.csv", path);
    write_table(path, "a \"model\"\n\x1b[1m");
    ck_assert_int_eq(sweep_read(NULL, path, &table), PV_OK);
    remove(path);
    ck_assert_str_eq(table.model, "a model[1m");
    ck_assert_str_eq(table.device, "a device");
    ck_assert_mem_eq(&table.info, &INFO, sizeof INFO);
    ck_assert_uint_eq(table.n_rows, 2);
    for (int i = 0; i < 2; i++) {
        const struct pv_sweep_row *row = &table.rows[i];

        ck_assert_str_eq(row->method, rows[i].method);
        ck_assert_str_eq(row->label, rows[i].label);
        ck_assert_int_eq(row->clustered, rows[i].clustered);
        ck_assert_int_eq(row->knows_truth, rows[i].knows_truth);
        ck_assert_uint_eq(row->n_clusters, rows[i].n_clusters);
        ck_assert_uint_eq(row->own_masks, rows[i].own_masks);
        check_numbers(row->density_target, rows[i].density_target);
        check_numbers(row->ppl, rows[i].ppl);
        check_numbers(row->rise, rows[i].rise);
        check_numbers(row->bytes, rows[i].bytes);
        check_numbers(row->router_accuracy, rows[i].router_accuracy);
        check_numbers(row->own_weighted_recall, rows[i].own_weighted_recall);
        check_numbers(row->seconds, rows[i].seconds);
        for (uint32_t l = 0; l < N_LAYERS; l++) {
            check_numbers(row->layer_energy[l], i == 0 ? ENERGY[l] : (double)NAN);
            check_numbers(row->layer_density[l], i == 0 ? DENSITY[l] : (double)NAN);
        }
    }
    sweep_table_free(&table);
}
END_TEST

/* Reads `text` as a table, which must be refused with this message. */
static void refuse(const char *text, size_t n, const char *message)
{
    struct pv_test_log captured = {0};
    const struct pv_log log = pv_test_log(&captured);
    struct sweep_table table;
    char path[PV_TEST_PATH_ROOM];
    FILE *file;

    pv_test_temp("refused.csv", path);
    file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(text, 1, n, file), n);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_int_eq(sweep_read(&log, path, &table), PV_ERR_FORMAT);
    remove(path);
    ck_assert_msg(pv_test_logged(&captured, message), "'%s' is not in '%s'", message, captured.text);
    ck_assert_ptr_null(table.rows);
}

static size_t read_text(char *text)
{
    char path[PV_TEST_PATH_ROOM];
    size_t n;
    FILE *file;

    pv_test_temp("sound.csv", path);
    write_table(path, "m");
    file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    n = fread(text, 1, MOST_TEXT - 1, file);
    fclose(file);
    remove(path);
    text[n] = 0;
    return n;
}

/* The sound table with the first `from` after the first line replaced. */
static void refuse_edit(const char *from, const char *to, const char *message)
{
    char sound[MOST_TEXT], edited[2 * MOST_TEXT];
    const size_t n = read_text(sound);
    const char *at = strstr(strchr(sound, '\n'), from);
    int length;

    ck_assert_msg(at != NULL, "no '%s' in the table", from);
    length = snprintf(edited, sizeof edited, "%.*s%s%s", (int)(at - sound), sound, to, at + strlen(from));
    ck_assert_uint_eq((size_t)length, n - strlen(from) + strlen(to));
    refuse(edited, (size_t)length, message);
}

START_TEST(rows_of_other_lengths_are_refused)
{
    refuse_edit(",0.125,0\n", ",0.125\n", ":2: has fewer fields");
    refuse_edit(",0.125,0\n", ",0.125,0,0.5\n", ":2: has more fields");
    refuse_edit("\"parvin\"", "\"parvin\",16", ":3: clustered is 'Parvin'");
    refuse_edit("\"a device\"", "\"a device", ":2: a quoted text does not end");
    refuse_edit("\"m\"", "\"m\"m", ":2: a quoted text does not end");
    refuse_edit("\n\"m\",\"a device\",\"parvin\"", "\n\n\"m\",\"a device\",\"parvin\"",
                ":3: has fewer fields");
}
END_TEST

START_TEST(values_out_of_range_are_refused)
{
    static const char *const no_numbers[] = {"1e400", "nan", "inf", "0x1p3", "6 0", "-1", "x", "6,0"};
    char to[64];

    for (size_t i = 0; i < sizeof no_numbers / sizeof no_numbers[0]; i++) {
        snprintf(to, sizeof to, ",%s,0.0434782609,", no_numbers[i]);
        refuse_edit(",60,0.0434782609,", to, ":2: ");
    }
    refuse_edit(",60,0.0434782609,", ",1e300,0.0434782609,",
                ":2: ppl is '1e300', which is no number from 1 to");
    refuse_edit(",0.05,0,60,", ",1.05,0,60,", ":2: density_target is '1.05'");
    refuse_edit(",0.05,0,60,", ",0.05,4,60,", ":2: own_masks is '4', which is no whole number from 0 to 3");
    refuse_edit(",1,0,16,", ",1,0,4294967295,", ":3: n_clusters is '4294967295'");
    refuse_edit(",1,0,16,", ",1,0,16.5,", ":3: n_clusters is '16.5'");
    refuse_edit(",1,0,16,", ",1,0,,", ":3: n_clusters is ''");
    refuse_edit(",1,0,16,", ",1,0,0,", ":3: clustered is 1 and n_clusters 0");
    refuse_edit(",0.5,1,0.125,0\n", ",0.5,1e9,0.125,0\n", ":2: energy_kept_1 is '1e9'");
}
END_TEST

START_TEST(rows_that_disagree_are_refused)
{
    refuse_edit(",32,2,31,33,", ",32,3000,31,33,", ":2: n_layers is 3000; the first line has columns for 2");
    refuse_edit(",32,2,31,33,,", ",32,1,31,33,,", ":3: n_layers is 1 here and 2 in the first row");
    refuse_edit(",32,2,31,33,,", ",32,2,31,34,,", ":3: d_ffn is 34 here and 33 in the first row");
    refuse_edit("\"a device\",\"parvin\"", "\"another\",\"parvin\"", ":3: is of another model or device");
    refuse_edit(",60,0.0434782609,", ",60,,", ":2: has a perplexity and no rise");
    refuse_edit(",0.5,1,0.125,0\n", ",0.5,1,,0\n", ":2: has a perplexity and no density_0");
}
END_TEST

START_TEST(other_files_are_refused)
{
    char text[MOST_TEXT];
    const size_t n = read_text(text);
    const size_t head = (size_t)(strchr(text, '\n') + 1 - text);

    refuse("", 0, "is empty");
    refuse("a,b\n1,2\n", 8, ":1: is not the first line of a sweep's table: it has 'a' where 'model' belongs");
    refuse(text, head, "holds no row");
    refuse(text, head - 12, ":1: ");
    refuse(text, n - 1, ":3: is cut");
    text[n / 2] = 0;
    refuse(text, n, "holds a zero byte");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lab/sweep_csv");
    TCase *tests = tcase_create("csv");

    tcase_add_test(tests, what_is_written_is_read);
    tcase_add_test(tests, rows_of_other_lengths_are_refused);
    tcase_add_test(tests, values_out_of_range_are_refused);
    tcase_add_test(tests, rows_that_disagree_are_refused);
    tcase_add_test(tests, other_files_are_refused);
    suite_add_tcase(suite, tests);
    return pv_test_main(suite);
}
