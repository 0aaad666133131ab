#include "format/gguf/gguf.h"

#include <stdlib.h>
#include <string.h>
#include "harness.h"

/* A file under construction, 8-byte aligned as a map is. */
struct bytes {
    uint64_t storage[1024];
    size_t n;
};

static void put(struct bytes *b, const void *data, size_t n)
{
    memcpy((char *)b->storage + b->n, data, n);
    b->n += n;
}

static void put_uint(struct bytes *b, uint64_t value, int n_bytes)
{
    for (int i = 0; i < n_bytes; i++) {
        uint8_t byte = (uint8_t)(value >> (8 * i));

        put(b, &byte, 1);
    }
}

static void put_str(struct bytes *b, const char *s)
{
    put_uint(b, strlen(s), 8);
    put(b, s, strlen(s));
}

static void put_header(struct bytes *b, uint32_t version, uint64_t n_tensors, uint64_t n_kv)
{
    b->n = 0;
    put(b, "GGUF", 4);
    put_uint(b, version, 4);
    put_uint(b, n_tensors, 8);
    put_uint(b, n_kv, 8);
}

static void put_tensor(struct bytes *b, const char *name, uint32_t type, uint64_t d0, uint64_t d1,
                       uint64_t offset)
{
    put_str(b, name);
    put_uint(b, 2, 4);
    put_uint(b, d0, 8);
    put_uint(b, d1, 8);
    put_uint(b, type, 4);
    put_uint(b, offset, 8);
}

static void put_data(struct bytes *b, size_t n)
{
    while (b->n % 32 != 0)
        put_uint(b, 0, 1);
    for (size_t i = 0; i < n; i++)
        put_uint(b, 1, 1);
}

/* Parsing fails with this status, one message and nothing left to free. */
static void check_refused(const struct bytes *b, enum pv_status expected, const char *part)
{
    struct pv_test_log captured;
    struct pv_log log = pv_test_log(&captured);
    struct pv_gguf g;

    ck_assert_int_eq(pv_gguf_parse(&g, b->storage, b->n, &log), expected);
    ck_assert_msg(pv_test_logged(&captured, part), "\"%s\" is not in \"%s\"", part, captured.text);
    ck_assert_uint_eq(captured.n_messages, 1);
    ck_assert_ptr_null(g.arena.head);
    ck_assert_uint_eq(g.n_kv + g.n_tensors, 0);
}

static void write_sample(const char *path)
{
    static const float numbers[] = {1.5f, -2.0f, 3.25f};
    static const int32_t ints[] = {-1, 2};
    static const char *const words[] = {"alpha", "", "gamma"};
    static const float data[35] = {1.0f, 2.0f};
    static const uint16_t halves[4] = {1, 2, 3, 4};
    struct pv_gguf_writer *w;

    ck_assert_int_eq(pv_gguf_writer_create(&w), PV_OK);
    pv_gguf_add_u32(w, "a.u32", 7);
    pv_gguf_add_u64(w, "a.u64", UINT64_MAX);
    pv_gguf_add_f32(w, "a.f32", 0.5f);
    pv_gguf_add_f64(w, "a.f64", 0.1);
    pv_gguf_add_bool(w, "a.bool", true);
    pv_gguf_add_str(w, "a.str", "text");
    pv_gguf_add_array(w, "b.numbers", PV_GGUF_F32, numbers, 3);
    pv_gguf_add_array(w, "b.ints", PV_GGUF_I32, ints, 2);
    pv_gguf_add_array(w, "b.none", PV_GGUF_U8, NULL, 0);
    pv_gguf_add_str_array(w, "b.words", words, 3);
    pv_gguf_add_tensor(w, "matrix", PV_F32, 2, (const uint64_t[]){7, 5}, data);
    pv_gguf_add_tensor(w, "half", PV_F16, 1, (const uint64_t[]){4}, halves);
    ck_assert_int_eq(pv_gguf_write(w, path, NULL), PV_OK);
    pv_gguf_writer_destroy(w);
}

