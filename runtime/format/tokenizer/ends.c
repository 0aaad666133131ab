/* Which tokens end a turn. A file names up to three by key (end of sequence, turn, message); many files name
 * only one of them, or the wrong one, so the names that published models give such tokens count too. */
#include "format/tokenizer/tokenizer_impl.h"

#include <string.h>
#include "base/log.h"

/* Names from the tokenizer_config.json files and chat templates of the models in brackets. */
static const char *const end_names[] = {
    "<|endoftext|>",                           /* GPT-2, Qwen, Phi, Falcon */
    "<|end_of_text|>",                         /* Llama 3, Granite */
    "<|eot_id|>",                              /* Llama 3 */
    "<|eom_id|>",                              /* Llama 3, tool calls */
    "<|eot|>",                                 /* Llama 4 */
    "<|eom|>",                                 /* Llama 4, tool calls */
    "<|im_end|>",                              /* ChatML */
    "<|end|>",                                 /* Phi-3 */
    "<|return|>",                              /* gpt-oss */
    "<|call|>",                                /* gpt-oss, tool calls */
    "<|end_of_turn|>",                         /* OpenChat, Reka */
    "<|END_OF_TURN_TOKEN|>",                   /* Command R */
    "<|EOT|>",                                 /* DeepSeek Coder */
    "<|eos|>",                                 /* Hunyuan */
    "<\uff5cend\u2581of\u2581sentence\uff5c>", /* DeepSeek 2 and 3 */
    "<end_of_turn>",                           /* Gemma */
    "<end_of_utterance>",                      /* SmolVLM */
    "<eos>",                                   /* Gemma */
    "</s>",                                    /* Llama 2, Mistral */
    "<EOT>",                                   /* CodeLlama */
    "_<EOT>",                                  /* as some converters write it */
    "[EOT]",                                   /* Kimi */
    "[EOS]",                                   /* Kimi */
    "[|endofturn|]",                           /* EXAONE */
};

static bool is_name(struct pv_str text, const char *name)
{
    return text.size_bytes == strlen(name) && memcmp(text.data, name, text.size_bytes) == 0;
}

/* A name counts where the file says that the token is special. Some files call all tokens normal: there the
 * spelling <|...|>, which no text is likely to hold, must do. */
static bool is_end_name(const struct pv_tokenizer *t, uint32_t id)
{
    const struct pv_str text = t->texts[id];

    if (text.size_bytes < 4 || text.size_bytes > 32 ||
        (text.data[0] != '<' && text.data[0] != '[' && text.data[0] != '_'))
        return false;
    if (t->has_types && t->types[id] == TOKEN_NORMAL && memcmp(text.data, "<|", 2) != 0)
        return false;
    for (size_t i = 0; i < sizeof end_names / sizeof end_names[0]; i++)
        if (is_name(text, end_names[i]))
            return true;
    return false;
}

/* gpt-oss ends each channel of an answer with <|end|>; only <|return|> and <|call|> end the turn. */
static void keep_channels(struct pv_tokenizer *t)
{
    uint32_t returns = PV_NO_TOKEN, ends = PV_NO_TOKEN;

    for (size_t i = 0; i < t->n_ends; i++) {
        if (is_name(t->texts[t->ends[i]], "<|return|>"))
            returns = t->ends[i];
        if (is_name(t->texts[t->ends[i]], "<|end|>") && t->ends[i] != t->eos)
            ends = t->ends[i];
    }
    if (returns == PV_NO_TOKEN || ends == PV_NO_TOKEN)
        return;
    for (size_t i = 0; i < t->n_ends; i++)
        if (t->ends[i] == ends)
            t->ends[i] = t->ends[--t->n_ends];
}

enum pv_status pv_tokenizer_find_ends(struct pv_tokenizer *t, const struct pv_gguf *g)
{
    static const char *const keys[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id"};
    const size_t room = sizeof keys / sizeof keys[0] + 2 * sizeof end_names / sizeof end_names[0];

    t->ends = pv_arena_alloc(&t->arena, room, sizeof t->ends[0]);
    if (!t->ends)
        return pv_fail(&t->log, PV_ERR_NOMEM, "no memory for the tokenizer");
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const uint32_t id = pv_tokenizer_special_id(t, g, keys[i]);

        if (id != PV_NO_TOKEN && !pv_tokenizer_is_end(t, id))
            t->ends[t->n_ends++] = id;
    }
    for (uint32_t id = 0; id < t->n_vocab && t->n_ends < room; id++)
        if (is_end_name(t, id) && !pv_tokenizer_is_end(t, id))
            t->ends[t->n_ends++] = id;
    keep_channels(t);
    return PV_OK;
}

bool pv_tokenizer_is_end(const struct pv_tokenizer *t, uint32_t token)
{
    for (size_t i = 0; i < t->n_ends; i++)
        if (t->ends[i] == token)
            return true;
    return false;
}
