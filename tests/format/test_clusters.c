#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "format/clusters/cluster_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "format/model/model.h"
#include "harness.h"
#include "tiny_model.h"

/* A cluster file in memory: 2 layers, 3 clusters, width 4, 6 neurons. Tests spoil one thing in it. */
struct small {
    uint32_t offset[2][4];
    uint16_t neurons[2][8], hot[2][2], router[2][12], down_projection[16], centroids[2][18];
    float bias[2][3];
    struct pv_cluster_layer layers[2];
    struct pv_clusters c;
};

static void make_small(struct small *s)
{
    static const uint32_t offset[4] = {0, 3, 3, 5};
    static const uint16_t neurons[8] = {0, 2, 5, 1, 3};

    memset(s, 0, sizeof *s);
    for (int i = 0; i < 2; i++) {
        memcpy(s->offset[i], offset, sizeof offset);
        memcpy(s->neurons[i], neurons, sizeof neurons);
        s->hot[i][0] = 1;
        s->hot[i][1] = 4;
        for (int j = 0; j < 12; j++)
            s->router[i][j] = (uint16_t)(0x3c00 + j);
        s->bias[i][1] = -0.5f;
        s->layers[i] = (struct pv_cluster_layer){.offset = s->offset[i],
                                                 .neurons = s->neurons[i],
                                                 .router = s->router[i],
                                                 .router_bias = s->bias[i],
                                                 .centroids = i == 0 ? s->centroids[i] : NULL,
                                                 .hot = s->hot[i],
                                                 .n_hot = i == 0 ? 2 : 0,
                                                 .tau = 0.25f * (float)i,
                                                 .density = 0.5f};
    }
    s->c.layers = s->layers;
    s->c.info = (struct pv_clusters_info){.n_layers = 2,
                                          .n_clusters = 3,
                                          .d_model = 4,
                                          .d_ffn = 6,
                                          .fingerprint = 0xfedcba9876543210u,
                                          .density = 0.28,
                                          .density_target = 0.3,
                                          .router_accuracy = 0.9,
                                          .n_tokens = 1234567890123u,
                                          .seed = 7,
                                          .method = "energy"};
}

START_TEST(what_is_written_is_read)
{
    struct pv_clusters *c;
    const struct pv_clusters_info *info;
    char path[PV_TEST_PATH_ROOM];
    struct small s;

    make_small(&s);
    pv_test_temp("small.gguf", path);
    ck_assert_int_eq(pv_clusters_write(&s.c, path, NULL), PV_OK);
    ck_assert_int_eq(pv_clusters_open(path, NULL, &c), PV_OK);
    remove(path);
    info = pv_clusters_info(c);
    ck_assert(info->n_layers == 2 && info->n_clusters == 3 && info->d_model == 4 && info->d_ffn == 6);
    ck_assert(info->fingerprint == 0xfedcba9876543210u && info->n_tokens == 1234567890123u &&
              info->seed == 7);
    ck_assert(info->density == 0.28 && info->density_target == 0.3 && info->router_accuracy == 0.9);
    ck_assert_str_eq(info->method, "energy");
    ck_assert_uint_eq(info->router_bytes, 2 * 3 * (4 * 2 + 4));
    for (uint32_t i = 0; i < 2; i++) {
        ck_assert_mem_eq(c->layers[i].offset, s.offset[i], sizeof s.offset[i]);
        ck_assert_mem_eq(c->layers[i].neurons, s.neurons[i], 5 * 2);
        ck_assert_mem_eq(c->layers[i].router, s.router[i], sizeof s.router[i]);
        ck_assert_mem_eq(c->layers[i].router_bias, s.bias[i], sizeof s.bias[i]);
        ck_assert(c->layers[i].tau == s.layers[i].tau && c->layers[i].density == 0.5f);
        ck_assert_uint_eq(c->layers[i].n_hot, s.layers[i].n_hot);
    }
    ck_assert_mem_eq(c->layers[0].hot, s.hot[0], 4);
    ck_assert_ptr_nonnull(c->layers[0].centroids);
    ck_assert_ptr_null(c->layers[1].centroids);
    ck_assert_uint_eq(pv_clusters_mask_size(c, 0, 0), 3);
    ck_assert_uint_eq(pv_clusters_mask_size(c, 1, 1), 0);
    pv_clusters_close(c);
    pv_clusters_close(NULL);
}
END_TEST

