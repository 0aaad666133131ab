/* Any bytes as a chat template in JSON, which then lays out and encodes a conversation, and as a file's own template. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "format/chat/form.h"
#include "format/model/tiny_model.h"
#include "fuzz.h"

/* Made once, for the process. */
static const struct pv_model *tiny_model(void)
{
    static struct pv_model *model;
    char path[64];

    if (model)
        return model;
    snprintf(path, sizeof path, "fuzz_chat.%ld.gguf", (long)getpid());
    if (pv_tiny_model_write(path, &(struct pv_tiny_params){.tokenizer = "spm"}) != PV_OK ||
        pv_model_open(path, &(struct pv_model_params){.vocab_only = true}, &model) != PV_OK)
        abort();
    remove(path);
    return model;
}

static void try_template(const struct pv_chat_template *chat)
{
    static const uint32_t answer[] = {7, 8};
    const struct pv_chat_message messages[] = {
        {.role = PV_CHAT_SYSTEM, .text = " be brief", .n_bytes = 9},
        {.role = PV_CHAT_USER, .text = "\xff\xc3\xa9 {eos}</s>", .n_bytes = 13},
        {.role = PV_CHAT_ASSISTANT, .text = "  ", .n_bytes = 2, .tokens = answer, .n_tokens = 2},
        {.role = PV_CHAT_USER, .text = "", .n_bytes = 0}};

    for (size_t first = 0; first < 2; first++) {
        size_t n_text, n_ids;
        char *text;
        uint32_t *ids;

        if (pv_chat_text(chat, tiny_model(), messages + first, 4 - first, &text, &n_text) != PV_OK ||
            pv_chat_encode(chat, tiny_model(), messages + first, 4 - first, &ids, &n_ids) != PV_OK ||
            strlen(text) != n_text || n_ids < 2)
            abort();
        free(text);
        free(ids);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    void *copy = pv_fuzz_copy(data, size_bytes);
    struct pv_chat_template *chat = NULL;

    (void)pv_chat_recognise(copy, size_bytes);
    if (pv_chat_template_parse(copy, size_bytes, NULL, &chat) == PV_OK)
        try_template(chat);
    pv_chat_template_free(chat);
    free(copy);
    return 0;
}
