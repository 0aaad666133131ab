/* A thousand damaged copies each of a BPE model, a SentencePiece model and a cluster file: cut, bits flipped,
 * numbers made absurd. Each must be refused or open, and what opens must survive being described and used.
 * The bytes are in a block of their own, so that a sanitizer sees every overrun. */
#include <stdlib.h>
#include <string.h>
#include "base/rng.h"
#include "format/clusters/cluster_file.h"
#include "format/model/model.h"
#include "harness.h"
#include "tiny_model.h"

enum { N_MUTATIONS = 1000 };

struct outcome {
    uint32_t n_opened, n_refused;
};

/* Damages `data` of `n` bytes, of which the first `n_head` are no tensor data; returns the new length. */
static size_t mutate(struct pv_rng *rng, char *data, size_t n, size_t n_head)
{
    static const uint64_t absurd[] = {0,          1,         UINT64_MAX, 1ull << 60, 1ull << 63, 1ull << 32,
                                      UINT32_MAX, INT32_MAX, 0x80000000, 0xffff,     13,         1ull << 40};
    const uint32_t kind = pv_rng_below(rng, 8);
    size_t at;

    if (kind == 0)
        return pv_rng_below(rng, (uint32_t)n);
    if (kind == 1) { /* anywhere */
        data[pv_rng_below(rng, (uint32_t)n)] = (char)pv_rng_below(rng, 256);
        return n;
    }
    for (uint32_t i = pv_rng_below(rng, 3) + 1; i-- > 0;) {
        at = pv_rng_below(rng, (uint32_t)n_head - 8);
        if (kind < 5)
            data[at] = (char)(data[at] ^ 1 << pv_rng_below(rng, 8));
        else
            memcpy(data + at, &absurd[pv_rng_below(rng, 12)], kind == 5 ? 4 : 8);
    }
    return n;
}

static void ignore_line(void *user, const char *text)
{
    *(size_t *)user += strlen(text);
}

static void use_model(const void *data, size_t n, struct outcome *outcome)
{
    static const char text[] = "the <|user|>\xff\xc3\xa9 123 <s>\n";
    struct pv_encode_params params = {.add_bos = true, .parse_special = true};
    struct pv_model *m = NULL;
    size_t n_chars = 0, n_ids, n_text;
    uint32_t *ids;
    char *decoded;

    if (pv_model_parse(data, n, NULL, &m) != PV_OK) {
        ck_assert_ptr_null(m);
        outcome->n_refused++;
        return;
    }
    outcome->n_opened++;
    pv_model_describe(m, ignore_line, &n_chars);
    ck_assert_int_eq(pv_encode(m, text, sizeof text - 1, &params, &ids, &n_ids), PV_OK);
    for (size_t i = 0; i < n_ids; i++)
        ck_assert_uint_lt(ids[i], pv_model_hparams(m)->n_vocab);
    ck_assert_int_eq(pv_decode(m, ids, n_ids, &decoded, &n_text), PV_OK);
    free(decoded);
    free(ids);
    pv_model_close(m);
}

static void use_clusters(const void *data, size_t n, struct outcome *outcome)
{
    struct pv_clusters *c = NULL;
    size_t n_chars = 0, sum = 0;

    if (pv_clusters_parse(data, n, NULL, &c) != PV_OK) {
        ck_assert_ptr_null(c);
        outcome->n_refused++;
        return;
    }
    outcome->n_opened++;
    pv_clusters_describe(c, ignore_line, &n_chars);
    for (uint32_t i = 0; i < c->info.n_layers; i++)
        for (uint32_t k = 0; k < c->info.n_clusters; k++) {
            const struct pv_cluster_layer *l = &c->layers[i];

            for (uint32_t j = 0; j < pv_clusters_mask_size(c, i, k); j++) {
                ck_assert_uint_lt(l->neurons[l->offset[k] + j], c->info.d_ffn);
                sum += l->router[(size_t)(k + 1) * pv_cluster_router_width(c, i) - 1];
            }
        }
    ck_assert_uint_ge(sum + n_chars, 1);
    pv_clusters_close(c);
}

