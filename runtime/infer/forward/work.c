/* The table of activation buffers, and what follows it. */
#include "infer/forward/work.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/log.h"

/* Logits of a scored batch are made a block of rows at a time, at most this many bytes. */
static const uint64_t max_logit_bytes = 32u << 20;

enum size {
    ONE,
    WORD, /* 16 bytes */
    BATCH,
    LOGIT_ROWS,
    WIDTH,
    QUERIES,
    QUERIES_KEYS_VALUES,
    NEURONS,
    BIT_ROWS, /* a batch's */
    PARTIAL,
    RANK,
    CLUSTERS,
    EXPERTS,
    VOCABULARY,
    N_SIZES
};
enum content { ANY, ZEROS, ROW_NUMBERS };

static const struct row {
    size_t field; /* offset in struct pv_work */
    enum size rows, width;
    const char *name;
    uint32_t conditions; /* any of them */
    enum pv_memory_kind memory;
    enum content content;
} table[] = {
#define BUFFER(field_, ...)                                                                                  \
    {                                                                                                        \
        .field = offsetof(struct pv_work, field_), __VA_ARGS__                                               \
    }
    BUFFER(x, BATCH, WIDTH, "residual stream", PV_WORK_ALWAYS),
    BUFFER(h, BATCH, WIDTH, "normalised rows", PV_WORK_ALWAYS),
    BUFFER(qkv, BATCH, QUERIES_KEYS_VALUES, "queries, keys and values", PV_WORK_ALWAYS),
    BUFFER(attn, BATCH, QUERIES, "attention output", PV_WORK_ALWAYS),
    BUFFER(up, BATCH, NEURONS, "ffn activations", PV_WORK_ALWAYS),
    BUFFER(gate, BATCH, NEURONS, "ffn gate", PV_WORK_GATED),
    BUFFER(partial, ONE, PARTIAL, "ffn partial sums", PV_WORK_ALWAYS),
    BUFFER(down_projection, BATCH, RANK, "down-projected router input", PV_WORK_LOW_RANK),
    BUFFER(scores, BATCH, CLUSTERS, "router scores", PV_WORK_ROUTED),
    BUFFER(cluster, ONE, BATCH, "clusters", PV_WORK_ROUTED),
    BUFFER(margin, ONE, BATCH, "router margins", PV_WORK_ROUTED),
    BUFFER(mask_bits, ONE, BIT_ROWS, "masks of two clusters", PV_WORK_BEST_TWO),
    BUFFER(list, ONE, NEURONS, "chosen neurons", PV_WORK_BEST_TWO | PV_WORK_EXPERTS),
    BUFFER(expert_scores, BATCH, EXPERTS, "scores of experts", PV_WORK_EXPERTS),
    BUFFER(expert_weights, BATCH, EXPERTS, "weights of experts", PV_WORK_EXPERTS),
    BUFFER(row_index, ONE, BATCH, "row numbers", PV_WORK_BEST_TWO | PV_WORK_OBSERVED, .content = ROW_NUMBERS),
    BUFFER(contribution, BATCH, NEURONS, "contributions", PV_WORK_OBSERVED),
    BUFFER(bits, ONE, BIT_ROWS, "pattern bits", PV_WORK_OBSERVED),
    BUFFER(zeros, ONE, BATCH, "zeros", PV_WORK_STATIC_SET, .content = ZEROS),
    BUFFER(last, ONE, WIDTH, "last row", PV_WORK_OUTPUT),
    BUFFER(logits, LOGIT_ROWS, VOCABULARY, "logits", PV_WORK_OUTPUT),
    BUFFER(h_rows, LOGIT_ROWS, WIDTH, "scored rows", PV_WORK_OUTPUT),
    BUFFER(targets, ONE, LOGIT_ROWS, "targets", PV_WORK_OUTPUT),
    BUFFER(nll, ONE, LOGIT_ROWS, "nll", PV_WORK_OUTPUT),
    BUFFER(argmax, ONE, WORD, "argmax", PV_WORK_OUTPUT),
    BUFFER(logits_host, ONE, VOCABULARY, "logits on the host", PV_WORK_OUTPUT, .memory = PV_MEM_HOST),
    BUFFER(argmax_host, ONE, WORD, "argmax on the host", PV_WORK_OUTPUT, .memory = PV_MEM_HOST),
#undef BUFFER
};
enum { N_ROWS = sizeof table / sizeof *table };

static struct pv_buffer **field(struct pv_work *work, const struct row *row)
{
    return (struct pv_buffer **)((char *)work + row->field);
}