START_TEST(a_file_that_changes_later_changes_no_index)
{
    struct pv_clusters *c;
    char path[PV_TEST_PATH_ROOM];
    struct small s;
    struct stat info;
    FILE *file;

    make_small(&s);
    pv_test_temp("changed.gguf", path);
    ck_assert_int_eq(pv_clusters_write(&s.c, path, NULL), PV_OK);
    ck_assert_int_eq(pv_clusters_open(path, NULL, &c), PV_OK);
    ck_assert_int_eq(stat(path, &info), 0);
    file = fopen(path, "r+b");
    ck_assert_ptr_nonnull(file);
    for (off_t i = 0; i < info.st_size; i++)
        fputc(0xff, file);
    ck_assert_int_eq(fclose(file), 0);
    for (uint32_t i = 0; i < 2; i++) {
        ck_assert_uint_eq(c->layers[i].router_bias[0] == s.bias[i][0], false); /* the map did change */
        ck_assert_mem_eq(c->layers[i].offset, s.offset[i], sizeof s.offset[i]);
        ck_assert_mem_eq(c->layers[i].neurons, s.neurons[i], 5 * 2);
        ck_assert_mem_eq(c->layers[i].hot, s.hot[i], c->layers[i].n_hot * 2);
    }
    pv_clusters_close(c);
    remove(path);
}
END_TEST

/* The first layer's router of rank `rank`; the second's as it was. */
static void make_low_rank(struct small *s, uint32_t rank)
{
    make_small(s);
    for (int i = 0; i < 16; i++)
        s->down_projection[i] = (uint16_t)(0xbc00 + i);
    s->layers[0].down_projection = s->down_projection;
    s->layers[0].rank = rank;
}

START_TEST(a_low_rank_router_is_read)
{
    struct pv_clusters *c;
    char path[PV_TEST_PATH_ROOM];
    struct small s;

    for (uint32_t rank = 1; rank <= 3; rank++) {
        make_low_rank(&s, rank);
        pv_test_temp("low_rank.gguf", path);
        ck_assert_int_eq(pv_clusters_write(&s.c, path, NULL), PV_OK);
        ck_assert_int_eq(pv_clusters_open(path, NULL, &c), PV_OK);
        remove(path);
        ck_assert_uint_eq(c->layers[0].rank, rank);
        ck_assert_mem_eq(c->layers[0].down_projection, s.down_projection, rank * 4 * 2);
        ck_assert_mem_eq(c->layers[0].router, s.router[0], 3 * rank * 2);
        ck_assert_uint_eq(pv_cluster_router_width(c, 0), rank);
        ck_assert_uint_eq(c->layers[1].rank, 0);
        ck_assert_ptr_null(c->layers[1].down_projection);
        ck_assert_mem_eq(c->layers[1].router, s.router[1], sizeof s.router[1]);
        ck_assert_uint_eq(c->info.router_bytes, 3 * (rank * 2 + 4) + rank * 4 * 2 + 3 * (4 * 2 + 4));
        ck_assert(c->info.min_rank == 0 && c->info.max_rank == rank);
        pv_clusters_close(c);
    }
}
END_TEST

/* Changes a number in the file's description of the first layer's matrix before its router: 0 dimensions, 1
 * columns, 2 rows, 3 type. */
static void patch_down_projection(char *file, size_t n, int what, uint64_t value)
{
    static const char name[] = "blk.0.router.narrow";
    const size_t at[] = {0, 4, 12, 20};
    size_t i = 0;

    while (i + sizeof name < n && memcmp(file + i, name, sizeof name - 1) != 0)
        i++;
    ck_assert_uint_lt(i + sizeof name + 32, n);
    memcpy(file + i + sizeof name - 1 + at[what], &value, what == 0 || what == 3 ? 4 : 8);
}

