/* Which tokens end a turn. A file names up to three by key (end of sequence, turn, message); many files name
 * only one of them, or the wrong one, so the names that published models give such tokens count too. */
#include "format/tokenizer/vocab.h"

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
    "<turn|>",                                 /* Gemma 4 */
    "[|endofturn|]",                           /* EXAONE */
};

static bool is_name(struct pv_str text, const char *name)
{
    return text.size_bytes == strlen(name) && memcmp(text.data, name, text.size_bytes) == 0;
}

static bool is_piped(struct pv_str text)
{
    return text.size_bytes > 2 && memcmp(text.data, "<|", 2) == 0;
}

/* A name counts where the file says that the token is special. Some files call all tokens normal: there the
 * spelling <|...|>, which no text is likely to hold, must do. */
static bool is_end_name(const struct pv_vocab *v, uint32_t id)
{
    const struct pv_str text = v->texts[id];

    if (text.size_bytes < 4 || text.size_bytes > 32 ||
        (text.data[0] != '<' && text.data[0] != '[' && text.data[0] != '_'))
        return false;
    if (v->has_types && v->types[id] == TOKEN_NORMAL && !is_piped(text))
        return false;
    for (size_t i = 0; i < sizeof end_names / sizeof end_names[0]; i++)
        if (is_name(text, end_names[i]))
            return true;
    return false;
}

/* gpt-oss ends each channel of an answer with <|end|>; only <|return|> and <|call|> end the turn. */
static void keep_channels(struct pv_vocab *v)
{
    uint32_t returns = PV_NO_TOKEN, ends = PV_NO_TOKEN;

    for (size_t i = 0; i < v->n_ends; i++) {
        if (is_name(v->texts[v->ends[i]], "<|return|>"))
            returns = v->ends[i];
        if (is_name(v->texts[v->ends[i]], "<|end|>") && v->ends[i] != v->eos)
            ends = v->ends[i];
    }
    if (returns == PV_NO_TOKEN || ends == PV_NO_TOKEN)
        return;
    for (size_t i = 0; i < v->n_ends; i++)
        if (v->ends[i] == ends)
            v->ends[i] = v->ends[--v->n_ends];
}

enum pv_status pv_vocab_find_ends(struct pv_vocab *v, const uint32_t *named, size_t n_named)
{
    const size_t room = n_named + 2 * sizeof end_names / sizeof end_names[0];

    v->ends = pv_arena_alloc(&v->arena, room, sizeof v->ends[0]);
    if (!v->ends)
        return pv_fail(&v->log, PV_ERR_NOMEM, "no memory for the tokenizer");
    for (size_t i = 0; i < n_named; i++)
        if (named[i] != PV_NO_TOKEN && !pv_vocab_is_end(v, named[i]))
            v->ends[v->n_ends++] = named[i];
    for (uint32_t id = 0; id < v->n && v->n_ends < room; id++)
        if (is_end_name(v, id) && !pv_vocab_is_end(v, id))
            v->ends[v->n_ends++] = id;
    keep_channels(v);
    for (size_t i = 0; i < v->n_ends; i++)
        if (v->types[v->ends[i]] == TOKEN_USER || is_piped(v->texts[v->ends[i]]))
            v->types[v->ends[i]] = TOKEN_CONTROL;
    return PV_OK;
}

bool pv_vocab_is_end(const struct pv_vocab *v, uint32_t token)
{
    for (size_t i = 0; i < v->n_ends; i++)
        if (v->ends[i] == token)
            return true;
    return false;
}
