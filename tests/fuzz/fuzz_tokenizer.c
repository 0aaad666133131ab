/* Any bytes as a tokenizer, which then encodes those same bytes and some fixed ones. Where every byte has a
 * token, the text must come back exactly. */
#include <stdlib.h>
#include <string.h>
#include "format/tokenizer/tokenizer.h"
#include "fuzz.h"

static bool has_all_bytes(const struct pv_tokenizer *t)
{
    bool all = true;

    for (int i = 0; i < 256 && all; i++) {
        const char byte = (char)i;
        const char *bytes = "";
        uint32_t *ids;
        size_t n;

        if (pv_tokenizer_encode(t, &byte, 1, false, false, &ids, &n) != PV_OK)
            abort();
        all = n != 0 && pv_tokenizer_bytes(t, ids[n - 1], false, &bytes) != 0 && bytes[0] == byte;
        free(ids);
    }
    return all;
}

/* SentencePiece has U+2581 for a space: whether the texts differ in that alone. */
static bool same_but_spaces(const char *text, size_t n_bytes, const char *decoded, size_t n_decoded)
{
    size_t n = 0;

    for (size_t i = 0; i < n_bytes; n++) {
        const bool mark = n_bytes - i >= 3 && memcmp(text + i, "\xe2\x96\x81", 3) == 0;

        if (n == n_decoded || (decoded[n] != text[i] && !(mark && decoded[n] == ' ')))
            return false;
        i += mark && decoded[n] == ' ' ? 3 : 1;
    }
    return n == n_decoded;
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
    if (!special && has_all_bytes(t) && !same_but_spaces(text, n_bytes, decoded, n_decoded))
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

    if (pv_gguf_parse(&g, copy, size_bytes, NULL) == PV_OK &&
        pv_tokenizer_create(&g, NULL, NULL, &t) == PV_OK) {
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