static void check_scalars(const struct pv_gguf *g)
{
    struct pv_str s;
    uint64_t u;
    double d;
    bool b;

    ck_assert(pv_gguf_u64(g, "a.u32", &u) && u == 7);
    ck_assert(pv_gguf_u64(g, "a.u64", &u) && u == UINT64_MAX);
    ck_assert(!pv_gguf_u64(g, "a.f32", &u) && !pv_gguf_u64(g, "a.bool", &u) && !pv_gguf_u64(g, "a.gone", &u));
    ck_assert(pv_gguf_f64(g, "a.f32", &d) && d == 0.5);
    ck_assert(pv_gguf_f64(g, "a.f64", &d) && d == 0.1);
    ck_assert(pv_gguf_f64(g, "a.u64", &d) && d == 0x1p64);
    ck_assert(!pv_gguf_f64(g, "a.str", &d) && !pv_gguf_f64(g, "b.numbers", &d));
    ck_assert(pv_gguf_bool(g, "a.bool", &b) && b);
    ck_assert(!pv_gguf_bool(g, "a.u32", &b));
    ck_assert(pv_gguf_str(g, "a.str", &s) && s.size_bytes == 4 && memcmp(s.data, "text", 4) == 0);
    ck_assert(!pv_gguf_str(g, "b.words", &s));
}

START_TEST(what_is_written_is_read)
{
    char path[PV_TEST_PATH_ROOM];
    const struct pv_gguf_tensor *t;
    const struct pv_gguf_kv *kv;
    struct pv_gguf g;

    pv_test_temp("sample.gguf", path);
    write_sample(path);
    ck_assert_int_eq(pv_gguf_open(&g, path, NULL), PV_OK);
    remove(path);
    ck_assert_uint_eq(g.version, 3);
    ck_assert_uint_eq(g.n_kv, 10);
    ck_assert_str_eq(g.path, path);
    check_scalars(&g);
    kv = pv_gguf_find(&g, "b.numbers");
    ck_assert(kv && kv->n_items == 3 && kv->item_type == PV_GGUF_F32);
    ck_assert_double_eq(pv_gguf_item_f64(kv, 2), 3.25);
    ck_assert_int_eq(pv_gguf_item_i64(kv, 1), -2);
    kv = pv_gguf_find(&g, "b.ints");
    ck_assert_int_eq(pv_gguf_item_i64(kv, 0), -1);
    ck_assert_double_eq(pv_gguf_item_f64(kv, 0), -1.0);
    ck_assert_uint_eq(pv_gguf_find(&g, "b.none")->n_items, 0);
    kv = pv_gguf_find(&g, "b.words");
    ck_assert(kv->n_items == 3 && kv->strings[1].size_bytes == 0 &&
              memcmp(kv->strings[2].data, "gamma", 5) == 0);
    t = pv_gguf_tensor(&g, "matrix");
    ck_assert(t && t->type == PV_F32 && t->n_dims == 2 && t->dims[0] == 7 && t->dims[1] == 5);
    ck_assert(t->dims[2] == 1 && t->dims[3] == 1 && t->size_bytes == 140);
    ck_assert_uint_eq((uintptr_t)t->data % 32, 0);
    ck_assert_mem_eq(t->data, ((const float[]){1.0f, 2.0f, 0.0f}), 12);
    ck_assert_uint_eq(pv_gguf_tensor(&g, "half")->size_bytes, 8);
    ck_assert_ptr_null(pv_gguf_tensor(&g, "gone"));
    pv_gguf_close(&g);
    pv_gguf_close(&g);
}
END_TEST

START_TEST(integers_convert_only_if_they_fit)
{
    static const struct {
        enum pv_gguf_type type;
        uint64_t bits;
        int n_bytes;
        bool fits;
        uint64_t value;
        double number;
    } cases[] = {
        {PV_GGUF_U8, 200, 1, true, 200, 200.0},      {PV_GGUF_I8, 0xff, 1, false, 0, -1.0},
        {PV_GGUF_U16, 65535, 2, true, 65535, 65535}, {PV_GGUF_I16, 0x8000, 2, false, 0, -32768.0},
        {PV_GGUF_I32, 5, 4, true, 5, 5.0},           {PV_GGUF_I64, UINT64_MAX, 8, false, 0, -1.0},
        {PV_GGUF_I64, 1, 8, true, 1, 1.0},
    };
    struct bytes b;
    struct pv_gguf g;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t u = 0;
        double d = 0;

        put_header(&b, 2, 0, 1);
        put_str(&b, "k");
        put_uint(&b, cases[i].type, 4);
        put_uint(&b, cases[i].bits, cases[i].n_bytes);
        ck_assert_int_eq(pv_gguf_parse(&g, b.storage, b.n, NULL), PV_OK);
        ck_assert_int_eq(pv_gguf_u64(&g, "k", &u), cases[i].fits);
        ck_assert_uint_eq(u, cases[i].value);
        ck_assert(pv_gguf_f64(&g, "k", &d));
        ck_assert_double_eq(d, cases[i].number);
        pv_gguf_close(&g);
    }
}
END_TEST

