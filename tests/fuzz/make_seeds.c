/* Writes the seed files of the corpora into FOLDER/{gguf,tokenizer,clusters}: small valid files of every
 * kind, and damaged ones that a fuzzer would take long to find. Run by hand when the formats change. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "format/model/model.h"
#include "tiny_model.h"

static const char *root;

static void fail(const char *what)
{
    fprintf(stderr, "make_seeds: cannot write %s\n", what);
    exit(EXIT_FAILURE);
}

static const char *seed_path(const char *folder, const char *name)
{
    static char path[2][4096];
    static int turn;

    turn = 1 - turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s/%s", root, folder, name);
    return path[turn];
}

static void write_bytes(const char *path, const void *data, size_t n)
{
    struct pv_writer w;

    if (pv_writer_open(&w, path, NULL) != PV_OK)
        fail(path);
    pv_writer_put(&w, data, n);
    if (pv_writer_commit(&w) != PV_OK)
        fail(path);
}

static void write_model(const char *name, struct pv_tiny_params params)
{
    params.d_model = params.type == PV_Q8_0 || params.type == PV_Q4_0 ? 32 : 8;
    params.d_ffn = params.d_model + (params.d_model == 8 ? 3 : 0);
    params.n_layers = 1;
    params.n_heads = 2;
    params.n_kv_heads = 1;
    params.small_vocab = true;
    if (pv_tiny_model_write(seed_path("gguf", name), &params) != PV_OK)
        fail(name);
}

/* Copies one key of a tokenizer: a string, a flag, a number or an array. */
static void copy_key(struct pv_gguf_writer *w, const struct pv_gguf *g, const struct pv_gguf_kv *kv)
{
    const char *texts[400];
    char *copies[400];
    uint64_t n = 0;

    if (kv->item_type != PV_GGUF_STRING) {
        if (kv->type == PV_GGUF_ARRAY)
            pv_gguf_add_array(w, kv->key, kv->item_type, kv->data, kv->n_items);
        else if (kv->type == PV_GGUF_BOOL)
            pv_gguf_add_bool(w, kv->key, kv->data[0] != 0);
        else if (pv_gguf_u64(g, kv->key, &n))
            pv_gguf_add_u32(w, kv->key, (uint32_t)n);
        return;
    }
    if (kv->n_items > 400)
        fail(kv->key);
    for (n = 0; n < kv->n_items; n++)
        texts[n] = copies[n] = pv_strndup(kv->strings[n].data, kv->strings[n].size_bytes);
    if (kv->type == PV_GGUF_ARRAY)
        pv_gguf_add_str_array(w, kv->key, texts, kv->n_items);
    else
        pv_gguf_add_str(w, kv->key, texts[0]);
    while (n-- > 0)
        free(copies[n]);
}

/* The tokenizer's keys of a tiny model, and nothing else. */
static void write_tokenizer(const char *name, const struct pv_tiny_params *params)
{
    const char *path = seed_path("tokenizer", name);
    struct pv_gguf_writer *w;
    struct pv_gguf g;

    if (pv_tiny_model_write(path, params) != PV_OK || pv_gguf_open(&g, path, NULL) != PV_OK ||
        pv_gguf_writer_create(&w) != PV_OK)
        fail(name);
    for (size_t i = 0; i < g.n_kv; i++)
        if (strncmp(g.kv[i].key, "tokenizer.", 10) == 0)
            copy_key(w, &g, &g.kv[i]);
    if (pv_gguf_write(w, path, NULL) != PV_OK)
        fail(name);
    pv_gguf_writer_destroy(w);
    pv_gguf_close(&g);
}

static void write_clusters(const char *name, uint32_t n_clusters, bool centroids)
{
    const struct pv_tiny_clusters params = {
        .n_clusters = n_clusters, .density = 0.3, .centroids = centroids, .seed = 1};
    const char *path = seed_path("clusters", name);
    struct pv_model *model;

    if (pv_model_open(seed_path("gguf", "arcee-f16"), NULL, &model) != PV_OK ||
        pv_tiny_clusters_write(path, model, &params) != PV_OK)
        fail(name);
    pv_model_close(model);
}

/* A copy cut in half, and one with a huge number of tensors. */
static void write_damaged(const char *folder, const char *name)
{
    static const unsigned char huge[8] = {0, 0, 0, 0, 0, 0, 0, 0x10};
    char file[64], *data;
    size_t n;

    if (pv_file_read(seed_path(folder, name), NULL, &data, &n) != PV_OK)
        fail(name);
    snprintf(file, sizeof file, "%s-cut", name);
    write_bytes(seed_path(folder, file), data, n / 2);
    memcpy(data + 8, huge, sizeof huge);
    snprintf(file, sizeof file, "%s-huge", name);
    write_bytes(seed_path(folder, file), data, 100);
    free(data);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: make_seeds FOLDER\n");
        return 2;
    }
    root = argv[1];
    write_model("arcee-f16", (struct pv_tiny_params){.type = PV_F16});
    write_model("arcee-q4_0", (struct pv_tiny_params){.type = PV_Q4_0});
    write_model("llama-f16", (struct pv_tiny_params){.arch = "llama", .tokenizer = "spm", .type = PV_F16});
    write_model("llama-f32-untied",
                (struct pv_tiny_params){.arch = "llama", .tokenizer = "spm", .untied = true});
    write_tokenizer("bpe", &(struct pv_tiny_params){0});
    write_tokenizer("bpe-llama3", &(struct pv_tiny_params){.pre = "llama-bpe", .small_vocab = true});
    write_tokenizer("spm", &(struct pv_tiny_params){.arch = "llama", .tokenizer = "spm"});
    write_tokenizer("spm-small",
                    &(struct pv_tiny_params){.arch = "llama", .tokenizer = "spm", .small_vocab = true});
    write_clusters("plain", 3, false);
    write_clusters("centroids", 5, true);
    write_damaged("gguf", "arcee-f16");
    write_damaged("tokenizer", "spm-small");
    write_damaged("clusters", "plain");
    return EXIT_SUCCESS;
}
