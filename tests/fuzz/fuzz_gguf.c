/* Any bytes as a GGUF file and as a model. */
#include <stdlib.h>
#include <string.h>
#include "format/model/model_impl.h"
#include "fuzz.h"

static void count_line(void *user, const char *text)
{
    *(size_t *)user += strlen(text);
}

static void touch_tensors(const struct pv_gguf *g)
{
    unsigned sum = 0;

    for (size_t i = 0; i < g->n_tensors; i++)
        sum += g->tensors[i].data[0] + (unsigned)g->tensors[i].data[g->tensors[i].size_bytes - 1];
    if (sum == UINT32_MAX)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    void *copy = pv_fuzz_copy(data, size_bytes);
    size_t n_chars = 0;
    struct pv_lines lines = {.line = count_line, .user = &n_chars};
    struct pv_model *model;
    struct pv_gguf g;

    if (pv_gguf_parse(&g, copy, size_bytes, NULL) == PV_OK) {
        touch_tensors(&g);
        pv_gguf_describe(&g, &lines);
    }
    pv_gguf_close(&g);
    if (pv_model_parse(copy, size_bytes, NULL, &model) == PV_OK)
        pv_model_describe(model, count_line, &n_chars);
    pv_model_close(model);
    free(copy);
    return 0;
}