START_TEST(absurd_counts_are_refused_before_allocating)
{
    static const uint64_t absurd[] = {1ull << 60, UINT64_MAX, 1ull << 32, 100};
    struct bytes b;

    for (size_t i = 0; i < 4; i++) {
        put_header(&b, 3, absurd[i], 0);
        check_refused(&b, PV_ERR_FORMAT, "more than its 24 bytes can hold");
        put_header(&b, 3, 0, absurd[i]);
        check_refused(&b, PV_ERR_FORMAT, "more than its 24 bytes can hold");
        put_header(&b, 3, 0, 1); /* a long key */
        put_uint(&b, absurd[i], 8);
        put_uint(&b, 0, 8);
        check_refused(&b, PV_ERR_FORMAT, "the list of keys");
        for (int kind = 0; kind < 3; kind++) { /* long strings, arrays, arrays of strings */
            put_header(&b, 3, 0, 1);
            put_str(&b, "key");
            put_uint(&b, kind == 0 ? PV_GGUF_STRING : PV_GGUF_ARRAY, 4);
            if (kind > 0)
                put_uint(&b, kind == 1 ? PV_GGUF_U64 : PV_GGUF_STRING, 4);
            put_uint(&b, absurd[i], 8);
            put_uint(&b, 0, 8);
            check_refused(&b, PV_ERR_FORMAT, "in key");
        }
    }
}
END_TEST

START_TEST(every_truncation_is_refused)
{
    char path[PV_TEST_PATH_ROOM];
    struct pv_map map;
    struct pv_gguf g;

    pv_test_temp("cut.gguf", path);
    write_sample(path);
    ck_assert_int_eq(pv_map_open(&map, path, NULL), PV_OK);
    remove(path);
    for (size_t n = 0; n + 24 < map.size_bytes; n++) { /* the last 24 bytes are padding */
        void *copy = malloc(n != 0 ? n : 1); /* its own block, so that a sanitizer sees any overrun */

        memcpy(copy, map.data, n);
        ck_assert_int_eq(pv_gguf_parse(&g, copy, n, NULL), PV_ERR_FORMAT);
        free(copy);
    }
    pv_map_close(&map);
}
END_TEST

START_TEST(bad_headers_are_refused)
{
    struct bytes b;

    put_header(&b, 3, 0, 0);
    memcpy(b.storage, "GGML", 4);
    check_refused(&b, PV_ERR_FORMAT, "not a GGUF file");
    put_header(&b, 1, 0, 0);
    check_refused(&b, PV_ERR_UNSUPPORTED, "version 1");
    put_header(&b, 4, 0, 0);
    check_refused(&b, PV_ERR_UNSUPPORTED, "version 4");
    put_header(&b, 0x03000000, 0, 0);
    check_refused(&b, PV_ERR_UNSUPPORTED, "big-endian");
}
END_TEST

START_TEST(bad_keys_are_refused)
{
    struct bytes b;

    put_header(&b, 3, 0, 2);
    for (int i = 0; i < 2; i++) {
        put_str(&b, "same");
        put_uint(&b, PV_GGUF_U32, 4);
        put_uint(&b, 1, 4);
    }
    check_refused(&b, PV_ERR_FORMAT, "key same occurs twice");
    put_header(&b, 3, 0, 1);
    put_str(&b, "k");
    put_uint(&b, 13, 4);
    put_uint(&b, 0, 8);
    check_refused(&b, PV_ERR_FORMAT, "unknown value type 13");
    put_header(&b, 3, 0, 1);
    put_str(&b, "k");
    put_uint(&b, PV_GGUF_ARRAY, 4);
    put_uint(&b, PV_GGUF_ARRAY, 4);
    put_uint(&b, 0, 8);
    check_refused(&b, PV_ERR_UNSUPPORTED, "array of arrays");
    put_header(&b, 3, 0, 1);
    put_str(&b, "k");
    put_uint(&b, PV_GGUF_BOOL, 4);
    put_uint(&b, 2, 8);
    check_refused(&b, PV_ERR_FORMAT, "truth value of 2");
    put_header(&b, 3, 0, 1);
    put_str(&b, "a\nb");
    put_uint(&b, PV_GGUF_U32, 4);
    put_uint(&b, 2, 4);
    check_refused(&b, PV_ERR_FORMAT, "control character");
    put_header(&b, 3, 0, 1);
    put_str(&b, "general.alignment");
    put_uint(&b, PV_GGUF_U32, 4);
    put_uint(&b, 24, 4);
    check_refused(&b, PV_ERR_FORMAT, "general.alignment");
}
END_TEST