uint32_t pv_work_conditions(const struct pv_engine *e, bool has_output)
{
    return PV_WORK_ALWAYS | (e->hp.gated ? PV_WORK_GATED : 0u) |
           (e->hp.n_experts > 0 ? PV_WORK_EXPERTS : 0u) | (has_output ? PV_WORK_OUTPUT : 0u) |
           (e->clusters ? PV_WORK_ROUTED : 0u) |
           (e->clusters && e->clusters->info.max_rank > 0 ? PV_WORK_LOW_RANK : 0u) |
           (e->clusters && e->n_best > 1 ? PV_WORK_BEST_TWO : 0u);
}

uint32_t pv_logit_rows(const struct pv_engine *e)
{
    const uint64_t rows = max_logit_bytes / pv_rows_bytes(1, e->hp.n_vocab);
    return rows < 1 ? 1 : rows > e->n_batch ? e->n_batch : (uint32_t)rows;
}

static void fill_sizes(const struct pv_engine *e, const struct pv_plan *plan, uint32_t sizes[N_SIZES])
{
    const struct pv_hparams *hp = &e->hp;
    const uint32_t n = e->n_batch;
    sizes[ONE] = 1;
    sizes[WORD] = 4;
    sizes[BATCH] = n;
    sizes[LOGIT_ROWS] = pv_logit_rows(e);
    sizes[WIDTH] = hp->d_model;
    sizes[QUERIES] = hp->n_heads * hp->head_dim;
    sizes[QUERIES_KEYS_VALUES] = (hp->n_heads + 2 * hp->n_kv_heads) * hp->head_dim;
    sizes[NEURONS] = hp->d_ffn;
    sizes[BIT_ROWS] = n * (uint32_t)pv_bit_words(hp->d_ffn);
    sizes[PARTIAL] = (uint32_t)(pv_ffn_partial_bytes(plan, hp->d_model) / sizeof(float));
    sizes[RANK] = e->clusters ? e->clusters->info.max_rank : 0;
    sizes[CLUSTERS] = e->clusters ? e->clusters->info.n_clusters : 0;
    sizes[EXPERTS] = hp->n_experts;
    sizes[VOCABULARY] = hp->n_vocab;
}

uint64_t pv_work_bytes(const struct pv_engine *e, const struct pv_plan *plan, uint32_t conditions)
{
    uint32_t sizes[N_SIZES];
    uint64_t bytes = 0;
    fill_sizes(e, plan, sizes);
    for (size_t i = 0; i < N_ROWS; i++)
        if (table[i].conditions & conditions)
            bytes += pv_rows_bytes(sizes[table[i].rows], sizes[table[i].width]);
    return bytes;
}

static enum pv_status write_row_numbers(struct pv_device *device, struct pv_buffer *buffer, uint32_t n)
{
    uint32_t *rows = pv_calloc(n, sizeof *rows);
    if (!rows)
        return pv_fail(device->log, PV_ERR_NOMEM, "no memory for %u row numbers", n);
    for (uint32_t i = 0; i < n; i++)
        rows[i] = i;
    const enum pv_status status = pv_buffer_write(buffer, 0, rows, n * sizeof *rows);
    free(rows);
    return status;
}

static enum pv_status create(struct pv_device *device, const struct row *row, const uint32_t *sizes,
                             struct pv_buffer **out)
{
    PV_TRY(pv_buffer_create(device, pv_rows_bytes(sizes[row->rows], sizes[row->width]), row->memory,
                            row->name, out));
    enum pv_status status = PV_OK;
    if (row->content == ZEROS)
        status = pv_buffer_fill(*out, 0);
    if (row->content == ROW_NUMBERS)
        status = write_row_numbers(device, *out, sizes[row->width]);
    if (status != PV_OK) {
        pv_buffer_destroy(*out);
        *out = NULL;
    }
    return status;
}

enum pv_status pv_work_create(struct pv_device *device, const struct pv_engine *e, uint32_t conditions,
                              struct pv_work *work)
{
    uint32_t sizes[N_SIZES];
    fill_sizes(e, &device->plan, sizes);
    for (size_t i = 0; i < N_ROWS; i++) {
        struct pv_buffer **buffer = field(work, &table[i]);
        if (!*buffer && table[i].conditions & conditions)
            PV_TRY(create(device, &table[i], sizes, buffer));
    }
    return PV_OK;
}

void pv_work_destroy(struct pv_work *work)
{
    for (size_t i = 0; i < N_ROWS; i++)
        pv_buffer_destroy(*field(work, &table[i]));
    memset(work, 0, sizeof *work);
}
