/* The table of architectures. docs/models.md has a row for each; docs/porting.md says how to add one. */
#include "format/model/arch.h"

#include <string.h>

#define ARCH(name_, act_, gated_, rope_, ...)                                                                \
    {                                                                                                        \
        .name = name_, .act = PV_ACT_##act_, .gated = gated_, .rope = PV_ROPE_##rope_, __VA_ARGS__           \
    }
static const struct pv_arch table[] = {
    ARCH("arcee", RELU2, false, ADJACENT, .features = 0),
    ARCH("gemma", GELU, true, NEOX, .features = PV_ARCH_EMBED_SQRT),
    ARCH("gemma2", GELU, true, NEOX,
         .features =
             PV_ARCH_EMBED_SQRT | PV_ARCH_POST_NORMS | PV_ARCH_SOFTCAP | PV_ARCH_FINAL_CAP | PV_ARCH_WINDOW,
         .window_period = 2, .default_window = 4096),
    ARCH("gemma3", GELU, true, NEOX,
         .features =
             PV_ARCH_EMBED_SQRT | PV_ARCH_POST_NORMS | PV_ARCH_QK_NORM | PV_ARCH_FINAL_CAP | PV_ARCH_WINDOW,
         .window_period = 6, .windowed_rope_freq_base = 10000.0f),
    ARCH("granite", SILU, true, ADJACENT, .features = PV_ARCH_SCALES),
    ARCH("jais2", RELU2, false, NEOX, .features = PV_ARCH_LAYER_NORM),
    ARCH("llama", SILU, true, ADJACENT, .features = PV_ARCH_EXPERTS),
    ARCH("nemotron", RELU2, false, NEOX, .features = PV_ARCH_LAYER_NORM),
    ARCH("olmo2", SILU, true, NEOX,
         .features = PV_ARCH_NORMS_AFTER | PV_ARCH_POST_NORMS | PV_ARCH_QK_NORM_ROW),
    ARCH("phi3", SILU, true, NEOX, .features = PV_ARCH_FUSED | PV_ARCH_WINDOW),
    ARCH("qwen2", SILU, true, NEOX, .features = 0),
    ARCH("qwen3", SILU, true, NEOX, .features = PV_ARCH_QK_NORM),
    ARCH("qwen3moe", SILU, true, NEOX, .features = PV_ARCH_QK_NORM | PV_ARCH_EXPERTS),
    ARCH("smallthinker", RELU, true, NEOX,
         .features = PV_ARCH_EXPERTS | PV_ARCH_ROUTES_INPUT | PV_ARCH_WINDOW | PV_ARCH_FIRST_OF_PERIOD |
                     PV_ARCH_FIXED_WINDOW,
         .window_period = 4, .rope_period = 4, .default_window = 4096),
    ARCH("smollm3", SILU, true, ADJACENT, .rope_period = 4),
    ARCH("stablelm", SILU, true, NEOX, .features = PV_ARCH_LAYER_NORM),
    ARCH("starcoder2", GELU, false, NEOX, .features = PV_ARCH_LAYER_NORM),
};

void pv_arch_apply(const struct pv_arch *row, struct pv_hparams *hp)
{
    hp->act = row->act;
    hp->gated = row->gated;
    hp->rope = row->rope;
    hp->layer_norm = row->features & PV_ARCH_LAYER_NORM;
    hp->norms_after = row->features & PV_ARCH_NORMS_AFTER;
    hp->post_norms = row->features & PV_ARCH_POST_NORMS;
    hp->qk_norm = row->features & PV_ARCH_QK_NORM       ? PV_QK_NORM_HEAD
                  : row->features & PV_ARCH_QK_NORM_ROW ? PV_QK_NORM_ROW
                                                        : PV_QK_NORM_NONE;
    hp->window_period = row->window_period;
    hp->rope_period = row->rope_period;
    hp->first_of_period = row->features & PV_ARCH_FIRST_OF_PERIOD;
    hp->routes_input = row->features & PV_ARCH_ROUTES_INPUT;
    hp->windowed_rope_freq_base = row->windowed_rope_freq_base;
}

uint32_t pv_arch_count(void)
{
    return sizeof table / sizeof *table;
}

const struct pv_arch *pv_arch_at(uint32_t index)
{
    return &table[index];
}

const struct pv_arch *pv_arch_find(const char *name)
{
    for (uint32_t i = 0; i < pv_arch_count(); i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}

/* Letters to insert, delete or change to make one of the other; both shorter than 32. */
static uint32_t distance(const char *a, const char *b)
{
    uint32_t row[32];
    const uint32_t n_b = (uint32_t)strlen(b);
    for (uint32_t j = 0; j <= n_b; j++)
        row[j] = j;
    for (uint32_t i = 0; a[i] != '\0'; i++) {
        uint32_t diagonal = row[0];
        row[0] = i + 1;
        for (uint32_t j = 0; j < n_b; j++) {
            uint32_t best = diagonal + (a[i] != b[j]);
            best = row[j] + 1 < best ? row[j] + 1 : best;
            best = row[j + 1] + 1 < best ? row[j + 1] + 1 : best;
            diagonal = row[j + 1];
            row[j + 1] = best;
        }
    }
    return row[n_b];
}

const struct pv_arch *pv_arch_nearest(const char *name)
{
    const struct pv_arch *nearest = &table[0];
    for (uint32_t i = 1; i < pv_arch_count(); i++)
        if (distance(name, table[i].name) < distance(name, nearest->name))
            nearest = &table[i];
    return nearest;
}