static void run(const char *path, size_t n_tensor_bytes, uint64_t seed,
                void (*use)(const void *data, size_t n, struct outcome *outcome))
{
    struct outcome outcome = {0};
    struct pv_rng rng;
    char *original;
    size_t n;

    ck_assert_int_eq(pv_file_read(path, NULL, &original, &n), PV_OK);
    remove(path);
    pv_rng_seed(&rng, seed);
    use(original, n, &outcome);
    ck_assert_uint_eq(outcome.n_opened, 1);
    for (int i = 0; i < N_MUTATIONS; i++) {
        char *copy = malloc(n), *exact;
        size_t n_left;

        memcpy(copy, original, n);
        n_left = mutate(&rng, copy, n, n - n_tensor_bytes);
        exact = malloc(n_left != 0 ? n_left : 1);
        memcpy(exact, copy, n_left);
        free(copy);
        use(exact, n_left, &outcome);
        free(exact);
    }
    ck_assert_uint_eq(outcome.n_opened + outcome.n_refused, N_MUTATIONS + 1);
    ck_assert_uint_ge(outcome.n_refused, N_MUTATIONS / 5); /* the damage does damage */
    ck_assert_uint_ge(outcome.n_opened, N_MUTATIONS / 50); /* and does not always stop at the first byte */
    free(original);
}

static void run_model(const struct pv_tiny_params *tiny, uint64_t seed)
{
    char path[PV_TEST_PATH_ROOM];
    struct pv_model *m;
    size_t n_bytes;

    pv_test_temp("mutant.gguf", path);
    ck_assert_int_eq(pv_tiny_model_write(path, tiny), PV_OK);
    ck_assert_int_eq(pv_model_open(path, NULL, &m), PV_OK);
    n_bytes = (size_t)pv_model_weight_bytes(m);
    pv_model_close(m);
    run(path, n_bytes, seed, use_model);
}

START_TEST(damaged_bpe_models)
{
    run_model(&(struct pv_tiny_params){.d_model = 16, .d_ffn = 20, .n_layers = 1}, 1);
    run_model(&(struct pv_tiny_params){.d_model = 32, .d_ffn = 32, .type = PV_Q4_0, .pre = "llama-bpe"}, 2);
}
END_TEST

START_TEST(damaged_sentencepiece_models)
{
    run_model(
        &(struct pv_tiny_params){
            .arch = "llama", .tokenizer = "spm", .d_model = 16, .d_ffn = 20, .n_layers = 1},
        3);
}
END_TEST

START_TEST(damaged_cluster_files)
{
    const struct pv_tiny_clusters params = {
        .n_clusters = 5, .rank = _i == 0 ? 0 : 3, .density = 0.3, .centroids = true, .seed = 4};
    char path[PV_TEST_PATH_ROOM];
    struct pv_model *m;
    size_t n_bytes = 0;
    struct pv_gguf g;

    pv_test_temp("clusters.gguf", path);
    ck_assert_int_eq(pv_tiny_model_write(path, &(struct pv_tiny_params){.d_model = 16, .d_ffn = 33}), PV_OK);
    ck_assert_int_eq(pv_model_open(path, NULL, &m), PV_OK);
    remove(path);
    ck_assert_int_eq(pv_tiny_clusters_write(path, m, &params), PV_OK);
    pv_model_close(m);
    ck_assert_int_eq(pv_gguf_open(&g, path, NULL), PV_OK);
    for (size_t i = 0; i < g.n_tensors; i++)
        n_bytes += i >= 2 ? (size_t)g.tensors[i].size_bytes : 0; /* lists are damaged like keys */
    pv_gguf_close(&g);
    run(path, n_bytes, 5, use_clusters);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("format/mutations");
    TCase *tcase = tcase_create("mutations");

    tcase_add_test(tcase, damaged_bpe_models);
    tcase_add_test(tcase, damaged_sentencepiece_models);
    tcase_add_loop_test(tcase, damaged_cluster_files, 0, 2);
    suite_add_tcase(suite, tcase);
    return pv_test_main(suite);
}
