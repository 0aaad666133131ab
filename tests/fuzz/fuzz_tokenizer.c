/* Any bytes as a tokenizer, which then encodes those same bytes and some fixed ones. Where every byte has a
 * token, the text must come back exactly. */
#include <stdlib.h>
#include <string.h>
#include "format/tokenizer/tokenizer_impl.h"
#include "fuzz.h"

static bool has_all_bytes(const struct pv_tokenizer *t)
{
    for (int i = 0; i < 256; i++)
        if (t->byte_token[i] == PV_NO_TOKEN)
            return false;
    return true;
}

static void try_text(const struct pv_tokenizer *t, const char *text, size_t n_bytes, bool special)
{
    size_t n, n_decoded;
    uint32_t *ids;
    char *decoded;

    if (pv_tokenizer_encode(t, text, n_bytes, special, special, &ids, &n) != PV_OK)
        abort();
    for (size_t i = 0; i < n; i++)
        if (ids[i] >= pv_tokenizer_n_vocab(t))
            abort();
    if (pv_tokenizer_decode(t, ids, n, &decoded, &n_decoded) != PV_OK)
        abort();
    if (!special && has_all_bytes(t) && (n_decoded != n_bytes || memcmp(decoded, text, n_bytes) != 0))
        abort();
    free(decoded);
    free(ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    static const char fixed[] = " the and\xff\xc3\xa9\xe2\x96\x81 <s><|endoftext|> 12345\n\n'll";
    void *copy = pv_fuzz_copy(data, size_bytes);
    struct pv_tokenizer *t = NULL;
    struct pv_gguf g;

    if (pv_gguf_parse(&g, copy, size_bytes, NULL) == PV_OK && pv_tokenizer_create(&g, NULL, &t) == PV_OK) {
        for (int special = 0; special < 2; special++) {
            try_text(t, fixed, sizeof fixed - 1, special != 0);
            try_text(t, copy, size_bytes < 4096 ? size_bytes : 4096, special != 0);
        }
    }
    pv_tokenizer_destroy(t);
    pv_gguf_close(&g);
    free(copy);
    return 0;
}