START_TEST(wrong_shapes_of_a_low_rank_router_are_refused)
{
    static const struct {
        int what;
        uint64_t value;
        const char *part;
    } cases[] = {
        {2, 1, "router.weight is f16 [3][2] (expected f16 [3][1])"},
        {2, 3, "router.weight is f16 [3][2] (expected f16 [3][3])"},
        {2, 4, "layer 0: a low-rank router of rank 4, which must be from 1 to below the width of 4"},
        {1, 3, "router.narrow is f16 [2][3] (expected f16 [2][4])"},
        {0, 1, "router.narrow"},
        {3, 25, "router.narrow is i16 [2][4] (expected f16 [2][4])"},
        {2, 0, "router.narrow"},
        {2, UINT64_C(1) << 62, "router.narrow"},
        {1, UINT64_MAX, "router.narrow"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pv_test_log captured;
        struct pv_log log = pv_test_log(&captured);
        struct pv_clusters *c = NULL;
        char path[PV_TEST_PATH_ROOM], *file;
        struct small s;
        size_t n;

        make_low_rank(&s, 2);
        pv_test_temp("low_rank.gguf", path);
        ck_assert_int_eq(pv_clusters_write(&s.c, path, NULL), PV_OK);
        ck_assert_int_eq(pv_file_read(path, NULL, &file, &n), PV_OK);
        remove(path);
        patch_down_projection(file, n, cases[i].what, cases[i].value);
        ck_assert_int_eq(pv_clusters_parse(file, n, &log, &c), PV_ERR_FORMAT);
        ck_assert_ptr_null(c);
        ck_assert_msg(pv_test_logged(&captured, cases[i].part), "case %zu: \"%s\" is not in \"%s\"", i,
                      cases[i].part, captured.text);
        free(file);
    }
}
END_TEST

/* Spoilers, one rule each. The reader and the writer share the rules, so the writer's refusal stands for
 * both. */
static void spoil_order(struct small *s)
{
    s->neurons[0][1] = 5;
}
static void spoil_range(struct small *s)
{
    s->neurons[1][4] = 6;
}
static void spoil_first_offset(struct small *s)
{
    s->offset[0][0] = 1;
}
static void spoil_falling_offset(struct small *s)
{
    s->offset[1][1] = 4;
}
static void spoil_long_list(struct small *s)
{
    s->offset[1][3] = 10;
}
static void spoil_hot(struct small *s)
{
    s->hot[0][1] = 1;
}
static void spoil_hot_count(struct small *s)
{
    s->layers[0].n_hot = 7;
}
static void spoil_tau(struct small *s)
{
    s->layers[0].tau = -1.0f;
}
static void spoil_density(struct small *s)
{
    s->layers[1].density = NAN;
}
static void spoil_bias(struct small *s)
{
    s->bias[0][2] = INFINITY;
}
static void spoil_router(struct small *s)
{
    s->router[1][11] = 0x7e00;
}
static void spoil_rank(struct small *s)
{
    make_low_rank(s, 4);
}
static void spoil_no_rank(struct small *s)
{
    make_low_rank(s, 0);
}
static void spoil_down_projection(struct small *s)
{
    make_low_rank(s, 2);
    s->down_projection[7] = 0x7c00;
}
static void spoil_centroid(struct small *s)
{
    s->centroids[0][17] = 0xfc00;
}
static void spoil_share(struct small *s)
{
    s->c.info.density = 1.5;
}
static void spoil_method(struct small *s)
{
    s->c.info.method = NULL;
}
static void spoil_width(struct small *s)
{
    s->c.info.d_ffn = 65537;
}

START_TEST(every_rule_is_held)
{
    static const struct {
        void (*spoil)(struct small *s);
        enum pv_status expected;
        const char *part;
    } cases[] = {
        {spoil_order, PV_ERR_FORMAT, "layer 0, cluster 0: neurons are not ascending below 6"},
        {spoil_range, PV_ERR_FORMAT, "layer 1, cluster 2: neurons are not ascending below 6"},
        {spoil_first_offset, PV_ERR_FORMAT, "does not start at 0"},
        {spoil_falling_offset, PV_ERR_FORMAT, "layer 1, cluster 1: offsets do not rise"},
        {spoil_long_list, PV_ERR_FORMAT, "layer 1, cluster 2: offsets do not rise"},
        {spoil_hot, PV_ERR_FORMAT, "the hot set is not ascending"},
        {spoil_hot_count, PV_ERR_FORMAT, "the hot set is not ascending"},
        {spoil_tau, PV_ERR_FORMAT, "tau -1 or density"},
        {spoil_density, PV_ERR_FORMAT, "density nan"},
        {spoil_bias, PV_ERR_FORMAT, "router bias 2 is not finite"},
        {spoil_router, PV_ERR_FORMAT, "layer 1: a router weight is not finite"},
        {spoil_rank, PV_ERR_FORMAT, "layer 0: a low-rank router of rank 4"},
        {spoil_no_rank, PV_ERR_FORMAT, "layer 0: a low-rank router of rank 0"},
        {spoil_down_projection, PV_ERR_FORMAT, "layer 0: a weight before the low-rank router is not finite"},
        {spoil_centroid, PV_ERR_FORMAT, "layer 0: a centroid is not finite"},
        {spoil_share, PV_ERR_ARG, "out of range"},
        {spoil_method, PV_ERR_ARG, "out of range"},
        {spoil_width, PV_ERR_ARG, "over the limits"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pv_test_log captured;
        struct pv_log log = pv_test_log(&captured);
        struct small s;

        make_small(&s);
        cases[i].spoil(&s);
        ck_assert_int_eq(pv_clusters_write(&s.c, "never-written", &log), cases[i].expected);
        ck_assert_msg(pv_test_logged(&captured, cases[i].part), "\"%s\" is not in \"%s\"", cases[i].part,
                      captured.text);
        ck_assert_uint_eq(captured.n_messages, 1);
    }
}
END_TEST

static struct pv_model *open_tiny(uint64_t seed)
{
    char path[PV_TEST_PATH_ROOM];
    struct pv_model *m;

    pv_test_temp("model.gguf", path);
    ck_assert_int_eq(pv_tiny_model_write(path, &(struct pv_tiny_params){.seed = seed}), PV_OK);
    ck_assert_int_eq(pv_model_open(path, NULL, &m), PV_OK);
    remove(path);
    return m;
}

START_TEST(other_weights_are_a_mismatch)
{
    struct pv_test_log captured;
    struct pv_log log = pv_test_log(&captured);
    struct pv_model *own = open_tiny(1), *other = open_tiny(2);
    char path[PV_TEST_PATH_ROOM];
    const struct pv_tiny_clusters tiny = {.n_clusters = 5, .density = 0.2, .centroids = true, .seed = 3};
    struct pv_clusters *c;
    struct small s;

    pv_test_temp("own.gguf", path);
    ck_assert_int_eq(pv_tiny_clusters_write(path, own, &tiny), PV_OK);
    ck_assert_int_eq(pv_clusters_open(path, &log, &c), PV_OK);
    ck_assert_int_eq(pv_clusters_check(c, own), PV_OK);
    ck_assert_int_eq(pv_clusters_check(c, other), PV_ERR_MISMATCH);
    ck_assert(pv_test_logged(&captured, "made for other weights"));
    pv_clusters_close(c);
    make_small(&s);
    ck_assert_int_eq(pv_clusters_write(&s.c, path, NULL), PV_OK);
    ck_assert_int_eq(pv_clusters_open(path, &log, &c), PV_OK);
    ck_assert_int_eq(pv_clusters_check(c, own), PV_ERR_MISMATCH);
    ck_assert(pv_test_logged(&captured, "made for 2 layers of width 4 with 6 neurons"));
    pv_clusters_close(c);
    remove(path);
    pv_model_close(own);
    pv_model_close(other);
}
END_TEST

static void count_line(void *user, const char *text)
{
    size_t *n_lines = user;

    ck_assert_uint_gt(strlen(text), 0);
    ++*n_lines;
}

START_TEST(a_model_is_no_cluster_file_and_both_are_described)
{
    struct pv_test_log captured;
    struct pv_log log = pv_test_log(&captured);
    char path[PV_TEST_PATH_ROOM];
    struct pv_clusters *c;
    struct pv_model *m = open_tiny(1);
    size_t n_lines = 0;
    struct small s;

    pv_test_temp("model.gguf", path);
    ck_assert_int_eq(pv_tiny_model_write(path, &(struct pv_tiny_params){0}), PV_OK);
    ck_assert_int_eq(pv_clusters_open(path, &log, &c), PV_ERR_FORMAT);
    ck_assert(pv_test_logged(&captured, "not a cluster file"));
    make_small(&s);
    pv_clusters_describe(&s.c, count_line, &n_lines); /* also one built in memory */
    ck_assert_uint_ge(n_lines, 7);
    n_lines = 0;
    ck_assert_int_eq(pv_tiny_clusters_write(path, m, &(struct pv_tiny_clusters){.rank = 7, .seed = 1}),
                     PV_OK);
    ck_assert_int_eq(pv_clusters_open(path, NULL, &c), PV_OK);
    pv_clusters_describe(c, count_line, &n_lines);
    ck_assert_uint_ge(n_lines, 7 + c->gguf.n_kv + c->gguf.n_tensors);
    pv_clusters_close(c);
    remove(path);
    pv_model_close(m);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("format/clusters");
    TCase *tcase = tcase_create("clusters");

    tcase_add_test(tcase, what_is_written_is_read);
    tcase_add_test(tcase, a_file_that_changes_later_changes_no_index);
    tcase_add_test(tcase, a_low_rank_router_is_read);
    tcase_add_test(tcase, wrong_shapes_of_a_low_rank_router_are_refused);
    tcase_add_test(tcase, every_rule_is_held);
    tcase_add_test(tcase, other_weights_are_a_mismatch);
    tcase_add_test(tcase, a_model_is_no_cluster_file_and_both_are_described);
    suite_add_tcase(suite, tcase);
    return pv_test_main(suite);
}
