/* Any bytes as a trace; tokens that are read must keep the promises of parvin/trace.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/bits.h"
#include "fuzz.h"
#include "parvin/trace.h"

static void must(bool kept)
{
    if (!kept)
        abort();
}

static void check_layer(const struct pv_trace_header *h, const struct pv_trace_token *t, uint32_t l)
{
    must(t->cluster[l] == PV_TRACE_NO_CLUSTER || t->cluster[l] < h->n_clusters);
    must(t->n_neurons[l] <= h->d_ffn);
    must(!t->n_active || t->n_active[l] <= h->d_ffn);
    must(!t->n_hit || t->n_hit[l] <= t->n_neurons[l]);
    must(!t->margin || isnan(t->margin[l]) || isfinite(t->margin[l]));
    must(!t->energy_kept || isnan(t->energy_kept[l]) || t->energy_kept[l] >= 0.0f);
    if (t->active && t->active[l])
        must(pv_bit_count(t->active[l], pv_bit_words(h->d_ffn)) <= h->d_ffn);
}

static void check_token(const struct pv_trace_header *h, const struct pv_trace_token *t)
{
    must(t->text_bytes <= 4096 && t->text[t->text_bytes] == '\0');
    must(t->density >= 0.0 && t->density <= 1.0 && t->ms >= 0.0 && t->device_ms >= 0.0);
    for (uint32_t l = 0; l < h->n_layers; l++)
        check_layer(h, t, l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    void *copy = pv_fuzz_copy(data, size_bytes);
    struct pv_trace_reader *reader;
    const struct pv_trace_token *token;
    uint64_t last = 0;

    if (pv_trace_open_memory(copy, size_bytes, "fuzz", NULL, &reader) == PV_OK) {
        const struct pv_trace_header *h = pv_trace_reader_header(reader);

        must(h->n_layers > 0 && h->d_ffn > 0 && h->model && h->device);
        for (size_t n = 0; pv_trace_next(reader, &token) == PV_OK && token; n++) {
            must(n == 0 || token->index > last);
            last = token->index;
            check_token(h, token);
        }
        pv_trace_close(reader);
    }
    free(copy);
    return 0;
}
