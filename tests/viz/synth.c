/* A linear congruential generator, so that no library decides what the run is. */
#include "synth.h"

#include <check.h>
#include <string.h>

static uint32_t roll(struct synth *s, uint32_t n)
{
    s->state = s->state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((s->state >> 33) % n);
}

static void make_masks(struct synth *s)
{
    for (uint32_t l = 0; l < SYNTH_LAYERS; l++) {
        for (uint32_t k = 0; k < SYNTH_CLUSTERS; k++) {
            uint16_t neurons[64];
            uint32_t n = 0;

            for (uint32_t j = 0; j < 10; j++)
                neurons[n++] = (uint16_t)((j * 29 + l) % SYNTH_FFN); /* shared by all */
            for (uint32_t j = 0; j < 24; j++)
                neurons[n++] = (uint16_t)((k % 8 * 31 + j) % SYNTH_FFN); /* by a family */
            for (uint32_t j = 0; j < 12; j++)
                neurons[n++] = (uint16_t)roll(s, SYNTH_FFN);
            pv_maskset_add(s->masks, l, k, neurons, n);
        }
    }
}

void synth_init(struct synth *s)
{
    memset(s, 0, sizeof *s);
    s->state = 7;
    s->header = (struct pv_trace_header){.model = "synthetic.gguf",
                                         .device = "a test",
                                         .fingerprint = 0x00c0ffee12345678u,
                                         .n_layers = SYNTH_LAYERS,
                                         .n_clusters = SYNTH_CLUSTERS,
                                         .d_ffn = SYNTH_FFN};
    ck_assert_int_eq(pv_maskset_create(SYNTH_LAYERS, SYNTH_CLUSTERS, SYNTH_FFN, &s->masks), PV_OK);
    make_masks(s);
}

void synth_free(struct synth *s)
{
    pv_maskset_destroy(s->masks);
}

static void make_layer(struct synth *s, uint32_t l, uint32_t word)
{
    const uint32_t k = roll(s, 10) < 7 ? (word * 5 + l * 11) % SYNTH_CLUSTERS : roll(s, SYNTH_CLUSTERS);
    const uint32_t *mask = pv_maskset_row(s->masks, l, k);

    s->cluster[l] = k;
    s->n_neurons[l] = pv_maskset_size(s->masks, l, k);
    s->margin[l] = (float)roll(s, 1000) / 100.0f;
    s->energy_kept[l] = 0.9f + (float)roll(s, 100) / 1000.0f;
    memset(s->bits[l], 0, sizeof s->bits[l]);
    s->n_active[l] = s->n_hit[l] = 0;
    for (uint32_t j = 0; j < SYNTH_FFN; j++) {
        const uint32_t in_mask = (uint32_t)pv_maskset_bit(mask, j);

        if (roll(s, 100) >= (in_mask ? 60u : 4u))
            continue;
        s->bits[l][j / 32] |= (uint32_t)1 << (j % 32);
        s->n_active[l]++;
        s->n_hit[l] += in_mask;
    }
    s->rows[l] = s->bits[l];
}

const struct pv_trace_token *synth_next(struct synth *s)
{
    static const char *const words[SYNTH_WORDS] = {
        " the",  " star",  ",",        " and",  " night", " sky",  ".",   "\n",
        " a",    " seven", " sisters", " of",   " her",   " said", " he", " ship",
        " wind", " sea",   " home",    " king", " light", "\xe2",  " \"", "\x80\x94"};
    const uint32_t word = roll(s, 3) == 0 ? roll(s, 6) : roll(s, SYNTH_WORDS);
    double sum = 0.0;

    for (uint32_t l = 0; l < SYNTH_LAYERS; l++) {
        make_layer(s, l, word);
        sum += s->n_neurons[l];
    }
    s->token = (struct pv_trace_token){.index = s->token.index + 1,
                                       .token = word + 100,
                                       .text = words[word],
                                       .text_bytes = strlen(words[word]),
                                       .cluster = s->cluster,
                                       .n_neurons = s->n_neurons,
                                       .margin = s->margin,
                                       .energy_kept = s->energy_kept,
                                       .n_active = s->n_active,
                                       .n_hit = s->n_hit,
                                       .active = s->rows,
                                       .density = sum / SYNTH_LAYERS / SYNTH_FFN,
                                       .ms = 4.0 + roll(s, 100) / 50.0,
                                       .device_ms = 3.5};
    return &s->token;
}

struct pv_heat *synth_heat(struct synth *s, double half_life, uint32_t n)
{
    struct pv_heat *heat;

    ck_assert_int_eq(pv_heat_create(&s->header, &(struct pv_heat_params){.half_life = half_life}, &heat),
                     PV_OK);
    for (uint32_t i = 0; i < n; i++)
        ck_assert_int_eq(pv_heat_push(heat, synth_next(s)), PV_OK);
    return heat;
}