/* One tensor, or two where the second name is not NULL, over `n_data` bytes. */
static void make_tensors(struct bytes *b, const char *second, uint32_t type, uint64_t d0, uint64_t d1,
                         uint64_t offset, size_t n_data)
{
    put_header(b, 3, second ? 2 : 1, 0);
    if (second)
        put_tensor(b, "first", PV_F32, 8, 2, 0);
    put_tensor(b, second ? second : "first", type, d0, d1, offset);
    put_data(b, n_data);
}

START_TEST(bad_tensors_are_refused)
{
    struct bytes b;
    struct pv_gguf g;

    make_tensors(&b, "other", PV_F32, 8, 2, 64, 128);
    ck_assert_int_eq(pv_gguf_parse(&g, b.storage, b.n, NULL), PV_OK);
    pv_gguf_close(&g);
    make_tensors(&b, "first", PV_F32, 8, 2, 64, 128);
    check_refused(&b, PV_ERR_FORMAT, "tensor first occurs twice");
    make_tensors(&b, "other", PV_F32, 8, 2, 32, 128);
    check_refused(&b, PV_ERR_FORMAT, "tensors first and other overlap");
    make_tensors(&b, "other", PV_F32, 8, 2, 96, 128);
    check_refused(&b, PV_ERR_FORMAT, "past the end of the file");
    make_tensors(&b, "other", PV_F32, 8, 2, UINT64_MAX - 31, 128);
    check_refused(&b, PV_ERR_FORMAT, "past the end of the file");
    make_tensors(&b, "other", PV_F32, 8, 2, 68, 200);
    check_refused(&b, PV_ERR_FORMAT, "not aligned");
    make_tensors(&b, NULL, 21, 256, 2, 0, 1024);
    check_refused(&b, PV_ERR_UNSUPPORTED, "type 21 (iq3_s)");
    make_tensors(&b, NULL, 4, 256, 2, 0, 1024);
    check_refused(&b, PV_ERR_UNSUPPORTED, "type 4 (unknown)");
    make_tensors(&b, NULL, PV_Q8_0, 33, 2, 0, 1024);
    check_refused(&b, PV_ERR_FORMAT, "not whole blocks of q8_0");
    make_tensors(&b, NULL, PV_F32, 0, 2, 0, 64);
    check_refused(&b, PV_ERR_FORMAT, "is empty");
    make_tensors(&b, NULL, PV_F32, 1ull << 33, 1ull << 31, 0, 64);
    check_refused(&b, PV_ERR_FORMAT, "larger than the whole file");
    make_tensors(&b, NULL, PV_F32, UINT64_MAX, UINT64_MAX, 0, 64);
    check_refused(&b, PV_ERR_FORMAT, "");
    put_header(&b, 3, 1, 0);
    put_str(&b, "five");
    put_uint(&b, 5, 4);
    put_data(&b, 64);
    check_refused(&b, PV_ERR_FORMAT, "has 5 dimensions");
}
END_TEST

START_TEST(unaligned_memory_is_refused)
{
    struct bytes b;
    struct pv_gguf g;

    put_header(&b, 3, 0, 0);
    memmove((char *)b.storage + 4, b.storage, b.n);
    ck_assert_int_eq(pv_gguf_parse(&g, (char *)b.storage + 4, b.n, NULL), PV_ERR_ARG);
}
END_TEST

START_TEST(the_writer_refuses_impossible_tensors)
{
    struct pv_test_log captured;
    struct pv_log log = pv_test_log(&captured);
    struct pv_gguf_writer *w;

    ck_assert_int_eq(pv_gguf_writer_create(&w), PV_OK);
    pv_gguf_add_tensor(w, "odd", PV_Q8_0, 1, (const uint64_t[]){33}, NULL);
    ck_assert_int_eq(pv_gguf_write(w, "never-written", &log), PV_ERR_ARG);
    ck_assert(pv_test_logged(&captured, "tensor odd"));
    pv_gguf_writer_destroy(w);
    pv_gguf_writer_destroy(NULL);
}
END_TEST

