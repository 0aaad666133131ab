/* label: unit. The trace: what is written reads back the same, hostile lines are refused by file and line. */
#include "parvin/trace.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "harness.h"
#include "synth.h"

static void expect_same(const struct pv_trace_token *a, const struct pv_trace_token *b)
{
    const size_t n = SYNTH_LAYERS * sizeof(uint32_t);

    ck_assert_uint_eq(a->index, b->index);
    ck_assert_uint_eq(a->token, b->token);
    ck_assert_uint_eq(a->text_bytes, b->text_bytes);
    ck_assert_int_eq(memcmp(a->text, b->text, a->text_bytes), 0);
    ck_assert_int_eq(memcmp(a->cluster, b->cluster, n), 0);
    ck_assert_int_eq(memcmp(a->n_neurons, b->n_neurons, n), 0);
    ck_assert_int_eq(memcmp(a->n_active, b->n_active, n), 0);
    ck_assert_int_eq(memcmp(a->n_hit, b->n_hit, n), 0);
    for (uint32_t l = 0; l < SYNTH_LAYERS; l++) {
        ck_assert_float_eq_tol(a->margin[l], b->margin[l], 1e-4f);
        ck_assert_int_eq(memcmp(a->active[l], b->active[l], (SYNTH_FFN + 31) / 32 * 4), 0);
    }
    ck_assert_double_eq_tol(a->density, b->density, 1e-6);
    ck_assert_double_eq_tol(a->ms, b->ms, 1e-4);
}

static void write_run(const char *path, enum pv_trace_format format, uint32_t n, struct synth *s)
{
    struct pv_trace_writer *w;

    synth_init(s);
    ck_assert_int_eq(pv_trace_create(path, format, &s->header, NULL, &w), PV_OK);
    for (uint32_t i = 0; i < n; i++) {
        ck_assert_int_eq(pv_trace_slice(w, 0, "ffn \"up\"", 10.0, 20.0), PV_OK);
        ck_assert_int_eq(pv_trace_write(w, synth_next(s)), PV_OK);
    }
    ck_assert_int_eq(pv_trace_finish(w), PV_OK);
}

static char *slurp(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    char *data = malloc(1 << 20);

    ck_assert_ptr_nonnull(f);
    *n = fread(data, 1, (1 << 20) - 1, f);
    data[*n] = '\0';
    fclose(f);
    return data;
}

START_TEST(round_trip)
{
    char path[PV_TEST_PATH_ROOM];
    struct synth s;
    struct pv_trace_reader *r;
    const struct pv_trace_token *t;

    pv_test_temp("round.jsonl", path);
    write_run(path, PV_TRACE_JSONL, 100, &s);
    synth_free(&s);
    synth_init(&s);
    ck_assert_int_eq(pv_trace_open(path, false, NULL, &r), PV_OK);
    ck_assert_str_eq(pv_trace_reader_header(r)->model, "synthetic.gguf");
    ck_assert_uint_eq(pv_trace_reader_header(r)->fingerprint, s.header.fingerprint);
    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(pv_trace_next(r, &t), PV_OK);
        ck_assert_ptr_nonnull(t);
        expect_same(synth_next(&s), t);
    }
    ck_assert_int_eq(pv_trace_next(r, &t), PV_OK);
    ck_assert_ptr_null(t);
    pv_trace_close(r);
    synth_free(&s);
    remove(path);
}
END_TEST

START_TEST(optional_and_dense)
{
    static const struct pv_trace_header header = {.model = "m\x01\"\\.gguf", .n_layers = 2, .d_ffn = 8};
    static const uint32_t cluster[2] = {PV_TRACE_NO_CLUSTER, PV_TRACE_NO_CLUSTER}, n_neurons[2] = {8, 8};
    static const float margin[2] = {NAN, INFINITY};
    struct pv_trace_token in = {.index = 3,
                                .token = 5,
                                .text = "a\0b",
                                .text_bytes = 3,
                                .cluster = cluster,
                                .n_neurons = n_neurons,
                                .margin = margin,
                                .density = 1.0};
    char path[PV_TEST_PATH_ROOM];
    struct pv_trace_writer *w;
    struct pv_trace_reader *r;
    const struct pv_trace_token *t;

    pv_test_temp("dense.jsonl", path);
    ck_assert_int_eq(pv_trace_create(path, PV_TRACE_JSONL, &header, NULL, &w), PV_OK);
    ck_assert_int_eq(pv_trace_write(w, &in), PV_OK);
    ck_assert_int_eq(pv_trace_write(w, &in), PV_ERR_ARG); /* the index does not grow */
    ck_assert_int_eq(pv_trace_finish(w), PV_OK);
    ck_assert_int_eq(pv_trace_open(path, false, NULL, &r), PV_OK);
    ck_assert_str_eq(pv_trace_reader_header(r)->model, header.model);
    ck_assert_int_eq(pv_trace_next(r, &t), PV_OK);
    ck_assert_ptr_nonnull(t);
    ck_assert_uint_eq(t->text_bytes, 3);
    ck_assert_int_eq(memcmp(t->text, "a\0b", 3), 0);
    ck_assert_uint_eq(t->cluster[1], PV_TRACE_NO_CLUSTER);
    ck_assert(isnan(t->margin[0]) && isnan(t->margin[1]));
    ck_assert_ptr_null(t->active);
    ck_assert_ptr_null(t->n_hit);
    pv_trace_close(r);
    remove(path);
}
END_TEST

