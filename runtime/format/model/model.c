/* Opening goes from the outside in: the GGUF file, the hyper-parameters, the tensors, the tokenizer. No weight is
 * read; the fingerprint, which reads every feed-forward weight, is taken when somebody asks for it. */
#include "format/model/model_impl.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/hash.h"
#include "base/log.h"

/* Source of the definition: docs/cluster-file.md. */
uint64_t pv_model_fingerprint(const struct pv_model *m)
{
    const struct pv_hparams *hp = &m->hp;
    uint8_t shape[16];
    const uint32_t numbers[4] = {hp->n_layers, hp->d_model, hp->d_ffn, hp->gated ? 1u : 0u};
    uint64_t h;

    for (size_t i = 0; i < 16; i++)
        shape[i] = (uint8_t)(numbers[i / 4] >> (8 * (i % 4)));
    h = pv_hash64(shape, sizeof shape, 0);
    for (uint32_t i = 0; i < hp->n_layers; i++) {
        const struct pv_model_layer *l = &m->layers[i];

        if (hp->gated)
            h = pv_hash64(l->ffn_gate->data, (size_t)l->ffn_gate->size_bytes, h);
        h = pv_hash64(l->ffn_up->data, (size_t)l->ffn_up->size_bytes, h);
        h = pv_hash64(l->ffn_down->data, (size_t)l->ffn_down->size_bytes, h);
    }
    return h;
}

static enum pv_status model_read(struct pv_model *m, const struct pv_model_params *params)
{
    if (params->vocab_only) {
        PV_TRY(pv_tokenizer_create(&m->gguf, params->pre, &m->log, &m->tokenizer));
        m->hp.n_vocab = pv_tokenizer_n_vocab(m->tokenizer);
        return PV_OK;
    }
    PV_TRY(pv_model_read_hparams(m, params->ffn_act));
    PV_TRY(pv_model_bind_tensors(m));
    PV_TRY(pv_tokenizer_create(&m->gguf, params->pre, &m->log, &m->tokenizer));
    if (pv_tokenizer_n_vocab(m->tokenizer) != m->hp.n_vocab)
        return pv_fail(&m->log, PV_ERR_FORMAT,
                       "%s: the tokenizer has %u tokens, but token_embd.weight %u rows", m->gguf.path,
                       pv_tokenizer_n_vocab(m->tokenizer), m->hp.n_vocab);
    return PV_OK;
}

/* From the file at `path`, or from `data` where path is NULL. */
static enum pv_status model_create(const char *path, const void *data, size_t size_bytes,
                                   const struct pv_model_params *params, struct pv_model **out)
{
    static const struct pv_model_params defaults = {0};
    struct pv_model *m = pv_calloc(1, sizeof *m);
    enum pv_status status;

    *out = NULL;
    if (!params)
        params = &defaults;
    if (!m)
        return pv_fail(&params->log, PV_ERR_NOMEM, "no memory to read a model");
    m->log = params->log;
    status =
        path ? pv_gguf_open(&m->gguf, path, &m->log) : pv_gguf_parse(&m->gguf, data, size_bytes, &m->log);
    if (status == PV_OK)
        status = model_read(m, params);
    if (status != PV_OK) {
        pv_model_close(m);
        return status;
    }
    *out = m;
    return PV_OK;
}

enum pv_status pv_model_open(const char *path, const struct pv_model_params *params, struct pv_model **out)
{
    return model_create(path, NULL, 0, params, out);
}

enum pv_status pv_model_parse(const void *data, size_t size_bytes, const struct pv_model_params *params,
                              struct pv_model **out)
{
    return model_create(NULL, data, size_bytes, params, out);
}

void pv_model_close(struct pv_model *model)
{
    if (!model)
        return;
    pv_tokenizer_destroy(model->tokenizer);
    free(model->layers);
    pv_gguf_close(&model->gguf);
    free(model);
}

const char *pv_mapped_file(const void *address)
{
    return pv_map_path_at(address);
}

const struct pv_hparams *pv_model_hparams(const struct pv_model *model)
{
    return &model->hp;
}

const char *pv_model_path(const struct pv_model *model)
{
    return model->gguf.path;
}

uint64_t pv_model_weight_bytes(const struct pv_model *model)
{
    uint64_t n = 0;

    for (size_t i = 0; i < model->gguf.n_tensors; i++)
        n += model->gguf.tensors[i].size_bytes;
    return n;
}