/* Part `number` (from 1) of `n_parts`, with one tensor "t<tensor>" of two floats. */
static void write_part(const char *stem, uint32_t number, uint32_t n_parts, uint32_t said_number,
                       uint32_t tensor)
{
    const float values[2] = {(float)tensor, 1.0f};
    const uint64_t dims[1] = {2};
    char path[PV_TEST_PATH_ROOM + 32], name[8];
    struct pv_gguf_writer *w;

    snprintf(path, sizeof path, "%s-%05u-of-%05u.gguf", stem, (unsigned)number, (unsigned)n_parts);
    snprintf(name, sizeof name, "t%u", (unsigned)tensor);
    ck_assert_int_eq(pv_gguf_writer_create(&w), PV_OK);
    if (number == 1)
        pv_gguf_add_str(w, "general.name", "whole");
    pv_gguf_add_u32(w, "split.no", said_number - 1);
    pv_gguf_add_u32(w, "split.count", n_parts);
    pv_gguf_add_u32(w, "split.tensors.count", n_parts);
    pv_gguf_add_tensor(w, name, PV_F32, 1, dims, values);
    ck_assert_int_eq(pv_gguf_write(w, path, NULL), PV_OK);
    pv_gguf_writer_destroy(w);
}

/* Opens one of three parts; the log must say `part` where it fails. */
static void open_part(const char *stem, uint32_t number, enum pv_status expected, const char *part)
{
    char path[PV_TEST_PATH_ROOM + 32];
    struct pv_test_log captured;
    struct pv_log log = pv_test_log(&captured);
    struct pv_gguf g;
    struct pv_str name;

    snprintf(path, sizeof path, "%s-%05u-of-00003.gguf", stem, (unsigned)number);
    ck_assert_int_eq(pv_gguf_open(&g, path, &log), expected);
    if (expected != PV_OK) {
        ck_assert_msg(pv_test_logged(&captured, part), "%s", part);
        return;
    }
    ck_assert(pv_gguf_str(&g, "general.name", &name));
    ck_assert_uint_eq(g.n_tensors, 3);
    for (uint32_t i = 1; i <= 3; i++) {
        char tensor[8];

        snprintf(tensor, sizeof tensor, "t%u", (unsigned)i);
        ck_assert_ptr_nonnull(pv_gguf_tensor(&g, tensor));
        ck_assert_float_eq(((const float *)(const void *)pv_gguf_tensor(&g, tensor)->data)[0], (float)i);
    }
    pv_gguf_close(&g);
}

START_TEST(a_model_in_parts_is_one_model)
{
    char stem[PV_TEST_PATH_ROOM], path[PV_TEST_PATH_ROOM + 32];

    pv_test_temp("parts", stem);
    for (uint32_t i = 1; i <= 3; i++)
        write_part(stem, i, 3, i, i);
    for (uint32_t i = 1; i <= 3; i++)
        open_part(stem, i, PV_OK, NULL);
    write_part(stem, 3, 3, 3, 2);
    open_part(stem, 1, PV_ERR_FORMAT, "tensor t2 is in two of its parts");
    write_part(stem, 3, 3, 2, 3);
    open_part(stem, 1, PV_ERR_FORMAT, "is not part 3 of 3, as its name says");
    snprintf(path, sizeof path, "%s-00003-of-00003.gguf", stem);
    remove(path);
    open_part(stem, 2, PV_ERR_IO, "the model is in 3 files, and 1 of them is missing (part 3)");
    snprintf(path, sizeof path, "%s-00001-of-00003.gguf", stem);
    remove(path);
    open_part(stem, 2, PV_ERR_IO, "2 of them are missing (part 1, 3)");
    snprintf(path, sizeof path, "%s-00002-of-00003.gguf", stem);
    ck_assert_int_eq(rename(path, stem), 0);
    {
        struct pv_test_log captured;
        struct pv_log log = pv_test_log(&captured);
        struct pv_gguf g;

        ck_assert_int_eq(pv_gguf_open(&g, stem, &log), PV_ERR_FORMAT);
        ck_assert(pv_test_logged(&captured, "is one of 3 parts, but not named NAME-00001-of-00003.gguf"));
    }
    remove(stem);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("format/gguf");
    TCase *tcase = tcase_create("gguf");

    tcase_add_test(tcase, what_is_written_is_read);
    tcase_add_test(tcase, integers_convert_only_if_they_fit);
    tcase_add_test(tcase, absurd_counts_are_refused_before_allocating);
    tcase_add_test(tcase, every_truncation_is_refused);
    tcase_add_test(tcase, bad_headers_are_refused);
    tcase_add_test(tcase, bad_keys_are_refused);
    tcase_add_test(tcase, bad_tensors_are_refused);
    tcase_add_test(tcase, unaligned_memory_is_refused);
    tcase_add_test(tcase, the_writer_refuses_impossible_tensors);
    tcase_add_test(tcase, a_model_in_parts_is_one_model);
    suite_add_tcase(suite, tcase);
    return pv_test_main(suite);
}