START_TEST(follow_growing)
{
    char path[PV_TEST_PATH_ROOM];
    struct synth s;
    struct pv_trace_reader *r;
    const struct pv_trace_token *t;
    size_t n;
    char *data;
    FILE *f;

    pv_test_temp("follow.jsonl", path);
    write_run(path, PV_TRACE_JSONL, 2, &s);
    data = slurp(path, &n);
    f = fopen(path, "wb");
    fwrite(data, 1, n - 40, f); /* the last line half there */
    fflush(f);
    ck_assert_int_eq(pv_trace_open(path, true, NULL, &r), PV_OK);
    ck_assert_int_eq(pv_trace_next(r, &t), PV_OK);
    ck_assert_ptr_nonnull(t);
    ck_assert_int_eq(pv_trace_next(r, &t), PV_OK);
    ck_assert_ptr_null(t);
    fwrite(data + n - 40, 1, 40, f);
    fclose(f);
    ck_assert_int_eq(pv_trace_next(r, &t), PV_OK);
    ck_assert_ptr_nonnull(t);
    pv_trace_close(r);
    synth_free(&s);
    free(data);
    remove(path);
}
END_TEST

#define HEAD                                                                                                 \
    "{\"format\":\"parvin-trace\",\"version\":1,\"model\":\"m\",\"n_layers\":2,\"n_clusters\":3,\"d_ffn\":"  \
    "4}\n"
#define GOOD "{\"i\":0,\"token\":1,\"text\":\"a\",\"cluster\":[0,2],\"n_neurons\":[1,4]}\n"

static const struct {
    const char *text, *message; /* message NULL: fine */
} hostile[] = {
    {HEAD GOOD, NULL},
    {"", "t:1: the trace is empty"},
    {"\n", "t:1: no valid JSON"},
    {"{}\n", "t:1: not a Parvin trace"},
    {"[1]\n", "t:1: the line is not a JSON object"},
    {"{\"format\":\"parvin-trace\",\"version\":2}\n", "t:1: the trace has version 2"},
    {"{\"format\":\"parvin-trace\",\"version\":1,\"n_layers\":0,\"n_clusters\":3,\"d_ffn\":4}\n",
     "t:1: n_layers"},
    {"{\"format\":\"parvin-trace\",\"version\":1,\"n_layers\":1024,\"n_clusters\":65536,\"d_ffn\":4}\n",
     "t:1: n_layers x n_clusters"},
    {"{\"format\":\"parvin-trace\",\"version\":1,\"n_layers\":2,\"n_clusters\":-1,\"d_ffn\":4}\n",
     "t:1: \"n_clusters\""},
    {"{\"format\":\"parvin-trace\",\"version\":1,\"n_layers\":2,\"n_clusters\":1,\"d_ffn\":4,\"fingerprint\":"
     "\"xyz\"}"
     "\n",
     "t:1: \"fingerprint\""},
    {HEAD GOOD "{\"i\":1,\"token\":1,\"text\":\"a\",\"clus", "t:3: the line is cut off"},
    {HEAD GOOD GOOD, "t:3: \"i\" is 0, not larger"},
    {HEAD "{\"i\":0,\"token\":1,\"text\":\"a\",\"cluster\":[0,3],\"n_neurons\":[1,4]}\n",
     "t:2: \"cluster\" of layer 1 is not a whole number from 0 to 2"},
    {HEAD "{\"i\":0,\"token\":1,\"text\":\"a\",\"cluster\":[0],\"n_neurons\":[1,4]}\n",
     "t:2: \"cluster\" is not an array of 2"},
    {HEAD "{\"i\":0,\"token\":1,\"text\":\"a\",\"cluster\":[0,1],\"n_neurons\":[1,5]}\n",
     "t:2: \"n_neurons\" of"},
    {HEAD "{\"i\":0,\"token\":-1,\"text\":\"a\",\"cluster\":[0,1],\"n_neurons\":[1,4]}\n", "t:2: \"token\""},
    {HEAD "{\"i\":0,\"token\":1,\"text\":7,\"cluster\":[0,1],\"n_neurons\":[1,4]}\n", "t:2: \"text\""},
    {HEAD "{\"i\":0,\"token\":1,\"bytes\":\"0g\",\"cluster\":[0,1],\"n_neurons\":[1,4]}\n", "t:2: \"bytes\""},
    {HEAD "{\"i\":0,\"token\":1,\"text\":\"a\",\"cluster\":[0,1],\"n_neurons\":[1,4],\"density\":1.5}\n",
     "t:2: \"density\""},
    {HEAD "{\"i\":0,\"token\":1,\"text\":\"a\",\"cluster\":[0,1],\"n_neurons\":[1,4],\"ms\":1e400}\n",
     "t:2: no valid JSON"},
    {HEAD
     "{\"i\":0,\"token\":1,\"text\":\"a\",\"cluster\":[0,1],\"n_neurons\":[1,4],\"active\":[null,\"ff\"]}\n",
     "t:2: \"active\" of layer 1 sets a neuron past the last"},
    {HEAD "{\"i\":0,\"token\":1,\"text\":\"a\",\"cluster\":[0,1],\"n_neurons\":[1,4],\"n_active\":[1,1],\"n_"
          "hit\":[2,"
          "0]}\n",
     "t:2: \"n_hit\" of layer 0"},
};