uint64_t pv_model_n_params(const struct pv_model *model)
{
    uint64_t n = 0;

    for (size_t i = 0; i < model->gguf.n_tensors; i++) {
        const struct pv_gguf_tensor *t = &model->gguf.tensors[i];

        n += t->size_bytes / pv_type_block_bytes(t->type) * pv_type_block(t->type);
    }
    return n;
}

bool pv_act_makes_zeros(enum pv_act act)
{
    return act == PV_ACT_RELU || act == PV_ACT_RELU2 || act == PV_ACT_DRELU;
}

static const char *act_name(enum pv_act act)
{
    switch (act) {
    case PV_ACT_RELU2:
        return "squared ReLU";
    case PV_ACT_RELU:
        return "ReLU";
    case PV_ACT_SILU:
        return "SiLU";
    case PV_ACT_GELU:
        return "GELU";
    case PV_ACT_DRELU:
        return "ReLU of gate and up";
    }
    return "unknown";
}

void pv_model_describe(const struct pv_model *model, void (*line)(void *user, const char *text), void *user)
{
    const struct pv_hparams *hp = &model->hp;
    struct pv_lines lines = {.line = line, .user = user};

    pv_lines_add(&lines, "model         %s (%s), GGUF v%" PRIu32,
                 hp->name[0] != '\0' ? hp->name : "without a name", hp->arch, model->gguf.version);
    pv_lines_add(&lines, "parameters    %" PRIu64 ", %" PRIu64 " bytes", pv_model_n_params(model),
                 pv_model_weight_bytes(model));
    pv_lines_add(&lines, "layers        %" PRIu32 ", width %" PRIu32 ", context %" PRIu32 " tokens",
                 hp->n_layers, hp->d_model, hp->n_ctx);
    pv_lines_add(&lines, "attention     %" PRIu32 " heads of %" PRIu32 ", %" PRIu32 " key-value heads",
                 hp->n_heads, hp->head_dim, hp->n_kv_heads);
    pv_lines_add(&lines, "positions     rotary, %" PRIu32 " elements of a head, base %g", hp->rope_dim,
                 (double)hp->rope_freq_base);
    pv_lines_add(&lines, "feed-forward  %" PRIu32 " neurons a layer, %s, %s", hp->d_ffn,
                 hp->gated ? "gated" : "ungated", act_name(hp->act));
    if (hp->n_experts > 0)
        pv_lines_add(&lines, "experts       %" PRIu32 " a layer, %" PRIu32 " for a token", hp->n_experts,
                     hp->n_experts_used);
    pv_lines_add(&lines, "vocabulary    %" PRIu32 " tokens, output %s", hp->n_vocab,
                 hp->tied_output ? "tied to the embedding" : "of its own");
    pv_lines_add(&lines, "fingerprint   %016" PRIx64, pv_model_fingerprint(model));
    pv_gguf_describe(&model->gguf, &lines);
}

enum pv_status pv_encode(const struct pv_model *model, const char *text, size_t n_bytes,
                         const struct pv_encode_params *params, uint32_t **out, size_t *n_out)
{
    return pv_tokenizer_encode(model->tokenizer, text, n_bytes, params && params->add_bos,
                               params && params->parse_special, out, n_out);
}

size_t pv_token_bytes(const struct pv_model *model, uint32_t token, bool special, const char **out)
{
    return pv_tokenizer_bytes(model->tokenizer, token, special, out);
}

enum pv_status pv_decode(const struct pv_model *model, const uint32_t *tokens, size_t n, char **out,
                         size_t *n_out)
{
    return pv_tokenizer_decode(model->tokenizer, tokens, n, out, n_out);
}

uint32_t pv_token_bos(const struct pv_model *model)
{
    return pv_tokenizer_bos(model->tokenizer);
}

uint32_t pv_token_eos(const struct pv_model *model)
{
    return pv_tokenizer_eos(model->tokenizer);
}

bool pv_token_is_end(const struct pv_model *model, uint32_t token)
{
    return pv_tokenizer_is_end(model->tokenizer, token);
}

bool pv_model_wants_bos(const struct pv_model *model)
{
    return pv_tokenizer_wants_bos(model->tokenizer);
}
