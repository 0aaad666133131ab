/* Any bytes as a cluster file; what opens must keep its promises. */
#include <stdlib.h>
#include <string.h>
#include "format/clusters/cluster_file.h"
#include "fuzz.h"

static void count_line(void *user, const char *text)
{
    *(size_t *)user += strlen(text);
}

static void check_layer(const struct pv_clusters *c, const struct pv_cluster_layer *l)
{
    for (uint32_t k = 0; k < c->info.n_clusters; k++)
        for (uint32_t i = l->offset[k]; i < l->offset[k + 1]; i++)
            if (l->neurons[i] >= c->info.d_ffn || (i > l->offset[k] && l->neurons[i] <= l->neurons[i - 1]))
                abort();
    for (uint32_t i = 0; i < l->n_hot; i++)
        if (l->hot[i] >= c->info.d_ffn)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    void *copy = pv_fuzz_copy(data, size_bytes);
    struct pv_clusters *c;
    size_t n_chars = 0;

    if (pv_clusters_parse(copy, size_bytes, NULL, &c) == PV_OK) {
        for (uint32_t i = 0; i < c->info.n_layers; i++)
            check_layer(c, &c->layers[i]);
        pv_clusters_describe(c, count_line, &n_chars);
    }
    pv_clusters_close(c);
    free(copy);
    return 0;
}
