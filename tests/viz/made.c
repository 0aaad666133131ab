/* A word has a place 0..1 that it keeps in most layers; a cluster is a stretch of places, numbered anew in every
 * layer. */
#include "made.h"

#include <stdlib.h>
#include <string.h>

static const char *const words[MADE_WORDS] = {
    " the", ",", ".", " and", " a", " of", " to", " in", " she", " he", " was", " said", " king", " night",
    " star", " sea", " ship", " wind", " home", " light", " seven", " sisters", " old", " little", " went",
    " came", " saw", " told", " forest", " river", "ing", "ed", "s", "\n", " \"", "!", "?", " not", " but",
    " when", " then", " long", " great", " house", " door", " water", " gold", " bread",
    /* twelve other scripts, and emoji */
    " звезда", " море", " король", " ночь", /* Cyrillic */
    " αστέρι", " θάλασσα", " νύχτα",        /* Greek */
    " כוכב", " שלום", " לילה",              /* Hebrew */
    " سلام", " نجمة", " می‌رود",     /* Arabic */
    " तारा", " क्षितिज", " हिन्दी",           /* Devanagari */
    " তারা", " রাত্রি",                      /* Bengali */
    " நட்சத்திரம்", " கடல்",                    /* Tamil */
    " ดวงดาว", " ทะเล", " น้ำ",              /* Thai */
    " ვარსკვლავი", " ზღვა",                 /* Georgian */
    " ኮከብ", " ባሕር",                         /* Ethiopic */
    "星", "北斗七星", "海",                 /* Han */
    "ほし", "カタカナ", "うみ",             /* Kana */
    "⭐", "👩‍🚀", "👍🏽", "🇮🇷", "❤️", "\xcc\x81",
    "\xe6\x98", /* emoji, a lone mark, half a character */
    " naïve", " Übermut", " čaj", " ağaç", " đường", " ∑", " →", " café", " e\xcc\x81t\xe9\xb8"};

static uint32_t roll(struct made *m, uint32_t n)
{
    m->state = m->state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((m->state >> 33) % n);
}

static uint32_t mix(uint32_t x)
{
    x = (x ^ x >> 16) * 0x45d9f3bu;
    x = (x ^ x >> 16) * 0x45d9f3bu;
    return x ^ x >> 16;
}

void made_init(struct made *m, uint32_t n_layers, uint32_t n_clusters, uint32_t d_ffn)
{
    const size_t n_words = (d_ffn + 31) / 32;

    memset(m, 0, sizeof *m);
    m->state = 11;
    m->header = (struct pv_trace_header){.model = "made-up.gguf",
                                         .device = "a test",
                                         .fingerprint = 0x0123456789abcdefu,
                                         .n_layers = n_layers,
                                         .n_clusters = n_clusters,
                                         .d_ffn = d_ffn};
    m->u32s = calloc((size_t)n_layers * 3, sizeof *m->u32s);
    m->margin = calloc(n_layers, sizeof *m->margin);
    m->rows = calloc(n_layers, sizeof *m->rows);
    m->bits = n_clusters == 0 ? calloc(n_layers * n_words, sizeof *m->bits) : NULL;
    if (!m->u32s || !m->margin || !m->rows || (!m->bits && n_clusters == 0))
        abort();
    m->n_active = m->u32s + (size_t)2 * n_layers;
    for (uint32_t l = 0; l < n_layers; l++)
        m->rows[l] = m->bits ? m->bits + l * n_words : NULL;
}

void made_free(struct made *m)
{
    free(m->u32s);
    free(m->margin);
    free(m->bits);
    free(m->rows);
}

const char *made_word(uint32_t i)
{
    return words[i];
}

/* The number that a layer gives to its cluster at a place: a walk through all numbers. */
static uint32_t number(const struct made *m, uint32_t layer, uint32_t place)
{
    const uint32_t n = m->header.n_clusters;
    uint32_t step = mix(layer + 1) % n | 1u, a, b;

    for (;; step += 2) { /* one that shares no divisor with n */
        for (a = n, b = step; b != 0;) {
            const uint32_t rest = a % b;

            a = b;
            b = rest;
        }
        if (a == 1)
            break;
    }
    return (uint32_t)(((uint64_t)place * step + mix(layer)) % n);
}

static void fire(struct made *m, uint32_t l, uint32_t word)
{
    const uint32_t n = m->header.d_ffn, n_words = (n + 31) / 32, first = mix(word * 31 + l / 3) % n;
    uint32_t *bits = m->bits + (size_t)l * n_words;

    memset(bits, 0, n_words * sizeof *bits);
    m->n_active[l] = 0;
    for (uint32_t i = 0; i < n / 12 + 1; i++) { /* some of its own family, few of any */
        const uint32_t at = i % 5 == 0 ? roll(m, n) : mix((first + i) % n) % n;

        m->n_active[l] += ~bits[at / 32] >> (at % 32) & 1u;
        bits[at / 32] |= (uint32_t)1 << (at % 32);
    }
}

const struct pv_trace_token *made_next(struct made *m)
{
    const uint32_t n_layers = m->header.n_layers, n = m->header.n_clusters, f = m->header.d_ffn;
    const uint32_t word = roll(m, 3) == 0 ? roll(m, 12) : roll(m, MADE_WORDS);
    uint32_t *cluster = m->u32s, *n_neurons = m->u32s + n_layers;
    uint32_t at = mix(word + 77) % 1000 + roll(m, 40);
    double sum = 0.0;

    for (uint32_t l = 0; l < n_layers; l++) {
        if (roll(m, 24) == 0) /* the model changes its mind */
            at = roll(m, 1040);
        cluster[l] = PV_TRACE_NO_CLUSTER;
        n_neurons[l] = f;
        if (n > 0) {
            cluster[l] = number(m, l, (uint32_t)((uint64_t)at * n / 1040));
            n_neurons[l] = f / 20 + mix(cluster[l] + l * 131) % (f / 8 + 1);
        } else {
            fire(m, l, word);
        }
        m->margin[l] = (float)roll(m, 800) / 100.0f;
        sum += n_neurons[l];
    }
    m->token = (struct pv_trace_token){.index = m->token.index + 1,
                                       .token = word + 100,
                                       .text = words[word],
                                       .text_bytes = strlen(words[word]),
                                       .cluster = cluster,
                                       .n_neurons = n_neurons,
                                       .margin = n > 0 ? m->margin : NULL,
                                       .n_active = m->bits ? m->n_active : NULL,
                                       .n_hit = m->bits ? m->n_active : NULL,
                                       .active = m->bits ? m->rows : NULL,
                                       .density = sum / n_layers / f,
                                       .ms = 20.0 + roll(m, 100) / 20.0,
                                       .device_ms = 18.0};
    return &m->token;
}