static enum pv_status read_all(const char *data, size_t n, const struct pv_log *log)
{
    struct pv_trace_reader *r;
    const struct pv_trace_token *t = NULL;
    enum pv_status status = pv_trace_open_memory(data, n, "t", log, &r);

    if (status != PV_OK)
        return status;
    while ((status = pv_trace_next(r, &t)) == PV_OK && t) {
    }
    pv_trace_close(r);
    return status;
}

START_TEST(hostile_lines)
{
    struct pv_test_log captured = {0};
    struct pv_log log = pv_test_log(&captured);
    const enum pv_status status = read_all(hostile[_i].text, strlen(hostile[_i].text), &log);

    if (!hostile[_i].message) {
        ck_assert_int_eq(status, PV_OK);
        return;
    }
    ck_assert_int_eq(status, PV_ERR_FORMAT);
    ck_assert_msg(pv_test_logged(&captured, hostile[_i].message), "wanted '%s', got '%s'",
                  hostile[_i].message, captured.text);
    ck_assert_uint_eq(captured.n_messages, 1);
}
END_TEST

START_TEST(long_line)
{
    struct pv_test_log captured = {0};
    struct pv_log log = pv_test_log(&captured);
    const size_t n = 1 << 18;
    char *data = malloc(n);

    memset(data, '[', n);
    ck_assert_int_eq(read_all(data, n, &log), PV_ERR_FORMAT);
    ck_assert(pv_test_logged(&captured, "t:1: the line is over"));
    free(data);
}
END_TEST

/* Every truncation and a flip of every byte: an error or a good trace, never a crash (sanitizers watch). */
START_TEST(every_truncation)
{
    char path[PV_TEST_PATH_ROOM];
    struct synth s;
    size_t n;
    char *data;

    pv_test_temp("cut.jsonl", path);
    write_run(path, PV_TRACE_JSONL, 2, &s);
    synth_free(&s);
    data = slurp(path, &n);
    for (size_t i = 0; i < n; i++) {
        char *copy = malloc(i + 1); /* its own block, so that reading past the end shows */

        memcpy(copy, data, i);
        if (i > 0 && data[i - 1] != '\n')
            ck_assert_int_eq(read_all(copy, i, NULL), PV_ERR_FORMAT);
        free(copy);
        data[i] = (char)(data[i] ^ 0x15);
        (void)!read_all(data, n, NULL);
        data[i] = (char)(data[i] ^ 0x15);
    }
    free(data);
    remove(path);
}
END_TEST

START_TEST(perfetto)
{
    char path[PV_TEST_PATH_ROOM];
    struct synth s;
    size_t n;
    char *data;

    pv_test_temp("perfetto.json", path);
    write_run(path, PV_TRACE_PERFETTO, 3, &s);
    synth_free(&s);
    data = slurp(path, &n);
    ck_assert_int_eq(data[0], '[');
    ck_assert_int_eq(data[n - 2], ']');
    ck_assert_ptr_nonnull(strstr(data, "\"ffn \\\"up\\\"\""));
    ck_assert_ptr_nonnull(strstr(data, "\"ph\":\"X\""));
    free(data);
    remove(path);
}
END_TEST

START_TEST(no_such_place)
{
    struct pv_test_log captured = {0};
    struct pv_log log = pv_test_log(&captured);
    struct pv_trace_header header = {.model = "m", .n_layers = 1, .d_ffn = 1};
    struct pv_trace_writer *w;
    struct pv_trace_reader *r;

    ck_assert_int_eq(pv_trace_create("no/such/folder/t.jsonl", PV_TRACE_JSONL, &header, &log, &w), PV_ERR_IO);
    ck_assert_int_eq(pv_trace_open("no/such/folder/t.jsonl", false, &log, &r), PV_ERR_IO);
    ck_assert_uint_eq(captured.n_messages, 2);
    header.n_layers = 0;
    ck_assert_int_eq(pv_trace_create("t.jsonl", PV_TRACE_JSONL, &header, &log, &w), PV_ERR_ARG);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("viz/trace");
    TCase *c = tcase_create("trace");

    tcase_add_test(c, round_trip);
    tcase_add_test(c, optional_and_dense);
    tcase_add_test(c, follow_growing);
    tcase_add_loop_test(c, hostile_lines, 0, (int)(sizeof hostile / sizeof hostile[0]));
    tcase_add_test(c, long_line);
    tcase_add_test(c, every_truncation);
    tcase_add_test(c, perfetto);
    tcase_add_test(c, no_such_place);
    suite_add_tcase(suite, c);
    return pv_test_main(suite);
}
